"""The journal's events as types: what goes in comes out, in its order, also of other versions."""

from __future__ import annotations

import dataclasses
import json

import pytest

from aesweep.process.errors import JournalError
from aesweep.storage.event import TrialStatus
from aesweep.storage.event_reader import KINDS, parse_event, read_events
from aesweep.storage.events import Row, TrialEnded, Unknown
from aesweep.storage.journal import Journal
from aesweep.storage.run_state import RunState
from tests.report.synthetic import Synthetic


def test_every_event_of_a_run_comes_out_as_it_went_in():
    events = [{"seq": number, "time": 1.5, **event} for number, event in enumerate(Synthetic().build().events)]
    assert len({event["kind"] for event in events}) >= 12
    for event in events:
        typed = parse_event(event)
        # A number that was not finite is null in the journal, and None in an event that is read, as one that is absent.
        absent = {name for name in typed.optional if event.get(name) is None}
        fields = {
            name: value for name, value in event.items() if name not in ("seq", "time", "kind") and name not in absent
        }
        assert typed.seq == event["seq"] and typed.kind == event["kind"]
        assert json.dumps(typed.fields(), sort_keys=True) == json.dumps(fields, sort_keys=True)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_are_optional_are_left_out_and_all_others_are_written(kind):
    event = parse_event({"kind": kind, "status": "completed", "action": "stop", "cause": "crashed"})
    names = [field.name for field in dataclasses.fields(event)][2:]
    assert list(event.fields()) == [name for name in names if name not in event.optional]
    full = dataclasses.replace(event, **dict.fromkeys(event.optional, 1))
    assert list(full.fields()) == names


def test_row_of_a_retraining_has_no_validation_and_one_that_diverged_has_null():
    row = Row(trial="a", epoch=1, loss=0.1, training_mse=0.2, learning_rate=0.1, seconds=1.0)
    assert "validation_mse" not in row.fields()
    diverged = dataclasses.replace(row, validation_mse=float("nan"))
    assert "validation_mse" in diverged.fields()


def test_event_and_field_of_a_newer_version_are_passed_over(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("weather", trial="a", sun=True)
        journal.append(
            "trial_created", trial="a", stage="s", dataset="d", cell={}, configuration={}, seeds=[1], epochs=1
        )
        journal.append("trial_ended", trial="a", status="completed", epochs=1, reason=None, seconds=1.0, mood="good")
    events = read_events(tmp_path / "journal.jsonl")
    assert isinstance(events[0], Unknown) and not hasattr(events[2], "mood")
    assert RunState(events).trials["a"].status is TrialStatus.COMPLETED


def test_status_of_a_newer_version_is_refused_in_one_line(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("trial_ended", trial="a", status="paused")
    with pytest.raises(
        JournalError, match=r"line 1: trial_ended: 'paused' is not a valid TrialStatus: .* newer version"
    ):
        read_events(tmp_path / "journal.jsonl")


def test_field_that_an_older_version_did_not_write_is_none():
    event = parse_event({"kind": "trial_ended", "trial": "a", "status": "completed"})
    assert isinstance(event, TrialEnded) and event.seconds is None and event.seq == -1
