"""What `plan` says of packs is what a placement of the same trials comes to."""

from __future__ import annotations

from collections import Counter

import pytest

from aesweep.cluster.tune.placement import Placement
from aesweep.models.dense import Dense
from aesweep.run.preflight.pack_plan import plan_packs
from aesweep.search.stages import stage_trials
from aesweep.search.trial_spec import pack_key
from aesweep.study.study_file import check_study
from aesweep.training.evaluation import CPU_PAIRS, GPU_PAIRS
from aesweep.training.memory import pack_memory


def jobs_of(values, **resources):
    study = check_study({**values, "resources": resources}, "study.yaml")
    return stage_trials(study, "architecture", {"digits": None}), study.resources


@pytest.mark.parametrize("trainers", [1, 2, 5])
@pytest.mark.parametrize("trials_per_trainer", [1, 2, 16])
def test_no_more_trials_share_a_pack_than_are_said_to(small_study, trainers, trials_per_trainer):
    specs, resources = jobs_of(small_study, trainers=trainers, trials_per_trainer=trials_per_trainer)
    plans = plan_packs(specs, resources, {"digits": (1293, (1, 8, 8))})
    assert sum(plan.num_trials for plan in plans) == len(specs) == 12
    assert len(plans) == len({pack_key(spec) for spec in specs}) == 4
    placement = Placement(trainers, trials_per_trainer, len(specs))
    packs = Counter((placement.place(spec), pack_key(spec)) for spec in specs[: placement.num_places])
    assert max(packs.values()) <= max(plan.trials_at_once for plan in plans) <= trials_per_trainer


def test_memory_is_that_of_all_members_with_those_in_lock_step(small_study):
    small_study["stages"]["architecture"]["seeds"] = 2
    sizes = {"digits": (1293, (1, 8, 8))}
    specs, resources = jobs_of(small_study, trainers=1, trials_per_trainer=3)
    plan = plan_packs(specs, resources, sizes)[0]
    configuration = specs[0].configuration
    architecture = Dense(64, configuration.hidden_layers, configuration.latent_dim)
    assert plan.model == str(architecture)
    assert plan.widths == (64, *configuration.hidden_layers, configuration.latent_dim)

    def memory(judged_at_once):
        # A tenth is for validation, and all others are probed as well.
        return pack_memory(architecture, 1293 - 129, plan.batch_size, 129 + 1164, judged_at_once)

    assert (plan.trials_at_once, plan.members_at_once, plan.members_per_step) == (3, 6, 6)
    assert plan.memory_bytes == memory(GPU_PAIRS).needed(6, 6)
    for own in ({"trainers": 1, "gpus_per_trainer": 0}, {"trainers": 0}):
        plan = plan_packs(*jobs_of(small_study, **own), sizes)[0]
        assert plan.members_per_step == 1
        assert plan.memory_bytes == memory(CPU_PAIRS).needed(plan.members_at_once, 1)
    assert plan.members_at_once == 2  # a trial's own seeds


def test_widths_are_told_of_dense_models_alone(small_study):
    small_study["stages"]["architecture"]["space"] |= {
        "family": {"grid": ["dense", "convolutional"]},
        "hidden_layers": {"grid": [[16], []]},
        "channels": {"value": [4], "when": {"family": "convolutional"}},
    }
    small_study["stages"]["architecture"]["table"] = {"rows": "latent_dim", "columns": "model"}
    specs, resources = jobs_of(small_study, trainers=0)
    plans = plan_packs(specs, resources, {"digits": (1293, (1, 8, 8))})
    widths = {plan.widths for plan in plans if "x" not in plan.model}
    dims = {spec.configuration.latent_dim for spec in specs}
    assert widths == {(64, *hidden, dim) for hidden in ((16,), ()) for dim in dims}
    assert {plan.widths for plan in plans if "x" in plan.model} == {None}
