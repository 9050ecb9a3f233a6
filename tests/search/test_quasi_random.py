"""Drawing configurations: what is crossed, what is drawn, and that draws are even, paired and repeatable."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy.stats import qmc

from aesweep.search.samplers.quasi_random import QuasiRandom, primes
from aesweep.search.samplers.sampler import all_suggestions
from aesweep.search.samplers.slot import slots
from aesweep.study.configuration import LATER, REGULARIZERS, STRENGTHS, Configuration
from aesweep.study.schema import Stage
from aesweep.study.search_space import SearchSpace

BASE = Configuration(hidden_layers=(8,), latent_dim=2, learning_rate=0.5, activation="relu", l1=0.25)


def space(**axes) -> SearchSpace:
    return SearchSpace.model_validate(axes)


def draw(axes: SearchSpace, num_samples: int, seed: str, base: Configuration | None) -> list[Configuration]:
    sampler = QuasiRandom(Stage.model_construct(space=axes), base, seed)
    return [configuration for _, configuration in all_suggestions(sampler, slots(axes, num_samples, "mnist"))]


def test_grids_are_crossed_and_constants_hold():
    found = list(
        draw(space(hidden_layers={"grid": [[4], [8, 4]]}, latent_dim={"grid": [2, 3]}, batch_size=7), 1, "s", None)
    )
    assert [(c.hidden_layers, c.latent_dim) for c in found] == [((4,), 2), ((4,), 3), ((8, 4), 2), ((8, 4), 3)]
    assert {c.batch_size for c in found} == {7}


def test_same_seed_gives_the_same_draws_and_another_seed_others():
    axes = space(learning_rate={"log_uniform": [1e-4, 1e-1]})
    assert list(draw(axes, 5, "a", BASE)) == list(draw(axes, 5, "a", BASE))
    assert list(draw(axes, 5, "a", BASE)) != list(draw(axes, 5, "b", BASE))


def test_more_samples_continue_the_same_draws():
    axes = space(learning_rate={"uniform": [0.1, 0.9]}, dropout={"uniform": [0.0, 0.5]})
    assert list(draw(axes, 9, "s", BASE))[:4] == list(draw(axes, 4, "s", BASE))


def test_sample_has_the_same_draws_in_every_cell():
    axes = space(latent_dim={"grid": [2, 3, 4]}, learning_rate={"log_uniform": [1e-4, 1e-1]})
    found = list(draw(axes, 4, "s", BASE))
    rates = [{c.learning_rate for c in found[3 * sample : 3 * sample + 3]} for sample in range(4)]
    assert [len(rate) for rate in rates] == [1, 1, 1, 1]


def test_draws_stay_in_their_interval_and_spread_more_evenly_than_chance():
    axes = space(learning_rate={"log_uniform": [1e-4, 1e-1]}, dropout={"uniform": [0.1, 0.5]})
    ours = []
    for seed in range(20):
        found = list(draw(axes, 64, str(seed), BASE))
        unit = np.array([[math.log(c.learning_rate / 1e-4) / math.log(1e3), (c.dropout - 0.1) / 0.4] for c in found])
        assert ((unit >= 0) & (unit <= 1)).all()
        ours.append(qmc.discrepancy(unit))
    chance = [qmc.discrepancy(np.random.default_rng(seed).random((64, 2))) for seed in range(50)]
    assert np.median(ours) < np.quantile(chance, 0.1)


def test_choice_takes_each_value_about_equally_often():
    found = list(
        draw(space(activation={"choice": ["gelu", "tanh"]}, learning_rate={"uniform": [0.1, 0.2]}), 100, "s", BASE)
    )
    assert 45 <= sum(c.activation == "gelu" for c in found) <= 55


def test_point_without_random_axes_is_drawn_once():
    assert len(list(draw(space(latent_dim={"grid": [2, 3]}), 10, "s", BASE))) == 2


def test_unset_fields_come_from_the_base():
    (found,) = draw(space(latent_dim=5), 1, "s", BASE)
    assert (found.activation, found.learning_rate, found.latent_dim) == ("relu", 0.5, 5)


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_regularizer_has_its_strengths_and_no_other(regularizer):
    needs = {
        strength: {"value": 0.1, "when": {"regularizer": [r for r in REGULARIZERS if strength in REGULARIZERS[r]]}}
        for strength in STRENGTHS
    }
    axes = space(regularizer={"grid": list(REGULARIZERS)}, **needs)
    (found,) = [c for c in draw(axes, 1, "s", BASE) if c.regularizer == regularizer]
    assert {s for s in STRENGTHS if getattr(found, s)} == set(REGULARIZERS[regularizer])


def test_strengths_alone_are_named_after_what_they_are():
    found = list(draw(space(l2={"grid": [0.0, 0.5]}, dropout={"grid": [0.0, 0.3]}, l1=0.0), 1, "s", BASE))
    assert [c.regularizer for c in found] == ["none", "dropout", "l2", "l2+dropout"]


def test_configuration_survives_a_round_trip_and_equal_ones_share_a_digest():
    again = Configuration.from_dict(BASE.as_dict())
    assert again == BASE
    assert again.digest() == BASE.digest()
    assert Configuration(hidden_layers=(8,), latent_dim=3).digest() != BASE.digest()


@dataclasses.dataclass(frozen=True)
class Extended(Configuration):
    """A configuration as a later version may have it."""

    beta: float = dataclasses.field(default=0.5, metadata=LATER)


def test_field_that_is_added_later_changes_nothing_of_what_was_recorded_without_it():
    old, new = Configuration((8, 4), 2, l1=1e-5), Extended((8, 4), 2, l1=1e-5)
    assert json.dumps(new.as_dict()) == json.dumps(old.as_dict()) and new.digest() == old.digest()
    assert Extended.from_dict(old.as_dict()) == new
    changed = dataclasses.replace(new, beta=2.0)
    assert changed.digest() != new.digest() and changed.as_dict()["beta"] == 2.0
    assert Extended.from_dict(json.loads(json.dumps(changed.as_dict()))) == changed


def test_each_field_has_a_prime_of_its_own_however_many_there_are():
    found = list(itertools.islice(primes(), 40))
    assert found == [number for number in range(2, found[-1] + 1) if is_prime(number)]
    assert found[:3] == [2, 3, 5] and len(set(found)) == 40


def is_prime(number: int) -> bool:
    """Wilson's theorem."""
    return (math.factorial(number - 1) + 1) % number == 0
