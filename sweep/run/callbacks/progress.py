"""Progress of a run on stderr: a live table on a terminal, else a line every few seconds.

It is fed with the journal's events, so that it shows what is recorded and nothing else.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aesweep.process.wording import plural
from aesweep.run.callbacks.callback import Callback
from aesweep.search.winners import best
from aesweep.storage.event import Action, Event, TrialStatus
from aesweep.storage.events import (
    CheckpointLost,
    Continued,
    Decision,
    Failure,
    MemoryShort,
    ModelLost,
    RetrainingCreated,
    Row,
    StageEnded,
    StageExtended,
    StageStarted,
    TrialCreated,
    TrialEnded,
)
from aesweep.storage.run_state import RETRAINING

LINE_INTERVAL_S = 5.0
MAX_CELLS = 24


class Progress(Callback):
    """Shows the progress of a run from its events.

    Args:
        console: where to write; rich honours NO_COLOR and knows whether it is a terminal.
        quiet: write nothing.
    """

    def __init__(self, console: Console, quiet: bool = False):
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._spoke_at = 0.0
        self._begin("preparing", 0, 0, "validation_mse", "min")

    def _begin(self, title: str, num_trials: int, epochs: int, metric: str, mode: str) -> None:
        self._title, self._num_trials, self._epochs, self._metric, self._mode = title, num_trials, epochs, metric, mode
        self._began_at = time.monotonic()
        self._trials: dict[str, TrialCreated | RetrainingCreated] = {}
        self._last: dict[str, Row] = {}  # each trial's last row in competition
        self._audited: set[str] = set()
        # Each trial's last `trial_ended`: a trial that is continued, or whose checkpoint is lost, ends a second time.
        self._ended: dict[str, TrialEnded] = {}
        self._ended_recalled = 0
        self._running: set[str] = set()
        self._epochs_done = 0
        self._epochs_recalled = 0
        self._training_s = 0.0

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the live table; `say` still prints lines afterwards."""
        if self._live:
            self._live.stop()
            self._live = None

    def abandon(self) -> None:
        """Restores the terminal, from any point at which the process is about to end."""
        if self._live:
            os.write(self._console.file.fileno(), b"\x1b[?25h\n")  # a live table hides the cursor

    def say(self, message: str) -> None:
        """Prints a line that stays on the screen."""
        if not self._quiet:
            self._console.print(Text(message), soft_wrap=True)

    def take_up(self, events: Sequence[Event]) -> None:
        """Takes in what earlier sessions recorded of the step that is resumed now, and prints a summary of it."""
        quiet, self._quiet = self._quiet, True
        for event in events:
            if not (isinstance(event, TrialEnded) and event.status is TrialStatus.INTERRUPTED):
                self.follow(event)
        self._quiet = quiet
        self._began_at, self._epochs_recalled = time.monotonic(), self._epochs_done
        self._running.clear()
        self._ended_recalled, self._training_s = len(self._ended), 0.0
        if events:
            self.say(f"{self._title} goes on: {self._summary()}")

    def follow(self, event: Event) -> None:
        match event:
            case StageStarted():
                self._open(event)
            case RetrainingCreated():
                if self._title != RETRAINING:
                    self._begin(RETRAINING, 0, event.epochs, "training_mse", "min")
                self._num_trials += 1
                self._trials[event.trial] = event
            case TrialCreated():
                self._trials[event.trial] = event
            case Decision(action=Action.AUDIT):
                self._audited.add(event.trial)
            case Row():
                self._running.add(event.trial)
                if event.trial not in self._audited:
                    self._last[event.trial] = event
                self._epochs_done += 1
                self._training_s += event.seconds or 0.0
            case TrialEnded():
                self._ended[event.trial] = event
                self._running.discard(event.trial)
            case Failure():
                self._running.discard(event.trial)
                then = "it is tried again" if event.retried else "it is given up"
                self.say(f"{event.trial} failed after epoch {event.epoch} ({event.cause}); {then}")
            case CheckpointLost():
                self._ended.pop(event.trial, None)
                self.say(f"{event.reason}; {event.trial} is trained again")
            case ModelLost():
                lost = f"the model of {event.trial} is lost for good, what it reached is recorded"
                self.say(f"{event.reason}; {lost}")
            case Continued():
                for reason in event.rejected:
                    self.say(reason)
                self.say(f"{event.trial} goes on after epoch {event.epoch}")
            case MemoryShort():
                at_once = plural(event.members_per_step, "member")
                self.say(f"memory was short: {at_once} in lock-step ({event.reason})")
            case StageEnded() if event.stage != RETRAINING or self._title == RETRAINING:
                self.say(f"{self._title}: done in {event.seconds:.0f} s ({self._counts()})")
        is_due = self._live is None and time.monotonic() - self._spoke_at >= LINE_INTERVAL_S
        if isinstance(event, (Row, TrialEnded)) and is_due:
            self._spoke_at = time.monotonic()
            self.say(f"{self._title}: {self._summary()}")

    def _open(self, event: StageStarted) -> None:
        title = f"stage {event.stage}"
        if isinstance(event, StageExtended) and self._title == title:
            self._num_trials, self._epochs = event.num_trials, event.epochs  # ended trials stay ended
        else:
            self._begin(title, event.num_trials, event.epochs, event.metric, event.mode)
        self.say(
            f"{title}: {plural(event.num_trials, 'trial')} in {plural(event.num_cells, 'cell')}, "
            f"up to {plural(self._epochs, 'epoch')}"
        )

    def _counts(self) -> str:
        counts = Counter(event.status for event in self._ended.values())
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none ended"

    def _summary(self) -> str:
        ended = len(self._ended)
        text = f"{ended} of {plural(self._num_trials, 'trial')} ended ({self._counts()}), {len(self._running)} running"
        remaining = self._remaining_s()
        return text if remaining is None else f"{text}, at most {remaining:.0f} s left"

    def _remaining_s(self) -> float | None:
        """Returns the seconds left at the pace so far, if no further trial is stopped early; None if not known yet.

        Until a first trial has ended, the pace is that of the epochs alone: most of the time until then went into
        starting workers, which happens once.
        """
        budget = sum(self._ended.get(name, trial).epochs or 0 for name, trial in self._trials.items())
        # A sampler that learns makes a trial only once there is room for it.
        budget += max(0, self._num_trials - len(self._trials)) * self._epochs
        trained = self._epochs_done - self._epochs_recalled
        if not trained or not budget:
            return None
        spent = time.monotonic() - self._began_at
        if len(self._ended) == self._ended_recalled:
            spent = self._training_s / max(1, len(self._running))
        return spent / trained * max(0, budget - self._epochs_done)

    def _table(self) -> Group:
        table = Table(title=None, expand=False)
        for column in ("data set", "cell", "running", "ended", f"best {self._metric}"):
            table.add_column(column)
        rows = self._rows()
        for row in rows[:MAX_CELLS]:
            table.add_row(*row)
        more = f" ({plural(len(rows) - MAX_CELLS, 'more cell')})" if len(rows) > MAX_CELLS else ""
        return Group(Text(f"{self._title}: {self._summary()}{more}"), table)

    def _rows(self) -> list[tuple[str, ...]]:
        cells: dict[tuple[str, str], list[str]] = {}
        for name, trial in self._trials.items():
            cell = trial.cell if isinstance(trial, TrialCreated) else {}
            label = ", ".join(f"{axis} {value}" for axis, value in cell.items()) or "winners"
            cells.setdefault((trial.dataset, label), []).append(name)
        rows = []
        for (dataset, label), names in cells.items():
            values = [getattr(self._last[name], self._metric) for name in names if name in self._last]
            leader = best(self._mode, ((value, value) for value in values))
            running = sum(name in self._running for name in names)
            ended = sum(name in self._ended for name in names)
            rows.append(
                (dataset, label, str(running), f"{ended}/{len(names)}", "" if leader is None else f"{leader:.5g}")
            )
        return rows
