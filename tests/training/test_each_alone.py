"""Tests in processes of their own: one that takes its process along breaks no other, and all are told."""

from __future__ import annotations

from tests.training import each_alone

TESTS = """
import os

import pytest

pytestmark = pytest.mark.gpu

@pytest.mark.parametrize("name", ["a b", "[c]"])
def test_good(name):
    print("NOTE", name, "seen")

def test_bad():
    os.abort()

def test_not_here():
    pytest.skip("no GPU")
"""


def test_a_test_that_takes_its_process_along_breaks_no_other(tmp_path, monkeypatch, capsys):
    (tmp_path / "test_these.py").write_text(TESTS)
    monkeypatch.setattr(each_alone, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["each_alone", "--at-once", "2", "--seconds", "250", "test_these.py"])
    assert each_alone.main() == 1
    said = capsys.readouterr().out
    lines = [line.split() for line in said[said.index("==== SUMMARY") :].splitlines()[1:]]
    assert [line[0] for line in lines] == ["passed", "passed", "FAILED", "skipped", "3"]
    assert "NOTE a b seen" in said and "NOTE [c] seen" in said
    assert said.splitlines()[-1] == "3 of 4 passed or were skipped"


def test_a_test_that_hangs_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "test_slow.py").write_text("import time\n\ndef test_slow():\n    time.sleep(600)\n")
    monkeypatch.setattr(each_alone, "ROOT", tmp_path)
    result, _ = each_alone.run("test_slow.py::test_slow", 2)
    assert result.startswith("TIMED OUT")
