"""A run as an Optuna storage, read back by Optuna and by optuna-dashboard."""

from __future__ import annotations

import datetime
import json
import math

import pytest

optuna = pytest.importorskip("optuna", reason="NOT RUN: pip install 'aesweep[optuna]'")

from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: E402
from optuna.study import StudyDirection  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from aesweep.export.optuna import OptunaExporter  # noqa: E402
from aesweep.export.optuna_tables import add_trials, check_distributions  # noqa: E402
from tests.export.exported_runs import EVIL_DATASET, EVIL_STAGE, Quiet, expected_rows, in_parts  # noqa: E402

STATES = {"completed": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL"}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def studies(output):
    storage = optuna.storages.RDBStorage(f"sqlite:///{output / 'optuna.db'}")
    names = [study.study_name for study in storage.get_all_studies()]
    return {name: optuna.load_study(study_name=name, storage=storage) for name in names}


def check(output, run):
    """Whether the storage holds each trial of the search once, with all values of its stage's metric."""
    known = studies(output)
    assert set(known) == {
        f"{run.name}/{stage}/{d}" for stage, d in set(zip(run.trials["stage"], run.trials["dataset"], strict=True))
    }
    rows, lines = expected_rows(run), run.trials.set_index("trial")
    found = []
    for name, study in known.items():
        metric = study.metric_names[0]
        for trial in study.trials:
            title = trial.user_attrs["aesweep_trial"]
            line = lines.loc[title]
            found.append(title)
            assert name == f"{run.name}/{line['stage']}/{line['dataset']}"
            assert trial.intermediate_values == rows.get((title, metric), {})
            if line["status"] in STATES:
                assert trial.state.name == STATES[line["status"]]
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                assert trial.value == line[metric]
            for axis, value in trial.params.items():
                assert value == line[axis]
            if trial.intermediate_values:
                assert trial.user_attrs["training_mse"] == line["training_mse"]
    assert sorted(found) == sorted(run.trials["trial"])
    return known


def test_optuna_gives_back_every_trial_with_its_values(run, tmp_path):
    steps = Quiet()
    exported = OptunaExporter(tmp_path).write(run, steps)
    assert exported.num_trials == len(run.trials) == steps.done
    check(tmp_path, run)


def test_distributions_are_those_of_the_study(trained, tmp_path):
    OptunaExporter(tmp_path).write(trained, Quiet())
    known = studies(tmp_path)
    study = known[f"{trained.name}/architecture/digits"]
    for trial in study.trials:
        assert trial.distributions == {
            "hidden_layers": CategoricalDistribution(("32", "32-16")),
            "latent_dim": CategoricalDistribution((4, 8)),
            "learning_rate": FloatDistribution(0.001, 0.01, log=True),
        }
    best = min(study.trials, key=lambda trial: trial.value if trial.state is TrialState.COMPLETE else 1)
    assert study.best_trial.number == best.number
    assert study.user_attrs["winner"] == study.best_trial.user_attrs["aesweep_trial"]
    assert study.direction.name == "MINIMIZE"
    assert known[f"{trained.name}/denoising/digits"].direction.name == "MAXIMIZE"
    # A strength is a parameter of those trials alone whose regularizer has it.
    for trial in known[f"{trained.name}/regularization/digits"].trials:
        strengths = {"none": set(), "l1": {"l1"}, "l1_l2": {"l1", "l2"}}[trial.params["regularizer"]]
        assert set(trial.params) == {"regularizer", *strengths}


def test_times_are_those_of_the_journal(trained, tmp_path):
    OptunaExporter(tmp_path).write(trained, Quiet())
    lines = trained.trials.set_index("trial")
    for study in studies(tmp_path).values():
        for trial in study.trials:
            ended = lines.loc[trial.user_attrs["aesweep_trial"]]["ended"]
            assert trial.datetime_complete.timestamp() == pytest.approx(ended.timestamp(), abs=1e-3)
            assert trial.datetime_start < trial.datetime_complete


def plain(trial):
    """All that a trial is, but for the identifier that a storage gave it."""
    return {key.lstrip("_"): value for key, value in vars(trial).items() if key != "_trial_id"}


def test_trials_written_together_are_those_that_optuna_writes_one_by_one(tmp_path):
    now = datetime.datetime(2026, 1, 31, 12, 30, 0, 5)
    rate, widths = FloatDistribution(1e-4, 1e-2, log=True), CategoricalDistribution(("32", "32-16", True, None, 3))
    attributes = {"aesweep_trial": "<b>שלום</b> 🙂 '\"", "count": 3, "far": math.inf, "none": None, "list": [1, "a"]}
    trials = [
        optuna.trial.create_trial(
            state=state,
            values=values,
            params={"rate": 1e-3 * (1 + number), "widths": widths.choices[number % 5]} if number else {"rate": 1e-3},
            distributions={"rate": rate, "widths": widths} if number else {"rate": rate},
            user_attrs=attributes,
            system_attrs={"of": [number]},
            intermediate_values={1: 0.5, 2: math.inf, 3: -math.inf, 10: 0.1 * number},
        )
        for number, (state, values) in enumerate(
            [
                *[(TrialState.COMPLETE, [0.1]), (TrialState.COMPLETE, [math.inf]), (TrialState.PRUNED, [1e-300])],
                *[(TrialState.PRUNED, None), (TrialState.FAIL, None), (TrialState.RUNNING, None)],
                (TrialState.WAITING, None),
            ]
        )
    ]
    for trial in trials:
        trial.datetime_start = None if trial.state is TrialState.WAITING else now
        trial.datetime_complete = now if trial.state.is_finished() else None
    found = []
    for name in ("together", "one by one"):
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / name}.db")
        study = storage.create_new_study([StudyDirection.MINIMIZE], name)
        if name == "together":
            add_trials(storage, study, 0, trials[:3])
            add_trials(storage, study, 3, trials[3:])
            assert [trial._trial_id for trial in trials] == [t._trial_id for t in storage.get_all_trials(study)]
        else:
            for trial in trials:
                storage.create_new_trial(study, trial)
        found.append([plain(trial) for trial in storage.get_all_trials(study)])
    assert found[0] == found[1] and len(found[0]) == len(trials)
    assert found[0] == [plain(trial) for trial in trials]


