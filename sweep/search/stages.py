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
from collections.abc import Iterable, Iterator
from typing import Any

from aesweep.search.extension import extensions
from aesweep.search.samplers import registry
from aesweep.search.samplers.quasi_random import QuasiRandom
from aesweep.search.samplers.sampler import all_suggestions
from aesweep.search.samplers.slot import Slot, open_slots, slots
from aesweep.search.schedulers.audit import is_drawn
from aesweep.search.schedulers.brackets import bracket_of, bracket_rungs
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
        study: the study, with the stage's settings from then on.
        name: the stage's name.
        specs: the trials that were added.
        slots: the slots for which a sampler that learns has not suggested a configuration yet.
        bases: for each data set, the configuration that the stage starts from; None for the defaults.
        extension: number of the journal's `extended` event; None for the stage's beginning.
    """

    study: Study
    name: str
    specs: list[TrialSpec]
    slots: list[Slot]
    bases: dict[str, Configuration | None]
    extension: int | None

    @property
    def stage(self) -> Stage:
        """The stage's settings from then on."""
        return self.study.stages[self.name]


def segments(study: Study, state: RunState, name: str) -> list[Segment]:
    """Returns a stage's trials: one segment for its beginning, then one for each extension in their order."""
    bases = stage_bases(study, state, name)
    found = [Segment(study, name, *_sampled(study, state, name, bases), bases, None)]
    for event in extensions(state, name):
        stage = study.stages[name].model_copy(update=event.stages[name])
        study = study.model_copy(update={"stages": {**study.stages, name: stage}})
        if "samples" in event.stages[name]:
            specs, slots = _sampled(study, state, name, bases)
        else:
            earlier = [spec for segment in found for spec in segment.specs]
            specs, slots = _longer(study, name, earlier, state.before(event)), []
        known = {spec.trial for segment in found for spec in segment.specs}
        specs = [spec for spec in specs if spec.trial not in known]
        asked = {slot.place for segment in found for slot in segment.slots}
        slots = [slot for slot in slots if slot.place not in asked]
        found.append(Segment(study, name, specs, slots, bases, event.seq))
    return found


def _sampled(
    study: Study, state: RunState, name: str, bases: dict[str, Configuration | None]
) -> tuple[list[TrialSpec], list[Slot]]:
    """Returns a stage's trials and its open slots; where the sampler learns, its trials are those that are recorded."""
    if not registry.learns(study.stages[name]):
        return stage_trials(study, name, bases), []
    specs, slots = [], []
    for slot in stage_slots(study.stages[name], bases):
        trial = state.trials.get(trial_id(name, slot.dataset, slot.number))
        if trial is None:
            slots.append(slot)
        else:
            configuration = Configuration.from_dict(trial.created.configuration)
            specs.append(trial_spec(study, name, slot, slot.number, configuration))
    return specs, slots


def _longer(study: Study, name: str, specs: list[TrialSpec], state: RunState) -> list[TrialSpec]:
    """Returns a new trial under a longer budget for each trial that was trained to its end."""
    stage, seed, found = study.stages[name], sampler_seed(study, name), {}
    for spec in specs:
        if spec.trial in state.trials and state.trials[spec.trial].is_completed:
            trial = f"{re.sub(r'-e[0-9]+$', '', spec.trial)}-e{stage.epochs}"
            rungs = tuple(bracket_rungs(stage, spec.bracket))
            found[trial] = dataclasses.replace(
                spec, trial=trial, epochs=stage.epochs, rungs=rungs, is_drawn=is_drawn(stage, seed, trial)
            )
    return list(found.values())


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


def opening_events(found: list[Segment]) -> Iterator[Event]:
    """Yields the events that record a stage's beginning, its extensions, and the trials of each that are known."""
    num_trials, cells = 0, set()
    for segment in found:
        num_trials += len(segment.specs) + len(segment.slots)
        to_come = stand_ins(segment.study, segment.name, segment.slots, segment.bases)
        cells |= {(spec.dataset, spec.cell) for spec in [*segment.specs, *to_come]}
        fields = opening_fields(segment.name, segment.stage, num_trials, len(cells))
        if segment.extension is None:
            yield StageStarted(**fields)
        else:
            yield StageExtended(**fields, extension=segment.extension)
        for spec in segment.specs:
            yield trial_created(segment.name, spec)


