"""Counts and their nouns, and that no message makes its own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aesweep.process.wording import agree, plural

ROOT = Path(__file__).parents[2]
NOUNS = (
    *("trial", "cell", "epoch", "seed", "image", "worker", "fault", "GPU", "file", "time", "row", "member", "node"),
    *("retraining", "attempt", "sample", "picture", "core", "pack", "trainer", "component", "channel", "machine"),
)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (1.0, "1 epoch"), (0.5, "0.5 epochs"), (1_200, "1,200 epochs"),
     (np.int64(1_200_000), "1,200,000 epochs"), (np.int64(1), "1 epoch")],
)  # fmt: skip
def test_a_count_has_the_noun_that_suits_it(count, expected):
    assert plural(count, "epoch") == expected


def test_a_verb_suits_its_count():
    assert [agree(count, "lies", "lie") for count in (0, 1, 2)] == ["lie", "lies", "lie"]


# What stands in braces before a plural and is no count, or never one.
NO_COUNT = {
    *("{split} images", "{kinds} files", "{_shown(shape)} images", "{num_images - 1} validation images"),
    *("{other / value:.1f} times", "{published / test:.1f} times", "{inert(name)} has cells"),
}


@pytest.mark.parametrize("part", ["sweep", "data", "models"])
def test_no_message_puts_a_plural_behind_a_number_of_its_own(part):
    """A value in braces, then such a noun with an s, is wrong for one; `plural` says it."""
    nouns = "|".join(NOUNS)
    faulty = re.compile(rf"(?<!\{{)\{{[^{{}}'\"\n]+(?:'[^'\n]*'[^{{}}'\"\n]*)*\}} (?:[a-z]+ )?(?:{nouns})s\b")
    found = {
        f"{path.relative_to(ROOT)}: {said}"
        for path in sorted((ROOT / part).rglob("*.py"))
        for said in faulty.findall(path.read_text())
        if said not in NO_COUNT
    }
    assert found == set()
