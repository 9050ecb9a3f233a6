"""The journal: what is appended is read back, torn ends are cut, and damage is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.errors import JournalError
from sweep.journal import Journal, read_journal

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def write(path, num_events=5):
    with Journal(path) as journal:
        for number in range(num_events):
            journal.append("row", trial='t,"crc":"x', epoch=number, loss=0.5 / (number + 1))
    return path.read_bytes()


# A slow disk under the journal's syncs is no fault of the journal.
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
