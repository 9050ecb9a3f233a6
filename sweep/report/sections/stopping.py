"""Section on what stopping early cost: how many of the stopped trials would have won their cell."""

from __future__ import annotations

import statistics

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.audit import Audit, AuditedTrial, audit_of
from aesweep.report.rows.names import cell_name
from aesweep.report.rows.types import Stage
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.text.markdown import code, inert
from aesweep.report.text.numbers import number, percent
from aesweep.report.text.table import Table, Value


def stopping_section(view: DatasetView) -> Section | None:
    """Returns the section of one data set; None if no stage there trains stopped trials on."""
    found = [(stage, audit_of(view.run, stage, view.dataset)) for stage in view.run.stages.values()]
    audits = [(stage, audit) for stage, audit in found if audit is not None]
    if not audits:
        return None
    return Section(
        "What stopping early cost",
        "A random share of the trials that ASHA stopped was trained to the end all the same, out of competition: they "
        "tell how many cells lost their winner.",
        tables=[audit_table(audits)],
        footer="At most: with 95 % confidence (Clopper-Pearson), where a cell's lost winner is seen with the "
        "probability of the audit; at least: what was seen. ([CSV](tables/audit.csv))",
        prose=[sentence for stage, audit in audits for sentence in audit_sentences(stage, audit)],
    )


def audit_table(audits: list[tuple[Stage, Audit]]) -> Table:
    """Formats a row per stage."""
    headings = ["Stage", "Audit", "Stopped", "Trained on", "Would have won", "Cells", "Lost their winner, at least"]
    rows = [
        [
            inert(stage.name),
            percent(audit.share),
            f"{audit.num_stopped:,}",
            f"{len(audit.trials):,}",
            Value(f"{len(winners):,}", tuple(found.trial.name for found in winners)),
            f"{audit.num_cells:,}",
            f"{audit.num_lost:,}",
            f"{audit.most_lost:,} ({percent(audit.most_lost / audit.num_cells)})",
        ]
        for stage, audit in audits
        for winners in [[found for found in audit.trials if found.would_have_won]]
    ]
    return Table([*headings, "At most"], rows)


def audit_sentences(stage: Stage, audit: Audit) -> list[str]:
    """Says of each trial that would have won by how much, and how far behind the others ended."""
    sentences = []
    for found in audit.trials:
        if found.would_have_won:
            against = (
                f"{_lead(stage, found)} than {code(found.winner.name)}, the winner"
                if found.winner
                else "and the cell has no winner"
            )
            sentences.append(
                f"{code(found.trial.name)}, stopped after {plural(found.trial.stopped_at, 'epoch')}, would have won "
                f"{inert(cell_name(found.trial.cell))}: {number(found.value, stage.metric)}, {against}."
            )
    behind = [_difference(stage, found) for found in audit.trials if not found.would_have_won]
    known = [value for value in behind if value is not None]
    if known:
        middle = _amount(stage, statistics.median(known))
        sentences.append(
            f"{inert(stage.name)}: the other {plural(len(known), 'trial')} that {agree(len(known), 'was', 'were')} "
            f"trained on ended {middle} worse than the winner of the cell"
            + (f" (median; at least {_amount(stage, min(known))})." if len(known) > 1 else ".")
        )
    return sentences


def _lead(stage: Stage, found: AuditedTrial) -> str:
    return f"{_amount(stage, -_difference(stage, found))} better"


def _difference(stage: Stage, found: AuditedTrial) -> float | None:
    """Returns how much worse a trial ended than its cell's winner: as a share of the error, or in dB."""
    if found.value is None or found.winner_value is None:
        return None
    if stage.mode == "max":
        return found.winner_value - found.value
    return found.value / found.winner_value - 1 if found.winner_value else None


def _amount(stage: Stage, difference: float) -> str:
    return f"{difference:.2f} dB" if stage.mode == "max" else percent(difference, 1)
