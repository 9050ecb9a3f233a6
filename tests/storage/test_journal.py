"""The journal: what is appended is read back, torn ends are cut, and damage is refused."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aesweep.process.errors import JournalError, RecordingError
from aesweep.storage.event_reader import KINDS
from aesweep.storage.journal import Journal, read_journal

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """No power fails here; what is written and read is the same."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


# Where in a file: modulo its length, which differs with the times in it.
places = st.integers(0, 10**9)


def write(path, num_events=5):
    with Journal(path) as journal:
        for number in range(num_events):
            journal.append("row", trial='t,"crc":"x', epoch=number, loss=0.5 / (number + 1))
    return path.read_bytes()


@pytest.mark.fuzz
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), plain, max_size=4), max_size=6))
def test_events_are_read_back_as_they_were_appended(tmp_path_factory, bodies):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        appended = [journal.append("row", **body) for body in bodies]
    assert read_journal(path) == appended
    assert [event["seq"] for event in appended] == list(range(len(bodies)))


def test_every_line_is_json_that_any_reader_understands(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["epoch"] for event in events] == [0, 1, 2, 3, 4]


def test_number_that_is_not_finite_becomes_null(tmp_path):
    with Journal(tmp_path / "j") as journal:
        event = journal.append("row", loss=math.nan, members=[math.inf, 1.0], inner={"x": -math.inf})
    assert (event["loss"], event["members"], event["inner"]) == (None, [None, 1.0], {"x": None})


def test_journal_cut_at_any_byte_is_read_up_to_its_last_whole_line_and_continued(tmp_path):
    path = tmp_path / "journal.jsonl"
    data = write(path)
    ends = [position + 1 for position, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert len(read_journal(path)) == whole
        with Journal(path) as journal:
            assert journal.append("run_ended")["seq"] == whole
        assert [event["seq"] for event in read_journal(path)] == list(range(whole + 1))


def test_damaged_line_is_refused_with_its_number(tmp_path):
    path = tmp_path / "journal.jsonl"
    data = write(path)
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines):
        for position in range(len(line) - 1):
            damaged = bytearray(line)
            damaged[position] ^= 4
            path.write_bytes(b"".join([*lines[:number], bytes(damaged), *lines[number + 1 :]]))
            with pytest.raises(JournalError, match=f"line {number + 1}"):
                read_journal(path)


@pytest.mark.parametrize("change", ["drop", "swap", "repeat"])
def test_missing_swapped_or_repeated_line_is_refused(tmp_path, change):
    path = tmp_path / "journal.jsonl"
    lines = write(path).splitlines(keepends=True)
    changed = {
        "drop": lines[:1] + lines[2:],
        "swap": [lines[0], lines[2], lines[1], *lines[3:]],
        "repeat": [lines[0], lines[0], *lines[1:]],
    }[change]
    path.write_bytes(b"".join(changed))
    with pytest.raises(JournalError, match="line 2"):
        read_journal(path)


def test_missing_journal_is_refused(tmp_path):
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(tmp_path / "none")


