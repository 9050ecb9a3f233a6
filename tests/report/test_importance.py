"""Which axis decided, on trials whose truth is known, and what a search found by when."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from aesweep.report.analysis import importance as analysis
from aesweep.report.analysis.importance import MIN_TRIALS, importances, varying_axes
from aesweep.report.figures.axes import axes_figure
from aesweep.report.figures.spending import best_so_far
from aesweep.report.rows.types import Epoch, Stage, Trial
from aesweep.report.sections.importance import CHANCE, importance_table
from aesweep.study.axis import Axis
from aesweep.study.configuration import Configuration
from aesweep.study.search_space import SearchSpace

SPACE = SearchSpace.model_validate(
    {
        "learning_rate": {"log_uniform": [1e-4, 1e-1]},
        "activation": {"choice": ["gelu", "relu", "tanh"]},
        "regularizer": {"choice": ["none", "l1"]},
        "l1": {"log_uniform": [1e-8, 1e-4], "when": {"regularizer": "l1"}},
    }
)


def epoch(number: int, value: float, order: int = 0) -> Epoch:
    return Epoch(number, value, value, value, 10 * math.log10(1 / value), 1.0, (), order=order)


def stage(values, num_trials: int = 60, rungs: tuple[int, ...] = (3,), epochs: int = 9, mode: str = "min") -> Stage:
    """Returns a stage of trials drawn at random from SPACE; `values` maps a configuration to its error."""
    draw = random.Random(0)
    trials = []
    for number in range(num_trials):
        regularizer = draw.choice(["none", "l1"])
        configuration = Configuration(
            hidden_layers=(8,),
            latent_dim=2,
            learning_rate=10 ** draw.uniform(-4, -1),
            activation=draw.choice(["gelu", "relu", "tanh"]),
            regularizer=regularizer,
            l1=10 ** draw.uniform(-8, -4) if regularizer == "l1" else 0.0,
        )
        error = values(configuration, draw)
        rows = tuple(epoch(n, error, n) for n in range(1, epochs + 1))
        trials.append(
            Trial(f"t{number}", "s", "digits", (), configuration, (0,), epochs, rows, (), "completed", None, 1.0)
        )
    metric = "validation_mse" if mode == "min" else "validation_psnr_db"
    return Stage("s", metric, mode, "latent_dim", None, rungs, epochs, None, None, tuple(trials), {}, 1.0)


def by_rate(configuration: Configuration, draw: random.Random) -> float:
    return 0.01 + 0.01 * (math.log10(configuration.learning_rate) + 2.5) ** 2 + 1e-4 * draw.random()


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_axis_that_decides_is_the_most_important_one(mode: str) -> None:
    """PSNR falls where MSE rises, so both have the same best quarter."""
    for rung in importances(stage(by_rate, mode=mode), "digits", SPACE):
        first = rung.axes[0]
        assert first.axis == "learning_rate" and first.share > 0.7 and not first.is_chance
        assert rung.num_trials == 60 and rung.epoch in (3, 9)
        assert first.low <= first.share <= 1 and abs(sum(axis.share for axis in rung.axes) - 1) < 1e-9


def test_axes_that_decide_nothing_are_within_chance() -> None:
    """Each of 12 axes that decide nothing is called important in one case of 20: more than 3 of them in one of 450."""
    marked = []
    for seed in range(3):
        noise = random.Random(seed)
        found = importances(stage(lambda configuration, draw, noise=noise: 0.01 + noise.random()), "digits", SPACE)
        marked += [axis.is_chance for axis in found[0].axes]
    assert len(marked) == 12 and marked.count(False) <= 3


def test_an_axis_with_a_condition_is_compared_where_it_applies() -> None:
    def by_strength(configuration: Configuration, draw: random.Random) -> float:
        if configuration.regularizer == "none":
            return 0.02 + 0.001 * draw.random()
        return 0.01 + 0.002 * (math.log10(configuration.l1) + 6) ** 2

    found = importances(stage(by_strength, 80), "digits", SPACE)[0]
    assert {axis.axis for axis in found.axes[:2]} == {"l1", "regularizer"}


def in_cells(values, num_cells: int = 6, per_cell: int = 6) -> tuple[Stage, SearchSpace]:
    """Returns a stage whose table is of latent dimensions, and its space; `values` gives a configuration's error."""
    dims = list(range(2, num_cells + 2))
    space = SearchSpace.model_validate({"latent_dim": {"grid": dims}, **SPACE.model_dump(exclude_none=True)})
    plain = stage(values, num_cells * per_cell)
    trials = []
    for number, trial in enumerate(plain.trials):
        configuration = dataclasses.replace(trial.configuration, latent_dim=dims[number % num_cells])
        error = values(configuration, random.Random(number))
        rows = tuple(epoch(n, error, n) for n in range(1, 10))
        cell = (("latent_dim", configuration.latent_dim),)
        trials.append(dataclasses.replace(trial, configuration=configuration, epochs=rows, cell=cell))
    return dataclasses.replace(plain, trials=tuple(trials)), space


