"""A toy in place of the training, so that a run can be killed between any two events, and what tests ask of such runs.

A test that imports the fixture `toy` has it in all of its module.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import signal

import pytest
from rich.console import Console

import aesweep.run.driver
import aesweep.run.evaluation.baselines
import aesweep.run.evaluation.codes
import aesweep.run.evaluation.example_images
from aesweep.cluster.room import Node
from aesweep.data.datasets import load_dataset
from aesweep.run.callbacks.progress import Progress
from aesweep.run.driver import Run
from aesweep.run.settings import RunSettings
from aesweep.search.retry_policy import Cause
from aesweep.search.trial_row import ErrorsOnTest, TrialRow
from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_state import RunState
from aesweep.study.study_file import load_study

# What may differ between a run that was killed and one that was not: when, how long, and how it was resumed.
TIMES = {"time", "seq", "seconds", "command", "environment"}


class ToyCluster:
    """Trains one trial after another without training: each row follows from the trial and the epoch alone."""

    trained: list = []  # noqa: RUF012 - (trial, epoch) as they were asked for, of all clusters
    diverging: frozenset = frozenset()
    failing: frozenset = frozenset()
    interrupt_after: int | None = None

    def __init__(self, images, files, num_workers, address, note, interruption):
        self._files = files

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def nodes(self):
        return [Node(1, 0)]

    def wait_for_gpus(self, *_):
        pass

    def check_room(self, resources):
        assert resources.trainers == 0  # what "auto" means where there is no GPU

    def train(self, queue, *, recorder, resources, stop_requested):
        for spec in queue:
            if spec.trial in self.failing:
                recorder.fail(spec, Cause.ERROR, "the worker broke")
                continue
            epoch = spec.recorded - 1 if spec.recorded > 1 and spec.recorded % 2 else 0  # an older state, or none
            goes_on = True
            while goes_on and not stop_requested():
                epoch += 1
                type(self).trained.append((spec.trial, epoch))
                if len(self.trained) == self.interrupt_after:
                    interruption.signal_number = signal.SIGINT
                row = toy_row(spec, epoch, self.diverging)
                if row.checkpoint:
                    self._files.write(row.checkpoint["file"], spec.trial.encode())
                goes_on = recorder.take(spec, row, seconds=0.1)
        recorder.end_unfinished("the run was interrupted")


class Interrupted:
    """An interruption that a test sets."""

    signal_number = None

    def defer(self) -> None:
        """A test's signals come between a run's steps alone."""

    def requested(self):
        return self.signal_number is not None


interruption = Interrupted()


def toy_row(spec, epoch, diverging):
    digest = hashlib.sha256(f"{spec.trial}/{epoch}".encode()).digest()
    value = (1 + digest[0] / 256) / (1 + epoch)
    bad = spec.trial in diverging and epoch == 2
    is_last = epoch == spec.epochs
    checkpoint = {"file": spec.checkpoint, "sha256": hashlib.sha256(spec.trial.encode()).hexdigest()}
    others = [value * (0.8 + digest[k] / 640) for k in range(1, len(spec.seeds))]
    validation = {"validation_mse": value, "validation_psnr_db": -value, "per_seed": [value, *others]}
    return TrialRow(
        epoch=epoch,
        loss=math.nan if bad else value,
        training_mse=value,
        learning_rate=0.1,
        seconds=0.1,
        diverged=bad,
        **(validation if spec.purpose == "search" else {}),
        test=ErrorsOnTest(value, -value, value) if is_last and spec.purpose == "retraining" else None,
        checkpoint={**checkpoint, "num_bytes": len(spec.trial)} if is_last else None,
    )


def toy_pictures(folder, study, images, done, skip=()):
    for stage in dict.fromkeys(winner.stage for retraining in done for winner in retraining.serves):
        if (stage, "reconstruction") not in skip:
            content = f"{images.name}, {stage}".encode()
            name = f"pictures/{images.name}-{stage}.npz"
            FolderFiles(folder.root).write(name, content)
            sha256 = hashlib.sha256(content).hexdigest()
            known = {"dataset": images.name, "stage": stage, "purpose": "reconstruction", "latent_dim": 2}
            yield {**known, "noise_variances": None, "file": name, "sha256": sha256}


def toy_validation_baselines(specs, images, stage):
    return toy_baselines({spec.configuration for spec in specs}, images, "validation", stage)


def toy_test_baselines(configurations, split_seed, images):
    return toy_baselines(configurations, images, "test", None)


def toy_baselines(configurations, images, split, stage):
    for latent_dim in sorted({configuration.latent_dim for configuration in configurations}):
        fields = {"dataset": images.name, "split": split, "stage": stage, "method": "pca", "latent_dim": latent_dim}
        yield {**fields, "noise_variance": None, "mse": 0.1, "psnr_db": 10.0, "ssim": None}


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(aesweep.run.driver, "Cluster", ToyCluster)
    monkeypatch.setattr(aesweep.run.driver, "describe_environment", dict)
    monkeypatch.setattr(Journal, "sync", lambda journal: None)
    monkeypatch.setattr(aesweep.run.evaluation.baselines, "validation_baselines", toy_validation_baselines)
    monkeypatch.setattr(aesweep.run.evaluation.baselines, "test_baselines", toy_test_baselines)
    monkeypatch.setattr(aesweep.run.evaluation.example_images, "take_pictures", toy_pictures)
    for name in ("code_pictures", "judge_codes"):
        monkeypatch.setattr(aesweep.run.evaluation.codes, name, lambda *_: ())
    monkeypatch.setattr(interruption, "signal_number", None)
    for name, value in (("trained", []), ("diverging", frozenset()), ("failing", frozenset())):
        monkeypatch.setattr(ToyCluster, name, value)
    monkeypatch.setattr(ToyCluster, "interrupt_after", None)


@pytest.fixture(name="study")
def toy_study(small_study, write_study):
    return load_study(write_study(small_study))


@pytest.fixture(name="images", scope="module")
def toy_images():
    return {"digits": load_dataset("digits")}


def new_run(study, folder, images) -> Run:
    folder.root.mkdir(parents=True, exist_ok=True)
    state = RunState(read_journal(folder.journal) if folder.journal.exists() else ())
    progress = Progress(Console(file=io.StringIO()))
    return Run(study, folder, images, state, RunSettings(1), interruption, callbacks=[progress], say=progress.say)


def finished(study, folder, images) -> list[dict]:
    assert new_run(study, folder, images).execute(["aesweep"]).status != "interrupted"
    return read_journal(folder.journal)


def record(events) -> list[dict]:
    """What must be the same: all that was recorded, in its order, but for times and what tells of the resuming."""
    return [
        {name: value for name, value in event.items() if name not in TIMES}
        for event in events
        if event["kind"] not in ("resumed", "continued", "run_ended")
        and not (event["kind"] == "trial_ended" and event["status"] == "interrupted")
    ]


def models(folder) -> list[str]:
    """The trials whose models are kept."""
    return sorted(path.stem for path in folder.checkpoints.iterdir())


def cut(folder, lines, number):
    """A copy of a run that was killed after so many events; for most numbers in the midst of writing the next."""
    folder.root.mkdir(parents=True)
    for event in map(json.loads, lines[:number]):
        if "checkpoint" in event:
            FolderFiles(folder.root).write(event["checkpoint"]["file"], event["trial"].encode())
        if event["kind"] == "pictures":
            FolderFiles(folder.root).write(event["file"], f"{event['dataset']}, {event['stage']}".encode())
    folder.journal.write_bytes(b"".join(lines[:number]) + b"".join(lines[number:])[: number % 40])
