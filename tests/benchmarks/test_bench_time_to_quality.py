"""The benchmark's own claims: clocks stop at the target, sides leave nothing behind, ratios compare rounds."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
import time
from pathlib import Path

import bench_time_to_quality as bench
import plain_asha_sweep
import pytest
from bench_time_to_quality import Outcome, Records, Side

from aesweep.search.stages import stage_trials
from aesweep.study.configuration import Configuration
from aesweep.study.study_file import check_study

OTHER = "import subprocess, sys; other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"


def writer(folder, code: str) -> Side:
    """A side that is a few lines of Python, in which `tell` records an error."""
    begin = f"""
        import json, os, time
        os.makedirs({str(folder / "results" / "sweep" / "one")!r})
        file = open({str(folder / "results" / "sweep" / "one" / "result.json")!r}, "w", buffering=1)
        def tell(error):
            file.write(json.dumps({{"validation_mse": error}}) + chr(10))
    """
    command = [sys.executable, "-S", "-c", textwrap.dedent(begin) + textwrap.dedent(code)]
    return Side(command, "results/sweep/*/result.json", bench.tune_value)


def has_ended(pid: int) -> bool:
    """Whether a process is no more, or waits for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_both_sides_have_one_cell_of_the_same_trials_images_and_network(tmp_path):
    arguments = bench.parser().parse_args(["--data-dir", "somewhere"])
    study = check_study(bench.study(arguments, 3), "benchmark")
    stage = study.stages["quality"]
    specs = stage_trials(study, "quality", {"mnist": None})
    command = bench.plain(arguments, tmp_path, 3).command
    theirs = plain_asha_sweep.parser().parse_args(command[2:])
    assert len({spec.cell for spec in specs}) == 1 and len(specs) == theirs.trials == 8
    assert round(60_000 * study.validation_fraction) == theirs.validation_images
    assert stage.space.learning_rate.log_uniform == tuple(theirs.rates)
    assert stage.rungs() == [1] and theirs.epochs > stage.epochs
    assert theirs.workers == arguments.workers == os.cpu_count()
    mine = specs[0].configuration
    assert (mine.hidden_layers, mine.latent_dim, mine.batch_size) == ((512, 128), 100, 128)
    default = Configuration(hidden_layers=(), latent_dim=1)
    assert all(getattr(mine, name) == getattr(default, name) for name in ("schedule", "initialization", "output"))
    widths = [layer.out_features for layer in plain_asha_sweep.Autoencoder().modules() if hasattr(layer, "in_features")]
    assert widths == [512, 128, 100, 128, 512, 784]


def test_rounds_of_ours_draw_other_rates():
    arguments = bench.parser().parse_args([])
    drawn = [
        {spec.configuration.learning_rate for spec in stage_trials(check_study(values, ""), "quality", {"mnist": None})}
        for values in (bench.study(arguments, 1), bench.study(arguments, 2))
    ]
    assert drawn[0].isdisjoint(drawn[1])


