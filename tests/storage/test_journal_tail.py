"""A journal that is read while it grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from aesweep.process.errors import JournalError
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.journal_tail import JournalTail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal(tmp_path / "journal.jsonl") as journal:
        for number in range(20):
            journal.append("row", trial="ü", epoch=number)
    return tmp_path / "journal.jsonl"


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_however_it_grows_each_event_comes_once_and_whole(path: Path, tmp_path: Path, step: int) -> None:
    content, copy = path.read_bytes(), tmp_path / "copy.jsonl"
    copy.touch()
    tail, found = JournalTail(copy), []
    for end in range(0, len(content) + step, step):
        copy.write_bytes(content[:end])
        found += tail.read()
    assert found == read_journal(path)
    assert tail.read() == []


def test_copy_that_is_replaced_by_a_longer_one_goes_on(path: Path, tmp_path: Path) -> None:
    content, copy = path.read_bytes(), tmp_path / "copy.jsonl"
    half = content.index(b"\n", len(content) // 2) + 1
    write_whole(copy, content[:half])
    tail = JournalTail(copy)
    before = tail.read()
    write_whole(copy, content)
    assert before + tail.read() == read_journal(path)


def test_another_journal_in_its_place_is_refused(path: Path, tmp_path: Path) -> None:
    tail = JournalTail(path)
    tail.read()
    other = tmp_path / "other.jsonl"
    with Journal(other) as journal:
        for number in range(40):
            journal.append("row", trial="other", epoch=number)
    write_whole(path, other.read_bytes())
    with pytest.raises(JournalError, match="expected the journal to go on after line 20, found another one"):
        tail.read()


@pytest.mark.parametrize("damage", ["shortened", "changed", "gone"])
def test_damage_is_named(path: Path, damage: str) -> None:
    tail = JournalTail(path)
    tail.read()
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "shortened" else content + b'{"seq":20,"crc":"0"}\n')
    told = {"shortened": "found another one", "changed": "line 21: expected event 20", "gone": "cannot be read"}
    with pytest.raises(JournalError, match=told[damage]):
        tail.read()
