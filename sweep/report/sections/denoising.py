"""Sections of stages over noise variances: whether networks beat the best linear denoiser, and published numbers."""

from __future__ import annotations

import itertools

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.analysis.statistics import Estimate
from aesweep.report.figures.denoising import denoising_figure
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import axis_name, axis_value, cell_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import DENOISERS, Stage, Trial
from aesweep.report.sections.cells import baseline_value, empty_cells, retrained, retrained_estimate, searched
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.rules import cell_text, is_known, verdict
from aesweep.report.sections.section import Claim, StageSection, StageView
from aesweep.report.text.markdown import bold, inert, listing
from aesweep.report.text.numbers import interval, number
from aesweep.report.text.table import Table, Value


class Denoising(StageSection):
    """The section of a stage whose table's rows are noise variances, so that its cells are different tasks."""

    rows = ("noise_variance",)

    @property
    def claims(self) -> dict[str, Claim]:
        return {"lower noise gives higher PSNR": noise_claim}

    def intro(self, view: StageView) -> str:
        clipped = "Noise is Gaussian, and every output, the noisy input too, is clipped to [0, 1] before it is judged."
        return f"{super().intro(view)} {clipped}"

    def tables(self, view: StageView) -> list[Table]:
        return [
            psnr_table(view.stage, view.dataset, view.frame),
            ssim_table(view.stage, view.dataset, view.frame),
        ]

    def notes(self, view: StageView) -> str:
        return ""

    def prose(self, view: StageView) -> list[str]:
        return [
            *denoisers(view.stage, view.frame),
            *empty_cells(view.stage, view.dataset, view.frame),
            *published_denoising(view.dataset, view.frame, view.published),
        ]

    def drawings(self, view: StageView) -> list[Drawing | None]:
        return [denoising_figure(view.name, view.run, view.stage, view.dataset, view.frame)]

    def headline(self, view: StageView, is_alone: bool) -> str | None:
        return denoising_headline(view.stage, view.frame, is_alone)

    def winners(self, view: StageView) -> list[tuple[str, Trial]]:
        trials = {trial.name: trial for trial in view.stage.trials}
        return [
            (f"{view.stage.name}, {cell_name(trials[line['trial']].cell)}", trials[line["trial"]])
            for _, line in view.frame.iterrows()
            if line["trial"] in trials
        ]


def psnr_table(stage: Stage, dataset: str, frame: pd.DataFrame) -> Table:
    """Formats a row per cell: PSNR of noisy input, linear denoiser and network, on validation and on test images."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Standard deviation"]
    headings += [f"{split}: {name}" for split in ("Validation", "Test") for name in ("noisy", "linear MMSE", "network")]
    rows = []
    for _, line in frame.iterrows():
        cells = [*_noise_cells(line, extra), f"{line['noise_variance'] ** 0.5:.2g}"]
        network = Estimate(line["validation_psnr_db"], None, 1) if is_known(line["validation_psnr_db"]) else None
        *beside, text = _triple(line, "validation", network, "psnr_db", dataset, stage.name)
        cells += [*beside, searched(line, text)]
        *beside, text = _triple(line, "test", retrained_estimate(line, "test_psnr_db"), "psnr_db", dataset)
        cells += [*beside, retrained(line, text)]
        rows.append(cells)
    return Table(headings, rows, 0, "PSNR in dB, the mean over images of 10 log10(1 / MSE):")


def ssim_table(stage: Stage, dataset: str, frame: pd.DataFrame) -> Table:
    """Formats a row per retrained cell: SSIM on test images; empty if no cell was retrained."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Test: noisy", "Test: linear MMSE", "Test: network"]
    rows = []
    for _, line in frame[frame["test_ssim"].notna()].iterrows():
        *beside, text = _triple(line, "test", retrained_estimate(line, "test_ssim"), "ssim", dataset)
        rows.append([*_noise_cells(line, extra), *beside, retrained(line, text)])
    return Table(headings, rows, 0, "SSIM, the mean over images:")


def _noise_cells(line: pd.Series, extra: list[str]) -> list[str]:
    return [f"{line['noise_variance']:g}", *(inert(axis_value(axis, line["columns"])) for axis in extra)]


