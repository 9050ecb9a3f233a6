"""The doctor tells what is wrong, and nothing where nothing is."""

from __future__ import annotations

import importlib.metadata
import json

import pytest
from click.testing import CliRunner

from sweep import doctor
from sweep.cli import commands
from sweep.doctor import _packages, _versions, examine_machine, examine_token


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        ("secret", 0o600, None),
        ("secret", 0o644, "chmod 600"),
        ("secret", 0o640, "chmod 600"),
        ("", 0o600, "found none"),
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
    assert {finding.subject for finding in _packages(tmp_path)} == {"sweep", "models", "data"}
    assert not list(_packages(doctor.Path(doctor.__file__).parent.parent))


def test_this_machine_is_described():
    assert {finding.subject for finding in examine_machine()} >= {"packages", "GPUs"}


def test_command_exits_by_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "examine_machine", lambda: [doctor.Finding("a", "is good")])
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    good = CliRunner().invoke(commands, ["doctor", "--json"])
    assert good.exit_code == 0 and json.loads(good.stdout) == [{"subject": "a", "text": "is good", "fault": False}]
    bad = CliRunner().invoke(commands, ["doctor", "cluster.yaml"])
    assert bad.exit_code == 1 and "fault token" in bad.stdout and "<REGION> is a placeholder" in bad.stdout
