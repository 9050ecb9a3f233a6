"""A run in a few lines: as text, and as HTML for a notebook, in which no name of a study is more than text."""

from __future__ import annotations

import html
from collections.abc import Iterable

from aesweep.process.wording import plural
from aesweep.report.rows.types import Run, Stage


def summary_lines(name: str, run: Run) -> list[str]:
    """Returns the run's state, and a line for each stage."""
    return [_head(name, run), *(f"  {' | '.join(cells)}" for cells in _stages(run))]


def summary_html(name: str, run: Run, frames: Iterable[str]) -> str:
    """Returns the same as HTML, with the names of the frames."""
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>" for cells in _stages(run))
    names = ", ".join(f"<code>{html.escape(frame)}</code>" for frame in frames)
    table = f"<table><thead><tr><th>Stage<th>Trials<th>Winners</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div><p>{html.escape(_head(name, run))}</p>{table}<p>Frames: {names}</p></div>"


def _head(name: str, run: Run) -> str:
    trials = sum(len(stage.trials) for stage in run.stages.values())
    return (
        f"run {name}, {run.status}: {', '.join(run.datasets) or 'no data set yet'}; {plural(trials, 'trial')}, "
        f"{plural(len(run.retrainings), 'retraining')}"
    )


def _stages(run: Run) -> list[tuple[str, str, str]]:
    return [
        (
            stage.name + ("" if stage.seconds is not None else " (under way)"),
            plural(len(stage.trials), "trial"),
            _winners(stage),
        )
        for stage in run.stages.values()
    ]


def _winners(stage: Stage) -> str:
    best = {dataset: stage.best(dataset) for dataset in stage.datasets}
    found = [f"{dataset}: {trial.name} ({trial.value(stage.metric):.5g})" for dataset, trial in best.items() if trial]
    return f"{'; '.join(found)} by {stage.metric}" if found else "no winner yet"
