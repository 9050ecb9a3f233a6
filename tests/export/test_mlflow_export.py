"""A run as an MLflow store, read back by MLflow's client."""

from __future__ import annotations

import math
import shutil

import pytest

pytest.importorskip("mlflow", reason="NOT RUN: pip install 'aesweep[mlflow]'")
pytest.importorskip("alembic", reason="NOT RUN: pip install 'aesweep[mlflow]'")

from aesweep.export.mlflow import MlflowExporter
from tests.export.exported_runs import Quiet, expected_results, expected_rows, files_below, in_parts


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """An export, of which tests take copies: setting up MLflow's database takes seconds."""
    output = tmp_path_factory.mktemp("exports") / "mlflow"
    MlflowExporter(output).write(trained, Quiet())
    return output


def stored(output, run):
    """The experiment and its runs by trial, as MLflow's client gives them."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{output / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(run.name)
    found = client.search_runs([experiment.experiment_id], max_results=5000)
    by_trial = {known.data.tags["aesweep.trial"]: known for known in found}
    assert len(by_trial) == len(found)  # none is there twice
    return client, experiment, by_trial


def history(client, known):
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(known.info.run_id, name)]
        for name in known.data.metrics
    }


def check(output, run):
    """Whether the store holds every number of the run once, and nothing else."""
    client, experiment, by_trial = stored(output, run)
    wanted = {key: list(values.items()) for key, values in expected_rows(run).items()}
    wanted.update({key: [value] for key, value in expected_results(run).items()})
    found = {
        (trial, name): values for trial, known in by_trial.items() for name, values in history(client, known).items()
    }
    assert found == wanted
    assert by_trial.keys() == {"", *run.trials["trial"], *run.retrainings["trial"]}
    return client, experiment, by_trial


def test_mlflow_gives_back_every_row_of_every_trial(run, tmp_path):
    steps = Quiet()
    exported = MlflowExporter(tmp_path).write(run, steps)
    assert (exported.num_rows, steps.done) == (len(run.rows), steps.total)
    _, _, by_trial = check(tmp_path, run)
    for frame in (run.trials, run.retrainings):
        for _, line in frame.iterrows():
            known = by_trial[line["trial"]]
            params = known.data.params
            assert float(params["learning_rate"]) == line["learning_rate"]
            assert (params["latent_dim"], params["model"]) == (str(line["latent_dim"]), line["model"])
            assert known.data.tags["aesweep.status"] == line["status"]
            assert known.data.tags["mlflow.runName"] == line["trial"][:250]
            assert known.data.tags["mlflow.parentRunId"] == by_trial[""].info.run_id
            expected = {"completed": "FINISHED", "stopped": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
            assert known.info.status == expected[line["status"]]
            assert known.info.end_time == round(line["ended"].timestamp() * 1000)
    assert by_trial[""].info.status == "FINISHED"


def test_exporting_in_parts_and_again_logs_nothing_twice(hostile, tmp_path):
    known, record = in_parts(hostile, tmp_path, 4)
    exporter = MlflowExporter(tmp_path)
    for number in range(4):
        if number in (2,):
            exporter = MlflowExporter(tmp_path)  # as by a later process
        exporter.write(known.reload(), Quiet())
        check(tmp_path, known.reload())
        if number < 3:
            record()
    MlflowExporter(tmp_path).write(known.reload(), Quiet())
    check(tmp_path, known.reload())


def test_a_kill_between_numbers_and_their_count_leaves_none_twice(trained, exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    client, _, by_trial = stored(tmp_path, trained)
    for known in by_trial.values():
        if known.data.tags["aesweep.trial"]:
            client.set_tag(known.info.run_id, "aesweep.rows", "1")
            client.set_tag(known.info.run_id, "aesweep.result", "")
    MlflowExporter(tmp_path).write(trained, Quiet())
    check(tmp_path, trained)


def test_the_report_lies_where_the_server_looks_for_it(trained, exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    _, experiment, by_trial = stored(tmp_path, trained)
    parent = by_trial[""].info
    # `mlflow ui` serves mlflow-artifacts:/ from ./mlartifacts of the folder in which it is started.
    assert experiment.artifact_location == f"mlflow-artifacts:/{trained.identity}"
    assert parent.artifact_uri == f"{experiment.artifact_location}/{parent.run_id}/artifacts"
    copies = files_below(tmp_path / "mlartifacts" / trained.identity / parent.run_id / "artifacts")
    root = trained.folder.root
    pages = [root / name for name in ("report.md", "report.html", "study.yaml")]
    pages += [*(root / "tables").iterdir(), *(root / "figures").iterdir()]
    assert copies == {str(path.relative_to(root)): path.read_bytes() for path in pages if path.exists()}


def test_two_runs_of_a_name_are_two_experiments_of_one_store(trained, hostile, tmp_path):
    from mlflow.tracking import MlflowClient

    twin = in_parts(hostile, tmp_path, 1)[0]
    twin.name = trained.name
    for run in (trained, twin, trained):
        MlflowExporter(tmp_path).write(run, Quiet())
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    names = {experiment.name for experiment in client.search_experiments()} - {"Default"}
    assert names == {trained.name, f"{trained.name} ({twin.identity})"}
    check(tmp_path, trained)


def test_nothing_but_the_run_is_in_the_store(trained, exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    _, _, by_trial = stored(tmp_path, trained)
    names = {name for known in by_trial.values() for name in known.data.tags}
    assert {name for name in names if name.startswith("mlflow.")} == {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content",
    }  # fmt: skip
    assert {known.info.user_id for known in by_trial.values()} <= {"", "unknown"}
    assert all(math.isfinite(value) for known in by_trial.values() for value in known.data.metrics.values())
