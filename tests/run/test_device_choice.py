"""On what a study trains that leaves it open: what is there, and what timed steps say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aesweep.cluster.room import Node
from aesweep.process.errors import AesweepError, StudyError
from aesweep.run.preflight import device_choice
from aesweep.run.preflight.device_choice import DeviceChoice, choose_devices, main_work, time_on_both
from aesweep.run.preflight.step_timer import StepTimer
from aesweep.run.preflight.work import study_work
from aesweep.study.configuration import Configuration
from aesweep.study.resources import Resources
from aesweep.study.study_file import check_study, load_study

SIZES = {"digits": (1000, (1, 8, 8))}
TRAINED = 900  # a tenth of the images validates


def study_of(resources: object = "auto", **stage: object):
    search = {
        "space": {
            "hidden_layers": {"grid": [[8], [16], [32], [64]]},
            "latent_dim": 2,
            "learning_rate": {"log_uniform": [1e-3, 1e-2]},
        },
        "table": {"rows": "hidden_layers"},
        "samples": 3,
        "epochs": 4,
        "asha": "none",
    }
    stages = {"architecture": {**search, **stage}}
    retraining = {"epochs": 7, "seeds": 5}
    values = {"name": "x", "datasets": ["digits"], "resources": resources, "stages": stages, "retraining": retraining}
    return check_study(values, "a test")


def never(work):
    raise AssertionError("nothing is to be timed")


def timed(core: float, gpu: float):
    return lambda work: ([core] * len(work), [gpu] * len(work))


def chosen(nodes, time_steps, resources: object = "auto", workers=None, recorded=None) -> DeviceChoice:
    return choose_devices(study_of(resources), SIZES, [Node(*node) for node in nodes], workers, time_steps, recorded)


@pytest.mark.parametrize("resources", ["auto", {}, {"trainers": "auto"}, {"trials_per_trainer": 4}])
def test_without_a_gpu_trials_train_on_the_cores_and_nothing_is_timed(resources):
    found = chosen([(2, 0), (6, 0)], never, resources)
    assert (found.resources.trainers, found.resources.gpus_per_trial) == (0, 0)
    assert found.reason == "8 cores: there is no GPU"
    assert chosen([(8, 0)], never, resources, workers=3).reason.startswith("3 cores:")


# All work takes the same time an image here: 16 cores are as fast as 4 GPUs where a GPU is as fast as 4 cores.
@pytest.mark.parametrize(("speed", "is_on_gpus"), [(3.9, False), (4.1, True), (400.0, True)])
def test_timed_steps_decide(speed, is_on_gpus):
    found = chosen([(8, 4), (8, 0)], timed(speed, 1.0))
    assert found.resources.trainers == (4 if is_on_gpus else 0)
    factor = max(speed / 4, 4 / speed)
    slower = "16 cores" if is_on_gpus else "4 trainers with a GPU and 16 trials at once each"
    assert found.reason.endswith(f"faster than {slower} by a factor of {factor:.1f}, by timed steps")
    assert found.recorded()["gpus_seen"] == 4


def test_kinds_of_models_weigh_by_the_images_that_they_train_on():
    def time_steps(work):
        # A GPU wins where the retrained seeds are, and loses by more elsewhere.
        return [1.0] * len(work), [0.1 if one.num_members == 5 else 1.9 for one in work]

    work = main_work(study_of(), SIZES, Resources(trainers=1))
    on_cores = sum(one.num_images for one in work)
    on_gpu = sum(one.num_images * (0.1 if one.num_members == 5 else 1.9) for one in work)
    found = chosen([(1, 1)], time_steps)
    assert bool(found.resources.trainers) == (on_gpu < on_cores)
    assert f"by a factor of {max(on_gpu / on_cores, on_cores / on_gpu):.1f}," in found.reason


def test_work_is_every_epoch_of_every_member():
    study = study_of(seeds=2, retraining={"of": "cells"})
    ((name, work),) = study_work(study, SIZES, Resources(trainers=2), lambda one, shape: one.hidden_layers[0])
    assert name == "architecture"
    assert sum(one.num_images for one in work.search) == 4 * 3 * 4 * 2 * TRAINED
    assert sum(one.num_images for one in work.retraining) == 4 * 5 * 7 * 1000
    assert {one.num_members for one in work.search} == {3 * 2}  # the trials of a shape share a pack
    assert [one.configuration.hidden_layers for one in work.retraining] == [(8,), (16,), (32,), (64,)]


def test_work_that_is_timed_is_what_most_images_and_parameters_are_for():
    work = main_work(study_of(retraining={"of": "none"}), SIZES, Resources(trainers=1))
    assert [one.configuration.hidden_layers for one in work] == [(64,), (32,), (16,)]


def test_stage_from_a_winner_is_counted_with_the_largest_model():
    study = study_of()
    later = {"from": "architecture", "space": {"noise_variance": {"grid": [0.1]}}, "table": {"rows": "noise_variance"}}
    values = study.resolved()
    values["stages"]["denoising"] = {**later, "epochs": 50}
    assert main_work(check_study(values, "a test"), SIZES, Resources(trainers=1))[0].configuration.hidden_layers == (
        64,
    )


@pytest.mark.parametrize(
    ("nodes", "each", "trainers"),
    [
        ([(8, 4)], 1, 4),
        ([(8, 4), (8, 2)], 1, 6),
        ([(8, 4)], 0.5, 8),
        ([(8, 4)], 0.4, 8),  # two of 0.4 on a GPU; a fifth of each is left over
        ([(8, 4)], 2, 2),
        ([(8, 3), (8, 3)], 2, 2),
        ([(3, 4)], 1, 3),  # a trainer holds a core
        ([(8, 0.5)], 0.25, 2),
        ([(8, 0.5)], 1, 0),
        ([(0, 4)], 1, 0),
    ],
)
def test_as_many_trainers_as_have_room(nodes, each, trainers):
    found = chosen(nodes, timed(1e9, 1.0), {"trainers": "auto", "gpus_per_trainer": each})
    assert found.resources.trainers == trainers
    if not trainers:
        assert "no machine has a core and " in found.reason


@pytest.mark.parametrize(
    ("resources", "trainers", "num_gpus"),
    [
        ("auto", 2, 2),
        ({"gpus_per_trainer": 0.25}, 8, 2),
        ({"trainers": 1}, 1, 1),
        ({"trainers": 9}, 9, 2),  # a run would be refused here; this is what they would be worth
        ({"gpus_per_trial": 0.25}, 0, 2),
        ({"trainers": 2, "gpus_per_trainer": 0}, 2, 0),
        ({"trainers": 0}, 0, 0),
    ],
)
def test_plan_reckons_with_the_gpus_that_would_be_at_work(monkeypatch, resources, trainers, num_gpus):
    monkeypatch.setattr(device_choice, "usable_gpus", lambda: 2)
    monkeypatch.setattr(device_choice, "time_on_both", lambda work, precision: timed(1e9, 1.0)(work))
    choice, found = device_choice.devices_here(study_of(resources), SIZES, 8, None)
    assert (choice.resources.trainers, found) == (trainers, num_gpus)


@given(
    num_gpus=st.integers(1, 8),
    num_cores=st.integers(1, 16),
    each=st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5, 1, 2, 4]),
    workers=st.one_of(st.none(), st.integers(1, 40)),
)
def test_trainers_fit_and_no_more_trials_are_at_once_than_the_user_wants(num_gpus, num_cores, each, workers):
    resources = chosen([(num_cores, num_gpus)], timed(1e9, 1.0), {"gpus_per_trainer": each}, workers).resources
    assert resources.trainers * each <= num_gpus + 1e-6 and resources.trainers <= num_cores
    if workers is not None and resources.trainers:
        assert resources.trainers <= workers
        # As near to the number as trainers with the same number of trials each come.
        assert resources.trainers * (resources.trials_per_trainer - 1) < workers


def test_trainers_that_share_a_gpu_are_no_faster_together():
    found = chosen([(8, 1)], timed(1.0, 0.2), {"gpus_per_trainer": 0.25})
    assert found.resources.trainers == 0 and "by a factor of 1.6," in found.reason  # 8 cores against 5


def test_gpu_that_cannot_be_used_is_told_and_the_cores_train():
    def broken(work):
        raise RuntimeError("CUDA driver version is insufficient\nmore")

    found = chosen([(4, 2)], broken)
    assert found.resources.trainers == 0
    assert found.reason == "4 cores: of 2 GPUs none can be used: CUDA driver version is insufficient"


@pytest.mark.parametrize("core", [0.1, 1e9])
def test_choice_of_an_earlier_session_stands_as_long_as_the_gpus_are_the_same(core):
    first = chosen([(4, 2)], timed(core, 1.0))
    again = chosen([(4, 2)], never, recorded=first.recorded())
    assert again.resources == first.resources and again.reason.endswith(": as before")
    assert chosen([(4, 1)], timed(1e9, 1.0), recorded=first.recorded()).resources.trainers == 1
    assert chosen([(4, 0)], never, recorded=first.recorded()).resources.trainers == 0


@pytest.mark.parametrize(
    ("given_", "is_auto"),
    [("auto", True), ({}, True), ({"gpus_per_trial": 0}, False), ({"trainers": 0}, False), ({"trainers": 2}, False)],
)
def test_auto_is_the_default_unless_something_else_is_said(given_, is_auto):
    study = study_of(given_)
    assert study.resources.is_auto == is_auto
    assert check_study(study.resolved(), "again") == study and "resources" in study.resolved()
    values = study.resolved()
    del values["resources"]
    assert check_study(values, "without").resources.is_auto


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        ("cpu", "resources: expected auto, or a mapping; got 'cpu'"),
        ({"trainers": "all"}, "resources.trainers: expected auto or a whole number; got 'all'"),
        ({"trainers": True}, "resources.trainers: Input should be a valid integer, got 'True'"),
        ({"trainers": "auto", "gpus_per_trial": 1}, "resources: gpus_per_trial is for trials without trainers"),
        ({"gpus_per_trainer": 0}, "resources: gpus_per_trainer is 0, so there is no GPU to look for"),
        ({"trainers": -1}, "resources.trainers: Input should be greater than or equal to 0"),
    ],
)
def test_faults_are_worded_once(given_, fault):
    with pytest.raises(StudyError) as error:
        study_of(given_)
    assert len(error.value.faults) == 1 and error.value.faults[0].startswith(fault)


def test_set_decides_otherwise_where_the_file_says_auto(tmp_path):
    path = tmp_path / "study.yaml"
    stages = "{a: {space: {hidden_layers: [8], latent_dim: {grid: [2]}}, table: {rows: latent_dim}, epochs: 1}}"
    path.write_text(f"name: x\ndatasets: [digits]\nresources: auto\nstages: {stages}\n")
    assert load_study(path).resources.is_auto
    assert load_study(path, ("resources.trainers=3",)).resources == Resources(trainers=3)
    assert load_study(path, ("resources.gpus_per_trial=0.25",)).resources == Resources(gpus_per_trial=0.25)
    path.write_text(path.read_text().replace("resources: auto", "resources: {trainers: 2}"))
    assert load_study(path, ("resources=auto",)).resources.is_auto


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_timing_without_a_gpu_says_so():
    with pytest.raises(AesweepError, match=r"PyTorch .* sees none"):
        time_on_both([], "fp32")


def test_members_on_a_core_are_timed_one_after_the_other():
    timer = StepTimer("fp32")
    configuration = Configuration(hidden_layers=(4,), latent_dim=2, batch_size=4)
    one = timer.seconds_per_image(configuration, (1, 2, 2))
    assert 0 < one < math.inf
    assert timer.seconds_per_image(configuration, (1, 2, 2), 64) == one  # known already