def test_lines_are_read_once_and_not_before_they_are_whole(tmp_path):
    records = Records(tmp_path, "*/result.json")
    assert list(records.new()) == []
    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / "result.json"
    path.write_text('{"a": 1}\n{"a": 2')
    assert list(records.new()) == [{"a": 1}]
    with open(path, "a") as file:
        file.write("2}\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "result.json").write_text('{"a": 3}\n')
    assert list(records.new()) == [{"a": 22}, {"a": 3}] and list(records.new()) == []


def test_only_errors_on_validation_images_count():
    row = {"kind": "row", "trial": "quality-mnist-0000", "validation_mse": 0.02, "training_mse": 0.001}
    assert bench.journal_value(row) == 0.02
    assert bench.journal_value({"kind": "baseline", "mse": 0.001}) is None
    assert bench.tune_value({"validation_mse": 0.03, "training_iteration": 2}) == 0.03
    assert bench.tune_value({"training_iteration": 0}) is None


def test_clock_stops_at_the_target_and_nothing_goes_on(tmp_path):
    path = tmp_path / "pid"
    code = f"{OTHER}\nopen({str(path)!r}, 'w').write(str(other.pid))\n"
    code += "tell(0.3); tell(0.2)\ntime.sleep(1)\ntell(0.1)\ntime.sleep(600)"
    started = time.perf_counter()
    found = bench.measure(writer(tmp_path, code), tmp_path, target=0.1, limit_s=60)
    assert found.is_reached and (found.best, found.num_records) == (0.1, 3)
    assert 1 <= found.seconds <= time.perf_counter() - started
    assert has_ended(int(path.read_text()))


def test_processes_of_an_ended_side_are_killed_too(tmp_path):
    """Those that outlive the command, as Ray's do where their driver is killed."""
    path = tmp_path / "pid"
    code = f"{OTHER}\nopen({str(path)!r}, 'w').write(str(other.pid))\ntell(0.1)"
    bench.measure(writer(tmp_path, code), tmp_path, target=0.01, limit_s=60)
    assert has_ended(int(path.read_text()))


def test_side_that_does_not_get_there_counts_until_the_limit(tmp_path):
    found = bench.measure(writer(tmp_path, "tell(0.3)\ntime.sleep(600)"), tmp_path, target=0.1, limit_s=1)
    assert not found.is_reached and found.seconds > 1 and found.best == 0.3


def test_side_that_ends_without_the_target_is_not_there(tmp_path):
    found = bench.measure(writer(tmp_path, "tell(0.3)"), tmp_path, target=0.1, limit_s=60)
    assert not found.is_reached and found.num_records == 1


def test_side_that_fails_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit, match="ended with 3"):
        bench.measure(writer(tmp_path, "print('no memory'); raise SystemExit(3)"), tmp_path, target=0.1, limit_s=60)
    assert "no memory" in capsys.readouterr().err


def test_sides_alternate_and_each_has_a_folder_of_its_own(monkeypatch, capsys):
    order, folders = [], []

    def side(name):
        def make(arguments, folder, number):
            order.append((number, name))
            folders.append(folder)
            return Side([name], "", bench.tune_value)

        return make

    monkeypatch.setattr(bench, "SIDES", {name: side(name) for name in ("aesweep", "plain")})
    monkeypatch.setattr(bench, "measure", lambda side, folder, *_: Outcome(1.0, 0.1, 1, True))
    bench.run_rounds(bench.parser().parse_args(["--rounds", "3"]))
    assert order == [(1, "aesweep"), (1, "plain"), (2, "plain"), (2, "aesweep"), (3, "aesweep"), (3, "plain")]
    assert len(set(folders)) == 6 and not any(folder.exists() for folder in folders)


def test_ratios_are_medians_of_the_rounds_ratios():
    mine = [Outcome(10, 0.1, 5, True), Outcome(20, 0.1, 5, True), Outcome(10, 0.1, 5, True)]
    theirs = [Outcome(50, 0.1, 9, True), Outcome(120, 0.1, 9, True), Outcome(40, 0.1, 9, True)]
    ours, plain = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in bench.table({"aesweep": mine, "plain": theirs}).splitlines()[2:]
    )
    assert ours[1:3] == ["10.0", "10.0 to 20.0"] and ours[5:] == ["3 of 3", "1.00"]
    assert plain[1:3] == ["50.0", "40.0 to 120.0"] and plain[5:] == ["3 of 3", "5.00"]


def test_ratio_is_a_lower_bound_where_the_rival_ran_into_the_limit():
    mine, limited = [Outcome(10, 0.1, 5, True)], [Outcome(100, math.inf, 0, False)]
    assert bench.ratio(limited, mine) == "more than 10.00"
    assert bench.ratio(mine, limited) == ""


def test_study_can_be_written_as_a_file(tmp_path):
    side = bench.ours(bench.parser().parse_args(["--data-dir", "somewhere"]), tmp_path, 1)
    assert side.command[side.command.index("run") + 1] == str(tmp_path / "quality.yaml")
    assert json.dumps(bench.study(bench.parser().parse_args([]), 1))
