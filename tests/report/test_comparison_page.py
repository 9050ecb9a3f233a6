"""The page of a comparison: its tables, its words for each way of judging, and names that must do nothing."""

from __future__ import annotations

import copy
import re

import pytest
from markdown_it import MarkdownIt
from simulated import simulated_events

from aesweep.report.comparison.blocks import Bullets, Heading, Paragraph, markdown
from aesweep.report.comparison.comparison import compare
from aesweep.report.comparison.page import comparison_page
from aesweep.report.rows.reader import read_run
from aesweep.report.text.table import Table
from aesweep.storage.run_state import RunState

HOSTILE = '<script>alert("1")</script> | `rm` [x](javascript:alert(1)) \u202etxt\u202c 😀\n# no heading'


def events(chance: int = 0, study_seed: int = 1, **changes) -> list[dict]:
    settings = {"seeds": 1, "draws": 0.0, "shift": 0.0, "retrained": 5, "of": "cells"}
    return copy.deepcopy(simulated_events(chance, study_seed, **{**settings, **changes}))


def blocks_of(*found: list[dict], names: tuple[str, ...] = ("first", "second", "third")) -> list:
    runs = [read_run(RunState(known)) for known in found]
    pairs = zip(runs[1:], names[1:], strict=False)
    return comparison_page([compare(runs[0], run, (names[0], name)) for run, name in pairs])


def page_of(*found: list[dict], **settings) -> str:
    return markdown(blocks_of(*found, **settings))


def test_blocks_become_markdown():
    blocks = [Heading(2, "A"), Paragraph("b"), Bullets(("c", "d")), Table(("e", "f"), (("g", "1"),), 1), Paragraph("")]
    html = MarkdownIt().enable("table").render(markdown(blocks))
    assert "<h2>A</h2>" in html and html.count("<li>") == 2 and html.count("<td") == 2


def test_every_row_of_a_table_has_a_cell_for_each_heading():
    tables = [block for block in blocks_of(events(1), events(2, study_seed=4)) if isinstance(block, Table)]
    assert len(tables) >= 4
    assert all(len(row) == len(table.headings) for table in tables for row in table.rows)


def test_page_of_equal_runs_says_so_first():
    text = page_of(events(1), events(2))
    assert text.startswith("# `second` beside `first`\n")
    assert re.search(
        r"\*\*No difference found\*\* in the test values of 6 retrained winners \(\d better, \d worse\)", text
    )
    assert "**No difference found** in the validation values of 6 cells (" in text
    assert "Study: the same." in text


def test_page_of_a_run_beside_its_copy_counts_what_is_the_same():
    assert page_of(events(1), events(1)).count("(0 better, 0 worse, 6 the same to the last digit)") == 2


def test_page_of_runs_that_differ_counts_better_and_worse():
    text = page_of(events(1), events(2, shift=0.5))
    assert "**6 of 6 retrained winners differ** in the test value (0 better, 6 worse)." in text
    assert "**All cells of architecture on Digits together differ**: +6" in text
    assert "0 better and 6 worse; **the tables differ** (95 % interval +" in text
    assert text.count("**yes, worse**") >= 6


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"seeds": 3}, "Welch's, over the seeds of a cell's two winners"),
        ({}, "Each trial has one seed, so that no cell has an interval of its own"),
        ({"retrained": 1}, "No interval: no configuration has several seeds"),
    ],
)
def test_page_says_where_intervals_come_from(settings, expected):
    assert expected in page_of(events(1, **settings), events(2, **settings))


def test_page_of_studies_with_other_seeds_says_what_is_not_judged():
    text = page_of(events(1), events(2, study_seed=4, draws=0.5))
    assert "a shift that all cells have in common may come from the images alone" in text
    assert "from the differences of the other cells" in text
    assert "better, configuration too" in text or "worse, configuration too" in text
    assert "another seed of the same study might have made that difference" in text


def test_page_of_a_run_under_way_says_so():
    second = events(2)
    text = page_of(events(1), second[: len(second) // 6])
    assert "`second` is unfinished: compared as far as it came." in text
    assert "**Provisional:** the stage has not ended in both runs." in text
    assert "No winner was retrained in both runs" in text


def test_page_says_where_one_run_had_more_trials_to_choose_from():
    second = [e for e in events(2) if not str(e.get("trial", "")).startswith("architecture-digits-4-1-2")]
    text = page_of(events(1), second)
    assert (
        "Some cells had 3 trials in `first` and 2 trials in `second`: the best of more is lower by that alone" in text
    )


def test_page_of_several_runs_has_a_part_for_each():
    text = page_of(events(1), events(2), events(3))
    assert text.startswith("# `second` and `third` beside `first`\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["`second`", "`third`"]


def test_hostile_text_of_a_run_is_shown_and_does_nothing():
    first, second = events(1), events(2)
    for event in second:
        if event["kind"] == "run_started":
            event["study"]["name"] = HOSTILE
            event["study"][HOSTILE] = {HOSTILE: [HOSTILE]}
            event["environment"]["cpu"] = HOSTILE
            event["datasets"][HOSTILE] = {"sha256": HOSTILE}
            event["study"]["stages"][HOSTILE] = {"space": HOSTILE}
    for known in (first, second):
        for event in known:
            if event.get("stage") == "architecture":
                event["stage"] = HOSTILE
            for served in event.get("serves", ()):
                served["stage"] = HOSTILE
        known[0]["study"]["stages"][HOSTILE] = {"retraining": {"of": "cells"}}
    text = page_of(first, second, names=(HOSTILE, HOSTILE + "2"))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in html and "href" not in html and "\u202e" not in html
    assert "script&gt;" in html and "😀" in html
    assert html.count("<h1>") == 1
