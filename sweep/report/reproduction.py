"""What a reader types to make a run again: as it was typed, or, where that was on a cluster, what leads there."""

from __future__ import annotations

from collections.abc import Sequence

from aesweep.report.rows.types import Run

# Of a command that asked for more of a run, what decides its result wherever it is given.
_DECISIVE = ("--epochs", "--seeds", "--samples", "--stage")


def reproduction(run: Run) -> tuple[list[Sequence[str]], str]:
    """Commands that make the run again, and a sentence on where they are to be given; empty where that is plain.

    A run on a cluster was started with paths of the cluster's head, which lead nowhere elsewhere; the study that lies
    in the run's folder holds every setting, those given with --set too.
    """
    first = run.commands[0] if run.commands else ()
    if not any(word.partition("=")[0] == "--address" for word in first):
        return list(run.commands), ""
    name = run.study["name"]
    commands: list[Sequence[str]] = [("aesweep", "run", "study.yaml", "--name", name)]
    commands += [("aesweep", *command[1:2], f"runs/{name}", *_decisive(command)) for command in run.commands[1:]]
    note = (
        "The run was made on a cluster; in this folder, the study and its settings lead to the same on one machine. "
        "Paths in study.yaml are those of the cluster's head: put yours in their place, and say with --data-dir where "
        "the images are, or --download."
    )
    return commands, note


def _decisive(command: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word, following in zip(command, [*command[1:], ""], strict=True):
        option, is_joined, _ = word.partition("=")
        if option in _DECISIVE:
            found += [word] if is_joined else [word, following]
    return found
