"""The benchmark of samplers: its clock, what searchers may know, its regrets, and that it drives what it names."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import math
import sys

import bench_samplers
import numpy as np
import optuna
import pytest
from samplers import contest, curve_tables, summary
from samplers.contest import OURS, RANDOM, SEARCHERS, outcome, searcher_of
from samplers.curve_tables import CurveTable, TableDefinition, load_table, table_specs
from samplers.optuna_search import OptunaTpe, hyperband, successive_halving
from samplers.our_search import OurSearch, our_study
from samplers.ray_tune_search import RayTuneAsha
from samplers.recording import record
from samplers.regret import NothingToGain, bootstrap_interval, epochs_until, is_finished, median, regret_curve
from samplers.replay import PerCell, replay
from samplers.search_axes import IntervalAxis, ListedAxis

from aesweep.data.datasets import load_dataset
from aesweep.study.configuration import Configuration
from aesweep.training.pack import Pack
from aesweep.training.trial_images import prepare
from tests.search.simulated_search import search

EPOCHS = 9
TINY = TableDefinition(
    "tiny",
    "digits",
    cells=(ListedAxis("latent_dim", (2, 4)), ListedAxis("hidden_layers", ([8], [16]))),
    drawn=(IntervalAxis("learning_rate", 1e-3, 1e-1, 5, log=True), IntervalAxis("dropout", 0.0, 0.3, 3)),
    epochs=EPOCHS,
    fixed={"batch_size": 256},
)
NUM = math.prod(TINY.shape)
SYNE_TUNE = pytest.mark.skipif(
    importlib.util.find_spec("syne_tune") is None, reason="NOT RUN: pip install 'aesweep[search-peers]'"
)
NAMES = [pytest.param(name, marks=[SYNE_TUNE] if name.startswith("Syne") else []) for name in SEARCHERS]


def table(seed: int = 0, diverging: int | None = None) -> CurveTable:
    """Curves that fall to a random level, those of one configuration up to its divergence in the third epoch."""
    random = np.random.default_rng(seed)
    errors = random.uniform(1, 2, (NUM, 1)) + 2 * np.exp(-random.uniform(0.1, 1, (NUM, 1)) * np.arange(1, EPOCHS + 1))
    if diverging is not None:
        errors[diverging, 2:] = math.nan
    return CurveTable(TINY, errors, np.repeat(random.uniform(1, 3, 4), NUM // 4))


class Scripted:
    """Asks for given configurations, and stops each after a given number of epochs."""

    def __init__(self, points, lengths):
        self.points, self.lengths, self.asked = list(points), list(lengths), 0

    def ask(self):
        if self.asked == len(self.points):
            return None
        self.asked += 1
        return self.asked - 1, self.points[self.asked - 1]

    def tell(self, trial, epoch, value):
        return epoch < self.lengths[trial]

    def fail(self, trial, epoch):
        pass


def point(latent_dim, width, rate=1e-2, dropout=0.1):
    return {"latent_dim": latent_dim, "hidden_layers": [width], "learning_rate": rate, "dropout": dropout}


@pytest.mark.parametrize("axis", [*TINY.drawn, *curve_tables.DEFINITIONS["mnist"].drawn])
def test_recorded_values_have_equal_shares_of_an_interval_and_stand_for_themselves(axis):
    assert [axis.index(value) for value in axis.values] == list(range(axis.num_values))
    ends = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    drawn = np.linspace(*ends, 60 * axis.num_values + 1)[:-1] + 1e-9
    places = [axis.index(math.exp(value) if axis.log else value) for value in drawn]
    assert np.bincount(places).tolist() == [60] * axis.num_values
    assert (axis.index(axis.low), axis.index(axis.high)) == (0, axis.num_values - 1)


def test_each_configuration_of_a_table_is_trained_once_and_found_by_its_number():
    specs = table_specs(TINY)
    assert len({spec.configuration for spec in specs}) == len(specs) == NUM
    for number, spec in enumerate(specs):
        values = {axis.name: getattr(spec.configuration, axis.name) for axis in TINY.axes}
        assert table().index(values) == number
        assert list(spec.configuration.hidden_layers) == [[8], [16]][table().cells[number] % 2]
        assert spec.epochs == EPOCHS and spec.configuration.batch_size == 256


def test_two_workers_share_the_clock():
    """Worked by hand: epochs of 2 and of 3 units of time, three trials of 3, 1 and 2 epochs."""
    slow = dataclasses.replace(table(), epoch_times=np.where(table().cells == 1, 3.0, 2.0))
    searcher = Scripted([point(2, 8), point(2, 16), point(2, 16, 0.05)], [3, 1, 2])
    told = replay(slow, searcher, 2, 100)
    assert [(event.time, event.trial, event.epoch) for event in told] == [
        (2.0, 0, 1),
        (3.0, 1, 1),  # it ends, and the third trial takes its worker
        (4.0, 0, 2),
        (6.0, 2, 1),  # began at 3, before the epoch that began at 4
        (6.0, 0, 3),
        (9.0, 2, 2),
    ]
    assert [event.goes_on for event in told] == [True, False, True, True, False, False]
    assert told[3].value == slow.errors[slow.index(point(2, 16, 0.05)), 0]


@pytest.mark.parametrize("num_workers", [1, 2, 7])
@pytest.mark.parametrize("budget", [1, 10, 200])
def test_epochs_are_counted_when_they_end(num_workers, budget):
    searcher = Scripted([point(2, 8)] * 30, [EPOCHS, 2, 1] * 10)
    told = replay(table(), searcher, num_workers, budget)
    assert len(told) == min(budget, 10 * (EPOCHS + 2 + 1))
    assert [event.time for event in told] == sorted(event.time for event in told)
    for start in {event.time for event in told}:
        running = [event for event in told if event.time - table().epoch_times[0] < start - 1e-9 < event.time - 2e-9]
        assert len(running) <= num_workers


def test_a_configuration_that_diverges_ends_for_everybody():
    broken = table(diverging=0)
    first = point(2, 8, 1e-3, 0.0)
    told = replay(broken, Scripted([first, first], [EPOCHS, EPOCHS]), 1, 100)
    assert [event.epoch for event in told] == [1, 2, 3, 1, 2, 3] and math.isnan(told[2].value)
    assert math.isinf(broken.final[0])


@pytest.mark.parametrize("with_cells", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_paid_for_changes_nothing(name, with_cells):
    """All that was not told is exchanged for noise, and the same search follows: nobody has read it."""
    known = table(diverging=7)
    told = replay(known, searcher_of(name, TINY, with_cells, 3, 150), 3, 150)
    assert len(told) == 150
    errors = np.random.default_rng(1).uniform(0, 100, known.errors.shape)
    for event in told:
        errors[event.configuration, event.epoch - 1] = event.value
    other = dataclasses.replace(known, errors=errors)
    again = replay(other, searcher_of(name, TINY, with_cells, 3, 150), 3, 150)
    assert [key(event) for event in again] == [key(event) for event in told]
    if with_cells:
        assert {int(known.cells[event.configuration]) for event in told} == {0, 1, 2, 3}
    another = replay(known, searcher_of(name, TINY, with_cells, 4, 150), 3, 150)
    assert [key(event) for event in another] != [key(event) for event in told]


def key(event):
    return event.time, event.trial, event.configuration, event.epoch, str(event.value), event.goes_on


WITHOUT_BRACKETS = [name for name, settings in OURS.items() if "asha" not in settings]


@pytest.mark.parametrize("with_cells", [False, True])
@pytest.mark.parametrize("name", WITHOUT_BRACKETS)
@pytest.mark.parametrize("num_workers", [1, 5])
def test_ours_stops_what_ray_tunes_own_scheduler_stops(name, with_cells, num_workers):
    """Ray Tune's scheduler, one for each cell, is told the same rows in the same order."""
    known = table(1)
    told = replay(known, searcher_of(name, TINY, with_cells, 0, 300), num_workers, 300)
    schedulers = {cell: RayTuneAsha(TINY.axes, EPOCHS, 0) for cell in range(4)}
    numbers = {}
    for event in told:
        scheduler = schedulers[int(known.cells[event.configuration]) if with_cells else 0]
        if event.trial not in numbers:
            numbers[event.trial] = scheduler.ask()[0]
        assert scheduler.tell(numbers[event.trial], event.epoch, event.value) == event.goes_on, event


