"""The page of a comparison, as blocks: first what was found, then what differs, then the values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.significance import LEVEL
from aesweep.report.comparison.blocks import Block, Bullets, Heading, Paragraph
from aesweep.report.comparison.tables import QUANTITY_NAMES, cell_rows, p_value, percent_or_db, share_or_db, winner_rows
from aesweep.report.comparison.types import Basis, Comparison, KeyDifference, Overall, Row, SeedSet, StageTable, Verdict
from aesweep.report.rows.names import MISSING, cell_name, dataset_name
from aesweep.report.text.markdown import code, inert, listing
from aesweep.report.text.table import Table

_PARTS = {"study": "Study: split and draws", "retraining": "Retrainings"}
_BASES = {
    Basis.TRIALS: "Where the two winners' own seeds do not suffice, the interval is made from the spread of all trials "
    "with several seeds, {} for one seed, which is taken to be alike in all cells.",
    Basis.RETRAININGS: "Each trial has one seed, so that no cell has an interval of its own: these are made from the "
    "spread of the retrainings, {} for one seed, which is taken to be alike in all cells.",
    Basis.CELLS: "Intervals from the differences of the other cells ({} in the root mean square of all).",
}


def comparison_page(comparisons: Sequence[Comparison]) -> list[Block]:
    """Returns the page of one or more runs beside the same reference."""
    reference = comparisons[0].reference
    others = listing([code(found.other) for found in comparisons])
    blocks: list[Block] = [Heading(1, f"{others} beside {code(reference)}"), Paragraph(_HOW_TO_READ)]
    for found in comparisons:
        if len(comparisons) > 1:
            blocks.append(Heading(2, code(found.other)))
        level = 3 if len(comparisons) > 1 else 2
        for part in (_findings, _settings, _winners, _cells):
            blocks += part(found, level)
    return blocks


_HOW_TO_READ = (
    "Differences are the later run's value minus that of the reference, of an MSE in percent of the latter. Intervals "
    "are 95 % intervals of one difference alone. A value is said to differ if it does beyond what seeds explain, "
    "corrected after Holm so that two runs which differ in seeds alone are found to differ, anywhere on the page, in 5 "
    "of 100 comparisons at most."
)


def _findings(found: Comparison, level: int) -> Iterator[Block]:
    lines = [f"{code(name)} is {inert(status)}: compared as far as it came." for name, status in found.unfinished]
    lines += [_finding(found.winners, "retrained winner", "test")] if found.winners else []
    lines += [_finding(found.cells, "cell", "validation")] if found.cells else []
    lines += [
        f"**All cells of {inert(table.stage)} on {inert(dataset_name(table.dataset))} together differ**: "
        f"{share_or_db(table.overall.difference, table.quantity)} in the mean."
        for table in found.tables
        if table.overall and table.overall.verdict is Verdict.DIFFERS
    ]
    if not found.cells and not found.winners:
        lines.append("No cell has a winner in both runs yet, so there is nothing to compare.")
    yield Bullets(tuple(lines))


def _finding(rows: Sequence[Row], noun: str, split: str) -> str:
    """Says how many rows differ, in which direction, and what the correction for many tests hides."""
    by_verdict = {verdict: [row for row in rows if row.verdict is verdict] for verdict in Verdict}
    same, differing = by_verdict[Verdict.SAME], by_verdict[Verdict.DIFFERS]
    num_unknown, num_changed = len(by_verdict[Verdict.UNKNOWN]), len(by_verdict[Verdict.CONFIGURATION])
    num_known = len(rows) - num_unknown
    if not num_known:
        return f"**Cannot be judged**: the {split} values of {plural(len(rows), noun)} ({_directions(rows)})."
    if differing:
        verb = agree(len(differing), "differs", "differ")
        text = f"**{len(differing)} of {plural(num_known, noun)} {verb}** in the {split} value "
        text += f"({_directions(differing)})."
    else:
        text = f"**No difference found** in the {split} values of {plural(len(same), noun)} ({_directions(same)})."
    if num_changed:
        verb, owner = agree(num_changed, "differs", "differ"), agree(num_changed, "its", "their")
        text += f" {num_changed} {'' if differing else 'more '}{verb} together with {owner} configuration, "
        text += "which another seed might change as well."
    alone = sum(row.test.p_value < LEVEL for row in same)
    if alone:
        text += f" {alone} would differ if {agree(alone, 'it', 'each')} were the only test on the page."
    if num_unknown:
        text += f" {num_unknown} cannot be judged."
    return text


def _directions(rows: Sequence[Row]) -> str:
    same = sum(row.difference == 0 for row in rows)
    better = sum(row.is_better for row in rows)
    text = f"{better} better, {len(rows) - same - better} worse"
    return f"{text}, {same} the same to the last digit" if same else text


def _settings(found: Comparison, level: int) -> Iterator[Block]:
    yield Heading(level, "What differs")
    names = found.reference, found.other
    for title, differences in (
        ("Study", found.study),
        ("What was run", found.record),
        ("Versions and hardware", found.environment),
    ):
        if differences:
            yield Table((title, *map(code, names)), tuple(_key_row(line) for line in differences), 3)
        else:
            yield Paragraph(f"{title}: the same.")
    images = tuple(
        (inert(dataset_name(pair.name)), *(_hash(sha256) for sha256 in (pair.reference, pair.other)))
        for pair in found.datasets
    )
    yield Table(("Images, by hash", *map(code, names)), images, 3)
    yield Table(("Seeds", *map(code, names), "In common"), tuple(_seed_row(part) for part in found.seeds), 4)


def _winners(found: Comparison, level: int) -> Iterator[Block]:
    yield Heading(level, "Retrained winners")
    if not found.winners:
        yield Paragraph("No winner was retrained in both runs, so no test errors can be compared.")
        return
    yield Paragraph(
        "Test values, means over the seeds of the retraining; both runs have the same test images. Intervals and tests "
        "are Welch's, over these seeds."
    )
    yield winner_rows(found)
    if any(row.verdict is Verdict.CONFIGURATION for row in found.winners):
        yield Paragraph(
            "A test over seeds tells whether two models differ. Where their configurations differ in what the search "
            "draws or chooses, another seed of the same study might have made that difference."
        )


def _cells(found: Comparison, level: int) -> Iterator[Block]:
    yield Heading(level, "Cells")
    yield Paragraph(
        "Values on validation images, of the best trial of each cell. They are a little too good, since that trial was "
        "chosen by them. The cells of a run share their seeds and go up and down together, so several of them in one "
        "direction prove less than it seems."
    )
    if any(table.other_images and table.rows for table in found.tables):
        also = ", and their searches draw other configurations" if found.draws_anew else ""
        yield Paragraph(
            f"The two studies {'have other seeds' if found.draws_anew else 'cut off other validation images'}, so that "
            f"their values come from other validation images{also}. Seeds of training explain only a part of what that "
            "moves. A cell is judged by how far the other cells of its table moved, which shows all of it; a shift "
            "that all cells have in common may come from the images alone, and only the test values can tell."
        )
    for table in found.tables:
        title = f"{inert(table.stage.replace('_', ' ').capitalize())}, {inert(dataset_name(table.dataset))}"
        yield Heading(level + 1, title)
        yield Paragraph(" ".join(_cell_notes(found, table)))
        if table.rows:
            yield cell_rows(found, table)
        if table.overall:
            yield Paragraph(_overall(table.overall, table.quantity))
        if table.missing:
            yield Bullets(tuple(f"Not compared: {inert(cell_name(cell))}: {reason}." for cell, reason in table.missing))


def _cell_notes(found: Comparison, table: StageTable) -> Iterator[str]:
    yield f"{QUANTITY_NAMES[table.quantity]}."
    if table.is_provisional:
        yield "**Provisional:** the stage has not ended in both runs."
    bases = {row.basis for row in table.rows}
    if Basis.WELCH in bases:
        yield "Intervals: Welch's, over the seeds of a cell's two winners."
    for basis in bases & _BASES.keys():
        yield _BASES[basis].format(percent_or_db(table.deviation, table.quantity))
    if Basis.NONE in bases:
        yield (
            "No interval where fewer than two other cells show how far values move."
            if table.other_images
            else "No interval: no configuration has several seeds, so nothing tells how far values move by chance."
        )
    better = "lower" if table.quantity == "mse" else "higher"
    counts = {(row.reference.num_trials, row.other.num_trials) for row in table.rows}
    for first, second in sorted(counts):
        if first != second:
            yield (
                f"Some cells had {plural(first, 'trial')} in {code(found.reference)} and {plural(second, 'trial')} in "
                f"{code(found.other)}: "
                f"the best of more is {better} by that alone."
            )


def _overall(overall: Overall, quantity: str) -> str:
    """Says what the cells of a table show together."""
    mean = share_or_db(overall.difference, quantity)
    text = f"All cells together: {mean} in the mean, {overall.num_better} better and {overall.num_worse} worse"
    if overall.test is None:
        return f"{text}."
    ends = " to ".join(share_or_db(end, quantity) for end in (overall.test.low, overall.test.high))
    differs = "**the tables differ**" if overall.verdict is Verdict.DIFFERS else "no difference of the tables is found"
    return f"{text}; {differs} (95 % interval {ends}, corrected p {p_value(overall.adjusted_p)})."


def _key_row(line: KeyDifference) -> tuple[str, str, str]:
    return code(line.key), _plain(line.reference), _plain(line.other)


def _plain(value: Any) -> str:
    if value is None:
        return MISSING
    return code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _hash(sha256: str | None) -> str:
    return MISSING if sha256 is None else code(str(sha256)[:12])


def _seed_row(part: SeedSet) -> tuple[str, str, str, str]:
    common = sorted(set(part.reference) & set(part.other))
    label = _PARTS.get(part.part) or f"Trials of {inert(part.part)}"
    return label, *(_seeds(seeds) for seeds in (part.reference, part.other, common))


def _seeds(seeds: Sequence[int]) -> str:
    """Formats ascending seeds: 1 to 5, or 1, 3."""
    if not seeds:
        return MISSING
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
