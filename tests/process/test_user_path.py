"""A `~` that the user writes is a home folder, wherever a path may be written."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from aesweep.cli.commands import commands
from aesweep.cli.options import UserPath
from aesweep.data.datasets import data_folder, load_dataset
from aesweep.data.image_data import DataError
from aesweep.process.errors import StudyError
from aesweep.process.user_path import user_location, user_path
from aesweep.storage.object_store import Storage
from aesweep.study.study_file import load_study

# On another machine than this one: the head expands what the user writes there.
ELSEWHERE = {("submit", "data_dir"), ("submit", "images")}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home of the user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def image_folder(folder: Path, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for part, number in (("train", 24), ("test", 6)):
        (folder / part).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / part / f"{i}.png")
    return folder


def all_commands(group: click.Group = commands, place: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, (*place, name))
        else:
            yield (*place, name), command


def test_home_is_expanded_and_nothing_else(home, monkeypatch):
    monkeypatch.setenv("WHERE", "/somewhere")
    assert user_path("~") == home
    assert user_path("~/a b") == home / "a b"
    me = pwd.getpwuid(os.getuid())
    assert user_path(f"~{me.pw_name}/x") == Path(me.pw_dir) / "x"
    for text in ("./~", "a/~", "$WHERE/x", "${WHERE}", "/~", "x~"):
        assert str(user_path(text)) == os.path.normpath(text)
    for text in ("~no-such-user-here/x", "", "a\0b"):
        with pytest.raises(ValueError, match=r"there is none of that name|expected a path"):
            user_path(text)
    assert user_location("~/runs") == f"{home}/runs"
    assert user_location("s3://bucket/~/runs") == "s3://bucket/~/runs"


def test_every_option_and_argument_that_takes_a_path_expands_it():
    """By the type; what is a path is known by the names that the commands give their parameters."""
    words = ("dir", "folder", "file", "path", "storage", "url", "source", "checkpoint", "images", "output", "runs")
    expanding = set()
    for (*_, name), command in all_commands():
        for parameter in command.params:
            assert not isinstance(parameter.type, click.Path), f"{name}: {parameter.name}"
            is_path = isinstance(parameter.type, UserPath) or getattr(parameter.type, "takes_paths", False)
            if is_path:
                expanding.add((name, parameter.name))
            elif any(word in parameter.name.split("_") for word in words):
                assert (name, parameter.name) in ELSEWHERE, f"{name}: {parameter.name} is no UserPath"
    for wanted in (
        *(
            ("run", "data_dir"),
            ("run", "runs_dir"),
            ("run", "storage"),
            ("resume", "run_folder"),
            ("run", "study_file"),
        ),
        *(("reconstruct", "checkpoint"), ("reconstruct", "images"), ("reconstruct", "output"), ("fetch", "runs_dir")),
        *(("fetch", "source"), ("push", "url"), ("pull", "url"), ("pull", "data_dir"), ("doctor", "cluster_file")),
        *(("doctor", "storage"), ("doctor", "study_file"), ("doctor", "data_url"), ("status", "run_folder")),
    ):
        assert wanted in expanding


def test_study_names_images_and_reference_in_the_home_folder(small_study, home):
    image_folder(home / "faces")
    (home / "numbers.yaml").write_text("source: mine\n")
    small_study["datasets"] = [{"name": "faces", "path": "~/faces"}]
    small_study["report"] = {"reference": "~/numbers.yaml"}
    path = Path("study.yaml")
    path.write_text(yaml.safe_dump(small_study))
    study = load_study(path)
    assert study.datasets[0].path == str(home / "faces")
    assert study.report.reference == str(home / "numbers.yaml")
    assert len(load_dataset("faces", path="~/faces").training) == 24
    assert load_study(path, keeps_home=True).datasets[0].path == "~/faces"
    small_study["datasets"][0]["path"] = "~no-such-user-here/faces"
    path.write_text(yaml.safe_dump(small_study))
    with pytest.raises(StudyError, match=r"datasets\.faces\.path: .*there is none of that name"):
        load_study(path)
    assert load_study(path, ("datasets=[{name: faces, path: ~/faces}]",)).datasets[0].path == str(home / "faces")


def test_environment_and_storage_name_the_home_folder(home, monkeypatch):
    monkeypatch.setenv("AESWEEP_DATA_DIR", "~/images")
    assert data_folder() == home / "images"
    monkeypatch.setenv("AESWEEP_DATA_DIR", "~no-such-user-here/images")
    with pytest.raises(DataError, match="there is none of that name"):
        data_folder()
    Storage(user_location("~/kept/mine")).write("a", b"b")
    assert (home / "kept" / "mine" / "a").read_bytes() == b"b"
    monkeypatch.setenv("AESWEEP_STORAGE", "~/kept")
    done = CliRunner().invoke(commands, ["doctor", "--json"])
    assert {"subject": "storage", "fault": False} in [
        {"subject": row["subject"], "fault": row["fault"]} for row in json.loads(done.stdout)
    ]
