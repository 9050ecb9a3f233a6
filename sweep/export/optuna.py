"""A run as an Optuna storage, which optuna-dashboard opens: a study for each stage and data set.

The cells of a stage's table are crossings of axes that the study lists. So these axes are parameters like all others,
and one study tells how much each of them matters. A trial's values are the stage's metric: after its last epoch, and
after each.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from aesweep.export.database import database_url
from aesweep.export.exporter import Exported, ExportError, Steps
from aesweep.export.optuna_tables import add_trials, check_distributions
from aesweep.export.trial_record import TrialRecord, trial_records
from aesweep.results import LoadedRun
from aesweep.results.axes import Axis

DATABASE = "optuna.db"
RUN, TRIAL = "aesweep_run", "aesweep_trial"
AT_ONCE = 500  # trials that are written in one transaction
STATES = {
    **{
        "completed": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "audited": TrialState.PRUNED,
        "diverged": TrialState.FAIL,
    },
    **{"failed": TrialState.FAIL, "interrupted": TrialState.RUNNING, "unfinished": TrialState.RUNNING},
    "waiting": TrialState.WAITING,
}


class OptunaExporter:
    """Writes a run into OUTPUT/optuna.db, which may hold other runs.

    Optuna does not change a trial that has ended, and dates the end of another at the moment at which it hears of it.
    So trials that were under way when this exporter wrote last are updated, and a study that another process left with
    such trials is written anew.

    Args:
        output: the folder.
    """

    def __init__(self, output: Path):
        self._output = output
        self._storage: optuna.storages.RDBStorage | None = None
        self._studies: dict[str, tuple[int, dict[str, FrozenTrial]]] = {}

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        """Writes what is new; see `Exporter`."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if self._storage is None:
            self._storage = optuna.storages.RDBStorage(database_url(self._output / DATABASE))
        records = [record for record in trial_records(run) if record.stage in run.record.stages]
        steps.begin("Optuna", len(records))
        for stage in run.record.stages.values():
            for dataset in stage.datasets:
                mine = [record for record in records if (record.stage, record.dataset) == (stage.name, dataset)]
                self._write_study(run, stage, dataset, mine, steps)
        return Exported(self._output / DATABASE, len(records), sum(len(record.rows) for record in records))

    def _write_study(self, run: LoadedRun, stage: Any, dataset: str, records: list[TrialRecord], steps: Steps) -> None:
        name = f"{run.name}/{stage.name}/{dataset}"
        direction = StudyDirection.MINIMIZE if stage.mode == "min" else StudyDirection.MAXIMIZE
        if name not in self._studies:
            self._studies[name] = self._opened(run, name, direction, stage.metric)
        study, known = self._studies[name]
        axes = run.axes(stage.name)
        for record in records:
            if record.name in known:
                if not known[record.name].state.is_finished():
                    known[record.name] = self._update(known[record.name], record, stage.metric)
                steps.advance()
        added = [_frozen(record, axes, stage.metric) for record in records if record.name not in known]
        check_distributions([*known.values(), *added])
        for start in range(0, len(added), AT_ONCE):
            batch = added[start : start + AT_ONCE]
            add_trials(self._storage, study, len(known), batch)
            known.update({trial.user_attrs[TRIAL]: trial for trial in batch})
            steps.advance(len(batch))
        best = run.winners[(run.winners["stage"] == stage.name) & (run.winners["dataset"] == dataset)]
        for _, line in best.iterrows():
            if line["is_best"] and line["test_mse"] == line["test_mse"]:
                values = {"winner": line["trial"], "test_mse": float(line["test_mse"])}
                for key, value in values.items():
                    self._storage.set_study_user_attr(study, key, value)

    def _opened(
        self, run: LoadedRun, name: str, direction: StudyDirection, metric: str
    ) -> tuple[int, dict[str, FrozenTrial]]:
        """Returns the study of that name and its trials; it is created, or begun anew if trials of it are under way."""
        storage = self._storage
        names = {study.study_name: study._study_id for study in storage.get_all_studies()}
        for title in (name, f"{name} ({run.identity})"):
            if title in names:
                study = names[title]
                if storage.get_study_user_attrs(study).get(RUN) != run.identity:
                    continue
                trials = storage.get_all_trials(study, deepcopy=False)
                if all(trial.state.is_finished() for trial in trials):
                    return study, {trial.user_attrs[TRIAL]: trial for trial in trials}
                storage.delete_study(study)
            study = storage.create_new_study([direction], title)
            storage.set_study_user_attr(study, RUN, run.identity)
            storage.set_study_user_attr(study, "metric", metric)
            storage.set_study_system_attr(study, "study:metric_names", [metric])
            return study, {}
        raise ExportError(f"{self._output / DATABASE}: another study is called {name!r}: give another --output")

    def _update(self, known: FrozenTrial, record: TrialRecord, metric: str) -> FrozenTrial:
        """Adds to a trial that is under way what was recorded since."""
        storage, number = self._storage, known._trial_id
        state = STATES[record.status]
        if known.state is TrialState.WAITING and state is not TrialState.WAITING:
            storage.set_trial_state_values(number, TrialState.RUNNING)
        for step, value in _intermediate(record, metric).items():
            if step not in known.intermediate_values:
                storage.set_trial_intermediate_value(number, step, value)
        for key, value in _attributes(record).items():
            if known.user_attrs.get(key) != value:
                storage.set_trial_user_attr(number, key, value)
        if state.is_finished():
            storage.set_trial_state_values(number, state, _values(record, metric, state))
        return storage.get_trial(number)


