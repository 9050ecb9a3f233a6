"""A trial to learn from, as Optuna takes it; imported where Optuna is needed, since that takes a second."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState


class KnownTrial(FrozenTrial):
    """A trial that an Optuna study keeps as it is.

    A study copies each trial that is added to it, so that nobody changes it from outside; with hundreds of trials this
    takes most of the time of a suggestion. Nobody has this one but the studies of one suggestion, which do not change
    it.

    Args:
        params: the drawn values, as Optuna takes them.
        distributions: the distribution of each.
        value: what is minimized; None where the trial is running.
    """

    def __init__(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], value: float | None):
        is_running = value is None
        now = datetime.datetime.now()
        super().__init__(
            number=-1,  # the study numbers its trials
            trial_id=-1,
            state=TrialState.RUNNING if is_running else TrialState.COMPLETE,
            value=value,
            datetime_start=now,
            datetime_complete=None if is_running else now,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> KnownTrial:
        return self
