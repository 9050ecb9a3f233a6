"""The tables of a comparison's page: a line per cell, or per pair of retrained winners."""

from __future__ import annotations

import math

from aesweep.report.comparison.types import Comparison, Row, StageTable, Verdict
from aesweep.report.rows.names import MISSING, axis_name, axis_value, cell_name, dataset_name
from aesweep.report.text.markdown import bold, code, inert, listing
from aesweep.report.text.numbers import number
from aesweep.report.text.table import Table

QUANTITY_NAMES = {"mse": "MSE", "psnr_db": "PSNR (dB)"}


def cell_rows(found: Comparison, table: StageTable) -> Table:
    """Returns the table of a stage's cells."""
    rows = tuple(
        (
            *(inert(axis_value(axis, dict(row.reference.cell)[axis])) for axis in table.axes),
            _changed(row),
            *_values(row),
        )
        for row in table.rows
    )
    labels = (*(inert(axis_name(axis)) for axis in table.axes), "Configuration")
    return Table((*labels, *_value_headings(found)), rows, len(labels))


def winner_rows(found: Comparison) -> Table:
    """Returns the table of the retrained winners."""
    rows = tuple(
        (
            inert(dataset_name(row.dataset)),
            _winner(row),
            _changed(row),
            QUANTITY_NAMES[row.quantity],
            *_values(row),
            f"{len(row.reference.seeds)}, {len(row.other.seeds)}",
            f"{row.reference.epochs}, {row.other.epochs}",
        )
        for row in found.winners
    )
    labels = ("Data set", "Winner of", "Configuration", "Value")
    return Table((*labels, *_value_headings(found), "Seeds", "Epochs"), rows, len(labels))


def _value_headings(found: Comparison) -> tuple[str, ...]:
    return code(found.reference), code(found.other), "Difference", "95 % interval", "Corrected p", "Differs"


def percent_or_db(value: float | None, quantity: str) -> str:
    """Formats a spread on the scale on which it was estimated: ln MSE as percent, PSNR in dB."""
    if value is None:
        return MISSING
    return f"{100 * math.expm1(value):.2g} %" if quantity == "mse" else f"{value:.2g} dB"


def share_or_db(difference: float, quantity: str) -> str:
    """Formats a mean difference: of MSE as a share of the reference, of PSNR in dB."""
    return f"{100 * difference:+.1f} %" if quantity == "mse" else f"{difference:+.2f} dB"


def _values(row: Row) -> tuple[str, ...]:
    """Formats both values, their difference, its interval, the p-value and the verdict."""
    return (
        number(row.reference.value, row.quantity),
        number(row.other.value, row.quantity),
        _relative(row, row.difference),
        f"{_relative(row, row.test.low)} to {_relative(row, row.test.high)}" if row.test else MISSING,
        p_value(row.adjusted_p),
        _verdict(row),
    )


def _verdict(row: Row) -> str:
    direction = "better" if row.is_better else "worse"
    return {
        Verdict.SAME: "no",
        Verdict.UNKNOWN: MISSING,
        Verdict.DIFFERS: bold(f"yes, {direction}"),
        Verdict.CONFIGURATION: f"{direction}, configuration too",
    }[row.verdict]


def _relative(row: Row, difference: float) -> str:
    """Formats a difference: of an MSE in percent of the reference's, of a PSNR in dB."""
    if row.quantity == "psnr_db":
        return f"{difference:+.2f} dB"
    if row.reference.value == 0:
        return f"{difference:+.2e}"
    share = 100 * difference / row.reference.value
    return f"{share:+.0f} %" if abs(share) >= 100 else f"{share:+.1f} %"


def p_value(p: float | None) -> str:
    """Formats a p-value."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _changed(row: Row) -> str:
    """Names the fields in which the two configurations differ."""
    return f"other {listing([code(name) for name in row.changed])}" if row.changed else "the same"


def _winner(row: Row) -> str:
    stages = listing([inert(stage) for stage in row.stages])
    first, second = (inert(cell_name(side.cell)) for side in (row.reference, row.other))
    return f"{stages} ({first})" if first == second else f"{stages} ({first} against {second})"