def distributions(axes: Mapping[str, Axis], settings: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Returns the distributions of the axes that apply to a trial and have more than one value.

    Args:
        axes: the axes of its stage. Lists, such as widths, are texts.
        settings: the trial's settings.
    """
    found: dict[str, BaseDistribution] = {}
    for name, axis in axes.items():
        if axis.way in ("uniform", "log_uniform"):
            found[name] = FloatDistribution(*axis.values, log=axis.way == "log_uniform")
        elif len(axis.values) > 1:
            found[name] = CategoricalDistribution(axis.values)
    return {
        name: known
        for name, known in found.items()
        if axes[name].applies(settings) and name in settings and _contains(known, settings[name])
    }


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution.low <= value <= distribution.high


def _frozen(record: TrialRecord, axes: Mapping[str, Axis], metric: str) -> FrozenTrial:
    state = STATES[record.status]
    space = distributions(axes, record.settings)
    params = {name: record.settings[name] for name in space}
    trial = create_trial(
        state=state,
        values=_values(record, metric, state),
        params=params,
        distributions=space,
        user_attrs=_attributes(record),
        intermediate_values=_intermediate(record, metric),
    )
    trial.datetime_start = None if state is TrialState.WAITING else _local(record.started_s)
    trial.datetime_complete = _local(record.ended_s) if state.is_finished() else None
    return trial


def _values(record: TrialRecord, metric: str, state: TrialState) -> list[float] | None:
    """Returns the value of a trial that has one: Optuna, too, gives a pruned trial that of its last step."""
    found = list(_intermediate(record, metric).values())
    return [found[-1]] if found and state in (TrialState.COMPLETE, TrialState.PRUNED) else None


def _intermediate(record: TrialRecord, metric: str) -> dict[int, float]:
    values = ((row.epoch, row.metrics.get(metric, math.nan)) for row in record.rows)
    return {epoch: value for epoch, value in values if not math.isnan(value)}


def _attributes(record: TrialRecord) -> dict[str, Any]:
    """Returns what a trial has besides parameters and the metric: its name, its cell, and its last epoch's numbers."""
    last: Iterable[tuple[str, float]] = record.rows[-1].metrics.items() if record.rows else ()
    known = {TRIAL: record.name, "cell": record.cell, "status": record.status, "seeds": record.seeds}
    return {**known, **({"reason": record.reason} if record.reason else {}), **dict(last)}


def _local(time_s: float | None) -> datetime.datetime | None:
    """Returns unix seconds as Optuna's storages keep them: the local time without its zone."""
    return None if time_s is None else datetime.datetime.fromtimestamp(time_s)
