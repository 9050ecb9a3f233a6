"""A study's whole search on one GPU, packs and all, without Ray: how long is it when nothing else costs anything?

    python tests/benchmarks/bench_search.py STUDY [--data-dir DATA] [--device cuda] [--at-once 64] [--retrain]

All trials train in this process; the rest is what `aesweep run` does: ASHA, journal, states, baselines, winners. Told
for each stage are its trials and epochs, its seconds (baselines included), those of training alone, and model-steps a
second of training. `--retrain` goes on to the winners' retraining and the report.

Prints 'no GPU' and exits with 0 where there is none, unless it is told to use a CPU. It has not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1] / "uninstalled"))  # for a checkout where nothing is installed

import aesweep.run.driver
from aesweep.cluster.room import Node
from aesweep.data.datasets import ImageData
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.progress import Progress
from aesweep.run.settings import RunSettings
from aesweep.search.recorder import Recorder
from aesweep.search.trial_queue import TrialQueue
from aesweep.storage.artifacts import Files
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.inputs import load_images
from aesweep.study.schema import Study
from aesweep.study.study_file import load_study
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack_pool import Packs
from aesweep.training.packed_trial import PackedTrial
from aesweep.training.trial_images import count_images


class OneDevice:
    """Takes the place of `aesweep.cluster.runner.Cluster`: trains in this process.

    Args:
        device: to train on.
        at_once: trials.

    Attributes:
        steps: for each trial that was trained, the model-steps of an epoch.
    """

    def __init__(self, device: str, at_once: int):
        self._device = device
        self._at_once = at_once
        self.steps: dict[str, int] = {}

    def __call__(self, images: dict[str, ImageData], files: Files, *_: Any, **__: Any) -> OneDevice:
        self._images, self._files = images, files
        return self

    def __enter__(self) -> OneDevice:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for_gpus(self, *_: Any) -> None:
        """There is one device, and it is here."""

    def nodes(self) -> list[Node]:
        """Nothing that would have to be chosen: all trials train on the device."""
        return [Node(1, 0)]

    def check_room(self, _: Any) -> None:
        """There is room: trials take turns."""

    def train(
        self, queue: TrialQueue, *, recorder: Recorder, resources: Any, stop_requested: Callable[[], bool]
    ) -> None:
        """As `Cluster.train`, but that a trial that breaks ends it all."""
        packs = Packs(self._device)
        held = dict[PackedTrial, float]()
        while len(queue) or held:
            if stop_requested():
                return
            while len(held) < self._at_once and (spec := next(queue, None)) is not None:
                configure_torch(1, spec.precision)
                trained, _ = count_images(spec, len(self._images[spec.dataset].training))
                self.steps[spec.trial] = len(spec.seeds) * math.ceil(trained / spec.configuration.batch_size)
                held[packs.join(spec, self._images[spec.dataset], self._files)] = 0.0
            for packed, row in packs.train_epoch():
                if isinstance(row, Exception):
                    raise row
                held[packed] += row.held_seconds
                if recorder.take(packed.spec, row, round(held[packed], 3)):
                    packed.taken(row.epoch)
                else:
                    packs.leave(packed)
                    del held[packed]


def search_alone(study: Study) -> Study:
    """The study without retraining."""
    values = study.resolved()
    for stage in values["stages"].values():
        stage["retraining"] = {"of": "none"}
    return Study.model_validate(values)


def table(study: Study, events: list[dict[str, Any]], steps: dict[str, int]) -> str:
    """A line per stage, and one for all of the search.

    Args:
        study: what ran.
        events: its journal's.
        steps: for each trial, the model-steps of one of its epochs.
    """
    stages = {event["trial"]: event["stage"] for event in events if event["kind"] == "trial_created"}
    lines = [
        "| stage | trials | epochs | seconds | training, s | model-steps | model-steps a second of training |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    sums = [0, 0, 0.0, 0.0, 0]
    for name in study.stages:
        rows = [event for event in events if event["kind"] == "row" and stages.get(event["trial"]) == name]
        ended = next(event for event in events if event["kind"] == "stage_ended" and event["stage"] == name)
        found = [
            list(stages.values()).count(name),
            len(rows),
            ended["seconds"],
            sum(row["seconds"] for row in rows),
            sum(steps[row["trial"]] for row in rows),
        ]
        sums = [total + value for total, value in zip(sums, found, strict=True)]
        lines.append(_line(name, found))
    return "\n".join([*lines, _line("all", sums)])


def _line(name: str, found: list[float]) -> str:
    trials, epochs, seconds, training, steps = found
    return f"| {name} | {trials} | {epochs} | {seconds:.1f} | {training:.1f} | {steps:,} | {steps / training:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--data-dir", default=os.environ.get("AESWEEP_DATA_DIR"), help="[env: AESWEEP_DATA_DIR]")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--at-once", type=int, default=64, help="trials")
    parser.add_argument("--retrain", action="store_true", help="go on to the winners and the report")
    parser.add_argument("--keep", type=Path, help="folder for runs; otherwise nothing is left behind")
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU")
        return
    study = load_study(arguments.study, ())
    study = study if arguments.retrain else search_alone(study)
    images = load_images(study, arguments.data_dir, False)
    aesweep.run.driver.Cluster = device = OneDevice(arguments.device, arguments.at_once)
    with tempfile.TemporaryDirectory(prefix="bench") as scratch:
        folder = RunFolder.create(arguments.keep or Path(scratch), study.name)
        with folder.one_writer(), Interruption() as interruption, Progress(Console(stderr=True)) as progress:
            run = aesweep.run.driver.Run(
                study, folder, images, RunState(), RunSettings(num_workers=1), interruption, callbacks=[progress]
            )
            outcome = run.execute(sys.argv)
        if outcome.status != "completed":
            raise SystemExit(f"the search ended as {outcome.status}")
        from aesweep.storage.journal import read_journal

        name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else arguments.device
        print(f"{study.name} on {name}, torch {torch.__version__}\n")
        print(table(study, read_journal(folder.journal), device.steps))
        if arguments.retrain:
            from aesweep.run.session import write_report

            print(f"\n{write_report(folder)}")


if __name__ == "__main__":
    main()
