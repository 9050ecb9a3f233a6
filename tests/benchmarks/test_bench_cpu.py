"""The benchmark's own claims: all sides train the same trials, and ratios compare rounds with each other."""

import argparse

import bench_cpu
import pytest
from bench_cpu import Measurement

from aesweep.search.stages import stage_trials
from aesweep.study.study_file import check_study


@pytest.mark.parametrize(("trials", "epochs"), [(8, 2), (8, 10), (3, 1)])
def test_the_study_is_the_rivals_trials_with_nothing_stopped(trials, epochs):
    arguments = argparse.Namespace(trials=trials, epochs=epochs, images=60_000, precision="fp32")
    study = check_study(bench_cpu.study(arguments), "benchmark")
    specs = stage_trials(study, "speed", {"mnist": None})
    assert study.stages["speed"].rungs() == []
    assert len({spec.cell for spec in specs}) == 1
    assert [spec.configuration.learning_rate for spec in specs] == pytest.approx(bench_cpu.learning_rates(trials))
    for spec in specs:
        found = spec.configuration
        assert (found.hidden_layers, found.latent_dim, found.batch_size) == ((512, 128), 100, 128)
        assert (found.activation, found.output, found.schedule) == ("gelu", "sigmoid", "constant")
        assert -(-spec.training_images // 128) == -(-60_000 // 128)  # as many steps an epoch
        assert spec.epochs == epochs


def test_ratios_are_medians_of_the_rounds_ratios():
    measured = {
        "aesweep": [Measurement(10, 8, 0.01), Measurement(20, 8, 0.01), Measurement(10, 8, 0.01)],
        "plain": [Measurement(50, None, 0.01), Measurement(120, None, 0.01), Measurement(40, None, 0.01)],
        "bare": [Measurement(9, 6, 0.01), Measurement(9, 8, 0.01), Measurement(9, 7, 0.01)],
    }
    ours, plain, bare = (line.split(" | ") for line in bench_cpu.table(measured).splitlines()[2:])
    assert ours[1:4] == ["10.0", "10.0 to 20.0", "1.00"]
    assert plain[1:4] == ["50.0", "40.0 to 120.0", "5.00"] and plain[4:6] == ["", ""]
    assert bare[4:6] == ["7.0", "0.88"]
