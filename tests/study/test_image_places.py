"""A run is taken up again wherever its images and itself have gone.

The toy of `tests/search/toy_cluster.py` stands for the training, so that the commands themselves are what is tried.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import zlib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.run.command_options import left_out, options_to_record, resume_command
from aesweep.storage.journal import Journal, read_journal
from tests.process.test_user_path import image_folder
from tests.search.toy_cluster import ToyCluster, interruption, toy  # noqa: F401 - fixtures

SYNC = Journal.sync  # the toy has none


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    monkeypatch.setattr("aesweep.run.session.write_report", lambda folder: folder.report)
    monkeypatch.setattr("aesweep.run.session.Interruption", lambda: Uninstalled())
    for name in ("AESWEEP_DATA_DIR", "AESWEEP_STORAGE"):
        monkeypatch.delenv(name, raising=False)


class Uninstalled(type(interruption)):
    """The interruption that a test sets, as the execution holds one."""

    signal_number = property(lambda self: interruption.signal_number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @contextlib.contextmanager
    def last_step(self, step):
        yield


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A folder with a study, its images, and from now on its runs."""
    folder = tmp_path / "a project"
    image_folder(folder / "faces")
    stage = {"space": {"hidden_layers": [4], "latent_dim": {"grid": [2, 3]}}, "table": {"rows": "latent_dim"}}
    values = {
        "name": "mine",
        "datasets": [{"name": "faces", "path": "faces"}],
        "stages": {"architecture": {**stage, "epochs": 2}},
        "retraining": {"epochs": 2, "seeds": 1},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(folder)
    return folder


def call(*arguments: object, code: int = 0) -> str:
    """What a command says on stderr."""
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stderr


def interrupted(monkeypatch, *arguments: object) -> str:
    """A run that is interrupted after its second row, and what it says of it."""
    monkeypatch.setattr(ToyCluster, "interrupt_after", 2)
    said = call("run", "study.yaml", *arguments, "--quiet", code=128 + signal.SIGINT)
    monkeypatch.setattr(ToyCluster, "interrupt_after", None)
    monkeypatch.setattr(interruption, "signal_number", None)
    return said


def advice(said: str) -> list[str]:
    """The command that is advised, as a shell would split it."""
    return shlex.split(said.strip().splitlines()[-1].partition("goes on with: ")[2])


def is_complete(run: Path) -> bool:
    return read_journal(run / "journal.jsonl")[-1].get("status") == "completed"


def test_moved_project_goes_on_without_a_word(project, monkeypatch):
    interrupted(monkeypatch)
    moved = project.rename(project.parent / "elsewhere")
    monkeypatch.chdir("/")
    call("resume", moved / "runs" / "mine", "--quiet")
    assert is_complete(moved / "runs" / "mine")


def test_copied_project_takes_its_own_images_where_those_of_the_first_have_changed(project, monkeypatch):
    interrupted(monkeypatch)
    copied = project.parent / "copied"
    shutil.copytree(project, copied)
    shutil.rmtree(project / "faces")
    image_folder(project / "faces", seed=1)
    call("resume", copied / "runs" / "mine", "--quiet")
    assert is_complete(copied / "runs" / "mine")
    assert "sha256" in call("resume", "runs/mine", "--quiet", code=65)


@pytest.mark.parametrize("command", [["resume"], ["retrain", "--epochs", "3"], ["extend", "--epochs", "3"]])
def test_images_that_have_moved_are_named_once_and_verified(project, monkeypatch, tmp_path, command):
    if command == ["resume"]:
        interrupted(monkeypatch)
    else:
        call("run", "study.yaml", "--quiet")
    before = Path("runs/mine/journal.jsonl").read_bytes()
    moved = Path("faces").rename(tmp_path / "new = place")
    said = call(*command, "runs/mine", "--quiet", code=65)
    assert "--images faces=PATH" in said and len(said.splitlines()) == 1
    other = image_folder(tmp_path / "other", seed=1)
    assert "sha256" in call(*command, "runs/mine", "--images", f"faces={other}", "--quiet", code=65)
    assert "gives a path: expected faces" in call(
        *command, "runs/mine", "--images", f"digits={other}", "--quiet", code=78
    )
    assert "expected NAME=PATH" in call(*command, "runs/mine", "--images", "faces", "--quiet", code=2)
    assert Path("runs/mine/journal.jsonl").read_bytes() == before
    call(*command, "runs/mine", "--images", f"faces={moved}", "--quiet")
    assert is_complete(Path("runs/mine"))
    call("retrain", "runs/mine", "--epochs", "4", "--quiet")  # it is known from now on
    # Also where both have moved on together.
    call(
        "retrain",
        project.parent.rename(tmp_path.with_name(f"{tmp_path.name} moved")) / "a project/runs/mine",
        "--seeds",
        "2",
    )


def test_journal_without_places_is_taken_up_with_the_option(project, monkeypatch, tmp_path):
    """As older versions wrote it."""
    interrupted(monkeypatch)
    path = Path("runs/mine/journal.jsonl")
    lines = []
    for event in read_journal(path):
        event.pop("places", None), event.pop("options", None)
        text = json.dumps(event)
        lines.append(f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}\n')
    path.write_text("".join(lines))
    monkeypatch.setattr("aesweep.storage.journal._parse", _lenient(path))
    moved = project.rename(project.parent / "moved")
    call("resume", moved / "runs/mine", "--quiet", code=65)
    call("resume", moved / "runs/mine", "--images", f"faces={moved / 'faces'}", "--quiet")


def _lenient(_path):
    def parse(path):
        content = path.read_bytes()
        return [json.loads(line) for line in content.splitlines()], len(content)

    return parse


def test_new_run_takes_images_from_where_it_is_told(project, tmp_path):
    elsewhere = image_folder(tmp_path / "elsewhere", seed=3)
    call("run", "study.yaml", "--images", f"faces={elsewhere}", "--quiet")
    start = read_journal(Path("runs/mine/journal.jsonl"))[0]
    assert start["study"]["datasets"] == [{"name": "faces", "path": str(elsewhere)}]
    assert start["places"] == {str(elsewhere): "../../../elsewhere"}
    assert "gives a path: expected faces" in call("run", "study.yaml", "--images", "x=faces", "--name", "x", code=78)
    assert call("plan", "study.yaml", "--images", f"faces={elsewhere}") == ""


def test_advice_can_be_followed_as_it_is_printed(project, monkeypatch, tmp_path):
    monkeypatch.setattr(Journal, "sync", SYNC)
    storage, runs = tmp_path / "kept there", Path("my runs")
    given = ["--runs", runs, "--storage", storage, "--workers", 1, "--save-every", 5, "--allow-failures"]
    said = interrupted(monkeypatch, *given)
    command = advice(said)
    assert command == [
        *("aesweep", "resume", "my runs/mine", "--storage", str(storage), "--workers", "1"),
        *("--save-every", "5", "--allow-failures"),
    ]
    said = call(*command[1:3], "--quiet")
    assert f"the run was also kept in {storage}: give --storage '{storage}' again" in said
    call("retrain", "my runs/mine", "--epochs", "3", "--quiet", "--storage", storage)
    assert Path(runs / "mine" / "journal.jsonl").read_bytes() == b"".join(
        path.read_bytes() for path in sorted((storage / "mine" / "journal").iterdir())
    )


def test_storage_from_the_environment_is_told_and_no_password_is_recorded(project, monkeypatch, tmp_path):
    monkeypatch.setenv("AESWEEP_STORAGE", str(tmp_path / "kept"))
    said = interrupted(monkeypatch)
    assert advice(said)[3:] == ["--storage", str(tmp_path / "kept")]
    found = options_to_record({"storage": "ftp://me:secret@host/runs", "data_dir": "data", "workers": None})
    assert found == {"storage": "ftp://me@host/runs", "data_dir": str(project / "data")}


def test_data_dir_is_remembered_and_one_given_anew_wins(project, monkeypatch, tmp_path):
    """By the error that names the folder that was looked into: MNIST itself is not at hand."""
    from aesweep.data import datasets

    seen = []

    def read(path, shape):
        seen.append(path.parent.parent.parent)
        return datasets.np.zeros((12, 8, 8), dtype="uint8") + len(path.name)

    monkeypatch.setattr(datasets, "read_idx_images", read)
    values = yaml.safe_load(Path("study.yaml").read_text())
    Path("study.yaml").write_text(yaml.safe_dump({**values, "datasets": ["mnist"], "validation_fraction": 0.25}))
    said = interrupted(monkeypatch, "--data-dir", "some data")
    assert advice(said)[3:] == ["--data-dir", str(project / "some data")]
    for environment, option, expected in (
        (None, [], project / "some data"),
        ("/from/environment", [], Path("/from/environment")),
        ("/from/environment", ["--data-dir", "/anew"], Path("/anew")),
        (None, [], Path("/anew")),
    ):
        monkeypatch.delenv("AESWEEP_DATA_DIR", raising=False)
        if environment:
            monkeypatch.setenv("AESWEEP_DATA_DIR", environment)
        seen.clear()
        call("retrain", "runs/mine", "--epochs", 2 + len(option), "--quiet", *option, code=0 if is_over() else 65)
        assert seen[0] == expected
        if not is_over():
            call("resume", "runs/mine", "--quiet")


def is_over() -> bool:
    return is_complete(Path("runs/mine"))


def test_command_is_quoted_for_a_shell():
    options = {"images": {"faces": "/a b/$c"}, "storage": "s3://b/x;y", "save_every_s": 2.5, "workers": 3}
    text = resume_command(Path("it's mine"), options)
    assert shlex.split(text) == [
        *("aesweep", "resume", "it's mine", "--images", "faces=/a b/$c", "--storage", "s3://b/x;y"),
        *("--workers", "3", "--save-every", "2.5"),
    ]


def test_cluster_and_storage_that_are_left_out_are_told_and_no_others():
    recorded = {"storage": "s3://b/x y", "address": "10.0.0.1:6379", "workers": 2}
    told = left_out({}, recorded)
    assert len(told) == 2 and "--storage 's3://b/x y'" in told[0] and "--address 10.0.0.1:6379" in told[1]
    assert left_out({"storage": "/elsewhere", "address": "auto"}, recorded) == left_out({}, {"workers": 2}) == []


def test_what_is_refused_is_told_in_one_line_whatever_else_there_would_be_to_say(project, monkeypatch, tmp_path):
    storage = tmp_path / "kept"
    interrupted(monkeypatch, "--storage", storage)
    shutil.move(project / "faces", tmp_path / "faces")
    image_folder(project / "faces", seed=9)
    (line,) = call("resume", "runs/mine", "--quiet", code=65).strip().splitlines()
    assert "also kept in" not in line
    shutil.rmtree(project / "faces")
    shutil.move(tmp_path / "faces", project / "faces")
    assert "also kept in" in call("resume", "runs/mine", "--quiet")
