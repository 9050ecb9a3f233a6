"""The doctor tells what is wrong, and nothing where nothing is."""

from __future__ import annotations

import importlib.metadata
import json

import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.process.checkout import PACKAGE
from aesweep.process.errors import AesweepError
from aesweep.run.preflight import doctor, environment, rehearsal
from aesweep.run.preflight.doctor import (
    _packages,
    _versions,
    examine_gpus,
    examine_machine,
    examine_storage,
    examine_token,
)


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        ("secret", 0o600, None),
        ("secret", 0o644, "chmod 600"),
        ("secret", 0o640, "chmod 600"),
        ("", 0o600, "found none"),
        (" \n", 0o600, "found none"),
        ("two\nlines", 0o600, "on one line"),
        ("nön-ascii", 0o600, "ASCII"),
    ],
)
def test_token_is_a_fault_unless_it_is_there_and_its_owners_alone(tmp_path, monkeypatch, content, mode, expected):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    (finding,) = examine_token(path)
    assert finding.is_fault == (expected is not None)
    assert expected is None or expected in finding.text
    assert "secret" not in finding.text


def test_no_token_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    (finding,) = examine_token(tmp_path / "none")
    assert finding.is_fault and "get-auth-token" in finding.text


def test_version_that_is_not_the_pinned_one_is_a_fault():
    def installed(name):
        if name == "gone":
            raise importlib.metadata.PackageNotFoundError
        return "1.1"

    requirements = ["right==1.1", "wrong==1.0", "gone==2", 'other==9; extra == "test"']
    findings = list(_versions(requirements, installed))
    assert [(finding.subject, finding.is_fault) for finding in findings] == [("wrong", True), ("gone", True)]
    assert [f.is_fault for f in _versions(["right==1.1"], installed)] == [False]


def test_strangers_package_of_the_same_name_is_a_fault(tmp_path):
    assert {finding.subject for finding in _packages(tmp_path)} == {"aesweep", "aesweep.models", "aesweep.data"}
    assert not list(_packages(PACKAGE))


def test_this_machine_is_described():
    findings = list(examine_machine())
    assert {finding.subject for finding in findings} >= {"packages", "GPUs"}
    assert not [finding for finding in findings if finding.is_fault]


def test_gpus_that_are_hidden_are_no_fault_and_those_that_are_lost_are(monkeypatch):
    monkeypatch.setattr(doctor, "describe_gpus", lambda: ["A", "B"])
    monkeypatch.setattr(doctor, "usable_gpus", lambda: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [finding.is_fault for finding in doctor._gpus()] == [False]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [finding.is_fault for finding in doctor._gpus()] == [True]


@pytest.fixture
def unrehearsed(monkeypatch):
    """Leaves out the steps of a run, each of which takes a second or more."""
    monkeypatch.setattr(doctor, "examine_machine", list)
    for name in ("try_worker", "try_scratch_folder", "try_figure"):
        monkeypatch.setattr(rehearsal, name, list)


def test_command_exits_by_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "examine_machine", lambda: [doctor.Finding("a", "is good")])
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    good = CliRunner().invoke(commands, ["doctor", "--json"])
    assert good.exit_code == 0 and json.loads(good.stdout)[0] == {"subject": "a", "text": "is good", "fault": False}
    bad = CliRunner().invoke(commands, ["doctor", "cluster.yaml"])
    assert bad.exit_code == 1 and "fault token" in bad.stdout and "<REGION> is a placeholder" in bad.stdout


@pytest.mark.parametrize("url", ["no-such-store://runs", "zip://runs", "file/runs"])
def test_storage_that_cannot_keep_runs_is_a_fault(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (finding,) = examine_storage(url)
    assert finding.is_fault and finding.subject == "storage" and finding.text.startswith(f"{url}: expected")


@pytest.mark.usefixtures("unrehearsed")
def test_storage_is_the_clusters_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("AESWEEP_STORAGE", raising=False)
    path = tmp_path / "cluster.yaml"
    path.write_text(f"provider: {{}}\nhead_start_ray_commands: [AESWEEP_STORAGE={tmp_path}/one ray start --head]\n")
    for options, expected in (([], "one"), (["--storage", f"{tmp_path}/two"], "two")):
        found = json.loads(CliRunner().invoke(commands, ["doctor", str(path), "--json", *options]).stdout)
        (text,) = [row["text"] for row in found if row["subject"] == "storage"]
        assert text.startswith(f"{tmp_path}/{expected} keeps")


def test_gpus_are_a_fault_where_no_place_has_enough():
    assert [f.is_fault for f in examine_gpus(2, {"up": lambda: 0, "in the file": lambda: 8})] == [False]
    (finding,) = examine_gpus(2.5, {"up": lambda: 2})
    assert finding.is_fault and finding.text == "2.5 GPUs needed, 2 up"

    def nobody():
        raise AesweepError("nobody answers there")

    assert [f.text for f in examine_gpus(0, {"up": nobody})] == ["nobody answers there"]


@pytest.mark.usefixtures("unrehearsed")
def test_gpus_of_a_study_are_sought_where_it_would_run(tmp_path, monkeypatch, write_study, small_study):
    monkeypatch.setattr(environment, "usable_gpus", lambda: 1)
    path = write_study(small_study | {"resources": {"trainers": 3}})
    here = CliRunner().invoke(commands, ["doctor", "--study", str(path)])
    assert here.exit_code == 1 and "fault study: 3 GPUs needed, 1 on this machine" in here.stdout