@pytest.mark.parametrize("sampler", WITHOUT_BRACKETS)
def test_one_worker_of_ours_is_the_search_that_is_tested_elsewhere(sampler):
    study = our_study(TINY, OURS[sampler], 5, True, 48)
    stage = study.stages[curve_tables.STAGE]
    known = table(2)

    def measure(found: Configuration, epoch: int) -> float:
        return known.errors[known.index(curve_tables.values_of(found, TINY)), epoch - 1]

    expected = search(stage, measure, f"5/{curve_tables.STAGE}")
    searcher = OurSearch(study, TINY)
    replay(known, searcher, 1, 10_000)
    found = list(searcher.state.trials.values())
    assert [trial.created.configuration for trial in found] == [trial.created.configuration for trial in expected]
    assert [(trial.epochs, trial.status) for trial in found] == [(trial.epochs, trial.status) for trial in expected]
    assert len(found) == stage.samples * 4 >= 48


@pytest.mark.parametrize("pruner", [successive_halving, hyperband])
def test_optuna_is_driven_as_its_own_loop_drives_it(pruner):
    known = table(3)
    told = replay(known, OptunaTpe(TINY.axes, EPOCHS, 8, pruner(EPOCHS)), 1, 250)
    rows = []

    def objective(trial):
        values = {
            "latent_dim": (2, 4)[trial.suggest_categorical("latent_dim", [0, 1])],
            "hidden_layers": ([8], [16])[trial.suggest_categorical("hidden_layers", [0, 1])],
            "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        }
        for epoch in range(1, EPOCHS + 1):
            value = known.errors[known.index(values), epoch - 1]
            rows.append((trial.number, known.index(values), epoch))
            trial.report(value, epoch)
            if epoch < EPOCHS and trial.should_prune():
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=8, constant_liar=True), pruner=pruner(EPOCHS), study_name="replay 8"
    )
    while len(rows) < 250:
        study.optimize(objective, n_trials=1)
    assert [(event.trial, event.configuration, event.epoch) for event in told] == rows[:250]


