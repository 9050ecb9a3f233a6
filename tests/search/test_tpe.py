"""The sampler that learns, against Optuna itself and by its promises."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
import statistics

import optuna
import pytest

from aesweep.search.samplers import registry
from aesweep.search.samplers.known_trial import KnownTrial
from aesweep.search.samplers.parameters import parameter_of
from aesweep.search.samplers.slot import open_slots
from aesweep.storage.run_state import TrialState
from aesweep.study.axis import Axis
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage
from tests.search.simulated_search import search


def stage(sampler="tpe", samples: int = 8, epochs: int = 9, table: str = "latent_dim", asha=None, **axes) -> Stage:
    space = {"hidden_layers": [8], "latent_dim": {"grid": [2, 3, 4]}, **axes}
    values = {"space": space, "table": {"rows": table}, "samples": samples, "epochs": epochs, "sampler": sampler}
    return Stage.model_validate({**values, **({"asha": asha} if asha else {})})


RATE = {"learning_rate": {"log_uniform": [1e-4, 1e-1]}, "dropout": {"uniform": [0.0, 0.5]}}


def regret(found: Configuration) -> float:
    """How far a configuration is from its cell's best, whose rate depends a little on the latent dimension."""
    best = -2.4 - 0.1 * found.latent_dim
    return (math.log10(found.learning_rate) - best) ** 2 + 6 * (found.dropout - 0.1) ** 2


def measure(found: Configuration, epoch: int) -> float:
    """A cell of few latent dimensions is a hundred times as hard as the next."""
    return math.exp(regret(found) + 2 * math.exp(-0.4 * epoch)) * 100.0**-found.latent_dim


def configurations(trials: list[TrialState]) -> list[Configuration]:
    return [Configuration.from_dict(trial.created.configuration) for trial in trials]


def mean_regret(trials: list[TrialState], most_epochs: int) -> float:
    """Mean over cells of the regret of the best trial, by what it measured, of those that so many epochs paid for."""
    best: dict[int, tuple[float, float]] = {}
    for trial, found in zip(trials, configurations(trials), strict=True):
        most_epochs -= trial.epochs
        if trial.is_completed and most_epochs >= 0:
            value = trial.row.validation_mse, regret(found)
            best[found.latent_dim] = min(value, best.get(found.latent_dim, value))
    assert len(best) == 3
    return statistics.mean(value for _, value in best.values())


@pytest.mark.parametrize("most_epochs", [200, 300])
def test_learned_draws_beat_quasi_random_ones_at_equal_epochs_and_shared_ones_most(most_epochs):
    found = {
        name: statistics.median(
            mean_regret(search(stage(sampler, samples=24, **RATE), measure, str(seed)), most_epochs)
            for seed in range(9)
        )
        for name, sampler in {
            "quasi-random": "quasi_random",
            "alone": {"name": "tpe", "shared": False},
            "shared": "tpe",
        }.items()
    }
    assert found["shared"] < 0.7 * found["quasi-random"], found
    assert found["shared"] < found["alone"], found


@pytest.mark.parametrize("number", [12, 20, 29])
@pytest.mark.parametrize("num_running", [0, 3])
def test_one_cell_gives_what_optuna_suggests_by_the_values_themselves(number, num_running):
    settings = stage(samples=30, epochs=2, asha="none", **RATE)
    settings.space.latent_dim.grid = [3]
    trials = search(settings, measure, "s")
    digest = hashlib.sha256(f"s/digits/{number}/0".encode()).digest()
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=0, seed=int.from_bytes(digest[:4]))
    study = optuna.create_study(sampler=sampler)
    distributions = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "dropout": optuna.distributions.FloatDistribution(0.0, 0.5),
    }
    # The last few are under way: nothing is recorded of them but that they began.
    known = [*trials[: number - num_running], *map(begun, trials[number - num_running : number])]
    for trial in known:
        found = {"value": trial.row.validation_mse} if trial.row else {"state": optuna.trial.TrialState.RUNNING}
        values = {name: trial.created.configuration[name] for name in distributions}
        study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, **found))
    expected = study.ask(distributions).params
    slot = list(open_slots(settings.space, 30, "digits"))[number]
    suggested = registry.sampler_of(settings, None, "s").suggest(slot, known)
    assert {name: getattr(suggested, name) for name in distributions} == expected
    if num_running == 0:
        assert suggested == configurations(trials)[number]


