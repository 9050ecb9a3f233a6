"""Section on what stopping early cost: how many of the stopped trials would have won their cell."""

from __future__ import annotations

import statistics

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.audit import Audit, AuditedTrial, audit_of
from aesweep.report.rows.names import cell_name
from aesweep.report.rows.types import Stage
from aesweep.report.sections.rules import metric_text
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.text.markdown import code, inert
from aesweep.report.text.numbers import percent
from aesweep.report.text.table import Table, Value


def stopping_section(view: DatasetView) -> Section | None:
    """Returns the section of one data set; None if no stage there trains stopped trials on."""
    found = [(stage, audit_of(view.run, stage, view.dataset)) for stage in view.run.stages.values()]
    audits = [(stage, audit) for stage, audit in found if audit is not None]
    if not audits:
        return None
    csv = " ([CSV](tables/audit.csv))" if any(audit.trials for _, audit in audits) else ""
    return Section(
        "What stopping early cost",
        "A random share of the trials that ASHA stopped was trained to the end all the same, out of competition: they "
        "tell how many cells lost their winner.",
        tables=[audit_table(audits)],
        footer="At most: with 95 % confidence (Clopper-Pearson), where a cell's lost winner is seen with the "
        f"probability of the audit; at least: what was seen.{csv}",
        prose=[sentence for stage, audit in audits for sentence in audit_sentences(stage, audit)],
    )


def audit_table(audits: list[tuple[Stage, Audit]]) -> Table:
    """Formats a row per stage."""
    headings = ["Stage", "Audit", "Stopped", "Trained on", "Would have won", "Cells", "Lost their winner, at least"]
    rows = [
        [
            inert(stage.name),
            f"{100 * audit.share:.3g} %",
            f"{audit.num_stopped:,}",
            f"{len(audit.trials):,}",
            Value(f"{len(winners):,}", tuple(found.trial.name for found in winners)),
            f"{audit.num_cells:,}",
            *(f"{lost:,} ({percent(lost / audit.num_cells)})" for lost in (audit.num_lost, audit.most_lost)),
        ]
        for stage, audit in audits
        for winners in [[found for found in audit.trials if found.would_have_won]]
    ]
    return Table([*headings, "At most"], rows)


def audit_sentences(stage: Stage, audit: Audit) -> list[str]:
    """Says which trial would have won by most, and how far behind their cells' winners the others ended."""
    sentences = []
    known = [(found, _difference(stage, found)) for found in audit.trials]
    known = [(found, difference) for found, difference in known if difference is not None]
    ahead = [(found, difference) for found, difference in known if found.would_have_won]
    behind = [difference for found, difference in known if not found.would_have_won]
    if ahead:
        found, difference = min(ahead, key=lambda pair: pair[1])
        sentences.append(
            f"{inert(stage.name)}: of those that would have won {code(found.trial.name)} "
            f"({inert(cell_name(found.trial.cell))}), stopped after {plural(found.trial.stopped_at, 'epoch')}, is "
            f"furthest ahead: it ended at {metric_text(stage, found.value)}, {_amount(stage, -difference)} better "
            f"than {code(found.winner.name)}, the winner."
        )
    if behind:
        sentences.append(
            f"{inert(stage.name)}: {'the other ' if ahead else ''}{plural(len(behind), 'trial')} that "
            f"{agree(len(behind), 'was', 'were')} trained on ended {_amount(stage, statistics.median(behind))} worse "
            "than the winner of the cell"
            + (f" (median; at least {_amount(stage, min(behind))})." if len(behind) > 1 else ".")
        )
    return sentences


def _difference(stage: Stage, found: AuditedTrial) -> float | None:
    """Returns how much worse a trial ended than its cell's winner: as a share of the error, or in dB."""
    if found.value is None or found.winner_value is None:
        return None
    if stage.mode == "max":
        return found.winner_value - found.value
    return found.value / found.winner_value - 1 if found.winner_value else None


def _amount(stage: Stage, difference: float) -> str:
    return f"{difference:.2f} dB" if stage.mode == "max" else percent(difference, 1)
