"""What many replays show: medians over seeds with their intervals, and whether ours is first."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from samplers.contest import OURS, RANDOM, RIVALS, Outcome
from samplers.outcomes import SHARES, Task
from samplers.regret import bootstrap_interval, median
from tabulate import tabulate

from aesweep.process.wording import plural

TPE, ALONE = "ours, tpe", "ours, tpe not shared"
Group = tuple[str, bool, int]  # table, whether with cells, number of workers


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median over seeds.

    Attributes:
        median: infinite where less than half of the seeds got there.
        low, high: the ends of its 95 % bootstrap interval.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[Sequence[float | None]]) -> Figure:
        """Returns the figure of what each seed gave, one value or one of each cell; None counts as infinite."""
        found = np.asarray([[math.inf if value is None else value for value in row] for row in values], dtype=float)
        return cls(median(found.ravel()), *bootstrap_interval(found))

    def text(self, form: str, most: float = math.inf) -> str:
        """Returns the figure with its interval; `most` is the budget, which what is infinite lies beyond."""
        beyond = "never" if math.isinf(most) else f"> {most:{form}}"
        texts = [beyond if math.isinf(value) else f"{value:{form}}" for value in (self.median, self.low, self.high)]
        return f"{texts[0]} [{texts[1]}, {texts[2]}]"


@dataclasses.dataclass(frozen=True)
class Line:
    """What the seeds of one searcher show, in a group.

    Attributes:
        group: table, whether with cells, number of workers.
        searcher: its name.
        num_seeds: number of replays.
        regrets: for each budget (a share of the table's epochs), the regret; with cells the mean over cells.
        until: epochs until the regret is at most 1 %; with cells over all cells of all seeds.
        until_all: epochs until that is so in all cells; without cells the same as `until`.
        reached: share of the seeds (of the cells of all seeds) for which `until` is not beyond the budget.
        finished: for each budget, with cells, the share of the cells with a fully trained trial; else empty.
        most: the budget in epochs.
    """

    group: Group
    searcher: str
    num_seeds: int
    regrets: dict[float, Figure]
    until: Figure
    until_all: Figure
    reached: float
    finished: dict[float, float]
    most: int


def lines(found: Mapping[Task, Outcome], epochs: Mapping[str, int]) -> list[Line]:
    """Returns a line for each searcher of each group.

    Args:
        found: outcomes.
        epochs: for each table, all of its epochs.
    """
    groups: dict[tuple[Group, str], list[tuple[Task, Outcome]]] = {}
    for task, outcome in found.items():
        key = (task.table, task.with_cells, task.num_workers), task.searcher
        groups.setdefault(key, []).append((task, outcome))
    return [_line(group, searcher, items, epochs[group[0]]) for (group, searcher), items in groups.items()]


def _line(group: Group, searcher: str, items: list[tuple[Task, Outcome]], num_epochs: int) -> Line:
    outcomes = [outcome for _, outcome in items]
    most = min(task.share for task, _ in items)
    at = {share: round(share * num_epochs) for share in SHARES if share <= most}
    until = [outcome.until for outcome in outcomes]
    regrets, finished = {}, {}
    for share, spent in at.items():
        regrets[share] = Figure.of([[outcome.regret_at(spent)] for outcome in outcomes])
        if group[1]:
            shares = [outcome.finished[outcome.epochs.index(spent)] for outcome in outcomes]
            finished[share] = sum(shares) / len(shares)
    last = [[None if None in values else max(values)] for values in until]
    reached = sum(value is not None for values in until for value in values) / sum(map(len, until))
    return Line(
        group,
        searcher,
        len(outcomes),
        regrets,
        Figure.of(until),
        Figure.of(last),
        reached,
        finished,
        round(most * num_epochs),
    )


def as_json(found: Sequence[Line]) -> list[dict[str, Any]]:
    """Returns the lines as plain values, with None for what is infinite."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(name): plain(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and math.isinf(value) else value

    return [plain(dataclasses.asdict(line)) for line in found]


def markdown(found: Sequence[Line]) -> str:
    """Returns a table for each recorded table, with cells and without."""
    parts = []
    for table, with_cells in dict.fromkeys((line.group[0], line.group[1]) for line in found):
        mine = [line for line in found if line.group[:2] == (table, with_cells)]
        mine.sort(key=lambda line: (line.group[2], [*OURS, *RIVALS].index(line.searcher)))
        shares = [share for share in SHARES if any(share in line.regrets for line in mine)]
        headers = ["workers", "searcher", "seeds", *(f"{share:.0%}" for share in shares), "epochs to 1 %", "reached"]
        headers += ["all cells to 1 %", *(f"finished at {share:.0%}" for share in shares)] if with_cells else []
        rows = []
        for line in mine:
            row = [line.group[2], line.searcher, line.num_seeds]
            row += [_percent(line.regrets.get(share)) for share in shares]
            row += [line.until.text(",.0f", line.most), f"{line.reached:.0%}"]
            if with_cells:
                row += [line.until_all.text(",.0f", line.most)]
                row += [f"{line.finished[share]:.0%}" if share in line.finished else "" for share in shares]
            rows.append(row)
        what = "mean regret of the cells in %" if with_cells else "regret in %"
        title = f"{table}, {'with' if with_cells else 'without'} cells: {what}, at budgets of all epochs of the table"
        parts.append(f"**{title}**\n\n{tabulate(rows, headers, 'github', disable_numparse=True)}")
    return "\n\n".join(parts)


def _percent(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return Figure(*(100 * value for value in (figure.median, figure.low, figure.high))).text(".1f")


def claims(found: Sequence[Line]) -> list[str]:
    """Returns, for each claim about our `tpe`, in how many places it holds, and each place where it does not.

    Of a rival that did not get to 1 % it is taken that it would have with the next epoch.
    """
    by_group: dict[Group, dict[str, Line]] = {}
    for line in found:
        by_group.setdefault(line.group, {})[line.searcher] = line
    first, half, sharing, finished = _Claim(), _Claim(), _Claim(), _Claim()
    for group, lines_there in by_group.items():
        ours = lines_there.get(TPE)
        place = f"{group[0]}, {'cells' if group[1] else 'no cells'}, {plural(group[2], 'worker')}"
        if ours is None:
            continue
        for share, mine in ours.regrets.items():
            for name, line in lines_there.items():
                if name in RIVALS and share in line.regrets:
                    theirs = line.regrets[share]
                    text = f"{place}, {share:.0%}: {_percent(mine)} against {_percent(theirs)} of {name}"
                    first.note(mine.median <= theirs.median, text)
        if RANDOM in lines_there:
            theirs = lines_there[RANDOM]
            text = f"{place}: {ours.until.text(',.0f', ours.most)} against {theirs.until.text(',.0f', theirs.most)}"
            half.note(ours.until.median <= 0.5 * min(theirs.until.median, theirs.most), text)
        if group[1]:
            share = max(ours.finished)
            finished.note(ours.finished[share] == 1, f"{place}: {ours.finished[share]:.1%} at {share:.0%}")
            if ALONE in lines_there:
                alone = lines_there[ALONE]
                text = f"{place}: {ours.until.text(',.0f', ours.most)} against {alone.until.text(',.0f', alone.most)}"
                sharing.note(ours.until.median <= 0.6 * min(alone.until.median, alone.most), text)
    return [
        *first.texts("Median regret of `tpe` at most that of a rival"),
        *half.texts(f"Epochs of `tpe` to 1 % at most half of those of {RANDOM}"),
        *sharing.texts("Epochs to 1 % of cells that share at most 60 % of those of cells that do not"),
        *finished.texts("Every cell has a finished best"),
    ]


class _Claim:
    def __init__(self) -> None:
        self._num_places, self._exceptions = 0, []

    def note(self, holds: bool, text: str) -> None:
        self._num_places += 1
        if not holds:
            self._exceptions.append(text)

    def texts(self, claim: str) -> list[str]:
        if not self._num_places:
            return []
        holds = self._num_places - len(self._exceptions)
        return [f"{claim}: {holds} of {self._num_places} places.", *(f"  not: {text}" for text in self._exceptions)]
