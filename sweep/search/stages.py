"""Derives the trials of a stage from the study and from the extensions of the finished run.

An extension gives each cell more samples, or gives a longer budget to the trials that were trained to their end. It is
an event of the journal. A stage's trials follow from the study, its extensions, and what the journal held when each
extension was requested, so that a run that is killed during an extension can continue it.

More samples continue the stage's draws, and compete on the rungs that the earlier trials have filled. A schedule of
learning rates spans the whole budget, so a trial that has ended cannot be trained further: under a longer budget the
trials that were trained to their end are trained anew, as separate trials, and compete among themselves. A later stage
keeps the configurations that it started from.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from aesweep.search.extension import extensions
from aesweep.search.samplers import registry
from aesweep.search.samplers.sampler import all_suggestions
from aesweep.search.samplers.slot import slots
from aesweep.search.trial_spec import TrialSpec
from aesweep.search.winners import cell_winners, stage_winner
from aesweep.storage.event import Event
from aesweep.storage.events import StageExtended, StageStarted, TrialCreated
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage, Study


@dataclasses.dataclass(frozen=True)
class Segment:
    """The trials that a stage's beginning, or one of its extensions, added.

    Attributes:
        stage: the stage's settings from then on.
        specs: the trials that were added.
        extension: number of the journal's `extended` event; None for the stage's beginning.
    """

    stage: Stage
    specs: list[TrialSpec]
    extension: int | None


def segments(study: Study, state: RunState, name: str) -> list[Segment]:
    """Returns a stage's trials: one segment for its beginning, then one for each extension in their order."""
    stage, bases = study.stages[name], stage_bases(study, state, name)
    found = [Segment(stage, stage_trials(study, name, bases), None)]
    for event in extensions(state, name):
        stage = stage.model_copy(update=event.stages[name])
        if "samples" in event.stages[name]:
            extended = study.model_copy(update={"stages": {**study.stages, name: stage}})
            specs = stage_trials(extended, name, bases)
        else:
            earlier = [spec for segment in found for spec in segment.specs]
            specs = _longer(earlier, state.before(event), stage.epochs)
        known = {spec.trial for segment in found for spec in segment.specs}
        found.append(Segment(stage, [spec for spec in specs if spec.trial not in known], event.seq))
    return found


def _longer(specs: list[TrialSpec], state: RunState, epochs: int) -> list[TrialSpec]:
    """Returns a new trial under a longer budget for each trial that was trained to its end."""
    longer = [
        dataclasses.replace(spec, trial=f"{re.sub(r'-e[0-9]+$', '', spec.trial)}-e{epochs}", epochs=epochs)
        for spec in specs
        if spec.trial in state.trials and state.trials[spec.trial].is_completed
    ]
    return list({spec.trial: spec for spec in longer}.values())


def stage_bases(study: Study, state: RunState, name: str) -> dict[str, Configuration | None]:
    """Returns the configuration from which each data set's trials of a stage start.

    If the stage has started, this is the winner that the earlier stage had by then: an extension of the earlier stage
    does not put other trials into this stage's cells.

    Returns:
        Data set name to configuration; None for the defaults. A data set on which the earlier stage has no winner is
        left out.
    """
    origin = study.stages[name].from_
    names = [dataset.name for dataset in study.datasets]
    if origin is None:
        return dict.fromkeys(names)
    openings = state.stages[name].openings if name in state.stages else []
    earlier = cell_winners(state.before(openings[0]) if openings else state, origin)
    winners = {dataset: stage_winner(earlier, dataset, study.stages[origin].mode) for dataset in names}
    return {dataset: winner.configuration for dataset, winner in winners.items() if winner is not None}


def opening_events(name: str, found: list[Segment]) -> Iterator[Event]:
    """Yields the events that record a stage's beginning, its extensions, and the trials of each."""
    specs: list[TrialSpec] = []
    for segment in found:
        specs = specs + segment.specs
        fields = opening_fields(name, segment.stage, specs)
        if segment.extension is None:
            yield StageStarted(**fields)
        else:
            yield StageExtended(**fields, extension=segment.extension)
        for spec in segment.specs:
            yield trial_created(name, spec)


def stage_trials(study: Study, stage_name: str, bases: dict[str, Configuration | None]) -> list[TrialSpec]:
    """Returns the trials of a stage in the order in which they should start: the first sample of every cell first.

    Args:
        study: the whole study.
        stage_name: one of its stages.
        bases: for each data set to search, the configuration that the stage starts from; None for the defaults.

    Returns:
        The trials; the same study and bases give the same list anywhere.
    """
    stage = study.stages[stage_name]
    numbered = []
    for dataset, base in bases.items():
        sampler = registry.sampler_of(stage, base, f"{study.seed}/{stage_name}")
        found = all_suggestions(sampler, slots(stage.space, stage.samples, dataset))
        numbered += [
            (number, trial_spec(study, stage_name, dataset, number, configuration))
            for number, configuration in enumerate(found)
        ]
    return [spec for _, spec in sorted(numbered, key=lambda item: item[0])]


def trial_spec(study: Study, stage_name: str, dataset: str, number: int, configuration: Configuration) -> TrialSpec:
    """Returns the trial of a configuration.

    Args:
        study, stage_name, dataset: what the trial is part of.
        number: its number among the trials of the stage on the data set.
        configuration: what is trained.
    """
    stage = study.stages[stage_name]
    return TrialSpec(
        trial=f"{stage_name}-{dataset}-{number:04d}",
        purpose="search",
        dataset=dataset,
        configuration=configuration,
        seeds=tuple(study.seed + k for k in range(stage.seeds)),
        epochs=stage.epochs,
        split_seed=study.seed,
        validation_fraction=study.validation_fraction,
        training_images=stage.training_images,
        validation_images=stage.validation_images,
        precision=study.precision,
        cell=tuple((axis, getattr(configuration, axis)) for axis in stage.table.axes()),
        rungs=tuple(stage.rungs()),
    )


def opening_fields(stage_name: str, stage: Stage, specs: list[TrialSpec]) -> dict[str, Any]:
    """Returns the fields that are recorded of a stage when it begins or is extended.

    Args:
        stage_name: the stage's name.
        stage: the stage's settings from then on.
        specs: all trials of the stage up to then, the new ones included.
    """
    return {
        "stage": stage_name,
        "num_trials": len(specs),
        "num_cells": len({(spec.dataset, spec.cell) for spec in specs}),
        "rungs": stage.rungs(),
        "epochs": stage.epochs,
        "training_images": stage.training_images,
        "validation_images": stage.validation_images,
        "metric": stage.metric,
        "mode": stage.mode,
        "table": stage.table.model_dump(),
    }


def trial_created(stage_name: str, spec: TrialSpec) -> TrialCreated:
    """Returns the event that records a trial before it is trained."""
    return TrialCreated(
        stage=stage_name,
        dataset=spec.dataset,
        trial=spec.trial,
        cell=dict(spec.cell),
        configuration=spec.configuration.as_dict(),
        seeds=list(spec.seeds),
        epochs=spec.epochs,
    )
