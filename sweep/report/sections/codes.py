"""Section of the codes of retrained winners: what they tell of labels, and what lies between and around them."""

from __future__ import annotations

from aesweep.process.wording import plural
from aesweep.report.analysis.frames import retrained_as
from aesweep.report.figures.codes import code_map_figure, lines_figure, samples_figure
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import MISSING, file_name
from aesweep.report.rows.types import codes_key
from aesweep.report.sections.example_images import picture_arrays, pictured
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.sections.winners import counting, winner_names
from aesweep.report.text.markdown import code, inert
from aesweep.report.text.numbers import percent
from aesweep.report.text.table import Table, Value
from aesweep.storage.events import Codes


def codes_section(view: DatasetView) -> Section | None:
    """Returns the section of one data set's codes; None for a run that did not look at codes."""
    drawings = code_drawings(view)
    judged = [event for event in view.run.codes if event.dataset == view.dataset]
    if not drawings and not judged:
        return None
    if not judged:
        intro = "The data set has no labels, by which codes could be judged, so there are neither accuracies nor a map."
        return Section("Codes", intro, drawings=drawings)
    return Section(
        "Codes",
        "How well simple classifiers tell the labels of test images from codes alone: a linear probe (logistic "
        "regression) and the vote of the five nearest neighbours, each fitted on "
        f"{plural(judged[0].num_fitted, 'training image')} and judged on {plural(judged[0].num_judged, 'test image')}. "
        "No model has seen a label. Beside them stand PCA's codes of the same length, and the pixels themselves. Of "
        "each winner the first seed is judged.",
        tables=[codes_table(view, judged)],
        drawings=drawings,
    )


def codes_table(view: DatasetView, judged: list[Codes]) -> Table:
    """Formats a row per retrained plain autoencoder: accuracies of its codes, of PCA's and of pixels."""
    by_key = {(event.method, event.latent_dim, event.retraining): event for event in judged}
    trials = {trial.name: trial for stage in view.run.stages.values() for trial in stage.trials}
    shown = counting(view.winners)
    headings = ["Winner of", "Model", "Latent dimension", "Linear probe", "Neighbours"]
    headings += ["PCA: probe", "PCA: neighbours", "Pixels: probe", "Pixels: neighbours"]
    rows = []
    for winner, (_, line) in zip(winner_names(shown), shown.iterrows(), strict=True):
        latent_dim = line["latent_dim"]
        mine = [("model", latent_dim, found.trial.name) for found in retrained_as(view.run, trials[line["trial"]])]
        found = next((by_key[key] for key in mine if key in by_key), None)
        if found is None:
            continue
        beside = [found, by_key.get(("pca", latent_dim, None)), by_key.get(("pixels", None, None))]
        accuracies = [_accuracy(event, name) for event in beside for name in ("probe_accuracy", "neighbour_accuracy")]
        rows.append([inert(winner), code(line["model"]), str(latent_dim), *accuracies])
    return Table(headings, rows, num_labels=2)


def _accuracy(event: Codes | None, name: str) -> str | Value:
    """Formats an accuracy with what it was measured on behind it: the codes of a retraining, or a baseline's."""
    if event is None:
        return MISSING
    text = percent(getattr(event, name), 1)
    if event.retraining:
        return Value(text, (event.retraining,))
    return Value(text, baseline=codes_key(event.dataset, event.method, event.latent_dim))


def code_drawings(view: DatasetView) -> list[Drawing]:
    """Returns the figures of the codes of each stage's best plain winner."""
    found = []
    for event in view.run.pictures:
        wanted = event.dataset == view.dataset and event.purpose == "codes"
        arrays = picture_arrays(view.folder, event) if wanted else None
        if arrays is None:
            continue
        name = file_name(view.dataset, event.stage, "codes")
        whose = f"the retrained winner of {event.stage}{pictured(view.run, event)[0].whose(others=True)}"
        if {"positions", "labels"} <= arrays.keys():
            found.append(code_map_figure(f"{name}-map", view.dataset, whose, arrays["positions"], arrays["labels"]))
        found.append(lines_figure(f"{name}-lines", view.dataset, whose, arrays["lines"]))
        if "samples" in arrays:
            found.append(samples_figure(f"{name}-samples", view.dataset, whose, arrays["samples"]))
    return found
