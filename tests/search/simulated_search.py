"""A stage's search by simulated trials: a function gives what each measures after an epoch, and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable

from aesweep.search.samplers import registry
from aesweep.search.samplers.slot import slots
from aesweep.search.schedulers.asha import Asha
from aesweep.storage.event import Action, TrialStatus
from aesweep.storage.events import Decision, Row, TrialCreated, TrialEnded
from aesweep.storage.run_state import TrialState
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage

Measure = Callable[[Configuration, int], float]


def search(stage: Stage, measure: Measure, seed: str, datasets: tuple[str, ...] = ("digits",)) -> list[TrialState]:
    """Returns the trials of a search with one worker, in the order of their creation.

    Args:
        stage: the stage's settings.
        measure: gives the validation MSE of a configuration after an epoch.
        seed: text from which everything random follows.
        datasets: names of the data sets.
    """
    known: list[TrialState] = []
    ashas: dict[tuple, Asha] = {}
    samplers = {dataset: registry.sampler_of(stage, None, seed) for dataset in datasets}
    there = sorted(
        (slot for dataset in datasets for slot in slots(stage.space, stage.samples, dataset)),
        key=lambda slot: slot.number,
    )
    for slot in there:
        configuration = samplers[slot.dataset].suggest(slot, known)
        if configuration is None:
            continue
        cell = {axis: getattr(configuration, axis) for axis in stage.table.axes()}
        name = f"{slot.dataset}-{slot.number:04d}"
        trial = TrialState(
            TrialCreated(
                stage="simulated",
                dataset=slot.dataset,
                trial=name,
                cell=cell,
                configuration=configuration.as_dict(),
                seeds=[1],
                epochs=stage.epochs,
            )
        )
        known.append(trial)
        key = (slot.dataset, str(cell))
        if key not in ashas:
            factor = 3 if stage.asha == "none" else stage.asha.reduction_factor
            ashas[key] = Asha(stage.rungs(), factor, stage.mode)
        train(trial, ashas[key], stage, lambda epoch, found=configuration: measure(found, epoch))
    return known


def train(trial: TrialState, asha: Asha, stage: Stage, value_at: Callable[[int], float]) -> None:
    """Gives a trial its rows, ASHA's decisions on it and its end."""
    name, status = trial.created.trial, TrialStatus.COMPLETED
    for epoch in range(1, stage.epochs + 1):
        value = value_at(epoch)
        fields = {"loss": value, "training_mse": value, "validation_mse": value, "validation_psnr_db": -value}
        trial.apply(Row(trial=name, epoch=epoch, learning_rate=0.1, seconds=1.0, **fields))
        decision = asha.decide(name, epoch, getattr(trial.row, stage.metric)) if epoch < stage.epochs else None
        if decision is not None:
            action = Action.CONTINUE if decision.keep else Action.STOP
            trial.apply(
                Decision(
                    trial=name,
                    epoch=epoch,
                    action=action,
                    value=value,
                    cutoff=decision.cutoff,
                    num_compared=decision.num_compared,
                )
            )
            if action is Action.STOP:
                status = TrialStatus.STOPPED
                break
    trial.apply(TrialEnded(trial=name, status=status, epochs=trial.epochs, reason=None, seconds=1.0))
