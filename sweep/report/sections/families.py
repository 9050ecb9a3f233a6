"""The best family of models at each latent dimension, with the interval of its lead over the others."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.analysis.statistics import Estimate
from aesweep.report.sections.cells import QUANTITY_NAMES
from aesweep.report.sections.rules import is_known
from aesweep.report.text.markdown import code, inert, listing
from aesweep.report.text.numbers import interval, percent
from aesweep.report.text.table import Table, Value


def lead_table(leads: pd.DataFrame) -> Table:
    """Formats a row per latent dimension: the best family, the best of another one, and the lead between them.

    Args:
        leads: frame from `lead_frame`.
    """
    if leads.empty:
        return Table([], [])
    quantity = leads["metric"].iloc[0]
    name = QUANTITY_NAMES[quantity]
    headings = ["Latent dimension", "Best family", "Model", "Best of another family", f"Test {name}"]
    headings += [f"Test {name} of the other", "Lead"] + (["Lead, relative"] if quantity == "mse" else [])
    rows = []
    for _, line in leads.iterrows():
        mine, other = (_value(line, prefix) for prefix in ("", "other_"))
        share = line["lead"] / line["other_test"] if line["other_test"] else None
        rows.append(
            [
                str(line["latent_dim"]),
                inert(line["family"]),
                code(line["model"]),
                code(line["other_model"]),
                mine,
                other,
                Value(_interval(line, "lead", quantity), mine.trials + other.trials),
                *([percent(share)] if quantity == "mse" else []),
            ]
        )
    seeds, epochs = _counts(leads["num_seeds"], "seed"), _counts(leads["epochs"], "epoch")
    lead = (
        "The best family at each latent dimension, and the best model of another: both chosen on validation images "
        f"alone, retrained for {epochs} with the same {seeds}, and compared seed by seed on the test set."
    )
    return Table(headings, rows, num_labels=4, lead=lead)


def lead_sentences(leads: pd.DataFrame) -> list[str]:
    """Says which family leads where, and at how many latent dimensions seeds do not explain it."""
    if leads.empty:
        return []
    parts = []
    for family, mine in leads.groupby("family", sort=False):
        parts.append(f"{inert(family)} at {listing([str(dim) for dim in mine['latent_dim']])}")
    text = f"The best family by latent dimension: {'; '.join(parts)}."
    known = leads[leads["lead_half_width"].notna()]
    if known.empty:
        return [f"{text} With one seed each, the leads cannot be told from chance."]
    beyond = known["lead"] > known["lead_half_width"]
    behind = known["lead"] < -known["lead_half_width"]
    text += (
        f" On the test set its lead exceeds the spread over seeds at {beyond.sum()} of "
        f"{plural(len(known), 'latent dimension')} (95 % intervals of the differences, seed by seed)"
    )
    if behind.any():
        dims = listing([str(dim) for dim in known[behind]["latent_dim"]])
        text += f"; at {dims} it falls behind by more than that"
    return [text + "."]


def _value(line: pd.Series, prefix: str) -> Value:
    trials = tuple(line[f"{prefix}retraining_trials"].split(" "))
    return Value(_interval(line, f"{prefix}test", line["metric"]), trials)


def _interval(line: pd.Series, name: str, quantity: str) -> str:
    half_width = line[f"{name}_half_width"]
    found = Estimate(float(line[name]), float(half_width) if is_known(half_width) else None, int(line["num_seeds"]))
    return interval(found, quantity)


def _counts(values: pd.Series, noun: str) -> str:
    """Returns a count, or the range of several, with its noun."""
    low, high = int(values.min()), int(values.max())
    return plural(low, noun) if low == high else f"{low} to {plural(high, noun)}"
