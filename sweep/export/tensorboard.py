"""A run as TensorBoard's event files: scalars of each epoch, settings for its HParams page, pictures.

Each trial has a folder with one file, whose bytes follow from the journal alone: events in the order of the rows, with
their times. A longer journal makes a longer file with the same beginning, so that exporting again adds what is new, and
a TensorBoard that shows the folder goes on reading. TensorBoard keeps scalars in single precision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import masked_crc32c

from aesweep.export.exporter import Exported, Steps
from aesweep.export.place import claim, extend_file, safe_name
from aesweep.export.trial_record import TrialRecord, trial_records
from aesweep.results import LoadedRun, NotInRunError

PADDING = 1  # pixels between the images of a strip


class TensorBoardExporter:
    """Writes a folder of events for each trial, and one for the pictures of each stage.

    Args:
        output: a folder, for this run alone.
    """

    def __init__(self, output: Path):
        self._output = output
        self._written: dict[str, tuple[object, ...]] = {}

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        """Writes the events; see `Exporter`."""
        claim(self._output, run)
        records = list(trial_records(run))
        steps.begin("TensorBoard", len(records) + len(run.record.pictures))
        for record in records:
            known = (len(record.rows), record.status, tuple(record.results.items()))
            if self._written.get(record.name) != known:
                file = _file(self._output / safe_name(record.name), record.created_s)
                extend_file(file, _content(_trial_events(record)))
                self._written[record.name] = known
            steps.advance()
        for pictures in run.record.pictures:
            names = (safe_name(name) for name in (pictures.dataset, pictures.stage, pictures.purpose))
            folder = self._output.joinpath("pictures", *names)
            extend_file(_file(folder, pictures.time), _content(_picture_events(run, pictures)))
            steps.advance()
        return Exported(self._output, len(records), sum(len(record.rows) for record in records))


def _file(folder: Path, time_s: float) -> Path:
    # TensorBoard reads files with "tfevents" in their names. Others add this machine's name, which is left out.
    return folder / f"events.out.tfevents.{int(time_s):010d}.aesweep"


def _trial_events(record: TrialRecord) -> Iterator[Event]:
    yield Event(wall_time=record.created_s, file_version="brain.Event:2")
    settings = {name: value for name, value in record.settings.items()}
    about = {"stage": record.stage, "dataset": record.dataset, "cell": record.cell, "seeds": record.seeds}
    _, start, _ = summary.hparams({**about, **settings}, {})
    yield Event(wall_time=record.created_s, summary=start)
    for row in record.rows:
        yield Event(wall_time=row.time_s, step=row.epoch, summary=_scalars(row.metrics))
    if record.results and record.rows:
        yield Event(wall_time=record.rows[-1].time_s, step=record.rows[-1].epoch, summary=_scalars(record.results))
    if record.has_ended:
        yield Event(wall_time=record.ended_s, summary=_session_end(record))


def _scalars(values: dict[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _session_end(record: TrialRecord) -> Summary:
    content = HParamsPluginData(version=0)
    content.session_end_info.status = (
        STATUS_SUCCESS if record.status in ("completed", "stopped", "audited") else STATUS_FAILURE
    )
    content.session_end_info.end_time_secs = record.ended_s
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
    return Summary(
        value=[Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))]
    )


def _picture_events(run: LoadedRun, pictures: object) -> Iterator[Event]:
    yield Event(wall_time=pictures.time, file_version="brain.Event:2")
    try:
        arrays = run.pictures(pictures.stage, pictures.purpose, pictures.dataset)
    except NotInRunError:
        return  # their file is lost; the numbers are exported all the same
    for name, array in arrays.items():
        if array.ndim == 4:
            yield Event(wall_time=pictures.time, summary=summary.image(name, strip(array)))
        elif array.ndim == 5:
            rows = pictures.noise_variances or range(1, len(array) + 1)
            for row, images in zip(rows, array, strict=False):
                yield Event(wall_time=pictures.time, summary=summary.image(f"{name}/{row}", strip(images)))


def strip(images: np.ndarray) -> np.ndarray:
    """Returns images [N, C, H, W] in [0, 1] side by side as bytes [C, H, width], on white."""
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, PADDING)), constant_values=1)
    channels = padded[:, :3] if images.shape[1] >= 3 else padded[:, :1]
    return np.rint(255 * np.concatenate(list(channels), axis=-1)[..., :-PADDING].clip(0, 1)).astype(np.uint8)


def _content(events: Iterator[Event]) -> bytes:
    """Returns events in the format of TFRecord: length, its checksum, data, their checksum."""
    parts = []
    for event in events:
        data = event.SerializeToString(deterministic=True)
        length = struct.pack("<Q", len(data))
        parts += [length, struct.pack("<I", masked_crc32c(length)), data, struct.pack("<I", masked_crc32c(data))]
    return b"".join(parts)
