"""Trials as lines of Optuna's tables, many in one transaction.

Optuna's own way asks the database about each parameter, attribute and value before it is written, about three
statements a value. Here lines are made of the same classes by which Optuna reads them back, and nothing is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy
import sqlalchemy.orm
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial


def check_distributions(trials: Iterable[FrozenTrial]) -> None:
    """Raises ValueError where trials of a study have two distributions of a parameter that Optuna does not allow."""
    first: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if first.setdefault(name, distribution) != distribution:
                check_distribution_compatibility(first[name], distribution)


def add_trials(storage: RDBStorage, study: int, num_known: int, trials: Sequence[FrozenTrial]) -> None:
    """Adds trials to a study in one transaction, as `storage.create_new_trial` does one by one.

    Args:
        storage: the storage, which nobody else fills at the same time.
        study: the study's identifier.
        num_known: the number of trials that the study has.
        trials: those to add, of which each is given its number and its identifier.
    """
    lines = [
        models.TrialModel(
            study_id=study,
            number=number,
            state=trial.state,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
        )
        for number, trial in enumerate(trials, num_known)
    ]
    with sqlalchemy.orm.Session(storage.engine) as session, session.begin():
        session.add_all(lines)
        session.flush()
        parts: dict[type, list[dict[str, Any]]] = {}
        for line, trial in zip(lines, trials, strict=True):
            trial.number, trial._trial_id = line.number, line.trial_id
            for table, values in _parts(trial):
                parts.setdefault(table, []).append({"trial_id": line.trial_id, **values})
        for table, found in parts.items():
            session.execute(sqlalchemy.insert(table), found)


def _parts(trial: FrozenTrial) -> Iterator[tuple[type, dict[str, Any]]]:
    """Yields what belongs to a trial: each line's table, and its values."""
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield (
            models.TrialParamModel,
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": distribution_to_json(distribution),
            },
        )
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        yield models.TrialValueModel, {"objective": objective, "value": stored, "value_type": kind}
    for step, value in trial.intermediate_values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        yield (
            models.TrialIntermediateValueModel,
            {"step": step, "intermediate_value": stored, "intermediate_value_type": kind},
        )
    for name, value in trial.user_attrs.items():
        yield models.TrialUserAttributeModel, {"key": name, "value_json": json.dumps(value)}
    for name, value in trial.system_attrs.items():
        yield models.TrialSystemAttributeModel, {"key": name, "value_json": json.dumps(value)}
