"""The report of a run: tables as CSV, figures as PNG and SVG, and one page that holds them together.

Made from the run folder alone: the journal and the pictures. The same journal gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import re
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from aesweep.journal import read_journal
from aesweep.process.wording import agree, plural
from aesweep.report import markdown, record_tables, result_tables
from aesweep.report.account import account_sentence, account_table, failure_table, stops_text
from aesweep.report.figures.rungs import rungs_figure
from aesweep.report.figures.style import Drawing, save, styled
from aesweep.report.published import Published
from aesweep.report.reading import read_run
from aesweep.report.reproduction import reproduction
from aesweep.report.rows import Run, Trial
from aesweep.report.sections import picture_arrays, pictures, stage_section
from aesweep.report.sentences import winners
from aesweep.report.sentences.claims import published_claims
from aesweep.report.sentences.denoising import denoising_headline
from aesweep.report.sentences.rules import OVERFITTING_GAP
from aesweep.report.tables import BASELINES, cell_table, seed_table, trial_table, winner_table
from aesweep.run_folder import RunFolder, write_whole


def write_report(folder: RunFolder | Path) -> Path:
    """Writes tables/*.csv, figures/*.png and *.svg, then report.md; returns the report's path.

    Removes at the end what an earlier report left in these two folders under these endings.

    Args:
        folder: the run. It may be unfinished: what is missing is said in the report.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    run = read_run(read_journal(folder.journal))
    with styled():
        report = Report(run, folder)
        text = report.render()
        for name, frame in report.frames.items():
            write_whole(folder.tables / f"{name}.csv", _csv(frame))
        for drawing in report.drawings:
            save(drawing, folder.figures)
    write_whole(folder.report, text)
    _remove_others(folder, folder.tables, {f"{name}.csv" for name in report.frames}, (".csv",))
    names = {f"{drawing.name}{ending}" for drawing in report.drawings for ending in (".png", ".svg")}
    _remove_others(folder, folder.figures, names, (".png", ".svg"))
    return folder.report


class Report:
    """The page and everything that it shows.

    Args:
        run: the rows.
        folder: where the pictures lie.

    Attributes:
        frames: name of a CSV file to its frame.
        drawings: every figure that the page shows, once it is rendered.
    """

    def __init__(self, run: Run, folder: RunFolder):
        self.run = run
        self.drawings: list[Drawing] = []
        self._folder = folder
        self._published = Published(run.reference)
        self._cells = {
            (name, dataset): cell_table(run, stage, dataset)
            for name, stage in run.stages.items()
            for dataset in stage.datasets
        }
        self._winners = {dataset: winner_table(run, dataset, self._published) for dataset in run.datasets}
        self._account = account_table(run)
        self._failures = failure_table(run)
        self.frames: dict[str, pd.DataFrame] = {
            "trials": trial_table(run),
            "retrainings": seed_table(run),
            "account": self._account.assign(stopped_at=self._account["stopped_at"].map(stops_text)),
            "failures": self._failures,
        }
        self._tables: dict[tuple[str, str], str] = {}
        for (stage, dataset), frame in self._cells.items():
            shown = frame.drop(columns=["rows", "columns"])
            unused = [name for name in shown if name.startswith(BASELINES) and shown[name].isna().all()]
            self._add_table(stage, dataset, shown.drop(columns=unused))
        for dataset, frame in self._winners.items():
            if len(frame):
                self._add_table("winners", dataset, frame, key="")

    def _add_table(self, name: str, dataset: str, frame: pd.DataFrame, key: str | None = None) -> None:
        file = markdown.untaken(markdown.file_name(dataset, name), self.frames)
        self.frames[file] = frame
        self._tables[name if key is None else key, dataset] = file

    def _named(self, drawings: list[Drawing]) -> list[Drawing]:
        """The drawings under names of their own, whatever stages and data sets are called."""
        named = []
        for drawing in drawings:
            name = markdown.untaken(drawing.name, [known.name for known in self.drawings])
            self.drawings.append(dataclasses.replace(drawing, name=name))
            named.append(self.drawings[-1])
        return named

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
            plural=plural, inert=markdown.inert, code=markdown.code, dataset=markdown.dataset_name
        )
        commands, where = reproduction(self.run)
        text = environment.get_template("page.md.j2").render(
            run=self.run,
            state=self._state(),
            datasets=[self._dataset(name) for name in self.run.datasets],
            published=self._published,
            claims=published_claims(self.run, self._cells, self._published),
            overfitting_percent=round(100 * OVERFITTING_GAP),
            account=record_tables.account_markdown(self._account),
            wall_times=self._wall_times(),
            failures=record_tables.failures_markdown(self._failures),
            command=markdown.shell_block(*commands),
            where=where,
            started=_utc(self.run.started_at),
            retraining_seeds=sorted({seed for r in self.run.retrainings for seed in r.trial.seeds}),
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    def _state(self) -> list[str]:
        """What is missing of a run; empty where nothing is."""
        run, found = self.run, []
        for name, settings in run.study.get("stages", {}).items():
            stage = run.stages.get(name)
            earlier = run.stages.get(settings.get("from"))
            if stage is None:
                found.append(f"Stage {markdown.inert(name)} was not started.")
            elif stage.seconds is None:
                ended = sum(trial.status not in ("unfinished", "waiting", "interrupted") for trial in stage.trials)
                found.append(
                    f"Stage {markdown.inert(name)} has not ended: {ended} of "
                    f"{plural(len(stage.trials), 'trial')} {agree(ended, 'has', 'have')}; its winners are provisional."
                )
            elif any(winner is None for winner in stage.winners.values()):
                found.append(f"Stage {markdown.inert(name)} has cells in which no trial was trained to its end.")
            if stage is not None and earlier is not None:
                found += [
                    f"Stage {markdown.inert(name)} was not run on {markdown.inert(markdown.dataset_name(dataset))}: "
                    f"stage {markdown.inert(earlier.name)} has no winner there."
                    for dataset in run.datasets
                    if dataset not in stage.datasets and earlier.best(dataset) is None
                ]
        owed = [retraining for retraining in run.retrainings if retraining.result is None]
        if owed:
            found.append(
                f"{len(owed)} of {plural(len(run.retrainings), 'retraining')} gave no result; intervals are "
                "over the seeds that did."
            )
        elif run.status in ("unfinished", "interrupted", "open") and not run.retrainings:
            found.append("No winner has been retrained, so the test set has not been opened.")
        found += [
            f"{markdown.code(event['file'])} is missing or not as it was recorded; its figures are left out."
            for event in run.pictures
            if picture_arrays(self._folder, event) is None
        ]
        return found

    def _dataset(self, dataset: str) -> dict[str, Any]:
        run, facts, frame = self.run, self.run.datasets[dataset], self._winners[dataset]
        plain = frame[frame["noise_variance"] == 0] if len(frame) else frame
        sections = [
            stage_section(run, stage, dataset, self._cells[stage.name, dataset], self._published, self._folder)
            for stage in run.stages.values()
            if dataset in stage.datasets
        ]
        sections = [
            dataclasses.replace(
                section, drawings=self._named(section.drawings), csv=self._tables[section.stage.name, dataset]
            )
            for section in sections
        ]
        reconstructions = self._named(pictures(run, self._folder, dataset, "reconstruction"))
        rungs = rungs_figure(markdown.file_name(dataset, "rungs"), run, dataset)
        rungs = self._named([rungs])[0] if rungs else None
        has_winners = bool(len(plain))
        denoising = [section.stage for section in sections if section.stage.kind == "denoising"]
        denoisers = [
            denoising_headline(stage, self._cells[stage.name, dataset], is_alone=len(denoising) == 1)
            for stage in denoising
        ]
        return {
            "name": dataset,
            "facts": facts,
            "num_images": facts["num_training_images"] + facts["num_validation_images"],
            "headline": " ".join(filter(None, [winners.headline(frame), *denoisers])),
            "sections": sections,
            "winners": result_tables.winners_markdown(plain, self._published, dataset) if has_winners else "",
            "winners_notes": result_tables.winners_notes(plain) if has_winners else "",
            "winners_prose": winners.winner_sentences(plain) + winners.published_winner(plain) if has_winners else [],
            "winners_csv": self._tables.get(("", dataset)),
            "reconstructions": reconstructions,
            "configurations": record_tables.configurations_markdown(self._best(dataset)),
            "account": [
                account_sentence(line)
                for _, line in self._account.iterrows()
                if line["dataset"] == dataset and line["stage"] in run.stages
            ],
            "rungs": rungs,
        }

    def _best(self, dataset: str) -> list[tuple[str, Trial]]:
        """The stages' winners; of a denoising stage each cell's, since its cells are different tasks."""
        found = []
        for stage in self.run.stages.values():
            if stage.kind == "denoising":
                frame = self._cells[stage.name, dataset] if dataset in stage.datasets else pd.DataFrame({"trial": []})
                trials = {trial.name: trial for trial in stage.trials}
                found += [
                    (f"{stage.name}, {markdown.cell_name(trials[line['trial']].cell)}", trials[line["trial"]])
                    for _, line in frame.iterrows()
                    if line["trial"] in trials
                ]
            elif stage.best(dataset) is not None:
                found.append((stage.name, stage.best(dataset)))
        return found

    def _wall_times(self) -> str:
        run = self.run
        parts = [f"{markdown.inert(s.name)} {markdown.duration(s.seconds)}" for s in run.stages.values() if s.seconds]
        if run.retraining_seconds:
            parts.append(f"retraining {markdown.duration(run.retraining_seconds)}")
        if run.seconds:
            parts.append(f"the whole run {markdown.duration(run.seconds)}")
        return markdown.listing(parts) if parts else ""


def _remove_others(folder: RunFolder, part: Path, names: set[str], endings: tuple[str, ...]) -> None:
    """Deletes the files right in a part of the run that are not among the names, of the given endings alone."""
    if not part.resolve().is_relative_to(folder.root.resolve()):
        return
    for path in sorted(part.glob("*")):
        if path.suffix in endings and path.name not in names and path.is_file():
            path.unlink()


def _csv(frame: pd.DataFrame) -> str:
    buffer = io.StringIO()
    # Counts stay whole numbers beside a missing one.
    frame.convert_dtypes().to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _utc(seconds: float | None) -> str:
    if seconds is None:
        return markdown.MISSING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
