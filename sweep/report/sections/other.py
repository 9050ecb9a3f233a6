"""Sections of stages over any other axis: a line per cell."""

from __future__ import annotations

import pandas as pd

from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.figures.curves import learning_curves
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import axis_name, axis_value
from aesweep.report.rows.types import Stage
from aesweep.report.sections.cells import (
    METHOD_NAMES,
    QUANTITY_NAMES,
    baseline_value,
    best_cell,
    cell_value,
    empty_cells,
    searched,
    undertrained,
)
from aesweep.report.sections.section import StageSection, StageView
from aesweep.report.text.markdown import inert
from aesweep.report.text.numbers import number
from aesweep.report.text.table import Table


class Other(StageSection):
    """The section of a stage whose table's rows are an axis for which there is no special section."""

    def tables(self, view: StageView) -> list[Table]:
        return [cells_table(view.stage, view.dataset, view.frame)]

    def prose(self, view: StageView) -> list[str]:
        return [
            *best_cell(view.stage, view.frame),
            *undertrained(view.stage, view.frame),
            *empty_cells(view.stage, view.dataset, view.frame),
        ]

    def drawings(self, view: StageView) -> list[Drawing | None]:
        return [learning_curves(f"{view.name}-curves", view.stage, view.dataset)]


def cells_table(stage: Stage, dataset: str, frame: pd.DataFrame) -> Table:
    """Formats a row per cell of the stage."""
    quantity = QUANTITY[stage.metric]
    axes = [(axis, key) for axis, key in ((stage.rows, "rows"), (stage.columns, "columns")) if axis]
    methods = [method for method in METHOD_NAMES if frame[f"{method}_validation"].notna().any()]
    headings = [*(axis_name(axis) for axis, _ in axes), "Trials", "Training MSE"]
    headings += [f"Validation {QUANTITY_NAMES[quantity]}", *(METHOD_NAMES[method] for method in methods)]
    rows = [
        [
            *(inert(axis_value(axis, line[key])) for axis, key in axes),
            f"{line['num_completed']} of {line['num_trials']}",
            searched(line, number(line["training_mse"])),
            cell_value(stage, frame.loc[[index]]),
            *(
                baseline_value(line, number(line[f"{method}_validation"], quantity), method, dataset, stage.name)
                for method in methods
            ),
        ]
        for index, line in frame.iterrows()
    ]
    return Table(headings, rows, num_labels=len(axes))
