"""Decides which winners are retrained, and how: on training and validation images together, with several seeds.

A configuration that wins in several stages or cells is trained once per seed, and the result serves all of them.
"""

from __future__ import annotations

import dataclasses

from aesweep.search.trial_spec import TrialSpec
from aesweep.search.winners import Winner, cell_winners, stage_winner
from aesweep.storage.events import RetrainingCreated
from aesweep.storage.run_state import RunState
from aesweep.study.schema import Study


@dataclasses.dataclass(frozen=True)
class Retraining:
    """One retraining.

    Attributes:
        spec: the trial that is trained.
        serves: the winners whose result it is.
    """

    spec: TrialSpec
    serves: list[Winner]

    def created(self, num_images: int) -> RetrainingCreated:
        """Returns the event that records the retraining.

        Args:
            num_images: number of images that it trains on.
        """
        return RetrainingCreated(
            trial=self.spec.trial,
            dataset=self.spec.dataset,
            configuration=self.spec.configuration.as_dict(),
            seed=self.spec.seeds[0],
            epochs=self.spec.epochs,
            num_images=num_images,
            serves=[{"stage": w.stage, "cell": w.cell, "trial": w.trial} for w in self.serves],
        )


def chosen_winners(study: Study, state: RunState, stage_name: str) -> list[Winner]:
    """Returns the winners of a stage that its `retraining.of` selects, on every data set."""
    stage = study.stages[stage_name]
    cells = cell_winners(state, stage_name)
    if stage.retraining.of == "none":
        return []
    if stage.retraining.of == "cells":
        return [winner for winner in cells.values() if winner is not None]
    best = [stage_winner(cells, dataset.name, stage.mode) for dataset in study.datasets]
    return [winner for winner in best if winner is not None]


def retrainings(study: Study, state: RunState) -> list[Retraining]:
    """Returns all retrainings of a run: those of its stages in their order, then those requested with other settings.

    Args:
        study: the run's study.
        state: the run's state, at least up to the end of the last stage.

    Returns:
        One retraining for each distinct (data set, configuration, number of epochs, seed).
    """
    asked = [(None, None), *((event.epochs, event.seeds) for event in state.asked)]
    served: dict[tuple, list[Winner]] = {}
    for asked_epochs, asked_seeds in asked:
        for stage_name, stage in study.stages.items():
            epochs = asked_epochs or stage.retraining.epochs or study.retraining.epochs
            for winner in chosen_winners(study, state, stage_name):
                for k in range(asked_seeds or stage.retraining.seeds or study.retraining.seeds):
                    winners = served.setdefault((winner.dataset, winner.configuration, epochs, study.seed + k), [])
                    if winner not in winners:
                        winners.append(winner)
    found = []
    for (dataset, configuration, epochs, seed), winners in served.items():
        trial = f"retraining-{dataset}-{configuration.digest()}-{epochs}-{seed}"
        spec = TrialSpec(
            trial=trial,
            purpose="retraining",
            dataset=dataset,
            configuration=configuration,
            seeds=(seed,),
            epochs=epochs,
            split_seed=study.seed,
            validation_fraction=study.validation_fraction,
            training_images=None,
            validation_images=None,
            precision=study.precision,
        )
        found.append(Retraining(spec, winners))
    return found
