"""Sections of stages over network shapes: the table of cells, how its columns rank, and the published numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.figures.architecture import architecture_figure
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import MISSING, axis_name, axis_value
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Stage
from aesweep.report.sections.cells import (
    baseline_value,
    best_cell,
    cell_value,
    empty_cells,
    published_dims,
    undertrained,
)
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.families import lead_sentences, lead_table
from aesweep.report.sections.rules import FAILS, HOLDS, OVERFITTING_GAP, beats, gap_of, gap_text, is_known, verdict
from aesweep.report.sections.section import Claim, StageSection, StageView
from aesweep.report.text.markdown import code, inert, listing
from aesweep.report.text.numbers import decimals, number
from aesweep.report.text.table import Table


class Architecture(StageSection):
    """The section of a stage whose table's rows are latent dimensions, sets of hidden layers or models."""

    rows = ("latent_dim", "hidden_layers", "model")

    @property
    def claims(self) -> dict[str, Claim]:
        return {
            "three hidden layers beat five on both datasets": depth_claim,
            "no overfitting is seen": overfitting_claim,
        }

    def tables(self, view: StageView) -> list[Table]:
        return [
            architecture_table(view.stage, view.dataset, view.frame, view.published),
            lead_table(view.leads),
        ]

    def prose(self, view: StageView) -> list[str]:
        stage, dataset, frame = view.stage, view.dataset, view.frame
        return [
            *best_cell(stage, frame),
            *lead_sentences(view.leads),
            *undertrained(stage, frame),
            *empty_cells(stage, dataset, frame),
            *column_ranks(stage, frame),
            *published_against_baselines(stage, dataset, frame, view.published),
        ]

    def frames(self, view: StageView) -> dict[str, pd.DataFrame]:
        return {} if view.leads.empty else {f"{view.name}-families": view.leads}

    def drawings(self, view: StageView) -> list[Drawing | None]:
        return [architecture_figure(view.name, view.stage, view.dataset, view.frame, view.published)]