def test_within_cells_the_tables_axis_is_left_out_and_what_decides_there_is_found() -> None:
    """The latent dimension changes the error by a factor of 40, the learning rate by one of 3."""

    def values(configuration: Configuration, draw: random.Random) -> float:
        return by_rate(configuration, draw) / configuration.latent_dim**3

    found, space = in_cells(values)
    for rung in importances(found, "digits", space):
        assert rung.axes[0].axis == "latent_dim"
    for rung in importances(found, "digits", space, within_cells=True):
        assert rung.num_trials == 36 and "latent_dim" not in {axis.axis for axis in rung.axes}
        assert rung.axes[0].axis == "learning_rate" and rung.axes[0].share > 0.6 and not rung.axes[0].is_chance
    table = importance_table(found, importances(found, "digits", space, within_cells=True), ", within cells")
    assert table.lead == "S, within cells:" and table.rows[0][0] == "Learning rate"


def test_within_cells_nothing_but_the_cell_is_within_chance() -> None:
    found, space = in_cells(lambda configuration, draw: (1 + 0.1 * draw.random()) / configuration.latent_dim)
    axes = importances(found, "digits", space, within_cells=True)[0].axes
    assert len(axes) == 4 and sum(not axis.is_chance for axis in axes) <= 1


def test_within_cells_trials_that_are_alone_do_not_count() -> None:
    found, space = in_cells(by_rate, num_cells=20, per_cell=2)
    alone = dataclasses.replace(found, trials=found.trials[:30])  # ten cells of two, ten of one
    assert [rung.num_trials for rung in importances(alone, "digits", space, within_cells=True)] == [20, 20]


def test_within_cells_one_axis_or_one_cell_is_not_computed(monkeypatch) -> None:
    """The only axis has all of the share, and of the only cell the usual table says it already."""

    def never(*_: object) -> None:
        raise AssertionError("nothing is to be computed")

    monkeypatch.setattr(analysis, "_decided", never)
    found, space = in_cells(by_rate)
    rate = SearchSpace.model_validate({"latent_dim": {"grid": [2, 3]}, "learning_rate": {"log_uniform": [1e-4, 1e-1]}})
    one_cell = dataclasses.replace(found, trials=tuple(dataclasses.replace(trial, cell=()) for trial in found.trials))
    for known, searched in ((found, rate), (one_cell, space)):
        assert [rung.axes for rung in importances(known, "digits", searched, within_cells=True)] == [(), ()]


def test_within_cells_errors_are_compared_by_their_ratios_and_psnr_by_differences() -> None:
    """A ratio of errors is a difference of PSNR, so both find the same."""
    by_metric = []
    for mode in ("min", "max"):
        found, space = in_cells(by_rate)
        metric = "validation_mse" if mode == "min" else "validation_psnr_db"
        by_metric.append(importances(dataclasses.replace(found, mode=mode, metric=metric), "digits", space, True))
    assert by_metric[0] == by_metric[1]


def test_too_few_trials_say_nothing() -> None:
    found = importances(stage(by_rate, MIN_TRIALS - 1), "digits", SPACE)
    assert [(rung.epoch, rung.num_trials, rung.axes) for rung in found] == [(3, 19, ()), (9, 19, ())]
    assert importances(stage(by_rate, MIN_TRIALS), "digits", SPACE)[0].axes


