"""Families of models in a study: what is drawn, what makes a cell, and what is refused with its remedy."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from aesweep.process.errors import StudyError
from aesweep.run.preflight.model_check import check_models
from aesweep.search.stages import stage_trials
from aesweep.study.configuration import FAMILY_FIELDS, NEEDED_BY_FAMILY, Configuration, fields_in_use
from aesweep.study.study_file import check_study

STUDY = {
    "name": "families",
    "datasets": ["digits"],
    "stages": {
        "architecture": {
            "space": {
                "family": {"grid": ["dense", "convolutional"]},
                "hidden_layers": {"grid": [[16], []], "when": {"family": "dense"}},
                "channels": {"grid": [[4], [4, 8]], "when": {"family": "convolutional"}},
                "latent_dim": {"grid": [2, 4]},
                "learning_rate": {"log_uniform": [0.001, 0.01]},
            },
            "table": {"rows": "latent_dim", "columns": "model"},
            "samples": 2,
            "epochs": 3,
        },
        "variational": {
            "from": "architecture",
            "space": {"code": "variational", "beta": {"grid": [0.1, 1.0]}},
            "table": {"rows": "beta"},
            "epochs": 3,
        },
    },
}

RANDOM_CHANNELS = {"choice": [[4], [8]], "when": {"family": "convolutional"}}


def changed(place: str, value: object) -> dict:
    study = copy.deepcopy(STUDY)
    *path, last = place.split(".")
    holder = study["stages"]
    for key in path:
        holder = holder[key]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return study


def test_each_model_is_crossed_with_the_other_grids_and_makes_a_column():
    specs = stage_trials(check_study(STUDY, "study"), "architecture", {"digits": None})
    models = ["16", "no hidden layers", "convolutional 4", "convolutional 4-8"]
    assert {spec.cell for spec in specs} == {
        (("latent_dim", dim), ("model", model)) for dim in (2, 4) for model in models
    }
    assert len(specs) == 2 * 8
    for spec in specs:
        assert (spec.configuration.channels == ()) == (spec.configuration.family == "dense")
        assert spec.configuration.hidden_layers == ((16,) if spec.configuration.model == "16" else ())


@pytest.mark.parametrize("base", ["dense", "convolutional"])
def test_a_later_stage_keeps_the_model_of_the_winner_that_it_starts_from(base):
    study = check_study(STUDY, "study")
    trials = stage_trials(study, "architecture", {"digits": None})
    winner = next(spec.configuration for spec in trials if spec.configuration.family == base)
    later = [spec.configuration for spec in stage_trials(study, "variational", {"digits": winner})]
    assert [configuration.beta for configuration in later] == [0.1, 1.0]
    for configuration in later:
        assert configuration == dataclasses.replace(winner, code="variational", beta=configuration.beta)


def test_a_stage_that_names_families_takes_no_layers_from_the_winner_before():
    values = copy.deepcopy(STUDY)
    values["stages"]["variational"]["space"] = {
        "family": "convolutional",
        "channels": [5],
        "noise_variance": {"grid": [0.1]},
    }
    values["stages"]["variational"]["table"] = {"rows": "noise_variance"}
    winner = Configuration(hidden_layers=(16,), latent_dim=4, learning_rate=0.5)
    (spec,) = stage_trials(check_study(values, "study"), "variational", {"digits": winner})
    assert spec.configuration == Configuration(
        hidden_layers=(), latent_dim=4, learning_rate=0.5, family="convolutional", channels=(5,), noise_variance=0.1
    )


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("architecture.space.channels.when", {}, "channels applies under family dense, which does not use it: add"),
        ("architecture.space.channels", None, "family convolutional needs channels in the space"),
        ("architecture.space.hidden_layers", None, "family dense needs hidden_layers in the space"),
        ("architecture.space.family", None, "channels is for convolutional models: add `family` to the space"),
        (
            "architecture.space.family.grid",
            ["dense", "convolutional", "gigantic"],
            "family 'gigantic' is not installed, known are dense, convolutional",
        ),
        ("architecture.space.channels.grid", [[0]], "greater than or equal to 1, got '0'"),
        ("architecture.space.channels.grid", [[]], "at least 1 item"),
        ("architecture.space.channels", RANDOM_CHANNELS, "'model' needs channels to be a grid"),
        ("variational.space.code", "plain", "beta is the weight of a variational code's divergence: add"),
        ("variational.space.code", None, "beta is the weight of a variational code's divergence: add"),
        ("variational.space.code", {"grid": ["plain", "variational"]}, "beta applies under code plain, which does not"),
        ("variational.space.beta", {"grid": [-1.0]}, "greater than or equal to 0"),
        ("variational.space.kernel_size", 3, "kernel_size is for convolutional models: add"),
    ],
)
def test_faulty_family_is_refused_in_one_line(place, value, message):
    study = changed(place, value)
    if place.endswith("family") and value is None:
        # Without a family, a condition on it is what is told first.
        study["stages"]["architecture"]["space"]["channels"] = {"grid": [[4]]}
        study["stages"]["architecture"]["space"]["hidden_layers"] = {"grid": [[16]]}
    with pytest.raises(StudyError) as caught:
        check_study(study, "study")
    found = [line for line in str(caught.value).splitlines() if message in line]
    assert len(found) == 1, str(caught.value)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("architecture.space.kernel_size", {"value": 9, "when": {"family": "convolutional"}}, "expected at most 8"),
        ("architecture.space.channels.grid", [[4], [4, 4, 4]], "at most 2, the shorter side of the 2 x 2 pixels"),
    ],
)
def test_kernel_that_is_larger_than_its_map_is_refused_with_the_images_known(place, value, message):
    study = check_study(changed(place, value), "study")
    with pytest.raises(StudyError, match=message) as caught:
        check_models(study, {"digits": (1, 8, 8)})
    (line,) = str(caught.value).splitlines()
    assert "stages.architecture.space.kernel_size" in line and "data set digits" in line
    check_models(study, {"digits": (1, 28, 28)})


def test_models_that_an_earlier_winner_may_hand_on_are_looked_at():
    values = changed("architecture.space.channels.grid", [[4]])
    values["stages"]["variational"]["space"] = {"output": "linear", "likelihood": "bernoulli", "beta": 1.0}
    values["stages"]["variational"]["space"]["code"] = "variational"
    values["stages"]["variational"]["table"] = {"rows": "output"}
    values["stages"]["variational"]["space"]["output"] = {"grid": ["linear"]}
    with pytest.raises(StudyError, match=r"stages.variational.space.likelihood: bernoulli needs the output sigmoid"):
        check_models(check_study(values, "study"), {"digits": (1, 8, 8)})


def test_likelihood_is_looked_at_in_a_study_of_linear_layers_alone():
    space = {"hidden_layers": [8], "latent_dim": {"grid": [2]}, "likelihood": "bernoulli", "output": "linear"}
    stage = {"space": space, "table": {"rows": "latent_dim"}, "epochs": 2}
    values = {"name": "mine", "datasets": ["digits"], "stages": {"architecture": stage}}
    with pytest.raises(StudyError, match=r"stages.architecture.space.likelihood: bernoulli needs the output sigmoid"):
        check_models(check_study(values, "study"), {"digits": (1, 8, 8)})
    space["output"] = "sigmoid"
    check_models(check_study(values, "study"), {"digits": (1, 8, 8)})


def test_fields_of_families_are_fields_and_change_nothing_where_they_are_not_used():
    names = {field.name for field in dataclasses.fields(Configuration)}
    assert {name for fields in (*FAMILY_FIELDS.values(), *NEEDED_BY_FAMILY.values()) for name in fields} <= names
    dense = Configuration(hidden_layers=(8,), latent_dim=2)
    assert set(dense.as_dict()) == {name for name in fields_in_use([dense])}
    assert "channels" not in dense.as_dict() and "beta" not in dense.as_dict()
    other = dataclasses.replace(dense, family="convolutional", channels=(4, 8), code="variational")
    assert Configuration.from_dict(other.as_dict()) == other
    assert fields_in_use([dense, other])[-3:] == ["family", "channels", "code"]