def architecture_table(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> Table:
    """Formats a row per latent dimension: a column per set of hidden layers, then baselines and published numbers."""
    along, across = ("columns", "rows") if stage.columns == "latent_dim" else ("rows", "columns")
    row_axis, axis = (stage.columns, stage.rows) if across == "rows" else (stage.rows, stage.columns)
    columns = list(dict.fromkeys(frame[across])) if axis else [None]
    by_depth = published.architecture(dataset) if published_dims(stage, dataset, published) else {}
    # Published numbers at other latent dimensions alone would make a column of dashes.
    shown = set(frame["latent_dim"]) if by_depth else set()
    by_depth = {depth: values for depth, values in by_depth.items() if not shown.isdisjoint(values)}
    headings = [axis_name(row_axis), *(code(axis_value(axis, value)) if axis else "Network" for value in columns)]
    headings += ["PCA", "Mean image", *(f"Published, {depth} layers" for depth in by_depth)]
    texts = [dict(zip(values, decimals(list(values.values())), strict=True)) for values in by_depth.values()]
    rows = []
    for value in dict.fromkeys(frame[along]):
        line = frame[[other == value for other in frame[along]]]
        cells = [
            cell_value(stage, line[[column == other for other in line[across]]] if axis else line) for column in columns
        ]
        for method in ("pca", "mean_image"):
            # A row of widths may mix latent dimensions, and PCA has no single value then.
            found = line[f"{method}_validation"].dropna().unique()
            text = number(found[0], QUANTITY[stage.metric]) if len(found) == 1 else MISSING
            cells.append(baseline_value(line.iloc[0], text, method, dataset, stage.name))
        cells += [known.get(value, MISSING) for known in texts]
        rows.append([inert(axis_value(row_axis, value)), *cells])
    quantity = "Validation MSE" if stage.metric == "validation_mse" else "Validation PSNR in dB"
    return Table(headings, rows, quantity=f"{quantity} of the best trial in each cell.")


def column_ranks(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Says how the sets of hidden layers (or whatever else the columns are) rank at each latent dimension."""
    if not stage.columns or frame["value"].isna().any():
        return []
    along, across = ("columns", "rows") if stage.columns == "latent_dim" else ("rows", "columns")
    row_axis, axis = (stage.rows, stage.columns) if across == "columns" else (stage.columns, stage.rows)
    labels = pd.Series([axis_value(axis, value) for value in frame[across]], index=frame.index)
    if labels.nunique() < 2:
        return []
    ranked = frame.groupby(frame[along].map(str), sort=False)["value"].rank(ascending=stage.mode == "min")
    parts = []
    for label in labels.unique():
        mine = ranked[labels == label]
        parts.append(f"{code(label)} {mine.mean():.2f} (first at {int((mine == 1).sum())} of {len(mine)})")
    return [f"Mean rank over the {axis_name(row_axis).lower()}s: {listing(parts)}."]


def published_against_baselines(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """Says how many published values lie above PCA and the mean image, as measured here."""
    if stage.metric != "validation_mse" or "latent_dim" not in (stage.rows, stage.columns):
        return []
    pca = dict(zip(frame["latent_dim"], frame["pca_validation"], strict=True))
    mean_image = frame["mean_image_validation"].dropna()
    values = [
        (dim, value)
        for by_dim in published.architecture(dataset).values()
        for dim, value in by_dim.items()
        if is_known(pca.get(dim))
    ]
    if not values or mean_image.empty:
        return []
    above_pca = sum(value >= pca[dim] for dim, value in values)
    above_mean = sum(value >= mean_image.iloc[0] for _, value in values)
    return [
        f"Of {plural(len(values), 'published value')} at these latent dimensions, {above_pca} "
        f"{agree(above_pca, 'lies', 'lie')} above PCA and "
        f"{above_mean} above the mean image, both as measured here (on this run's validation images, which need not be "
        "the published ones)."
    ]


def depth_claim(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    axes = [stage.rows, stage.columns]
    if "latent_dim" not in axes or not {"hidden_layers", "model"}.intersection(axes):
        return None
    # The source counts the encoder's hidden layers and the code as layers.
    depth = frame["rows" if stage.columns == "latent_dim" else "columns"].map(_num_layers)
    sign = 1.0 if stage.mode == "min" else -1.0
    best = (sign * frame["value"].astype(float)).groupby([frame["latent_dim"], depth]).min().unstack()
    if 3 not in best or 5 not in best:
        return None
    both = sign * best[[3, 5]].dropna()
    if both.empty:
        return None
    pairs = list(zip(both[3], both[5], strict=True))
    wins = [beats(stage.mode, three, five) for three, five in pairs]
    decided = [chance.decides(three, five) for three, five in pairs]
    text = f"3 layers beat 5 at {sum(wins)} of {plural(len(both), 'latent dimension')}, on validation images"
    if not all(decided):
        text += f"; within chance at {decided.count(False)} of them ({chance.text})"
    return verdict(wins, decided), text


def _num_layers(value: Any) -> int | None:
    """Returns the number of layers from a cell's hidden layers, or from its model; None for one that is not dense."""
    widths = value if isinstance(value, tuple) else value.split("-")
    return len(widths) + 1 if all(str(width).isdigit() for width in widths) else None


def overfitting_claim(stage: Stage, frame: pd.DataFrame, _: Chance) -> tuple[str, str] | None:
    best = frame[frame["is_best"]]
    if best.empty:
        return None
    line = best.iloc[0]
    if is_known(line["test_mse"]):
        training, other, split = line["retrained_training_mse"], line["test_mse"], "test"
    else:
        training, other, split = line["training_mse"], line["validation_mse"], "validation"
    if not is_known(training) or not is_known(other):
        return None
    gap = gap_of(training, other)
    holds = other == 0 if gap is None else gap <= OVERFITTING_GAP
    return HOLDS if holds else FAILS, f"the winner's {gap_text(training, other, split)}"
