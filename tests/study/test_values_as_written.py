"""Study files: a number is one, a text is one, and nothing that YAML or Python takes for it."""

from __future__ import annotations

import copy
import math

import pytest
import yaml

from aesweep.process.errors import StudyError
from aesweep.study.schema import Study
from aesweep.study.study_file import check_study, load_study


def schema_numbers(part, definitions, place=()):
    """The places in a JSON schema that hold a number, with its type; `*` stands for any key, 0 for any item."""
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    if part.get("type") in ("integer", "number"):
        yield place, part["type"]
    for option in (*part.get("anyOf", ()), *part.get("allOf", ()), *part.get("oneOf", ())):
        yield from schema_numbers(option, definitions, place)
    for name, inner in part.get("properties", {}).items():
        yield from schema_numbers(inner, definitions, (*place, name))
    if isinstance(part.get("additionalProperties"), dict):
        yield from schema_numbers(part["additionalProperties"], definitions, (*place, "*"))
    if isinstance(part.get("patternProperties"), dict):
        for inner in part["patternProperties"].values():
            yield from schema_numbers(inner, definitions, (*place, "*"))
    if isinstance(part.get("items"), dict):
        yield from schema_numbers(part["items"], definitions, (*place, 0))
    for number, inner in enumerate(part.get("prefixItems", ())):
        yield from schema_numbers(inner, definitions, (*place, number))


NUMBERS = sorted(set(schema_numbers(Study.model_json_schema(), Study.model_json_schema()["$defs"])), key=str)


def with_value(values: dict, place: tuple, value) -> dict:
    """The study with a value at a place of its schema; lists get what is needed beside it."""
    values = copy.deepcopy(values)
    *holders, last = ["architecture" if part == "*" else part for part in place]
    target = values
    for part, following in zip(holders, [*holders, last][1:], strict=True):
        if isinstance(part, str) and isinstance(following, str) and not isinstance(target.get(part), dict):
            target[part] = {}
        elif isinstance(following, int) and (isinstance(part, int) or not isinstance(target.get(part), list)):
            target[part] = [None] * (following + 1)
        target = target[part]
    target[last] = value
    return values


def test_schema_has_the_numbers_that_are_tried():
    found = {".".join(map(str, place)) for place, _ in NUMBERS}
    assert {"seed", "validation_fraction", "stages.*.epochs", "stages.*.asha.reduction_factor"} <= found
    assert {"stages.*.space.learning_rate.log_uniform.1", "stages.*.space.hidden_layers.grid.0.0"} <= found
    assert {"resources.gpus_per_trial", "report.num_pictures", "stages.*.retraining.seeds"} <= found
    assert len(found) >= 88


@pytest.mark.parametrize(
    ("place", "kind"), NUMBERS, ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else part
)
def test_number_is_one_and_nothing_that_python_takes_for_one(small_study, place, kind):
    """`yes` and `on` are True in YAML, and True is 1 in Python."""
    wrong = [True, False, "1", "0.5", "yes", math.nan, math.inf, -math.inf, None]
    if kind == "integer":
        wrong += [1.0, 1.5, 1e3]
    else:
        wrong += [10**400]
    key = ".".join("architecture" if part == "*" else str(part) for part in place)
    for value in wrong:
        if value is None and not isinstance(place[-1], int):
            continue  # a key without a value is one that is left out, where it may be
        with pytest.raises(StudyError) as refused:
            check_study(with_value(small_study, place, value), "study.yaml")
        mine = [fault for fault in refused.value.faults if fault.startswith(f"{key}:")]
        assert mine, (value, refused.value.faults)
        assert not isinstance(value, bool) or "so YAML reads yes" in mine[0]


@pytest.mark.parametrize("wanted", [True, [True], "1", 1.0, [1, True], [1.0]])
def test_condition_names_values_as_they_are_written(small_study, wanted):
    space = small_study["stages"]["architecture"]["space"]
    space["latent_dim"] = {"grid": [1, 2]}
    space["dropout"] = {"value": 0.1, "when": {"latent_dim": wanted}}
    with pytest.raises(StudyError, match=r"dropout\.when\.latent_dim"):
        check_study(small_study, "study.yaml")
    space["dropout"]["when"] = {"latent_dim": [1]}
    check_study(small_study, "study.yaml")


def test_condition_may_name_a_real_number_without_its_point(small_study):
    space = small_study["stages"]["architecture"]["space"]
    space["noise_variance"] = {"grid": [0, 0.1]}
    space["dropout"] = {"value": 0.1, "when": {"noise_variance": 0}}
    check_study(small_study, "study.yaml")


@pytest.mark.parametrize("text", ["yes", "on", "true", "Off", "'3'", "3.0", "1e1", ".inf", ".nan"])
@pytest.mark.parametrize("key", ["seed", "stages.architecture.epochs", "retraining.seeds"])
def test_override_is_held_to_the_same(small_study, write_study, key, text):
    with pytest.raises(StudyError, match=key):
        load_study(write_study(small_study), (f"{key}={text}",))


@pytest.mark.parametrize("line", ["name: yes", "name: 3", "datasets: [on]", "precision: off", "stages: {on: {}}"])
def test_text_that_yaml_reads_otherwise_is_refused_with_its_key(small_study, tmp_path, line):
    key = line.partition(":")[0]
    kept = {name: value for name, value in small_study.items() if name != key}
    (tmp_path / "study.yaml").write_text(f"{yaml.safe_dump(kept)}{line}\n")
    with pytest.raises(StudyError, match=key):
        load_study(tmp_path / "study.yaml")