def test_epochs_are_divided_evenly_among_cells():
    known = table()
    told = replay(known, searcher_of(RANDOM, TINY, True, 0, 400), 2, 400)
    spent = np.zeros(4)
    for event in told:
        spent[known.cells[event.configuration]] += 1
        assert spent.max() - spent.min() <= 2 * EPOCHS  # what two workers may train at once
    assert PerCell([]).ask() is None


@pytest.mark.parametrize("cell", [None, 0, 3])
@pytest.mark.parametrize("seed", range(4))
def test_regret_is_that_of_the_best_of_the_longest_trained(cell, seed):
    """Against the definition, tried at each number of epochs."""
    known = table(seed, diverging=5)
    told = replay(known, searcher_of(RANDOM, TINY, False, seed, 120), 4, 120)
    mine = range(NUM) if cell is None else [number for number in range(NUM) if known.cells[number] == cell]
    regrets = regret_curve(known, told, 130, cell)
    least = min(known.errors[number, -1] for number in mine if number != 5)
    for spent in range(131):
        seen = [e for e in told[:spent] if math.isfinite(e.value) and e.configuration in mine]
        if not seen:
            assert math.isinf(regrets[spent])
            continue
        longest = max(event.epoch for event in seen)
        best = min((event for event in seen if event.epoch == longest), key=lambda event: event.value)
        assert regrets[spent] == pytest.approx(known.final[best.configuration] / least - 1)
    first = next((spent for spent in range(131) if regrets[spent] <= 0.3), math.inf)
    assert epochs_until(regrets, 0.3) == first
    expected = any(e.epoch == EPOCHS and e.configuration in mine for e in told)
    assert cell is None or is_finished(known, told, cell) == expected


