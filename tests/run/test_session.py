"""How a command on a run ends: its outcome is told, also where the report cannot be written."""

from __future__ import annotations

import errno
import json
import shlex

import pytest

import aesweep.report.page
from aesweep.cli.commands import commands
from aesweep.run.outcome import Outcome
from aesweep.run.session import Session
from aesweep.run.settings import SessionSettings
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "a run")
    folder.root.mkdir()
    with Journal(folder.journal):
        pass
    return folder


def follow(folder, capsys, outcome, as_json=False):
    settings = SessionSettings(workers=1, as_json=as_json, quiet=True)
    with Session(folder, settings) as session:
        session._interruption.signal_number = outcome.signal_number  # as if it had come meanwhile
        session.conclude(outcome)
    return session.exit_code, *capsys.readouterr()


def undrawable(monkeypatch, _folder):
    def fail(*_):
        raise RuntimeError("Failed to process string with tex\nbecause latex could not be found\n" + 900 * "x")

    monkeypatch.setattr(aesweep.report.page, "report_files", fail)
    return "latex could not be found"


def disk_full(monkeypatch, folder):
    def fail(path, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(aesweep.report.page, "write_whole", fail)
    return "No space left on device"


def tables_in_the_way(_, folder):
    folder.tables.touch()
    return str(folder.tables)


@pytest.mark.parametrize("fault", [undrawable, disk_full, tables_in_the_way])
def test_a_report_that_cannot_be_written_takes_nothing_from_the_run(folder, capsys, monkeypatch, fault):
    with monkeypatch.context() as patch:
        reason = fault(patch, folder)
        outcome = Outcome("completed", None, [], ["search-0001"])
        code, out, err = follow(folder, capsys, outcome)
        assert (code, out) == (1, "")
        told, failed = err.splitlines()
        assert reason in told and len(told) < 700 and "Traceback" not in err
        assert f"`aesweep report {shlex.quote(str(folder.root))}` writes it" in told
        assert failed.startswith("failed: search-0001")
        code, out, _ = follow(folder, capsys, Outcome("completed", None, [], []), as_json=True)
        assert code == 1
        assert json.loads(out) == {
            "run": str(folder.root), "report": None, "status": "completed", "missing": [], "failed_trials": [],
        }  # fmt: skip
        assert follow(folder, capsys, Outcome("interrupted", 15, []))[0] == 128 + 15
    folder.tables.unlink(missing_ok=True)
    code, out, err = follow(folder, capsys, Outcome("completed", None, [], []))
    assert (code, out, err) == (0, f"{folder.report}\n", "") and folder.report.is_file()


def test_the_report_command_tells_in_one_line_what_stands_in_its_way(folder, monkeypatch, capsys):
    reason = undrawable(monkeypatch, folder)
    with pytest.raises(SystemExit) as ended:
        commands(["report", str(folder.root)])
    assert ended.value.code == 73
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("report: ")]
    assert line.startswith("error: the report of ") and reason in line
