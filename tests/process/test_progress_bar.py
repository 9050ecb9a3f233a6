"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing on stdout."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from aesweep.process import progress_bar
from aesweep.process.progress_bar import ProgressBar


def shown(terminal: bool, names: list[str]) -> str:
    file = io.StringIO()
    with ProgressBar("copy", Console(file=file, force_terminal=terminal, width=100, highlight=False)) as follow:
        for number, name in enumerate(names):
            follow(name, number, len(names))
    return file.getvalue()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "FIRST_LINE_S", 0.0)


def test_short_work_says_nothing_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "FIRST_LINE_S", 60.0)
    assert shown(False, ["a", "b"]) == ""


def test_without_a_terminal_there_are_plain_lines_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(False, ["a", "b", "c"]) == "copy: a (1 of 3)\n"
    monkeypatch.setattr(progress_bar, "LINE_INTERVAL_S", 0.0)
    assert shown(False, ["a", "b"]) == "copy: a (1 of 2)\ncopy: b (2 of 2)\n"


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end() -> None:
    text = shown(True, ["a", "b"])
    assert "━" in text and "\x1b[?25h" in text.rpartition("━")[2]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_cannot_write_to_the_terminal(terminal: bool) -> None:
    text = shown(terminal, ["[red]a[/red]\x1b]0;owned\x07"])
    assert "[red]a[/red]?]0;owned?" in text and "\x07" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_that_is_said_stays_above_the_bar(terminal: bool) -> None:
    file = io.StringIO()
    with ProgressBar("export", Console(file=file, force_terminal=terminal, width=100, highlight=False)) as bar:
        bar("a", 0, 2)
        bar.say("3 [b]new[/b] epochs")
    assert "3 [b]new[/b] epochs\n" in file.getvalue()


def test_work_of_unknown_length_is_shown() -> None:
    file = io.StringIO()
    with ProgressBar("fetch", Console(file=file, force_terminal=False)) as follow:
        follow("copying", 0, None)
    assert file.getvalue() == "fetch: copying\n"


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("fetch") as follow:
        follow("copying", 0, 2)
    out, err = capsys.readouterr()
    assert out == "" and err == "fetch: copying (1 of 2)\n"
