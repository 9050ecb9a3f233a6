"""Every study that flows and faults are tried on can be read, and a new file in jobs/ is one of them by itself."""

from __future__ import annotations

import shutil

import pytest
import yaml

from aesweep.run.preflight.model_check import check_models
from aesweep.study.study_file import load_study
from tests.flows import studies


def test_every_job_file_that_is_a_study_is_tried():
    assert set(studies.jobs()) >= {"quickstart", "published", "mnist", "fashion_mnist", "families"}
    assert not {"rayjob", "aws_access", "cluster_local", "published_numbers"} & set(studies.jobs())


@pytest.mark.parametrize("name", studies.jobs())
def test_every_model_of_a_job_file_is_possible(name):
    study = load_study(studies.jobs()[name].file)
    shapes = {dataset.name: (1, 8, 8) if dataset.name == "digits" else (1, 28, 28) for dataset in study.datasets}
    check_models(study, shapes)


def test_new_job_file_is_picked_up(tmp_path, monkeypatch):
    shutil.copytree(studies.ROOT / "jobs", tmp_path / "jobs")
    new = {**studies.SMALL["toy"], "name": "new"}
    (tmp_path / "jobs" / "new.yaml").write_text(yaml.safe_dump(new))
    monkeypatch.setattr(studies, "ROOT", tmp_path)
    found = studies.jobs.__wrapped__()["new"]
    assert load_study(found.file, found.overrides).name == "new"


@pytest.mark.parametrize("name", studies.all_studies())
def test_study_is_valid_and_shrinking_keeps_its_form(tmp_path, name):
    tried = studies.all_studies()[name]
    file = tried.write(tmp_path)
    small, whole = load_study(file, tried.overrides), load_study(file)
    assert list(small.stages) == list(whole.stages)
    assert small.datasets == whole.datasets[: len(small.datasets)]
    for stage, other in zip(small.stages.values(), whole.stages.values(), strict=True):
        assert stage.table == other.table and stage.retraining.of == other.retraining.of
        for axis, found in stage.space.axes().items():
            expected = other.space.axes().get(axis)
            assert expected is None or len(found.options) == min(
                len(expected.options), 2 if axis == "latent_dim" else 99
            )


def test_studies_differ_in_what_the_product_distinguishes(tmp_path):
    found = [load_study(study.write(tmp_path / name)) for name, study in studies.all_studies().items()]
    stages = [stage for study in found for stage in study.stages.values()]
    assert any(len(study.datasets) > 1 for study in found)
    assert any(dataset.path for study in found for dataset in study.datasets)
    assert any(study.report.reference for study in found)
    assert any(not study.resources.is_auto and study.resources.trainers for study in found)
    assert {stage.retraining.of for stage in stages} == {"winner", "cells", "none"}
    assert any(stage.seeds > 1 for stage in stages)
    assert any(stage.space.family for stage in stages) and any(stage.space.code for stage in stages)
    assert any(axis.when for stage in stages for axis in stage.space.axes().values())
    chains = [stage.from_ for study in found for stage in study.stages.values() if stage.from_]
    assert any(study.stages[name].from_ for study in found for name in chains if name in study.stages)