@pytest.mark.fuzz
@given(place=places, bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused_unless_it_makes_the_last_line_a_torn_one(tmp_path, place, bit):
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    content = write(path)
    whole = read_journal(path)
    position = place % len(content)
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    path.write_bytes(damaged)
    if position == len(content) - 1:  # the last newline: what is before it cannot be told from a torn line
        assert read_journal(path) == whole[:-1]
    else:
        with pytest.raises(JournalError, match="line"):
            read_journal(path)


@pytest.mark.fuzz
@given(st.binary(max_size=200))
def test_any_bytes_are_no_journal_or_an_empty_one(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    try:
        assert read_journal(path) == [] and b"\n" not in content
    except JournalError as error:
        assert "line 1" in str(error) and len(str(error).splitlines()) == 1


class JournalMachine(RuleBasedStateMachine):
    """A journal under every order of appending, closing, being killed, and a disk that is full now and then.

    The model is the list of events that were appended: what is read back must be just that, or, after a cut, its
    beginning.
    """

    @initialize()
    def begin(self):
        # With the times the lengths of lines would differ, and a case could not be repeated.
        self.clock = mock.patch("time.time", return_value=1.5)
        self.clock.start()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "journal.jsonl"
        self.journal = Journal(self.path)
        self.model: list[dict] = []

    @precondition(lambda self: self.journal)
    @rule(kind=st.sampled_from(["row", "decision", "failure", "run_ended"]), body=st.dictionaries(st.text(), plain))
    def append(self, kind, body):
        body = {name: value for name, value in body.items() if name not in ("seq", "kind", "time", "self")}
        self.model.append(self.journal.append(kind, **body))

    @precondition(lambda self: self.journal)
    @rule(room=st.integers(0, 60))
    def append_to_a_full_disk(self, room):
        file, self.journal._file = self.journal._file, FullDisk(self.journal._file, room)
        with pytest.raises(RecordingError, match="No space left on device; what is recorded is safe"):
            self.journal.append("row", trial="a" * 60)
        self.journal._file = file

    @precondition(lambda self: self.journal)
    @rule()
    def close(self):
        self.journal.close()
        self.journal = None

    @precondition(lambda self: self.journal)
    @rule()
    def kill(self):
        os.close(os.dup(self.journal._file.fileno()))
        self.journal._file.close()
        self.journal = None

    @precondition(lambda self: not self.journal)
    @rule()
    def open(self):
        self.journal = Journal(self.path)

    @precondition(lambda self: not self.journal)
    @rule(place=places)
    def cut(self, place):
        content = self.path.read_bytes()
        kept = content[: place % (len(content) + 1)]
        self.path.write_bytes(kept)
        self.model = self.model[: kept.count(b"\n")]

    @precondition(lambda self: not self.journal and len(self.model) > 1)
    @rule(place=places, bit=st.integers(0, 7))
    def damage_an_inner_line(self, place, bit):
        content = self.path.read_bytes()
        num_inner = content.rfind(b"\n", 0, content.rfind(b"\n")) + 1
        damaged = bytearray(content)
        damaged[place % num_inner] ^= 1 << bit
        self.path.write_bytes(damaged)
        for use in (read_journal, Journal):
            with pytest.raises(JournalError, match="cannot be trusted"):
                use(self.path)
        assert self.path.read_bytes() == damaged, "what is refused is left as it is"
        self.path.write_bytes(content)

    @invariant()
    def reads_back_what_was_appended(self):
        if hasattr(self, "path"):
            assert read_journal(self.path) == self.model

    def teardown(self):
        if getattr(self, "journal", None):
            self.journal.close()
        self.clock.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def test_every_kind_and_field_that_is_recorded_is_in_the_document():
    root = Path(__file__).parents[2]
    lines = (root / "docs/JOURNAL.md").read_text().splitlines()
    rows = {line.split("`")[1]: set(re.findall(r"`(\w+)`", line)) for line in lines if line.startswith("| `")}
    shared = {
        "command",
        "options",
        "places",
        "resources",
    }  # of any command, see below the table
    for kind, event in KINDS.items():
        fields = {field.name for field in dataclasses.fields(event)} - {"seq", "time"} - shared
        if kind == "stage_extended":
            fields = {"extension"}  # and those of stage_started
        assert fields - {"pca_latent_dim"} <= rows[kind], (kind, fields - rows[kind])
    assert set(rows) == set(KINDS)


@pytest.mark.parametrize("error", [OSError("gone"), OSError(errno.EIO, "Input/output error")])
def test_error_of_a_disk_is_said_as_it_came_without_advice_on_room(tmp_path, error):
    def fail():
        raise error

    journal = Journal(tmp_path / "journal.jsonl", fail)
    with pytest.raises(
        RecordingError, match=r"cannot be written: (gone|Input/output error); what is recorded is safe"
    ) as raised:
        journal.append("run_started")
    assert "None" not in str(raised.value) and "room" not in str(raised.value)
    journal._file.close()


class FullDisk:
    """A file on a disk with room for so many bytes more."""

    def __init__(self, file, room):
        self._file = file
        self._room = room

    def write(self, content):
        part = content[: self._room]
        self._room -= len(part)
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(part)

    def fileno(self):
        return self._file.fileno()


TestJournalMachine = pytest.mark.fuzz(JournalMachine.TestCase)
TestJournalMachine.settings = settings(
    settings.default, stateful_step_count=25, max_examples=settings.default.max_examples // 5
)
