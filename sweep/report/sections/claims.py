"""Published claims, checked against this run's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from aesweep.report.rows.names import dataset_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Run, Stage
from aesweep.report.sections.chance import chance_of
from aesweep.report.sections.section import RunView, Section, StageSection
from aesweep.report.text.markdown import inert
from aesweep.report.text.table import Table


def claims_section(view: RunView) -> Section | None:
    """Returns the section with this run's verdict on each claim; None if the study names no reference."""
    if not view.published:
        return None
    rows = [
        [inert(claim), inert(dataset_name(dataset)), verdict]
        for claim, dataset, verdict in published_claims(view.run, view.cells, view.published, view.section_of)
    ]
    return Section(
        "Published claims",
        f"From {inert(view.published.source)}. Published numbers come from other training and, it may be, other "
        "images: the source states neither its subsets nor its validation images.",
        tables=[Table(["Claim", "Data set", "Here"], rows, num_labels=3)],
    )


def published_claims(
    run: Run,
    frames: dict[tuple[str, str], pd.DataFrame],
    published: Published,
    section_of: Callable[[Stage], StageSection],
) -> list[tuple[str, str, str]]:
    """Checks each published claim on each data set.

    Args:
        run: the run.
        frames: (stage, data set) to its cell table.
        published: the reference.
        section_of: returns how a stage is shown, which includes the claims that it can check.

    Returns:
        (claim, data set, verdict and its reason) for every claim that the run can check; for any other claim
        (claim, "", sentence that says so).
    """
    found = []
    for claim in published.claims:
        verdicts = []
        for (name, dataset), frame in frames.items():
            stage = run.stages[name]
            check = section_of(stage).claims.get(claim)
            verdict = check(stage, frame, chance_of(run, stage, dataset)) if check else None
            if verdict is not None:
                verdicts.append((claim, dataset, f"{verdict[0]}: {verdict[1]}."))
        found += verdicts or [(claim, "", "This run has nothing to check it by.")]
    return found
