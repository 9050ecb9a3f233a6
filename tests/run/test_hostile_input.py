"""Files that somebody made to do harm: nothing in them is executed, nothing outside the run is written, no hang.

For each loader a canary: a file that, opened by a careless loader, would leave another file behind.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError
from aesweep.process.errors import RunFolderError, StudyError
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.safe_yaml import MAX_FILE_BYTES, read_yaml
from aesweep.study.study_file import load_study
from tests.conftest import SMALL_STUDY
from tests.report.synthetic import EMPTY_FIGURE, Synthetic


class Payload:
    """Pickled, it creates the canary when it is opened."""

    def __init__(self, canary: Path):
        self._canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self._canary),)


@pytest.fixture
def canary(tmp_path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> RunFolder:
    return Synthetic().build().write(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def run(made, tmp_path) -> RunFolder:
    """A made-up, finished run."""
    shutil.copytree(made.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def unencoded(monkeypatch) -> None:
    """Figures are drawn from what there is, and not turned into files, which takes most of a report's time."""
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)


def call(*arguments: object):
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def torch_file(payload: Payload) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(payload, buffer)
    return buffer.getvalue()


def numpy_file(payload: Payload) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, originals=np.array([payload], dtype=object))
    return buffer.getvalue()


PICKLES = {"a pickle": pickle.dumps, "torch": torch_file, "numpy": numpy_file}


@pytest.mark.parametrize("kind", PICKLES)
def test_the_canary_sings_where_a_loader_is_careless(canary, tmp_path, kind):
    """Without this the tests below would show nothing."""
    import torch

    content = PICKLES[kind](Payload(canary))
    if kind == "torch":
        torch.load(io.BytesIO(content), weights_only=False)
    elif kind == "numpy":
        np.load(io.BytesIO(content), allow_pickle=True)["originals"]
    else:
        pickle.loads(content)
    assert canary.exists()


@pytest.mark.parametrize("kind", PICKLES)
def test_checkpoint_with_code_leaves_no_canary(canary, tmp_path, kind):
    path = tmp_path / "winner.safetensors"
    path.write_bytes(PICKLES[kind](Payload(canary)))
    done = call("reconstruct", path, tmp_path / "image.png", "--output", tmp_path / "out")
    assert done.exit_code == 65 and str(path) in done.stderr
    assert not canary.exists()


@pytest.mark.parametrize("kind", PICKLES)
def test_state_with_code_leaves_no_canary(canary, tmp_path, kind):
    from aesweep.storage.artifacts import FolderFiles
    from aesweep.training.checkpoints.state_file import newest_members
    from tests.search.test_retry_policy import SPEC

    spec = SPEC.__class__(**{**SPEC.__dict__, "states": "states", "recorded": 5})
    files = FolderFiles(tmp_path)
    files.write(f"states/{spec.trial}.4.safetensors", PICKLES[kind](Payload(canary)))
    found = newest_members(spec, "0" * 64, files)
    assert found.epoch == 0 and len(found.rejected) == 1
    assert not canary.exists()


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.usefixtures("unencoded")
def test_pictures_with_code_leave_no_canary_though_the_journal_has_their_hash(canary, run, kind):
    content = PICKLES[kind](Payload(canary))
    (run.root / "pictures" / "x.npz").write_bytes(content)
    with Journal(run.journal) as journal:
        event = next(e for e in read_journal(run.journal) if e["kind"] == "pictures")
        fields = {name: value for name, value in event.items() if name not in ("seq", "kind", "time")}
        journal.append(
            "pictures", **{**fields, "file": "pictures/x.npz", "sha256": hashlib.sha256(content).hexdigest()}
        )
    done = call("report", run.root)
    assert not canary.exists()
    assert "Traceback" not in done.stderr and (done.exception is None or isinstance(done.exception, SystemExit))


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_data_file_with_code_leaves_no_canary(canary, tmp_path, name):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    content = pickle.dumps(Payload(canary))
    (raw / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(DataError):
        load_dataset("mnist", data_dir=tmp_path)
    assert not canary.exists()


def test_image_with_code_leaves_no_canary(canary, tmp_path):
    for part in ("train", "test"):
        (tmp_path / "faces" / part).mkdir(parents=True)
        (tmp_path / "faces" / part / "a.png").write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(DataError):
        load_dataset("faces", path=tmp_path / "faces")
    assert not canary.exists()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.mkdir"]
)
@pytest.mark.parametrize("reader", [load_study, read_yaml])
def test_yaml_with_code_leaves_no_canary(canary, tmp_path, tag, reader):
    path = tmp_path / "study.yaml"
    path.write_text(f"name: {tag} ['{canary}']\n")
    with pytest.raises(StudyError, match="could not determine a constructor"):
        reader(path)
    assert not canary.exists()


def test_override_with_code_leaves_no_canary(canary, write_study, small_study):
    done = call("plan", write_study(small_study), "--set", f"name=!!python/object/apply:os.mkdir ['{canary}']")
    assert done.exit_code == 78
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"\x80\x04\x95", b'{"kind": "!!python/object/apply:os.mkdir"}\n'])
def test_journal_with_code_leaves_no_canary(canary, run, content):
    run.journal.write_bytes(content + pickle.dumps(Payload(canary)) + b"\n")
    for command in ("report", "status", "resume", "retrain"):
        assert call(command, run.root).exit_code == 65
    assert not canary.exists()


