"""Axes of a search space as Optuna's parameters: intervals as they are, listed values by their place in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aesweep.study.axis import Axis

if TYPE_CHECKING:  # Optuna takes a second to import
    from optuna.distributions import BaseDistribution


def distribution_of(axis: Axis) -> BaseDistribution:
    """Returns the distribution of an axis."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    interval = axis.uniform or axis.log_uniform
    if interval is None:
        return CategoricalDistribution(range(len(axis.options)))
    return FloatDistribution(*interval, log=axis.log_uniform is not None)


def parameter_of(value: Any, axis: Axis) -> Any:
    """Returns a value of an axis, as a study writes it, as Optuna takes it.

    Raises:
        ValueError: the value is not among those that the axis lists.
    """
    interval = axis.uniform or axis.log_uniform
    if interval is None:
        return axis.options.index(value)
    low, high = interval
    return min(max(value, low), high)  # a logarithm and back may leave an interval by a rounding error
