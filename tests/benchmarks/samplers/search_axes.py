"""Axes of a recorded table: which values are recorded, and which of them stands for a value that a searcher proposes.

A searcher is not told that the table is finite. Lists (widths, latent dimensions) are categorical for all searchers,
since a study has no ordered lists of them; real numbers are intervals for all. An interval is cut into equal parts
(equal ratios where it is logarithmic), and what is recorded at the middle of a part stands for all of it. So each
recorded value has the same share of a uniform draw, nobody has to round, and whoever proposes a part twice trains, and
pays, twice.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class ListedAxis:
    """An axis with listed values.

    Attributes:
        name: the field of a configuration.
        values: the values, as a study writes them.
    """

    name: str
    values: tuple[Any, ...]

    def as_grid(self) -> dict[str, Any]:
        """Returns the axis of a study that tries every value."""
        return {"grid": list(self.values)}

    def as_drawn(self) -> dict[str, Any]:
        """Returns the axis of a study from which a sampler draws."""
        return {"choice": list(self.values)}

    def index(self, value: Any) -> int:
        """Returns the place of a value; raises ValueError if it is not listed."""
        return self.values.index(list(value) if isinstance(value, tuple) else value)


@dataclasses.dataclass(frozen=True)
class IntervalAxis:
    """An axis of real numbers, recorded at the middles of equal parts.

    Attributes:
        name: the field of a configuration.
        low, high: the ends.
        num_values: number of parts.
        log: whether the parts have equal ratios.
    """

    name: str
    low: float
    high: float
    num_values: int
    log: bool = False

    @property
    def values(self) -> tuple[float, ...]:
        """The recorded values, with three digits."""
        return tuple(float(f"{self._at((k + 0.5) / self.num_values):.3g}") for k in range(self.num_values))

    def as_grid(self) -> dict[str, Any]:
        """Returns the axis of a study that tries every recorded value."""
        return {"grid": list(self.values)}

    def as_drawn(self) -> dict[str, Any]:
        """Returns the axis of a study from which a sampler draws."""
        return {"log_uniform" if self.log else "uniform": [self.low, self.high]}

    def index(self, value: float) -> int:
        """Returns the place of the part that holds a value; one outside the ends belongs to the nearest part."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return min(max(int((at - low) / (high - low) * self.num_values), 0), self.num_values - 1)

    def _at(self, position: float) -> float:
        if self.log:
            return self.low * (self.high / self.low) ** position
        return self.low + (self.high - self.low) * position


SearchAxis = ListedAxis | IntervalAxis
