"""What `aesweep extend` asks of a finished run, and what the journal says of it.

An extension gives each cell more samples, or gives a longer budget to the trials that were trained to their end. It is
an event of the journal; `stages.py` derives the trials.
"""

from __future__ import annotations

from collections.abc import Iterable

from aesweep.process.errors import StudyError
from aesweep.process.wording import plural
from aesweep.storage.event import Event
from aesweep.storage.events import Extended
from aesweep.storage.run_state import RunState
from aesweep.study.schema import Study


def asked_for(
    study: Study, state: RunState, names: Iterable[str], *, samples: int | None, epochs: int | None, source: str
) -> dict[str, dict[str, int]]:
    """Returns the `stages` field of the `extended` event that records a requested extension.

    Args:
        study: the run's study.
        state: the run's state.
        names: names of the stages to extend; all stages if empty.
        samples: number of samples to add to each cell, or None.
        epochs: the new budget in epochs, or None.
        source: the place that messages name.

    Returns:
        For each stage, its new total of `samples` or its new `epochs`.

    Raises:
        StudyError: a stage is unknown, or the extension would add nothing to it.
    """
    found, faults = {}, []
    for name in list(names) or list(study.stages):
        if name not in study.stages:
            faults.append(f"no stage is called {name!r}; there are {', '.join(study.stages)}")
            continue
        stage = study.stages[name]
        for event in extensions(state, name):
            stage = stage.model_copy(update=event.stages[name])
        if epochs is not None and epochs <= stage.epochs:
            faults.append(f"stage {name} has {plural(stage.epochs, 'epoch')} already: expected more, got {epochs}")
        if samples is not None and not any(axis.is_random for axis in stage.space.axes().values()):
            faults.append(f"stage {name} draws nothing at random, so more samples would be the same: leave it out")
        found[name] = {"epochs": epochs} if epochs is not None else {"samples": stage.samples + (samples or 0)}
    if faults:
        raise StudyError(source, faults)
    return found


def extensions(state: RunState, name: str) -> list[Extended]:
    """Returns the requested extensions of a stage, in their order."""
    return state.stages[name].extensions if name in state.stages else []


def since_extended(state: RunState, name: str) -> list[Event]:
    """Returns the events since a stage was last extended; all events if it never was."""
    asked = extensions(state, name)
    return state.events[asked[-1].seq :] if asked else state.events