def test_trials_are_compared_at_each_rung_that_they_reached() -> None:
    whole = stage(by_rate)
    short = tuple(
        dataclasses.replace(trial, epochs=trial.epochs[:3], status="stopped") if number % 2 else trial
        for number, trial in enumerate(whole.trials)
    )
    found = importances(dataclasses.replace(whole, trials=short), "digits", SPACE)
    assert [rung.num_trials for rung in found] == [60, 30]
    table = importance_table(whole, found)
    assert table.headings[1:] == ["After 3 epochs (60 trials)", "After 9 epochs (30 trials)"]
    assert table.rows[0][0] == "Learning rate" and CHANCE not in table.rows[0][1]


def test_importances_are_the_same_each_time() -> None:
    assert importances(stage(by_rate), "digits", SPACE) == importances(stage(by_rate), "digits", SPACE)


def test_the_best_so_far_follows_the_order_of_the_rows() -> None:
    """Two trials side by side: their rows count in the order in which they were recorded."""
    first, second, *_ = stage(by_rate, 2).trials
    first = dataclasses.replace(first, epochs=(epoch(1, 0.5, 0), epoch(2, 0.2, 3)))
    second = dataclasses.replace(second, epochs=(epoch(1, 0.4, 1), epoch(2, 0.3, 2)))
    assert best_so_far([first, second], "validation_mse", "min") == [(1, 0.5), (2, 0.4), (3, 0.3), (4, 0.2)]
    assert best_so_far([second, first], "validation_mse", "min") == best_so_far(
        [first, second], "validation_mse", "min"
    )
    psnr = best_so_far([first], "validation_psnr_db", "max")
    assert [spent for spent, _ in psnr] == [1, 2] and psnr[1][1] == pytest.approx(10 * math.log10(5))


def test_settings_of_a_package_s_family_as_a_whole_are_an_axis_like_any_other() -> None:
    """A study writes them as a mapping, a configuration holds them as pairs."""
    options = Axis[dict].model_validate({"choice": [{"width": 8, "kind": "a"}, {"width": 16, "kind": "a"}]})
    drawn = stage(by_rate, 40)
    trials = tuple(
        dataclasses.replace(
            trial,
            configuration=dataclasses.replace(
                trial.configuration, family="lab_one", options=(("kind", "a"), ("width", 8 + 8 * (number % 2)))
            ),
            epochs=tuple(epoch(row.epoch, 0.01 + 0.01 * (number % 2) + 1e-5 * number) for row in trial.epochs),
        )
        for number, trial in enumerate(drawn.trials)
    )
    drawn = dataclasses.replace(drawn, trials=trials)
    space = SearchSpace.model_construct(learning_rate=SPACE.learning_rate, options=options)
    assert importances(drawn, "digits", space)[0].axes[0].axis == "options"
    drawing = axes_figure("a", dataclasses.replace(drawn, rows="latent_dim"), "digits", {"options": options})
    labels = [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()]
    assert labels == ["kind a, width 8", "kind a, width 16"]
    assert len(drawing.figure.axes[0].lines) == 40


def test_lists_among_a_package_s_settings_and_conditions_on_them_are_told_as_the_study_writes_them() -> None:
    mappings = [{"widths": [8, 4]}, {"widths": [16]}]
    options = Axis[dict].model_validate({"choice": mappings})
    rate = SPACE.learning_rate.model_copy(update={"when": {"options": mappings[1]}})
    settings = [(("widths", tuple(found["widths"])),) for found in mappings]
    drawn = stage(by_rate, 40)
    trials = tuple(
        dataclasses.replace(
            trial,
            configuration=dataclasses.replace(trial.configuration, family="lab_one", options=settings[number % 2]),
        )
        for number, trial in enumerate(drawn.trials)
    )
    drawn = dataclasses.replace(drawn, trials=trials, rows="latent_dim")
    space = SearchSpace.model_construct(learning_rate=rate, options=options)
    axes = varying_axes(list(trials), space)
    assert axes.keys() == {"learning_rate", "options"}
    drawing = axes_figure("a", drawn, "digits", axes)
    points = {panel.get_xlabel(): len(panel.lines) for panel in drawing.figure.axes}
    assert points == {"Options": 40, "Learning rate": 20}
    (panel,) = [panel for panel in drawing.figure.axes if panel.get_xlabel() == "Options"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["widths 8-4", "widths 16"]
