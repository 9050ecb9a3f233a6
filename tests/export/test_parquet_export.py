"""A run as Parquet files, read back by pandas and by pyarrow."""

from __future__ import annotations

import pandas as pd
import pytest

pq = pytest.importorskip("pyarrow.parquet", reason="NOT RUN: pip install 'aesweep[parquet]'")

from aesweep.export.exporter import ExportError  # noqa: E402
from aesweep.export.parquet import ParquetExporter  # noqa: E402
from aesweep.results import load_run  # noqa: E402
from aesweep.results.frames import FRAMES  # noqa: E402
from tests.export.exported_runs import Quiet, files_below, in_parts  # noqa: E402


def test_pandas_reads_every_frame_back_with_its_types(run, tmp_path):
    steps = Quiet()
    exported = ParquetExporter(tmp_path / "out").write(run, steps)
    assert (exported.num_rows, steps.done) == (len(run.rows), steps.total)
    for name in FRAMES:
        frame = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        pd.testing.assert_frame_equal(frame, run.frame(name), check_dtype=False, check_exact=True)
        same = frame.dtypes.astype(str) == run.frame(name).dtypes.astype(str)
        assert all(same | (run.frame(name).dtypes.astype(str) == "Int64"))


def test_columns_carry_their_units(trained, tmp_path):
    ParquetExporter(tmp_path / "out").write(trained, Quiet())
    field = pq.read_schema(tmp_path / "out" / "rows.parquet").field("validation_psnr_db")
    assert field.metadata[b"unit"] == b"dB" and b"validation images" in field.metadata[b"meaning"]


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("first", "second"):
        ParquetExporter(tmp_path / name).write(load_run(run.folder.root), Quiet())
    first = files_below(tmp_path / "first")
    assert first == files_below(tmp_path / "second") and len(first) == len(FRAMES) + 1


def test_an_export_of_a_run_under_way_becomes_that_of_the_whole(synthetic_run, tmp_path):
    known, record = in_parts(synthetic_run, tmp_path, 3)
    for _ in range(2):
        ParquetExporter(tmp_path / "out").write(known.reload(), Quiet())
        record()
    ParquetExporter(tmp_path / "out").write(known.reload(), Quiet())
    ParquetExporter(tmp_path / "whole").write(known.reload(), Quiet())
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def test_a_folder_with_another_run_or_other_files_is_refused(trained, synthetic_run, tmp_path):
    ParquetExporter(tmp_path / "out").write(trained, Quiet())
    with pytest.raises(ExportError, match="holds the export of another run: give another --output"):
        ParquetExporter(tmp_path / "out").write(synthetic_run, Quiet())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="holds other files"):
        ParquetExporter(tmp_path / "mine").write(trained, Quiet())
    assert files_below(tmp_path / "mine") == {"notes.txt": b"mine"}
