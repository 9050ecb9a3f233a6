"""The report of a run: tables as CSV, figures as PNG and SVG, and one page that holds them together.

Made from the run folder alone: the journal and the pictures. The same journal gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import re
import shlex
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from sweep.journal import read_journal
from sweep.report import markdown, markdown_tables, sentences
from sweep.report.account import account_table, failure_table
from sweep.report.claims import published_claims
from sweep.report.figures.architecture import architecture_figure
from sweep.report.figures.curves import learning_curves
from sweep.report.figures.denoising import denoising_figure
from sweep.report.figures.pictures import denoising_grid, reconstruction_grid
from sweep.report.figures.rungs import rungs_figure
from sweep.report.figures.style import Drawing, save, styled
from sweep.report.published import Published
from sweep.report.rows import Run, Stage, Trial, read_run
from sweep.report.tables import cell_table, seed_table, trial_table, winner_table
from sweep.run_folder import RunFolder, write_whole


@dataclasses.dataclass(frozen=True)
class Section:
    """What the page shows of one stage on one data set."""

    stage: Stage
    title: str
    judged_on: str
    prose: list[str]
    tables: list[tuple[str, str]]
    drawings: list[Drawing]
    csv: str


def write_report(folder: RunFolder | Path) -> Path:
    """Writes tables/*.csv, figures/*.png and *.svg, and report.md last; returns the report's path.

    Args:
        folder: the run. It may be unfinished: what is missing is said in the report.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    run = read_run(read_journal(folder.journal))
    with styled():
        report = Report(run, folder)
        for name, frame in report.frames.items():
            write_whole(folder.tables / f"{name}.csv", _csv(frame))
        text = report.render()
        for drawing in report.drawings:
            save(drawing, folder.figures)
    write_whole(folder.report, text)
    return folder.report


class Report:
    """The page and everything that it shows.

    Args:
        run: the rows.
        folder: where the pictures lie.
    """

    def __init__(self, run: Run, folder: RunFolder):
        self.run = run
        self._folder = folder
        self._published = Published(run.reference)
        self.drawings: list[Drawing] = []
        self.frames: dict[str, pd.DataFrame] = {}
        self._cells = {
            (name, dataset): cell_table(run, stage, dataset)
            for name, stage in run.stages.items()
            for dataset in stage.datasets
        }
        self._winners = {dataset: winner_table(run, dataset, self._published) for dataset in run.datasets}
        self._account = account_table(run)
        for (stage, dataset), frame in self._cells.items():
            self.frames[file_name(dataset, stage)] = frame.drop(columns=["rows", "columns"])
        for dataset, frame in self._winners.items():
            if len(frame):
                self.frames[file_name(dataset, "winners")] = frame
        self.frames.update(
            trials=trial_table(run), retrainings=seed_table(run), account=self._account, failures=failure_table(run)
        )

    def render(self) -> str:
        """The page's markdown. Draws the figures on the way."""
        environment = jinja2.Environment(  # noqa: S701 - markdown, made inert by `markdown.inert` and `markdown.code`
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters.update(
            inert=markdown.inert, code=markdown.code, duration=markdown.duration, dataset=markdown.dataset_name
        )
        text = environment.get_template("page.md.j2").render(
            run=self.run,
            started=_utc(self.run.started_at),
            state=self._state(),
            datasets=[self._dataset(name) for name in self.run.datasets],
            published=self._published,
            claims=[
                (claim, dataset, verdict)
                for claim, dataset, verdict in published_claims(self.run, self._cells, self._published)
            ],
            account=markdown_tables.account_markdown(self._account),
            account_prose=self._account_prose(),
            failures=markdown_tables.failures_markdown(self.frames["failures"]),
            command=shlex.join(self.run.command),
            retraining=self.run.study.get("retraining", {}),
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    def _state(self) -> list[str]:
        """What is missing, for a run that has not ended well; empty for one that has."""
        run = self.run
        found = []
        for name in run.study.get("stages", {}):
            stage = run.stages.get(name)
            if stage is None:
                found.append(f"Stage {markdown.inert(name)} was not started.")
            elif stage.seconds is None:
                ended = sum(trial.status not in ("unfinished", "waiting", "interrupted") for trial in stage.trials)
                found.append(
                    f"Stage {markdown.inert(name)} has not ended: {ended} of "
                    f"{markdown.plural(len(stage.trials), 'trial')} have; its winners are provisional."
                )
        owed = [retraining for retraining in run.retrainings if retraining.result is None]
        if owed:
            found.append(
                f"{len(owed)} of {markdown.plural(len(run.retrainings), 'retraining')} gave no result; intervals are "
                "over the seeds that did."
            )
        elif run.status in ("unfinished", "interrupted") and not run.retrainings:
            found.append("No winner has been retrained, so the test set has not been opened.")
        return found

    def _dataset(self, dataset: str) -> dict[str, Any]:
        facts = self.run.datasets[dataset]
        winners = self._winners[dataset]
        plain = winners[winners["noise_variance"] == 0] if len(winners) else winners
        sections = [
            self._section(stage, dataset) for stage in self.run.stages.values() if dataset in stage.datasets
        ]
        rungs = self._keep(rungs_figure(file_name(dataset, "rungs"), self.run, dataset))
        return {
            "name": dataset,
            "facts": facts,
            "headline": sentences.headline(self.run, dataset, winners),
            "sections": sections,
            "winners": markdown_tables.winners_markdown(plain, self._published, dataset) if len(plain) else "",
            "winners_prose": sentences.winner_sentences(plain),
            "winners_csv": file_name(dataset, "winners"),
            "num_images": facts["num_training_images"] + facts["num_validation_images"],
            "reconstructions": self._pictures(dataset, "reconstruction"),
            "configurations": markdown_tables.configurations_markdown(self._best(dataset)),
            "rungs": rungs,
            "account": [
                f"{markdown.inert(line['stage'])}: {sentences.account_sentences(line)}"
                for _, line in self._account.iterrows()
                if line["dataset"] == dataset and line["stage"] in self.run.stages
            ],
        }

    def _section(self, stage: Stage, dataset: str) -> Section:
        frame = self._cells[stage.name, dataset]
        name = file_name(dataset, stage.name)
        prose = sentences.best_cell(stage, frame)
        if stage.kind == "architecture":
            prose += sentences.undertrained(stage, frame) + sentences.column_ranks(stage, frame)
            prose += sentences.published_against_baselines(stage, dataset, frame, self._published)
            tables = [("", markdown_tables.architecture_markdown(stage, dataset, frame, self._published))]
            drawings = [self._keep(architecture_figure(name, stage, dataset, frame, self._published))]
        elif stage.kind == "regularization":
            prose += sentences.regularizers(self.run, stage, dataset, frame) + sentences.undertrained(stage, frame)
            tables = [("", markdown_tables.regularization_markdown(self.run, stage, dataset, frame, self._published))]
            drawings = [self._keep(learning_curves(f"{name}-curves", stage, dataset))]
        elif stage.kind == "denoising":
            prose += sentences.denoisers(stage, dataset, frame, self._published)
            tables = [
                ("PSNR in dB, the mean over images of 10 log10(1 / MSE).", markdown_tables.psnr_markdown(stage, frame)),
                ("SSIM, the mean over images.", markdown_tables.ssim_markdown(stage, frame)),
            ]
            drawings = [self._keep(denoising_figure(name, self.run, stage, dataset, frame))]
            drawings += self._pictures(dataset, "denoising", stage.name)
        else:
            prose += sentences.undertrained(stage, frame)
            tables = [("", markdown_tables.generic_markdown(stage, frame))]
            drawings = [self._keep(learning_curves(f"{name}-curves", stage, dataset))]
        return Section(
            stage,
            stage.name.replace("_", " ").capitalize(),
            self._judged_on(stage, dataset),
            prose,
            [(caption, text) for caption, text in tables if text],
            [drawing for drawing in drawings if drawing],
            name,
        )

    def _judged_on(self, stage: Stage, dataset: str) -> str:
        """Which images, seeds and trials stand behind a stage's numbers."""
        facts = self.run.datasets[dataset]
        training = min(stage.training_images or facts["num_training_images"], facts["num_training_images"])
        validation = min(stage.validation_images or facts["num_validation_images"], facts["num_validation_images"])
        trials = [trial for trial in stage.trials if trial.dataset == dataset]
        seeds = len(trials[0].seeds)
        return (
            f"{markdown.plural(len(trials), 'trial')} in {markdown.plural(len(stage.cells(dataset)), 'cell')}, "
            f"{markdown.plural(seeds, 'seed')} each, up to {markdown.plural(stage.epochs, 'epoch')} on {training:,} "
            f"training images; judged on {validation:,} validation images, by which alone the winners were selected."
        )

    def _best(self, dataset: str) -> list[tuple[str, Trial]]:
        """The stages' winners; of a denoising stage each cell's, since its cells are different tasks."""
        found = []
        for stage in self.run.stages.values():
            if stage.kind == "denoising":
                for cell, winner in sorted(stage.cells(dataset).items(), key=lambda item: str(item[0])):
                    if winner is not None:
                        label = ", ".join(markdown.axis_value(axis, value) for axis, value in cell)
                        found.append((f"{stage.name} {label}", winner))
            elif stage.best(dataset) is not None:
                found.append((stage.name, stage.best(dataset)))
        return found

    def _account_prose(self) -> list[str]:
        run = self.run
        walls = [f"{markdown.inert(s.name)} {markdown.duration(s.seconds)}" for s in run.stages.values() if s.seconds]
        if run.retraining_seconds:
            walls.append(f"retraining {markdown.duration(run.retraining_seconds)}")
        found = [f"Wall time: {', '.join(walls)}; the whole run {markdown.duration(run.seconds)}."] if walls else []
        return found

    def _pictures(self, dataset: str, purpose: str, stage: str | None = None) -> list[Drawing]:
        found = []
        for event in self.run.pictures:
            if event["dataset"] != dataset or event["purpose"] != purpose or stage not in (None, event["stage"]):
                continue
            path = self._folder.resolve(event["file"])
            if not path.is_file():
                continue
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            name = file_name(dataset, event["stage"], "pictures")
            if purpose == "reconstruction":
                found.append(self._keep(reconstruction_grid(name, dataset, arrays, event["latent_dim"])))
            else:
                for index, variance in enumerate(event["noise_variances"]):
                    drawing = denoising_grid(f"{name}-{variance:g}", dataset, arrays, index, variance)
                    found.append(self._keep(drawing))
        return found

    def _keep(self, drawing: Drawing | None) -> Drawing | None:
        if drawing is not None:
            self.drawings.append(drawing)
        return drawing


def file_name(*parts: str) -> str:
    """Names joined to one that is safe as a file's."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts)).lstrip(".")


def _csv(frame: pd.DataFrame) -> str:
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _utc(seconds: float | None) -> str:
    if seconds is None:
        return markdown.MISSING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
