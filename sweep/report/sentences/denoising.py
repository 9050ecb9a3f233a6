"""Whether the network beats the best linear denoiser, and how it stands to what was published."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.markdown import inert, listing
from aesweep.report.published import Published
from aesweep.report.rows import Stage
from aesweep.report.sentences.rules import cell_text, is_known


def denoisers(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """At which noise variances the network beats the linear MMSE denoiser in PSNR, on validation and on test images."""
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
    """One line on a denoising stage: its sentence on test images, if it was retrained; named where there are others."""
    name = "" if is_alone else f"{inert(stage.name)}: "
    return next((name + text for text in denoisers(stage, frame) if " test images" in text), None)


def published_denoising(dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """Published PSNR beside this run's under both readings of a noise level: standard deviation and variance."""
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
