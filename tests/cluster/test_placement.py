"""Trials go to the trainer that has a pack of their kind, else to the emptiest; none takes more than its share."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest

from aesweep.cluster.tune.placement import Placement
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration


def spec(number: int, width: int = 8, **fields) -> TrialSpec:
    values = {
        "trial": f"stage-digits-{number:04d}",
        "purpose": "search",
        "dataset": "digits",
        "configuration": Configuration(hidden_layers=(width,), latent_dim=3),
        "seeds": (1,),
        "epochs": 3,
        "split_seed": 1,
        "validation_fraction": 0.1,
        "training_images": None,
        "validation_images": None,
        "precision": "fp32",
    }
    return TrialSpec(**{**values, **fields})


def test_trials_of_a_kind_go_to_one_trainer_and_other_kinds_to_the_emptiest():
    placement = Placement(3, 4, 100)
    assert [placement.place(spec(n, width)) for n, width in enumerate((8, 8, 16, 8, 32, 16, 64))] == [
        0,
        0,
        1,
        0,
        2,
        1,
        2,
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "mnist"},
        {"purpose": "retraining"},
        {"training_images": 10},
        {"precision": "bf16"},
        {"configuration": Configuration(hidden_layers=(8,), latent_dim=4)},
        {"configuration": Configuration(hidden_layers=(8,), latent_dim=3, batch_size=7)},
    ],
)
def test_what_cannot_share_a_pack_is_of_another_kind(change):
    placement = Placement(2, 4, 8)
    assert [placement.place(spec(0)), placement.place(spec(1, **change)), placement.place(spec(2))] == [0, 1, 0]


def test_what_a_pack_can_share_is_of_the_same_kind():
    placement = Placement(2, 4, 8)
    configuration = Configuration(hidden_layers=(8,), latent_dim=3, learning_rate=0.5, dropout=0.1, noise_variance=0.2)
    placement.place(spec(0))
    assert placement.place(spec(1, configuration=configuration, seeds=(3, 4), validation_images=5)) == 0


def test_few_trials_of_one_kind_are_shared_out_evenly():
    placement = Placement(4, 16, 10)
    assert placement.num_places == 12
    assert Counter(placement.place(spec(n)) for n in range(10)) == {0: 3, 1: 3, 2: 3, 3: 1}


@pytest.mark.parametrize("seed", range(20))
def test_no_trainer_is_full_while_another_has_room_and_is_asked(seed):
    rng = random.Random(seed)
    placement = Placement(3, 4, 1000)
    where: dict[int, int] = {}
    for number in range(300):
        if len(where) == placement.num_places or (where and rng.random() < 0.4):
            gone = rng.choice(sorted(where))
            placement.leave(spec(gone))
            del where[gone]
        where[number] = placement.place(spec(number, width=rng.choice((8, 16, 32, 64))))
        assert max(Counter(where.values()).values()) <= 4


def test_trial_that_comes_again_counts_once():
    placement = Placement(2, 1, 2)
    again = spec(0)
    assert [placement.place(again), placement.place(dataclasses.replace(again, recorded=2))] == [0, 0]
    assert placement.place(spec(1)) == 1
