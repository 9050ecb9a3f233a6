"""The commands that make a run again: those that were typed, or, after a run on a cluster, those for one machine."""

from __future__ import annotations

from collections.abc import Sequence

from aesweep.report.rows.types import Run

# The options of a command that asked for more of a run that decide its result, wherever the command is given.
_DECISIVE = ("--epochs", "--seeds", "--samples", "--stage")


def reproduction(run: Run) -> tuple[list[Sequence[str]], str]:
    """Returns the commands that make the run again, and a note on where to give them, which is empty if none is needed.

    A run on a cluster was started with paths of the cluster's head, which do not exist elsewhere; the study in the
    run's folder holds every setting, including those given with --set.
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