def test_parameter_of_two_kinds_is_refused_as_optuna_refuses_it(tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    study = storage.create_new_study([StudyDirection.MINIMIZE], "any")
    kinds = (CategoricalDistribution(("a", "b")), CategoricalDistribution(("a", "c")))
    trials = [optuna.trial.create_trial(value=0, params={"x": "a"}, distributions={"x": kind}) for kind in kinds]
    storage.create_new_trial(study, trials[0])
    with pytest.raises(ValueError) as expected:
        storage.create_new_trial(study, trials[1])
    with pytest.raises(ValueError) as refused:
        check_distributions(trials)
    assert str(refused.value) == str(expected.value)


def test_long_run_is_written_in_parts(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("aesweep.export.optuna.AT_ONCE", 3)
    steps = Quiet()
    OptunaExporter(tmp_path).write(trained, steps)
    assert steps.done == len(trained.trials)
    for study in check(tmp_path, trained).values():
        assert [trial.number for trial in study.trials] == list(range(len(study.trials)))


def test_following_and_exporting_again_add_no_trial_twice(hostile, tmp_path):
    known, record = in_parts(hostile, tmp_path, 6)
    exporter = OptunaExporter(tmp_path)
    for number in range(6):
        if number == 3:
            exporter = OptunaExporter(tmp_path)  # as by a later process, which finds trials under way
        exporter.write(known.reload(), Quiet())
        check(tmp_path, known.reload())
        if number < 5:
            record()
    OptunaExporter(tmp_path).write(known.reload(), Quiet())
    check(tmp_path, known.reload())


def test_two_runs_of_a_name_are_studies_of_one_storage(trained, hostile, tmp_path):
    twin = in_parts(hostile, tmp_path, 1)[0]
    twin.name = trained.name
    for run in (trained, twin, trained):
        OptunaExporter(tmp_path).write(run, Quiet())
    names = set(studies(tmp_path))
    assert f"{trained.name}/architecture/digits" in names and f"{trained.name}/{EVIL_STAGE}/{EVIL_DATASET}" in names


def test_the_dashboard_shows_the_studies(trained, tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard", reason="NOT RUN: pip install 'aesweep[optuna]'")
    OptunaExporter(tmp_path).write(trained, Quiet())
    app = dashboard.wsgi(optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}"))

    def get(path: str):
        status = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "1"}
        environ.update({"wsgi.url_scheme": "http", "QUERY_STRING": "after=0", "HTTP_HOST": "127.0.0.1"})
        body = b"".join(app(environ, lambda line, headers, error=None: status.append(line)))
        assert status[0].startswith("200"), (path, status, body)
        return json.loads(body)

    summaries = get("/api/studies")["study_summaries"]
    assert {summary["study_name"] for summary in summaries} == set(studies(tmp_path))
    (chosen,) = [summary for summary in summaries if summary["study_name"].endswith("/architecture/digits")]
    trials = get(f"/api/studies/{chosen['study_id']}")["trials"]
    assert len(trials) == len(trained.trials.query("stage == 'architecture'"))