def test_trials_to_learn_from_are_kept_as_they_are_and_are_valid_for_optuna():
    distributions = {"dropout": optuna.distributions.FloatDistribution(0.0, 0.5)}
    for value, state in ((0.25, optuna.trial.TrialState.COMPLETE), (None, optuna.trial.TrialState.RUNNING)):
        known = KnownTrial({"dropout": 0.1}, distributions, value)
        plain = optuna.trial.create_trial(
            params={"dropout": 0.1}, distributions=distributions, state=state, value=value
        )
        assert copy.deepcopy(known) is known
        for name in ("state", "value", "params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
            assert getattr(known, name) == getattr(plain, name)
        study = optuna.create_study()
        study.add_trial(known)
        assert study.get_trials(deepcopy=False)[0].params == {"dropout": 0.1}


def begun(trial: TrialState) -> TrialState:
    return TrialState(trial.created)


def test_same_known_trials_give_the_same_suggestion_and_another_seed_another():
    settings = stage(samples=8, **RATE)
    trials = search(settings, measure, "a")
    slot = list(open_slots(settings.space, 9, "digits"))[-1]
    found = [registry.sampler_of(settings, None, "a").suggest(slot, trials) for _ in range(2)]
    assert found[0] == found[1]
    assert registry.sampler_of(settings, None, "b").suggest(slot, trials) != found[0]
    assert registry.sampler_of(settings, None, "a").suggest(dataclasses.replace(slot, number=99), trials) != found[0]


def test_suggestions_do_not_depend_on_how_hard_a_cell_is():
    settings = stage(samples=6, **RATE)

    def harder(found: Configuration, epoch: int) -> float:
        return measure(found, epoch) * (1e9 if found.latent_dim == 3 else 1)

    assert configurations(search(settings, measure, "s")) == configurations(search(settings, harder, "s"))


def test_cell_learns_from_others_only_where_it_is_shared():
    def other(found: Configuration, epoch: int) -> float:
        return measure(found, epoch) if found.latent_dim == 2 else found.dropout

    for shared in (True, False):
        settings = stage({"name": "tpe", "shared": shared}, samples=9, **RATE)
        mine = [
            [found for found in configurations(search(settings, function, "s")) if found.latent_dim == 2]
            for function in (measure, other)
        ]
        assert (mine[0] == mine[1]) != shared


CONDITIONS = {
    "regularizer": {"grid": ["none", "l1", "l1_l2"]},
    "l1": {"log_uniform": [1e-8, 1e-4], "when": {"regularizer": ["l1", "l1_l2"]}},
    "l2": {"choice": [1e-7, 1e-6, 1e-5], "when": {"regularizer": "l1_l2"}},
    "batch_size": {"choice": [32, 64]},
}


def test_suggestions_lie_within_their_axes_and_are_all_different():
    found = configurations(search(stage(samples=7, table="regularizer", **CONDITIONS), measure_any, "s"))
    assert len(found) == len(set(found)) == 3 * (2 + 7 + 7)
    for one in found:
        assert one.batch_size in (32, 64)
        assert (1e-8 <= one.l1 <= 1e-4) == (one.regularizer != "none") and (one.l1 == 0) == (one.regularizer == "none")
        assert one.l2 in ((1e-7, 1e-6, 1e-5) if one.regularizer == "l1_l2" else (0.0,))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("samples", [2, 7])
def test_interval_under_a_drawn_choice_fills_every_sample(samples, shared):
    """All but the intervals under it may be tried, so a slot whose draws are there already gets a new point there."""
    axes = {
        "regularizer": {"choice": ["none", "l1", "dropout"]},
        "l1": {"log_uniform": [1e-8, 1e-4], "when": {"regularizer": "l1"}},
        "dropout": {"uniform": [0.1, 0.5], "when": {"regularizer": "dropout"}},
    }
    settings = stage({"name": "tpe", "shared": shared}, samples=samples, **axes)
    # The best has no interval, so it is suggested again and again.
    found = configurations(search(settings, lambda found, epoch: 1 / epoch + found.l1 * 1e4 + found.dropout, "s"))
    assert len(found) == len(set(found)) == 3 * samples
    for one in found:
        assert (1e-8 <= one.l1 <= 1e-4) == (one.regularizer == "l1") and (one.l1 == 0) == (one.regularizer != "l1")
        assert (0.1 <= one.dropout <= 0.5) == (one.regularizer == "dropout")


def measure_any(found: Configuration, epoch: int) -> float:
    return 1 / epoch + found.l1 * 1e4 + 1 / found.batch_size


def test_where_all_drawn_axes_are_choices_each_combination_is_tried_once():
    settings = stage(samples=50, activation={"choice": ["gelu", "relu"]}, batch_size={"choice": [16, 32, 64]})
    found = configurations(search(settings, measure_any, "s"))
    assert len(found) == len(set(found)) == 3 * 6


def test_widths_may_be_chosen():
    settings = stage(samples=12, hidden_layers={"choice": [[8], [16, 8], []]}, **RATE)
    found = configurations(search(settings, measure, "s"))
    assert {one.hidden_layers for one in found} == {(8,), (16, 8), ()}


def test_data_sets_are_learned_from_together_and_each_has_its_own_draws():
    trials = search(stage(samples=6, **RATE), measure, "s", ("digits", "mnist"))
    by_dataset = {
        name: [trial.created.configuration["learning_rate"] for trial in trials if trial.created.dataset == name]
        for name in ("digits", "mnist")
    }
    assert len(by_dataset["digits"]) == len(by_dataset["mnist"]) == 18
    assert by_dataset["digits"] != by_dataset["mnist"]


def test_every_kind_of_value_is_found_again_as_the_study_writes_it() -> None:
    """Configurations hold widths as tuples and a package's settings as pairs; both are learned from after a resume."""
    configuration = Configuration((64, 32), 2, options=(("kind", "a"), ("width", (8, 4))))
    axis = Axis[dict].model_validate({"choice": [{"width": 1}, {"width": [8, 4], "kind": "a"}]})
    assert parameter_of(configuration.written_value("options"), axis) == 1
    axis = Axis[list].model_validate({"choice": [[64, 32], [8]]})
    assert parameter_of(configuration.written_value("hidden_layers"), axis) == 0
    assert configuration.written_value("options.width") == [8, 4]
    assert Configuration.from_dict(configuration.as_dict()) == configuration
