"""A run as TensorBoard's event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorboardX", reason="NOT RUN: pip install 'aesweep[tensorboard]'")
event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="NOT RUN: pip install 'aesweep[tensorboard]'"
)
from tensorboard.plugins.hparams import plugin_data_pb2  # noqa: E402

from aesweep.export.place import safe_name  # noqa: E402
from aesweep.export.tensorboard import TensorBoardExporter  # noqa: E402
from tests.export.exported_runs import Quiet, expected_results, expected_rows, files_below, in_parts  # noqa: E402

HPARAMS = "hparams"


def accumulator(folder):
    guidance = {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0}
    return event_accumulator.EventAccumulator(str(folder), guidance).Reload()


def scalars(output, run):
    """What TensorBoard reads: (trial, tag) to (step, value), in order."""
    found = {}
    for trial in [*run.trials["trial"], *run.retrainings["trial"]]:
        known = accumulator(output / safe_name(trial))
        for tag in known.Tags()["scalars"]:
            found[trial, tag] = [(event.step, event.value) for event in known.Scalars(tag)]
    return found


def expected(run):
    rows = {
        key: [(step, float(np.float32(v))) for step, v in values.items()] for key, values in expected_rows(run).items()
    }
    results = {key: [(step, float(np.float32(value)))] for key, (step, value) in expected_results(run).items()}
    return {**rows, **results}


def test_tensorboard_gives_back_every_row_in_its_precision(run, tmp_path):
    exported = TensorBoardExporter(tmp_path).write(run, Quiet())
    assert exported.num_rows == len(run.rows) > 0
    assert scalars(tmp_path, run) == expected(run)


def test_times_are_those_of_the_journal(trained, tmp_path):
    TensorBoardExporter(tmp_path).write(trained, Quiet())
    trial = trained.trials["trial"].iloc[0]
    mine = trained.rows[trained.rows["trial"] == trial]
    events = accumulator(tmp_path / safe_name(trial)).Scalars("loss")
    assert [event.wall_time for event in events] == [time.timestamp() for time in mine["time"]]


def test_settings_and_ends_are_on_the_hparams_page(synthetic_run, tmp_path):
    TensorBoardExporter(tmp_path).write(synthetic_run, Quiet())
    ends = set()
    for _, line in synthetic_run.trials.iterrows():
        plugin = accumulator(tmp_path / safe_name(line["trial"])).PluginTagToContent(HPARAMS)
        start = plugin_data_pb2.HParamsPluginData.FromString(plugin["_hparams_/session_start_info"])
        shown = start.session_start_info.hparams
        assert shown["learning_rate"].number_value == line["learning_rate"]
        assert shown["latent_dim"].number_value == line["latent_dim"]
        assert shown["hidden_layers"].string_value == line["hidden_layers"]
        assert (shown["stage"].string_value, shown["cell"].string_value) == (line["stage"], line["cell"])
        end = plugin_data_pb2.HParamsPluginData.FromString(plugin["_hparams_/session_end_info"]).session_end_info
        ends.add((line["status"], end.status))
    # api.proto: STATUS_SUCCESS is 1, STATUS_FAILURE is 2
    assert ends == {("completed", 1), ("stopped", 1), ("diverged", 2), ("failed", 2)}


def test_reconstructions_are_the_pictures_of_the_run(trained, tmp_path):
    TensorBoardExporter(tmp_path).write(trained, Quiet())
    known = accumulator(tmp_path / "pictures" / "digits" / "architecture" / "reconstruction")
    assert set(known.Tags()["images"]) == {"original", "winner", "pca"}
    for name, images in trained.pictures("architecture").items():
        (event,) = known.Images(name)
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("L"))
        for number, image in enumerate(images):
            mine = pixels[:, number * 9 : number * 9 + 8]
            np.testing.assert_allclose(mine / 255, image[0], atol=0.5 / 255 + 1e-6)
    noisy = accumulator(tmp_path / "pictures" / "digits" / "denoising" / "denoising")
    assert {"original", "denoised/0.05", "denoised/0.2", "noisy/0.05"} <= set(noisy.Tags()["images"])


def test_exporting_in_parts_leaves_the_bytes_of_one_export(run, tmp_path):
    TensorBoardExporter(tmp_path / "whole").write(run, Quiet())
    known, record = in_parts(run, tmp_path, 7)
    for number in range(7):
        TensorBoardExporter(tmp_path / "parts").write(known.reload(), Quiet())
        if number < 6:
            record()
    whole = {name: content for name, content in files_below(tmp_path / "whole").items() if "pictures" not in name}
    parts = {name: content for name, content in files_below(tmp_path / "parts").items() if "pictures" not in name}
    assert whole == parts


def test_a_file_that_was_cut_off_is_mended_and_one_that_was_changed_is_replaced(trained, tmp_path):
    TensorBoardExporter(tmp_path).write(trained, Quiet())
    before = files_below(tmp_path)
    first, second = sorted(tmp_path.glob("*/events*"))[:2]
    first.write_bytes(first.read_bytes()[:-7])
    second.write_bytes(b"x" + second.read_bytes()[1:])
    TensorBoardExporter(tmp_path).write(trained, Quiet())
    assert files_below(tmp_path) == before


def test_names_stay_inside_the_folder(hostile, tmp_path):
    TensorBoardExporter(tmp_path / "deep" / "er" / "out").write(hostile, Quiet())
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in (tmp_path / "deep" / "er").iterdir()} == {"out"}
    assert all(
        len(path.relative_to(tmp_path / "deep" / "er" / "out").parts) <= 5 for path in tmp_path.rglob("*tfevents*")
    )
