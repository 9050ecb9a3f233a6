"""The data behind the page: every trial of the journal, with 6 digits, and the same whether it grew or not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from many_trials import many_trials

from aesweep.report.formats.html.assets import ECHARTS
from aesweep.report.formats.html.explorer import METRICS, Explorer, rounded
from aesweep.report.formats.html.policy import json_text
from aesweep.report.rows.types import Run
from aesweep.storage.run_state import RunState

Events = list[dict[str, Any]]


def by_name(values: dict[str, Any]) -> dict[str, list[Any]]:
    return {trial[1]: trial for trial in values["trials"]}


def test_every_row_is_there_to_six_digits(events: Events) -> None:
    trials = by_name(Explorer(RunState(events)).values())
    names = list(METRICS)
    for event in events:
        if event["kind"] == "row":
            first, *columns = trials[event["trial"]][11]
            for name, column in zip(names, columns, strict=True):
                known = event.get(name)
                if known is None:
                    assert column is None or column[event["epoch"] - first] is None
                else:
                    assert column[event["epoch"] - first] == pytest.approx(known, rel=5.1e-6)
    assert len(trials) == sum(event["kind"] in ("trial_created", "retraining_created") for event in events)


def test_lines_are_those_of_the_journal(events: Events) -> None:
    trials = by_name(Explorer(RunState(events)).values())
    wanted: dict[str, dict[str, list[int]]] = {}
    for number, event in enumerate(events, start=1):
        if event.get("trial"):
            wanted.setdefault(event["trial"], {}).setdefault(event["kind"], []).append(number)
    assert {name: trial[16] for name, trial in trials.items()} == wanted


def test_winners_are_those_of_the_tables(events: Events, run: Run) -> None:
    explorer = Explorer(RunState(events))
    names = {number: name for name, number in explorer.numbers.items()}
    tables = {winner.name for stage in run.stages.values() for winner in stage.winners.values() if winner}
    assert {names[number] for number in explorer.values()["winners"]} == tables


@pytest.mark.parametrize("cut", [1, 40, 300, 2000])
def test_what_is_told_after_an_event_makes_the_whole(events: Events, cut: int) -> None:
    state = RunState(events[:cut])
    explorer = Explorer(state)
    before = explorer.values()
    for event in events[cut:]:
        state.apply(RunState([event]).events[0])
    explorer.update()
    after = explorer.values(before["seq"])
    whole = Explorer(RunState(events)).values()
    trials = {trial[0]: trial for trial in before["trials"]} | {trial[0]: trial for trial in after["trials"]}
    assert {**after, "trials": list(trials.values())} == whole
    assert explorer.values(whole["seq"])["trials"] == []


def test_numbers_are_rounded_to_six_digits_and_written_short() -> None:
    assert [rounded(value) for value in (0.0123456789, 12.0, 1e-12, None, float("nan"), float("inf"))] == [
        0.0123457, 12, 1e-12, None, None, None,
    ]  # fmt: skip
    assert json.dumps(rounded(3.0)) == "3"


def test_data_of_five_thousand_trials_fit_into_a_page() -> None:
    """A fifth of them is made here, and a trial takes as much of the page as any other."""
    text = json_text(Explorer(RunState(many_trials(1000))).values())
    assert 5 * len(text.encode()) + ECHARTS.stat().st_size < 13_000_000
