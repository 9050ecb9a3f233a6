"""A stage's sampler and its ASHA: what a study file may say of them, and that older studies stay what they were."""

from __future__ import annotations

import pytest

from aesweep.process.errors import StudyError
from aesweep.study.schema import Study, study_hash
from aesweep.study.study_file import check_study


def with_stage(values: dict, **changes) -> dict:
    values["stages"]["architecture"].update(changes)
    return values


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"sampler": "bohb"}, ["sampler.name: Input should be 'quasi_random' or 'tpe', got 'bohb'"]),
        ({"sampler": 3}, ["sampler: expected quasi_random or tpe; got '3'"]),
        ({"sampler": None}, ["sampler: expected quasi_random or tpe; got 'None'"]),
        (
            {"sampler": {"shared": True}},
            ["sampler: shared is for a sampler that learns, such as tpe; quasi_random does"],
        ),
        ({"sampler": {"name": "tpe", "seed": 3}}, ["sampler.seed: unknown key"]),
        ({"sampler": {"name": "tpe", "shared": "yes"}}, ["sampler.shared: Input should be a valid boolean, got 'yes'"]),
        ({"asha": "off"}, ["asha: expected none, or a mapping with grace_period and reduction_factor; got 'off'"]),
        ({"asha": None}, ["asha: expected none, or a mapping with grace_period and reduction_factor; got 'None'"]),
        ({"asha": {"grace": 2}}, ["asha.grace: unknown key"]),
        (
            {"asha": {"grace_period": 0, "reduction_factor": 1}, "sampler": "random"},
            [
                "sampler.name: Input should be",
                "asha.grace_period: Input should be greater than or equal to 1",
                "asha.reduction_factor: Input should be greater than or equal to 1.01",
            ],
        ),
    ],
)
def test_fault_is_one_line_with_its_key(small_study, changes, faults):
    with pytest.raises(StudyError) as error:
        check_study(with_stage(small_study, **changes), "study.yaml")
    lines = str(error.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert f"stages.architecture.{fault}" in line


def test_sampler_that_learns_needs_something_to_choose(small_study):
    small_study["stages"]["architecture"]["space"]["learning_rate"] = 0.01
    with pytest.raises(StudyError, match="sampler: tpe has nothing to choose"):
        check_study(with_stage(small_study, sampler="tpe"), "study.yaml")


def test_name_stands_for_the_sampler_and_cells_share_unless_it_is_said(small_study):
    sampler = check_study(with_stage(small_study, sampler="tpe"), "study.yaml").stages["architecture"].sampler
    assert (sampler.name, sampler.shared) == ("tpe", True)
    alone = {"name": "tpe", "shared": False}
    sampler = check_study(with_stage(small_study, sampler=alone), "study.yaml").stages["architecture"].sampler
    assert (sampler.name, sampler.shared) == ("tpe", False)


def test_significance_needs_several_seeds(small_study):
    asha = {"grace_period": 1, "reduction_factor": 3, "significance": 0.05}
    with pytest.raises(StudyError, match=r"asha\.significance: one seed has no spread"):
        check_study(with_stage(small_study, asha=asha), "study.yaml")
    study = check_study(with_stage(small_study, asha=asha, seeds=3), "study.yaml")
    assert study.stages["architecture"].asha.significance == 0.05
    assert "significance" not in study.resolved()["stages"]["regularization"]["asha"]


def test_stage_without_asha_has_no_rungs(small_study):
    study = check_study(with_stage(small_study, asha="none"), "study.yaml")
    assert study.stages["architecture"].rungs() == [] and study.stages["regularization"].rungs() == [1]


@pytest.mark.parametrize("changes", [{"sampler": "tpe"}, {"asha": "none"}])
def test_recorded_study_is_read_again_as_it_was_and_has_a_hash_of_its_own(small_study, changes):
    plain = Study.model_validate(small_study)
    study = Study.model_validate(with_stage(small_study, **changes))
    assert Study.model_validate(study.resolved()) == study
    assert study.sha256() != plain.sha256()


def test_study_that_names_the_default_is_recorded_as_one_of_before_there_was_another(small_study):
    plain = Study.model_validate(small_study).resolved()
    assert all("sampler" not in stage for stage in plain["stages"].values())
    named = Study.model_validate(with_stage(small_study, sampler="quasi_random"))
    assert named.resolved() == plain and named.sha256() == study_hash(plain)
