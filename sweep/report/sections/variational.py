"""Sections of stages over beta: the rate and the distortion of variational codes."""

from __future__ import annotations

import pandas as pd

from aesweep.report.figures.rate_distortion import rate_distortion_figure
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import axis_name, axis_value
from aesweep.report.rows.types import Stage
from aesweep.report.sections.cells import cell_value, empty_cells, retrained, retrained_estimate, searched
from aesweep.report.sections.rules import is_known
from aesweep.report.sections.section import StageSection, StageView
from aesweep.report.text.markdown import inert
from aesweep.report.text.numbers import interval, number
from aesweep.report.text.table import Table


class Variational(StageSection):
    """The section of a stage whose table's rows are weights of a variational code's divergence."""

    rows = ("beta",)

    def intro(self, view: StageView) -> str:
        return (
            f"{super().intro(view)} The rate is the mean divergence of a code's distribution from a standard normal "
            "one; the distortion is the error of the reconstruction from the code's mean."
        )

    def tables(self, view: StageView) -> list[Table]:
        return [rate_table(view.stage, view.frame)]

    def prose(self, view: StageView) -> list[str]:
        return [*unused_codes(view.frame), *empty_cells(view.stage, view.dataset, view.frame)]

    def drawings(self, view: StageView) -> list[Drawing | None]:
        return [rate_distortion_figure(view.name, view.stage, view.dataset, view.frame)]


def rate_table(stage: Stage, frame: pd.DataFrame) -> Table:
    """Formats a row per cell: rate and distortion on validation images, and on test images where it was retrained."""
    axes = [(axis, key) for axis, key in ((stage.rows, "rows"), (stage.columns, "columns")) if axis]
    is_retrained = frame["test_mse"].notna().any()
    distortion = "PSNR (dB)" if stage.metric == "validation_psnr_db" else "MSE"
    headings = [*(axis_name(axis) for axis, _ in axes), "Rate (nats)", f"Distortion, {distortion}"]
    headings += ["Test: rate (nats)", "Test: distortion, MSE"] if is_retrained else []
    rows = []
    for index, line in frame.iterrows():
        cells = [inert(axis_value(axis, line[key])) for axis, key in axes]
        cells += [searched(line, number(line["rate_nats"], "rate")), cell_value(stage, frame.loc[[index]])]
        if is_retrained:
            cells.append(retrained(line, interval(retrained_estimate(line, "test_rate_nats"), "rate")))
            cells.append(retrained(line, interval(retrained_estimate(line, "test_mse"))))
        rows.append(cells)
    return Table(headings, rows, num_labels=len(axes))


def unused_codes(frame: pd.DataFrame) -> list[str]:
    """Names the weights under which the code tells nothing: less than 0.1 nats an image (posterior collapse)."""
    collapsed = [line for _, line in frame.iterrows() if is_known(line["rate_nats"]) and line["rate_nats"] < 0.1]
    if not collapsed:
        return []
    weights = sorted({line["beta"] for line in collapsed})
    text = ", ".join(axis_value("beta", weight) for weight in weights)
    return [f"**The code tells next to nothing of an image** (less than 0.1 nats) at beta {text}."]
