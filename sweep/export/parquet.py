"""A run's frames as Parquet files, with the unit and the meaning of each column; the same run gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from aesweep.export.exporter import Exported, Steps
from aesweep.export.place import claim, replace_file
from aesweep.results import LoadedRun
from aesweep.results.columns import column, kind_of
from aesweep.results.frames import FRAMES

_TYPES = {
    "text": pyarrow.string(),
    "number": pyarrow.float64(),
    "count": pyarrow.int64(),
    "flag": pyarrow.bool_(),
    "time": pyarrow.timestamp("us", tz="UTC"),
}


class ParquetExporter:
    """Writes each frame as NAME.parquet. A file is replaced whole wherever its frame has changed.

    Args:
        output: a folder, for this run alone.
    """

    def __init__(self, output: Path):
        self._output = output

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        """Writes the frames; see `Exporter`."""
        claim(self._output, run)
        steps.begin("Parquet", len(FRAMES))
        for name in FRAMES:
            replace_file(self._output / f"{name}.parquet", encoded(run.frame(name)))
            steps.advance()
        return Exported(self._output, len(run.trials) + len(run.retrainings), len(run.rows))


def encoded(frame: pd.DataFrame) -> bytes:
    """Returns a frame as the content of a Parquet file."""
    fields = []
    for name in frame.columns:
        known = column(name)
        kind = _TYPES[kind_of(frame[name])]
        fields.append(pyarrow.field(name, kind, metadata={"unit": known.unit, "meaning": known.meaning}))
    schema = pyarrow.schema(fields)
    arrays = [pyarrow.array(frame[field.name], type=field.type, from_pandas=True) for field in fields]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()