def stage_trials(study: Study, stage_name: str, bases: dict[str, Configuration | None]) -> list[TrialSpec]:
    """Returns the trials of a stage in the order in which they should start: the first sample of every cell first.

    Where the stage's sampler learns, its trials are not known in advance: quasi-random draws stand for them.

    Args:
        study: the whole study.
        stage_name: one of its stages.
        bases: for each data set to search, the configuration that the stage starts from; None for the defaults.

    Returns:
        The trials; the same study and bases give the same list anywhere.
    """
    stage = study.stages[stage_name]
    if registry.learns(stage):
        return stand_ins(study, stage_name, stage_slots(stage, bases), bases)
    numbered = []
    for dataset, base in bases.items():
        sampler = registry.sampler_of(stage, base, sampler_seed(study, stage_name))
        found = all_suggestions(sampler, slots(stage.space, stage.samples, dataset))
        numbered += [
            (number, trial_spec(study, stage_name, slot, number, configuration))
            for number, (slot, configuration) in enumerate(found)
        ]
    return [spec for _, spec in sorted(numbered, key=lambda item: item[0])]


def stage_slots(stage: Stage, datasets: Iterable[str]) -> list[Slot]:
    """Returns the slots of a stage whose sampler learns, in the order in which they are filled."""
    found = [slot for dataset in datasets for slot in open_slots(stage.space, stage.samples, dataset)]
    return sorted(found, key=lambda slot: slot.number)


def stand_ins(
    study: Study, stage_name: str, slots: Iterable[Slot], bases: dict[str, Configuration | None]
) -> list[TrialSpec]:
    """Returns a trial for each slot with quasi-random draws in the place of what a sampler that learns will choose."""
    stage, seed = study.stages[stage_name], sampler_seed(study, stage_name)
    samplers = {dataset: QuasiRandom(stage, base, seed) for dataset, base in bases.items()}
    return [
        trial_spec(study, stage_name, slot, slot.number, samplers[slot.dataset].suggest(slot, ())) for slot in slots
    ]


def sampler_seed(study: Study, stage_name: str) -> str:
    """Returns the text from which everything random of a stage's sampler follows."""
    return f"{study.seed}/{stage_name}"


def trial_id(stage_name: str, dataset: str, number: int) -> str:
    """Returns the name of a trial by its number among the trials of its stage and data set."""
    return f"{stage_name}-{dataset}-{number:04d}"


def trial_spec(study: Study, stage_name: str, slot: Slot, number: int, configuration: Configuration) -> TrialSpec:
    """Returns the trial of a configuration.

    Args:
        study, stage_name: what the trial is part of.
        slot: the slot that the configuration fills.
        number: its number among the trials of the stage on the data set.
        configuration: what is trained.
    """
    stage = study.stages[stage_name]
    bracket, trial = bracket_of(stage, slot.sample), trial_id(stage_name, slot.dataset, number)
    return TrialSpec(
        trial=trial,
        purpose="search",
        dataset=slot.dataset,
        configuration=configuration,
        seeds=tuple(study.seed + k for k in range(stage.seeds)),
        epochs=stage.epochs,
        split_seed=study.seed,
        validation_fraction=study.validation_fraction,
        training_images=stage.training_images,
        validation_images=stage.validation_images,
        precision=study.precision,
        cell=tuple((axis, configuration.value_of(axis)) for axis in stage.table.axes()),
        bracket=bracket,
        is_drawn=is_drawn(stage, sampler_seed(study, stage_name), trial),
        rungs=tuple(bracket_rungs(stage, bracket)),
    )


def opening_fields(stage_name: str, stage: Stage, num_trials: int, num_cells: int) -> dict[str, Any]:
    """Returns the fields that are recorded of a stage when it begins or is extended.

    Args:
        stage_name: the stage's name.
        stage: the stage's settings from then on.
        num_trials, num_cells: of the whole stage up to then, what is added included.
    """
    return {
        "stage": stage_name,
        "num_trials": num_trials,
        "num_cells": num_cells,
        "rungs": stage.rungs(),
        "epochs": stage.epochs,
        "training_images": stage.training_images,
        "validation_images": stage.validation_images,
        "metric": stage.metric,
        "mode": stage.mode,
        "table": stage.table.model_dump(),
    }


def trial_created(stage_name: str, spec: TrialSpec, based_on: dict[str, int] | None = None) -> TrialCreated:
    """Returns the event that records a trial before it is trained.

    Args:
        stage_name: the trial's stage.
        spec: the trial.
        based_on: what the suggestion of a sampler that learns is based on, see `TrialCreated`.
    """
    return TrialCreated(
        stage=stage_name,
        dataset=spec.dataset,
        trial=spec.trial,
        cell=dict(spec.cell),
        configuration=spec.configuration.as_dict(),
        seeds=list(spec.seeds),
        epochs=spec.epochs,
        bracket=spec.bracket,
        based_on=based_on,
    )
