"""The progress of long work: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from aesweep.process import progress_bar
from aesweep.process.progress_bar import ProgressBar


def shown(is_terminal: bool, quiet: bool = False, count: int = 4) -> str:
    file = io.StringIO()
    with ProgressBar(Console(file=file, force_terminal=is_terminal, width=80), quiet) as bar:
        bar.begin("Work [b]on[/b] <it>", count)
        for _ in range(count):
            bar.advance()
        bar.say("[red]done")
    return file.getvalue()


def test_a_terminal_shows_a_bar_and_gets_its_cursor_back():
    text = shown(True)
    assert "Work [b]on[/b] <it>" in text and "4/4" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_elsewhere_long_work_leaves_lines(monkeypatch):
    monkeypatch.setattr(progress_bar, "LINE_INTERVAL_S", 0.0)
    assert shown(False).splitlines() == [f"Work [b]on[/b] <it>: {done} of 4" for done in (1, 2, 3, 4)] + ["[red]done"]


def test_short_work_leaves_no_line():
    assert shown(False) == "[red]done\n"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_quiet_work_shows_nothing(is_terminal):
    assert shown(is_terminal, quiet=True) == ""
