"""What a command imports, from folders that hold modules of the same names as ours and as those that we need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aesweep.process.search_path import hidden_from_workers, own_modules_first
from aesweep.storage.journal import read_journal
from tests.conftest import SMALL_STUDY

NAMES = ("models", "data", "sweep", "torch", "ray", "numpy", "yaml", "click", "statistics", "random")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def strangers(tmp_path) -> Path:
    """A folder whose modules break whatever imports them: some are files, some packages, one without __init__.py."""
    for name in NAMES[2:]:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the user was imported')\n")
    for name in NAMES[:2]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a module of the user was imported')\n")
        (tmp_path / name / "autoencoder.py").write_text("raise RuntimeError('a module of the user was imported')\n")
    (tmp_path / "aesweep").mkdir()  # as where the checkout is called so
    return tmp_path


def command(folder: Path, *arguments: str, path: str = ".", start: tuple[str, ...] = ("-m", "aesweep.cli")):
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=250
    )


@pytest.mark.ray
@pytest.mark.slow  # tests/run/test_hostile_environment.py has such a folder
def test_run_and_what_follows_it_use_our_modules_whatever_lies_in_the_working_folder(strangers):
    values = {
        **SMALL_STUDY,
        "stages": {"architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 2}},
    }
    (strangers / "study.yaml").write_text(yaml.safe_dump(values))
    script = Path(sys.executable).with_name("aesweep")  # the installed command
    for arguments in (
        ["run", "study.yaml", "--json"],
        ["status", "runs/small"],
        ["report", "runs/small"],
        ["resume", "runs/small"],
    ):
        done = command(strangers, *arguments, start=(str(script),))
        assert done.returncode == 0, (arguments, done.stderr)
    ends = [e["status"] for e in read_journal(strangers / "runs/small/journal.jsonl") if e["kind"] == "trial_ended"]
    assert ends and set(ends) == {"completed"}


@pytest.mark.parametrize("path", [".", "", f"/nowhere{os.pathsep}.", str(ROOT)])
def test_any_search_path_is_survived(strangers, path):
    done = command(strangers, "status", "none", path=path, start=(str(Path(sys.executable).with_name("aesweep")),))
    assert done.returncode == 73 and done.stderr == "error: none is not a run: expected journal.jsonl in it\n"


def test_readme_lines_work_beside_folders_of_the_same_names(strangers):
    for name in ("torch", "ray", "numpy", "statistics", "random"):
        (strangers / f"{name}.py").unlink()  # a user's own process imports what the user wants
    code = "from aesweep.training.checkpoints.model_file import load_autoencoder; print(load_autoencoder.__module__)"
    done = command(strangers, start=("-c", code), path="")
    assert done.stdout == "aesweep.training.checkpoints.model_file\n", done.stderr


def test_folders_of_the_user_come_last_and_ours_stays(tmp_path, monkeypatch):
    from aesweep.process import search_path

    ours, first, second = str(Path(search_path.__file__).parents[2]), str(tmp_path / "a"), str(tmp_path / "b")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([first, ours, second]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", first, ours, second, "/usr/lib/python"])
    own_modules_first()
    assert sys.path == [ours, "/usr/lib/python", "", first, second]


def test_workers_get_no_search_path_of_the_user_unless_they_need_it(tmp_path, monkeypatch):
    before = os.getcwd()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "a"))
    with hidden_from_workers(str(tmp_path)):
        assert "PYTHONPATH" not in os.environ and os.getcwd() == str(tmp_path)
    assert os.environ["PYTHONPATH"] == str(tmp_path / "a") and os.getcwd() == before
    import numpy

    needed = str(Path(numpy.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", needed)
    with hidden_from_workers(str(tmp_path)):
        assert os.environ["PYTHONPATH"] == needed


@pytest.mark.parametrize(
    "code",
    [
        "import sweep.training.pack_pool as a, aesweep.training.pack_pool as b",
        "from sweep.report import page as a; import aesweep.report.page as b",
    ],
)
def test_checkout_without_an_installation_is_one_package_under_both_names(code):
    """-S: without site-packages, in which the package is installed; what it needs is put on the path by hand."""
    needed = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if entry.endswith("site-packages"))])
    done = command(ROOT, start=("-S", "-c", f"{code}; print(a is b, a.__file__)"), path=needed)
    same, _, file = done.stdout.strip().partition(" ")
    assert same == "True" and Path(file).is_relative_to(ROOT / "sweep"), done.stderr


def test_every_folder_of_the_package_is_installed():
    import tomllib

    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for part in ("sweep", "models", "data")
        for path in (ROOT / part).rglob("*.py")
    }
    names = {f"aesweep.{name}".replace("aesweep.sweep", "aesweep") for name in folders}
    assert set(named) == names, json.dumps(sorted(names))