@pytest.mark.parametrize("with_cells", [False, True])
def test_replay_that_ends_with_nothing_to_gain_has_the_regrets_of_the_whole(with_cells):
    known, budget = table(4), 2000
    whole = replay(known, searcher_of(RANDOM, TINY, with_cells, 1, budget), 2, budget)
    ended = replay(known, searcher_of(RANDOM, TINY, with_cells, 1, budget), 2, budget, NothingToGain(known, with_cells))
    assert len(ended) < len(whole) == budget
    for cell in range(4) if with_cells else [None]:
        curves = [regret_curve(known, told, budget, cell) for told in (ended, whole)]
        assert curves[0].tolist() == curves[1].tolist() and curves[0][-1] == 0


def test_interval_of_a_median_is_that_of_order_statistics():
    """The ranks 18 and 33 of 50 bound the median with 95 %, by the binomial distribution."""
    values = np.random.default_rng(2).permutation(np.arange(1.0, 51.0))
    low, high = bootstrap_interval(values)
    assert 16 <= low <= 20 and 31 <= high <= 35


def test_median_counts_what_was_never_reached():
    assert median([1, 2, 3, math.inf, math.inf]) == 3
    assert median([1, 2, math.inf, math.inf, math.inf]) == math.inf
    assert median([1, 2, 4, 8]) == 3
    assert summary.Figure.of([[5], [7], [None], [None], [None]]).text(".0f", 90) == "> 90 [5, > 90]"


def test_cells_of_a_search_are_resampled_together():
    """Where the cells of a seed are alike, there are as many independent values as seeds, and the interval is wide."""
    assert summary.Figure.of([[1, 1, 1], [3, 3, 3]]) == summary.Figure(2, 1, 3)
    wide, narrow = np.repeat(np.arange(20.0), 9).reshape(20, 9), np.repeat(np.arange(20.0), 9)
    (low, high), (inner_low, inner_high) = bootstrap_interval(wide), bootstrap_interval(narrow)
    assert low < inner_low and high > inner_high


def line(searcher, regret, until, finished=1.0, group=("tiny", True, 4)):
    figures = summary.Figure(regret, regret, regret), summary.Figure(until, until, until)
    return summary.Line(group, searcher, 50, {0.1: figures[0]}, figures[1], figures[1], 1.0, {0.1: finished}, 500)


def test_claims_name_each_place_where_ours_is_not_first():
    others = [line("Syne Tune, ASHA", 0.3, 100), line("ours, tpe not shared", 0.4, 150)]
    good = summary.claims([line("ours, tpe", 0.2, 90), line(RANDOM, 0.2, 180), *others])
    assert [text.split(": ")[1] for text in good] == ["2 of 2 places.", *["1 of 1 places."] * 3]
    bad = summary.claims([line("ours, tpe", 0.25, 91, 0.9), line(RANDOM, 0.2, 180), *others])
    assert [text for text in bad if text.startswith("  not")] == [
        f"  not: tiny, cells, 4 workers, 10%: 25.0 [25.0, 25.0] against 20.0 [20.0, 20.0] of {RANDOM}",
        "  not: tiny, cells, 4 workers: 91 [91, 91] against 180 [180, 180]",
        "  not: tiny, cells, 4 workers: 91 [91, 91] against 150 [150, 150]",
        "  not: tiny, cells, 4 workers: 90.0% at 10%",
    ]


@pytest.fixture
def small(monkeypatch):
    definition = dataclasses.replace(
        TINY,
        name="small",
        cells=(ListedAxis("latent_dim", (2, 4)), ListedAxis("hidden_layers", ([8],))),
        drawn=(IntervalAxis("learning_rate", 1e-3, 1e-1, 2, log=True), IntervalAxis("dropout", 0.0, 0.3, 2)),
        epochs=3,
    )
    monkeypatch.setitem(curve_tables.DEFINITIONS, "small", definition)
    return definition


