"""A run from its first line to its report: stage after stage, then the retraining of the winners, then the report.

The journal leads: what a later step needs to know of an earlier one is taken from the events, as a reader would.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from data.image_data import ImageData
from sweep.asha import Asha
from sweep.cluster.runner import Cluster
from sweep.configuration import Configuration
from sweep.environment import describe_environment
from sweep.errors import JournalError
from sweep.inputs import read_reference
from sweep.interruption import Interruption
from sweep.job import Job, stage_jobs
from sweep.journal import Journal, read_journal
from sweep.progress import Progress
from sweep.retrain import Retraining, retrainings
from sweep.run_folder import RunFolder, write_whole
from sweep.study import Study
from sweep.winners import cell_winners, stage_winner


@dataclasses.dataclass
class Outcome:
    """How a run ended: "completed", "interrupted" (by which signal) or "failed" (what was left without a result)."""

    status: str
    signal_number: int | None
    missing: list[str]


class Run:
    """One execution of a study.

    Args:
        study: what to run.
        folder: a new run's folder.
        images: the study's data sets.
        progress: follows the events.
        interruption: asked whether to stop.
        num_workers: trials at once on this machine.
        address: of a Ray cluster; None for this machine alone.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        images: dict[str, ImageData],
        *,
        progress: Progress,
        interruption: Interruption,
        num_workers: int,
        address: str | None = None,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._progress = progress
        self._interruption = interruption
        self._workers = (num_workers, address)
        self._events = read_journal(folder.journal) if folder.journal.exists() else []
        self._journal = Journal(folder.journal)

    def execute(self, command: list[str]) -> Outcome:
        """Runs every stage, retrains the winners and records everything; the report is the caller's to write.

        Args:
            command: the command line, for the record.
        """
        started = time.monotonic()
        with self._journal:
            self._record_start(command)
            with self._started_cluster() as cluster:
                for stage in self._study.stages:
                    if not self._interruption.requested():
                        self._search(cluster, stage)
                if not self._interruption.requested():
                    self._retrain(cluster)
            outcome = self._outcome()
            self._record("run_ended", status=outcome.status, seconds=round(time.monotonic() - started, 3))
        return outcome

    def execute_retraining(self) -> Outcome:
        """Trains the winners of a finished search that the journal does not hold yet.

        Raises:
            JournalError: a stage of the search has not ended.
        """
        ended = {event["stage"] for event in self._events if event["kind"] == "stage_ended"}
        open_stages = [stage for stage in self._study.stages if stage not in ended]
        if open_stages:
            raise JournalError(
                f"{self._folder.journal}: stage {open_stages[0]} has not ended, so the search's winners are not known"
            )
        started = time.monotonic()
        with self._journal:
            with self._started_cluster() as cluster:
                self._retrain(cluster)
            outcome = self._outcome()
            self._record("run_ended", status=outcome.status, seconds=round(time.monotonic() - started, 3))
        return outcome

    def _started_cluster(self) -> Cluster:
        cluster = Cluster(self._images, *self._workers)
        self._interruption.install()
        return cluster

    def _record(self, kind: str, **fields: Any) -> dict[str, Any]:
        event = self._journal.append(kind, **fields)
        self._events.append(event)
        self._progress.follow(event)
        return event

    def _record_start(self, command: list[str]) -> None:
        reference = self._study.report.reference
        write_whole(self._folder.study, yaml.safe_dump(self._study.resolved(), sort_keys=False))
        self._record(
            "run_started",
            study=self._study.resolved(),
            study_hash=self._study.sha256(),
            command=command,
            environment=describe_environment(),
            num_workers=self._workers[0],
            reference=read_reference(reference) if reference else None,
            datasets={
                name: {
                    "sha256": data.sha256,
                    "shape": list(data.training.shape[1:]),
                    "num_training_images": len(data.training) - self._num_validation(data),
                    "num_validation_images": self._num_validation(data),
                    "num_test_images": len(data.test),
                }
                for name, data in self._images.items()
            },
        )

    def _num_validation(self, data: ImageData) -> int:
        return max(1, round(self._study.validation_fraction * len(data.training)))

    def _search(self, cluster: Cluster, name: str) -> None:
        stage = self._study.stages[name]
        jobs = stage_jobs(self._study, name, self._bases(name))
        started = time.monotonic()
        cells = {(job.dataset, job.cell) for job in jobs}
        self._record(
            "stage_started",
            stage=name,
            num_trials=len(jobs),
            num_cells=len(cells),
            rungs=stage.rungs(),
            epochs=stage.epochs,
            training_images=stage.training_images,
            validation_images=stage.validation_images,
            metric=stage.metric,
            mode=stage.mode,
            table=stage.table.model_dump(),
        )
        for job in jobs:
            self._record(
                "trial_created",
                stage=name,
                dataset=job.dataset,
                trial=job.trial,
                cell=dict(job.cell),
                configuration=job.configuration.as_dict(),
                seeds=list(job.seeds),
                epochs=job.epochs,
            )
        ashas = {cell: Asha(stage.rungs(), stage.asha.reduction_factor, stage.mode) for cell in cells}
        with ThreadPoolExecutor(1) as beside:
            baselines = beside.submit(self._validation_baselines, name, jobs)
            self._train(cluster, jobs, stage.metric, ashas)
            for found in baselines.result():
                self._record("baseline", **found)
        if not self._interruption.requested():
            self._record_winners(name)
            self._record("stage_ended", stage=name, seconds=round(time.monotonic() - started, 3))

    def _validation_baselines(self, name: str, jobs: list[Job]) -> list[dict[str, Any]]:
        """What the stage's cells are compared with; takes no longer than the training beside which it runs."""
        from sweep.comparison import validation_baselines

        found = []
        for dataset, images in self._images.items():
            here = [job for job in jobs if job.dataset == dataset]
            found += validation_baselines(here, images, name) if here else []
        return found

    def _bases(self, name: str) -> dict[str, Configuration | None]:
        """What each data set's trials start from; a data set whose earlier stage has no winner is left out."""
        stage = self._study.stages[name]
        names = [dataset.name for dataset in self._study.datasets]
        if stage.from_ is None:
            return dict.fromkeys(names)
        earlier = cell_winners(self._events, stage.from_)
        mode = self._study.stages[stage.from_].mode
        winners = {dataset: stage_winner(earlier, dataset, mode) for dataset in names}
        return {dataset: winner.configuration for dataset, winner in winners.items() if winner is not None}

    def _record_winners(self, name: str) -> None:
        stage = self._study.stages[name]
        winners = cell_winners(self._events, name)
        for (dataset, cell), winner in winners.items():
            trial, value = (winner.trial, winner.value) if winner else (None, None)
            self._record("cell_winner", stage=name, dataset=dataset, cell=dict(cell), trial=trial, value=value)
        for dataset in self._images:
            best = stage_winner(winners, dataset, stage.mode)
            if best is not None:
                self._record(
                    "stage_winner",
                    stage=name,
                    dataset=dataset,
                    cell=best.cell,
                    trial=best.trial,
                    value=best.value,
                    configuration=best.configuration.as_dict(),
                )

    def _retrain(self, cluster: Cluster) -> None:
        from sweep.comparison import test_baselines

        known = {event["trial"] for event in self._events if event["kind"] == "retraining_created"}
        retrained = {event["trial"] for event in self._events if event["kind"] == "retrained"}
        owed = retrainings(self._study, self._events, self._folder)
        started = time.monotonic()
        for retraining in owed:
            job = retraining.job
            if job.trial in known:
                continue
            self._record(
                "retraining_created",
                trial=job.trial,
                dataset=job.dataset,
                configuration=job.configuration.as_dict(),
                seed=job.seeds[0],
                epochs=job.epochs,
                num_images=len(self._images[job.dataset].training),
                serves=[{"stage": w.stage, "cell": w.cell, "trial": w.trial} for w in retraining.serves],
            )
        self._train(cluster, [r.job for r in owed if r.job.trial not in retrained], "training_mse", {})
        if self._interruption.requested():
            return
        retrained = {event["trial"] for event in self._events if event["kind"] == "retrained"}
        done = [retraining for retraining in owed if retraining.job.trial in retrained]
        for dataset, images in self._images.items():
            here = [retraining for retraining in done if retraining.job.dataset == dataset]
            if here:
                self._record_test(dataset, images, here, test_baselines)
        self._record("stage_ended", stage="retraining", seconds=round(time.monotonic() - started, 3))

    def _record_test(
        self, dataset: str, images: ImageData, done: list[Retraining], test_baselines: Callable[..., Any]
    ) -> None:
        from sweep.pictures import take_pictures

        searched = {
            Configuration.from_dict(event["configuration"])
            for event in self._events
            if event["kind"] == "trial_created" and event["dataset"] == dataset
        }
        jobs = [dataclasses.replace(done[0].job, configuration=configuration) for configuration in searched]
        for found in test_baselines(jobs, images):
            self._record("baseline", **found)
        for found in take_pictures(self._folder, images, done, self._study.report.num_pictures):
            self._record("pictures", **found)

    def _train(self, cluster: Cluster, jobs: list[Job], metric: str, ashas: dict[Any, Asha]) -> None:
        if jobs:
            cluster.train(
                jobs,
                record=self._record,
                metric=metric,
                ashas=ashas,
                resources=self._study.resources,
                stop_requested=self._interruption.requested,
            )

    def _outcome(self) -> Outcome:
        if self._interruption.requested():
            return Outcome("interrupted", self._interruption.signal_number, [])
        empty = [
            f"{event['stage']}, {event['dataset']}, "
            + ", ".join(f"{axis} {value}" for axis, value in event["cell"].items())
            for event in self._events
            if event["kind"] == "cell_winner" and event["trial"] is None
        ]
        owed = {event["trial"] for event in self._events if event["kind"] == "retraining_created"}
        done = {event["trial"] for event in self._events if event["kind"] == "retrained"}
        return Outcome("failed" if empty or owed - done else "completed", None, empty + sorted(owed - done))
