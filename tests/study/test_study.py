"""Study files: what is read, and that everything else is refused with its key."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aesweep.process.errors import EX_CONFIG, JournalError, StudyError
from aesweep.search.replay import recorded_study
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_state import RunState
from aesweep.study.safe_yaml import MAX_FILE_BYTES
from aesweep.study.schema import Study, study_hash, with_paths
from aesweep.study.study_file import check_study, load_study
from tests.conftest import SMALL_STUDY

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))
STUDIES = [job for job in JOBS if "stages:" in job.read_text()]


def test_resolved_study_reads_back_as_the_same_study(small_study, write_study):
    study = load_study(write_study(small_study))
    again = load_study(write_study(study.resolved()))
    assert again == study
    assert again.sha256() == study.sha256()


def test_defaults_are_filled_in(small_study, write_study):
    resolved = load_study(write_study(small_study)).resolved()
    assert resolved["precision"] == "fp32"
    assert resolved["stages"]["regularization"]["mode"] == "min"


def test_all_faults_are_reported_at_once_with_their_keys(small_study, write_study):
    small_study["stages"]["architecture"]["epochs"] = 0
    small_study["stages"]["architecture"]["speed"] = 1
    small_study["seed"] = "many"
    small_study["datasets"] = ["mnits"]
    small_study["stages"]["regularization"].update({"from": "later", "mode": "max", "table": {"rows": "dropout"}})
    with pytest.raises(StudyError) as caught:
        load_study(write_study(small_study))
    text = str(caught.value)
    assert caught.value.exit_code == EX_CONFIG
    assert "stages.architecture.epochs: " in text
    assert "stages.architecture.speed: unknown key" in text
    assert "seed: " in text
    assert "stages.regularization.from: 'later' is not an earlier stage" in text
    assert "mode: validation_mse is better when it is minimal" in text
    assert "table.rows: 'dropout' is not an axis" in text
    assert "unknown data set 'mnits': known are digits, mnist, fashion_mnist" in text
    assert all(line.startswith(caught.value.source) for line in text.splitlines())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from": "later"}, "'later' is not an earlier stage"),
        ({"table": {"rows": "activation"}}, "table.rows: 'activation' is not an axis"),
        ({"table": {"rows": "latent_dim", "columns": "latent_dim"}}, "already the table's rows"),
        ({"table": {"rows": "learning_rate"}}, "must be a grid without a condition"),
        ({"metric": "validation_psnr_db", "mode": "min"}, "is better when it is maximal"),
        ({"asha": {"grace_period": 10}}, "asha.grace_period: 10 is more than 9 epochs"),
        ({"asha": {"reduction_factor": 1}}, "asha.reduction_factor"),
        ({"asha": {"reduction_factor": 1.0000000001}, "epochs": 100}, "asha.reduction_factor"),
    ],
)
def test_inconsistent_stage_is_refused(small_study, write_study, change, message):
    small_study["stages"]["architecture"].update(change)
    with pytest.raises(StudyError, match=message):
        load_study(write_study(small_study))


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ({"grid": [1, 2], "choice": [1, 2]}, "exactly one of"),
        ({"log_uniform": [0.0, 1.0]}, "learning_rate"),
        ({"uniform": [2.0, 1.0]}, "low < high"),
        ({"grid": [0.1, 0.1]}, "holds a value twice"),
        ({"grid": [float("nan")]}, "finite number"),
        (-1.0, "greater than 0"),
    ],
)
def test_faulty_axis_is_refused(small_study, write_study, axis, message):
    small_study["stages"]["architecture"]["space"]["learning_rate"] = axis
    with pytest.raises(StudyError, match=message):
        load_study(write_study(small_study))


def test_regularizer_without_its_strength_is_refused(small_study, write_study):
    del small_study["stages"]["regularization"]["space"]["l2"]
    with pytest.raises(StudyError, match="regularizer l1_l2 needs a strength: add l2"):
        load_study(write_study(small_study))


def test_strength_without_its_condition_is_refused(small_study, write_study):
    del small_study["stages"]["regularization"]["space"]["l1"]["when"]
    with pytest.raises(StudyError, match="l1 applies under regularizer none"):
        load_study(write_study(small_study))


def test_override_sets_a_dotted_key(small_study, write_study):
    study = load_study(write_study(small_study), ("stages.architecture.epochs=5", "datasets=[digits]", "seed=9"))
    assert (study.stages["architecture"].epochs, study.seed) == (5, 9)


@pytest.mark.parametrize("override", ["seed", "=1", "stages..x=1", "name.x=1", "stages.architecture.epochs=[1"])
def test_faulty_override_is_refused(small_study, write_study, override):
    with pytest.raises(StudyError):
        load_study(write_study(small_study), (override,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [1", "line 1|line 2"),
        ("a: &x [1]\nb: *x", "aliases are not allowed"),
        ("name: a\nname: b", "key 'name' stands twice"),
        ("!!python/object/apply:os.system ['touch canary']", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "expected a plain key|could not|found unhashable"),
        ("just text", "expected a mapping"),
        ("", "expected a mapping"),
        ("\x00", "not readable|special characters|unacceptable"),
    ],
)
def test_unsafe_or_broken_yaml_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(path)
    assert not (tmp_path / "canary").exists()


def test_file_over_a_megabyte_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(StudyError, match="larger than"):
        load_study(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["retraining", "winners", "rungs"])
def test_stage_name_that_the_report_uses_is_refused(small_study, write_study, name):
    small_study["stages"][name] = small_study["stages"].pop("regularization")
    with pytest.raises(StudyError, match="the name is taken"):
        load_study(write_study(small_study))


def test_names_that_would_give_two_trials_one_id_are_refused(small_study, write_study):
    small_study["datasets"] = [{"name": "c", "path": "c"}, {"name": "b-c", "path": "d"}]
    stage = small_study["stages"]["architecture"]
    small_study["stages"] = {"a-b": stage, "a": copy.deepcopy(stage)}
    with pytest.raises(StudyError, match="would both be called 'a-b-c'"):
        load_study(write_study(small_study))


def test_hash_of_a_study_does_not_depend_on_its_folder(small_study, tmp_path):
    small_study["report"] = {"reference": "numbers.yaml"}
    hashes = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "study.yaml").write_text(yaml.safe_dump(small_study))
        hashes.add(load_study(tmp_path / folder / "study.yaml").sha256())
    assert len(hashes) == 1


def test_keys_of_the_report_that_came_later_leave_the_hash_of_older_studies(small_study, write_study):
    older = load_study(write_study(small_study)).resolved()
    assert older["report"] == {"num_pictures": 10}  # as the first versions recorded it
    small_study["report"] = {"formats": ["markdown", "pdf"], "width": "column"}
    study = load_study(write_study(small_study))
    assert study.resolved()["report"] == {"num_pictures": 10, "formats": ["markdown", "pdf"], "width": "column"}
    assert study.sha256() != study_hash(older)
    small_study["report"] = {"formats": ["word"], "width": "wide"}
    with pytest.raises(StudyError, match=r"report\.formats\.0.*\n.*report\.width"):
        load_study(write_study(small_study))


def with_every_path(values: dict) -> dict:
    """The study with a text wherever its schema has a path."""
    values["datasets"] = [{"name": "faces", "path": "images/faces"}, "digits", {"name": "more", "path": "other"}]
    values["report"] = {"reference": "published/numbers.yaml"}
    return values


def schema_paths(part, definitions, place=()):
    """The places in a JSON schema that hold a path; a `*` stands for any item."""
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    if part.get("format") == "path":
        yield place
    for key in ("anyOf", "allOf", "oneOf"):
        for option in part.get(key, ()):
            yield from schema_paths(option, definitions, place)
    for name, inner in part.get("properties", {}).items():
        yield from schema_paths(inner, definitions, (*place, name))
    for key in ("items", "additionalProperties"):
        if isinstance(part.get(key), dict):
            yield from schema_paths(part[key], definitions, (*place, "*"))


def test_every_path_of_the_schema_is_known_to_be_one(small_study, write_study):
    schema = Study.model_json_schema()
    places = set(schema_paths(schema, schema["$defs"]))
    assert places == {("datasets", "*", "path"), ("report", "reference")}
    values = load_study(write_study(with_every_path(small_study))).resolved()
    seen = []
    changed = with_paths(values, lambda path: seen.append(path) or "changed")
    assert len(seen) == 3 and changed != values
    assert [dataset.get("path") for dataset in changed["datasets"]] == ["changed", None, "changed"]
    assert changed["report"]["reference"] == "changed"
    # What sounds like a path is one.
    texts = json.dumps(schema)
    for name in ("path", "reference", "folder", "file", "directory", "dir"):
        assert texts.count(f'"{name}": {{') == sum(place[-1] == name for place in places)


@pytest.mark.parametrize("is_first_kind", [False, True], ids=["names", "whole paths, as first journals have it"])
def test_recorded_study_with_paths_is_taken_up_again(small_study, write_study, tmp_path, is_first_kind):
    study = load_study(write_study(with_every_path(small_study)))
    values = json.loads(json.dumps(study.resolved()))
    whole = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    start = {"kind": "run_started", "study": values, "study_hash": whole if is_first_kind else study.sha256()}
    assert recorded_study(RunState([start]), tmp_path) == study
    values["seed"] += 1
    with pytest.raises(JournalError, match="hash"):
        recorded_study(RunState([start]), tmp_path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_job_file_is_taken_up_again_as_it_is_recorded(path, tmp_path):
    study = load_study(path)
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append("run_started", study=study.resolved(), study_hash=study.sha256())
    assert recorded_study(RunState(read_journal(tmp_path / "journal.jsonl")), tmp_path) == study


@pytest.mark.parametrize("where", ["hidden_layers", "latent_dim"])
def test_conditional_layers_without_an_earlier_stage_are_refused(small_study, write_study, where):
    space = small_study["stages"]["architecture"]["space"]
    space["activation"] = {"grid": ["gelu", "relu"]}
    space[where] = {"value": [8] if where == "hidden_layers" else 3, "when": {"activation": "gelu"}}
    with pytest.raises(StudyError, match=f"space.{where} is needed, without a condition"):
        load_study(write_study(small_study))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "x" * 65, "a b", "<b>"])
def test_name_that_is_no_plain_name_is_refused(small_study, write_study, name):
    small_study["name"] = name
    with pytest.raises(StudyError, match="name"):
        load_study(write_study(small_study))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_job_files_are_valid_studies(path):
    load_study(path)


@st.composite
def broken_studies(draw):
    """A valid study with a few of its values replaced by anything."""
    values = yaml.safe_load(yaml.safe_dump(SMALL_STUDY))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    for _ in range(draw(st.integers(1, 3))):
        target = values
        while isinstance(target, dict) and target:
            key = draw(st.sampled_from(sorted(target)))
            if not isinstance(target[key], dict) or draw(st.booleans()):
                target[key] = draw(anything)
                break
            target = target[key]
    return values


@pytest.mark.fuzz
@given(broken_studies())
def test_any_plain_values_give_a_study_or_its_faults(values):
    try:
        assert isinstance(check_study(values, "study.yaml"), Study)
    except StudyError as error:
        assert error.faults


@pytest.mark.fuzz
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_gives_a_study_or_its_faults(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StudyError):
        load_study(path)


def test_gpus_are_those_of_trials_or_of_trainers(small_study):
    small_study["resources"] = {"trainers": 2, "gpus_per_trial": 0.5}
    with pytest.raises(StudyError, match="resources: gpus_per_trial is for trials without trainers"):
        check_study(small_study, "study.yaml")


@pytest.mark.parametrize("name", ["kmnist", "qmnist", "emnist_letters", "cifar10"])
def test_name_that_became_known_later_still_names_a_folder_of_an_older_run(small_study, name):
    study = check_study({**small_study, "datasets": [{"name": name, "path": "images"}]}, "study")
    assert study.datasets[0].path == "images"
    with pytest.raises(StudyError, match="name of a known data set"):
        check_study({**small_study, "datasets": [{"name": "mnist", "path": "images"}]}, "study")