def _triple(
    line: pd.Series, split: str, network: Estimate | None, quantity: str, dataset: str, stage: str | None = None
) -> list[str | Value]:
    """Formats noisy input, linear denoiser and network; the highest is bold if there are several to compare.

    The network's number, the last, is without the trials behind it.
    """
    noisy, linear = (line[f"{method}_{split}_{quantity}"] for method in DENOISERS)
    values = [noisy, linear, network.mean if network else None]
    known = [value for value in values if is_known(value)]
    best = max(known) if len(known) > 1 else None
    texts = [number(noisy, quantity), number(linear, quantity), interval(network, quantity)]
    *beside, last = [
        bold(text) if is_known(value) and value == best else text for value, text in zip(values, texts, strict=True)
    ]
    methods = zip(DENOISERS, beside, strict=True)
    return [*(baseline_value(line, text, method, dataset, stage) for method, text in methods), last]


def denoisers(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Says where the network beats the linear MMSE denoiser in PSNR, or does not, on validation and on test images."""
    sentences = []
    for split in ("validation", "test"):
        value, linear = f"{split}_psnr_db", f"linear_mmse_{split}_psnr_db"
        found = frame[frame[value].notna() & frame[linear].notna()]
        if found.empty:
            continue
        gains = found[value].astype(float) - found[linear].astype(float)
        losing = found[gains <= 0]
        if losing.empty:
            few = f"{gains.min():.2f}", f"{gains.max():.2f}"
            known = f"in the {plural(len(found), 'cell')} known"
            where = "at every noise variance" if len(found) == len(frame) else known
            by = f"{few[0]} dB" if few[0] == few[1] else f"{few[0]} to {few[1]} dB"
            sentences.append(f"On {split} images the network beats the linear MMSE denoiser {where}, by {by}.")
        else:
            cells = [f"{cell_text(stage, line)} (by {-gains[index]:.2f} dB)" for index, line in losing.iterrows()]
            sentences.append(
                f"**Undertrained:** on {split} images the network falls behind the linear MMSE denoiser at "
                f"{listing(cells)}."
            )
    return sentences


def denoising_headline(stage: Stage, frame: pd.DataFrame, is_alone: bool = True) -> str | None:
    """Returns a denoising stage's sentence on test images, if it was retrained, with its name if there are others."""
    name = "" if is_alone else f"{inert(stage.name)}: "
    return next((name + text for text in denoisers(stage, frame) if " test images" in text), None)


def published_denoising(dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """Compares published PSNR with this run's under both readings of a noise level: standard deviation and variance."""
    return [_published(frame, level, value) for level, value in published.denoising(dataset).items()]


def _published(frame: pd.DataFrame, level: float | None, value: float) -> str:
    if level is None:
        return f"Published: about {value:g} dB, at no stated noise level."
    parts = []
    for reading, variance in (("a standard deviation", level**2), ("a variance", level)):
        for _, line in frame[(frame["noise_variance"] - variance).abs() < 1e-9].iterrows():
            split = "test" if is_known(line["test_psnr_db"]) else "validation"
            psnr, linear = line[f"{split}_psnr_db"], line["linear_mmse_test_psnr_db"]
            if is_known(psnr):
                text = f"read as {reading}, the network reaches {psnr:.2f} dB here ({split} images)"
                if split == "test" and is_known(linear):
                    text += f" and the linear MMSE denoiser {linear:.2f} dB"
                parts.append(text)
    known = "; ".join(parts) or "this run has neither variance"
    return inert(f"Published: {value:g} dB at noise level {level:g}, which the source does not define: {known}.")


def noise_claim(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    known = frame.dropna(subset="validation_psnr_db").sort_values("noise_variance")
    if len(known) < 2 or stage.columns:
        return None
    values = list(known["validation_psnr_db"])
    pairs = list(itertools.pairwise(values))
    psnr = chance if chance.quantity == "psnr_db" else Chance("psnr_db", None)
    decided = [psnr.decides(first, second) for first, second in pairs]
    text = f"{listing([f'{value:.2f}' for value in values])} dB as the noise rises, on validation images"
    if not all(decided):
        text += f"; {psnr.text}"
    return verdict([second < first for first, second in pairs], decided), text