def test_recorded_curve_is_that_of_the_configuration_trained_alone(small, tmp_path):
    """Alone in a pack of its own, on the images that its trial would have: equal to the last bit."""
    assert record(small, tmp_path, None, most=3) == 5
    with (tmp_path / "small.jsonl").open("a") as file:
        file.write('{"number": 3, "validation_mse": [0.1,')  # killed while it was written
    with pytest.raises(SystemExit, match="expected 8 recorded configurations, found 3"):
        load_table(tmp_path, "small")
    assert record(small, tmp_path, None) == 0
    found = load_table(tmp_path, "small")
    specs = table_specs(small)
    for number in (1, 4, 7):
        spec = specs[number]
        images = prepare(load_dataset("digits"), spec)
        pack = Pack(images.training)
        pack.add("alone", spec.configuration, seed=spec.seeds[0], epochs=3)
        alone = []
        for _ in range(3):
            pack.train_epoch()
            alone.append(float(pack.per_image_mse(["alone"], images.validation)["alone"].mean()))
        assert found.errors[number].tolist() == alone
    assert set(found.epoch_times) == {1.0} and found.num_cells == 2


def test_file_of_another_table_is_refused(small, tmp_path):
    record(small, tmp_path, None, most=0)
    with pytest.raises(SystemExit, match="found another"):
        record(dataclasses.replace(small, epochs=4), tmp_path, None)


def test_command_prints_tables_writes_files_and_repeats_nothing(small, tmp_path, monkeypatch, capsys):
    record(small, tmp_path, None)
    capsys.readouterr()
    words = ["replay", "small", "--folder", tmp_path, "--seeds", 2, "--workers", 1, 2]
    words += [
        "--searchers",
        "ours, tpe",
        RANDOM,
        "--json",
        tmp_path / "lines.json",
        "--figure",
        tmp_path / "regret.svg",
    ]
    printed = []
    for seeds in (2, 3):
        words[words.index("--seeds") + 1] = seeds
        monkeypatch.setattr(sys, "argv", ["bench_samplers.py", *map(str, words)])
        bench_samplers.main()
        printed.append(capsys.readouterr())
        kept = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
        assert len(kept) == seeds * 2 * 2 * 2
    assert "8 of 8 replays" in printed[1].err
    words[words.index("--seeds") + 1] = 9
    monkeypatch.setattr(sys, "argv", ["bench_samplers.py", *map(str, words), "--only-kept"])
    bench_samplers.main()
    assert capsys.readouterr().out == printed[1].out
    assert "small, with cells" in printed[1].out and "small, without cells" in printed[1].out
    lines = json.loads((tmp_path / "lines.json").read_text())
    assert len(lines) == 2 * 2 * 2 and {line["num_seeds"] for line in lines} == {3}
    assert b"<svg" in (tmp_path / "regret.svg").read_bytes()


def test_outcome_has_the_regrets_of_its_replay():
    known, at = table(5), [20, 60, 90]
    found = outcome(known, RANDOM, True, 2, 0, 90, at)
    told = replay(known, contest.searcher_of(RANDOM, TINY, True, 0, 90), 2, 90)
    for spent, regret, finished in itertools.zip_longest(at, found.regrets, found.finished):
        curves = [regret_curve(known, told, 90, cell)[spent] for cell in range(4)]
        assert regret is None if math.inf in curves else regret == pytest.approx(sum(curves) / 4)
        assert finished == sum(is_finished(known, told[:spent], cell) for cell in range(4)) / 4
    assert found.spent == 90


def test_brackets_stop_fewer_trials_at_the_first_rungs():
    """Of the same draws: a trial of a later bracket passes the first rung."""
    known = table(3)
    found = {}
    for name, asha in (("plain", {}), ("brackets", {"asha": {"brackets": 3}})):
        study = our_study(TINY, {"sampler": "quasi_random", **asha}, 5, False, 48)
        search = OurSearch(study, TINY)
        replay(known, search, 1, 200)
        found[name] = [event for event in search.state.events if event.kind == "decision" and event.epoch == 1]
    brackets = {trial.created.bracket for trial in search.state.trials.values()}
    assert brackets == {0, 1, 2} and 0 < len(found["brackets"]) < len(found["plain"])


def test_kept_replays_are_told_of_without_the_package_that_made_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["replay", "digits", "--seeds", "1"]
    made, kept = (
        {task.searcher for task in bench_samplers.tasks(bench_samplers.parser().parse_args([*words, *more]))}
        for more in ([], ["--only-kept"])
    )
    assert {name for name in SEARCHERS if name.startswith("Syne")} == kept - made
