"""What the report tells a reader to type."""

from __future__ import annotations

import dataclasses

from aesweep.report.rows.types import Run
from aesweep.report.sections.reproduction import reproduction


def test_a_run_on_one_machine_is_made_again_as_it_was_typed(run: Run) -> None:
    assert reproduction(run) == ([("aesweep", "run", "jobs/a study.yaml")], "")


def test_a_run_on_a_cluster_is_made_again_without_the_paths_of_its_head(run: Run) -> None:
    head = "/home/ray/session/study.yaml"
    for address in (("--address", "auto"), ("--address=auto",)):
        commands = (
            ("aesweep", "run", head, "--runs", "/home/ray/aesweep-runs", "--set", "seed=3", *address),
            ("aesweep", "retrain", "/home/ray/aesweep-runs/synthetic", "--epochs", "80", "--seeds=2", *address),
            ("aesweep", "extend", "/home/ray/aesweep-runs/synthetic", "--samples", "4", "--stage", "denoising"),
        )
        shown, note = reproduction(dataclasses.replace(run, commands=commands))
        assert shown == [
            ("aesweep", "run", "study.yaml", "--name", "synthetic"),
            ("aesweep", "retrain", "runs/synthetic", "--epochs", "80", "--seeds=2"),
            ("aesweep", "extend", "runs/synthetic", "--samples", "4", "--stage", "denoising"),
        ]
        assert "/home/ray" not in str(shown) and "study.yaml" in note and "--data-dir" in note