@pytest.mark.usefixtures("unencoded")
def test_planted_files_of_ray_are_never_opened(canary, run):
    """Ray Tune restores from these, and executes what they hold."""
    payload = pickle.dumps(Payload(canary))
    for folder in (run.root, run.states, run.checkpoints):
        folder.mkdir(exist_ok=True)
        for name in ("tuner.pkl", "trainable.pkl", "experiment_state-2026-01-01_00-00-00.json", "searcher-state.pkl"):
            (folder / name).write_bytes(payload)
    assert call("report", run.root).exit_code == 0
    assert call("status", run.root).exit_code == 0
    assert not canary.exists()


HANGS = {
    "base 60": "seed: 1" + ":1" * 400_000,
    "digits": "seed: " + "9" * 900_000,
    "nested lists": "name: " + "[" * 200_000,
    "nested mappings": "name: " + "{a: " * 100_000,
    "indentation": "\n".join(" " * depth + "a:" for depth in range(1300)),
    "keys": "\n".join(f"k{number}: 1" for number in range(60_000)),
    "anchors": "a: &a [x]\n" + "\n".join(f"b{number}: &b{number} [*a, *a]" for number in range(1000)),
    "merge keys": "a: &a {b: 1}\nc:\n  <<: *a",
    "a long text": "name: " + "x" * 900_000,
}


@pytest.mark.parametrize("kind", HANGS)
@pytest.mark.timeout(120)
def test_study_file_that_would_take_for_ever_is_refused(tmp_path, kind):
    """The time is no assertion: the test's own limit ends what hangs; those that do would take hours."""
    path = tmp_path / "study.yaml"
    path.write_text(HANGS[kind])
    assert path.stat().st_size <= MAX_FILE_BYTES
    started = time.monotonic()
    with pytest.raises(StudyError) as caught:
        load_study(path)
    print(f"{kind}: {time.monotonic() - started:.1f} s")
    assert all(len(line) < 1000 for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"), ("5e-4", 5e-4), ("5.0e-4", 5e-4), ("1e3", 1e3), ("-3", -3), ("0x10", 16), ("007", 7),
        (".5", 0.5), ("1_000", 1000), ("1.", 1.0), ("e3", "e3"), ("0", 0), ("-.inf", float("-inf")), ("1-2", "1-2"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(tmp_path, text, value):
    path = tmp_path / "values.yaml"
    path.write_text(f"a: {text}\n")
    found = read_yaml(path)["a"]
    assert found == value and type(found) is type(value)


PARTS = (
    "journal",
    "study",
    "checkpoints",
    "pictures",
    "states",
    "tables",
    "figures",
    "report",
    "lock",
    "holder",
    "scratch",
)


@pytest.mark.parametrize("part", PARTS)
def test_run_whose_part_is_a_link_is_refused_and_what_it_leads_to_stays(run, tmp_path, part):
    path: Path = getattr(run, part)
    precious = tmp_path / "precious"
    if path.is_dir() or part in ("states", "checkpoints", "pictures"):
        if path.exists():
            path.rename(precious)
        else:
            precious.mkdir()
        (precious / "kept.safetensors").write_text("here")
    elif path.exists():
        path.rename(precious)
    else:
        precious.write_text("here")
    path.symlink_to(precious)
    before = precious.read_bytes() if precious.is_file() else sorted(precious.rglob("*"))
    for command in ("report", "status", "resume", "retrain"):
        done = call(command, run.root)
        assert done.exit_code == 73 and "is a link" in done.stderr
    assert before == (precious.read_bytes() if precious.is_file() else sorted(precious.rglob("*")))


@pytest.mark.parametrize("name", ["../secret.npz", "/etc/passwd", "pictures/../../secret.npz"])
def test_file_that_a_journal_names_outside_the_run_is_not_read(run, name):
    with pytest.raises(RunFolderError, match="lies outside the run"):
        run.resolve(name)


def test_link_that_leads_out_of_the_run_is_not_read(run, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (run.root / "pictures" / "x.npz").symlink_to(tmp_path / "secret")
    with pytest.raises(RunFolderError, match="lies outside the run"):
        run.resolve("pictures/x.npz")


@pytest.mark.parametrize("name", ["<script>", "a b", "a\nb", "..", "a/b", "a\\b", "", "é", "-x/../y", "x" * 65, "\x00"])
@pytest.mark.parametrize("where", ["study", "stage", "data set"])
def test_name_that_could_mean_something_elsewhere_is_refused(tmp_path, name, where):
    values = yaml.safe_load(yaml.safe_dump(SMALL_STUDY))
    if where == "study":
        values["name"] = name
    elif where == "stage":
        values["stages"] = {name: values["stages"]["architecture"]}
    else:
        values["datasets"] = [{"name": name, "path": "x"}]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(StudyError):
        load_study(path)


@pytest.mark.usefixtures("unencoded")
def test_html_in_what_a_report_shows_is_inert(tmp_path):
    """Names cannot hold any; the published source, a reason and the command line can."""
    made = Synthetic().build()
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
    for event in made.events:
        if event["kind"] == "run_started":
            event["reference"]["source"] = nasty
            event["command"] = ["aesweep", nasty]
            event["environment"]["cpu"] = nasty
        if event["kind"] == "trial_ended" and event.get("reason"):
            event["reason"] = nasty
    run = made.write(tmp_path / "run")
    assert call("report", run.root).exit_code == 0
    for line in run.report.read_text().splitlines():
        if "alert" in line and not line.startswith("aesweep "):
            outside = "".join(line.split("`")[::2])  # what is not code
            assert not re.search(r"<script|<img|(?<!\\)\]\(javascript", outside)


def test_command_line_writes_nothing_where_a_study_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_text("name: '../../out'\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "aesweep.cli", "run", str(tmp_path / "study.yaml"), "--runs", str(tmp_path / "runs")],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 78 and "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert json.dumps(done.stdout) == '""'
