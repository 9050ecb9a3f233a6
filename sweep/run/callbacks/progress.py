"""Progress of a run on stderr: a live table on a terminal, else a line every few seconds.

Fed with the journal's events, so that it shows what is recorded and nothing else.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aesweep.process.wording import plural
from aesweep.run.callbacks.callback import Callback, Event

LINE_INTERVAL_S = 5.0
MAX_CELLS = 24


class Progress(Callback):
    """Follows a run's events.

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
        self._trials: dict[str, Event] = {}
        self._last: dict[str, Event] = {}
        # Trial to its last `trial_ended`: one that goes on, or whose checkpoint is lost, ends a second time.
        self._ended: dict[str, Event] = {}
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
        """Ends the live table; lines may still be said."""
        if self._live:
            self._live.stop()
            self._live = None

    def abandon(self) -> None:
        """Leaves the terminal as it was, from wherever the process is to end."""
        if self._live:
            os.write(self._console.file.fileno(), b"\x1b[?25h\n")  # a live table hides the cursor

    def say(self, message: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(Text(message), soft_wrap=True)

    def take_up(self, events: list[Event]) -> None:
        """Takes note of what an earlier session recorded of the stage that goes on now, and says that much."""
        quiet, self._quiet = self._quiet, True
        for event in events:
            if event.get("status") != "interrupted":
                self.follow(event)
        self._quiet = quiet
        self._began_at, self._epochs_recalled = time.monotonic(), self._epochs_done
        self._running.clear()
        self._ended_recalled, self._training_s = len(self._ended), 0.0
        if events:
            self.say(f"{self._title} goes on: {self._summary()}")

    def follow(self, event: Event) -> None:
        """Takes note of one event of the journal."""
        kind = event["kind"]
        if kind in ("stage_started", "stage_extended"):
            title = f"stage {event['stage']}"
            if kind == "stage_extended" and self._title == title:
                self._num_trials, self._epochs = event["num_trials"], event["epochs"]  # what has ended stays so
            else:
                self._begin(title, event["num_trials"], event["epochs"], event["metric"], event["mode"])
            self.say(
                f"{title}: {plural(event['num_trials'], 'trial')} in {plural(event['num_cells'], 'cell')}, "
                f"up to {plural(self._epochs, 'epoch')}"
            )
        elif kind == "retraining_created":
            if self._title != "retraining":
                self._begin("retraining", 0, event["epochs"], "training_mse", "min")
            self._num_trials += 1
            self._trials[event["trial"]] = event
        elif kind == "trial_created":
            self._trials[event["trial"]] = event
        elif kind == "row":
            self._running.add(event["trial"])
            self._last[event["trial"]] = event
            self._epochs_done += 1
            self._training_s += event["seconds"] or 0.0
        elif kind == "trial_ended":
            self._ended[event["trial"]] = event
            self._running.discard(event["trial"])
        elif kind == "failure":
            self._running.discard(event["trial"])
            then = "it is tried again" if event["retried"] else "it is given up"
            self.say(f"{event['trial']} failed after epoch {event['epoch']} ({event['cause']}); {then}")
        elif kind == "checkpoint_lost":
            self._ended.pop(event["trial"], None)
            self.say(f"{event['reason']}; {event['trial']} is trained again")
        elif kind == "model_lost":
            self.say(f"{event['reason']}; the model of {event['trial']} is lost for good, what it reached is recorded")
        elif kind == "continued":
            for reason in event["rejected"]:
                self.say(reason)
            self.say(f"{event['trial']} goes on after epoch {event['epoch']}")
        elif kind == "memory_short":
            self.say(
                f"memory was short: {plural(event['members_per_step'], 'member')} in lock-step ({event['reason']})"
            )
        elif kind == "stage_ended" and (event["stage"] != "retraining" or self._title == "retraining"):
            self.say(f"{self._title}: done in {event['seconds']:.0f} s ({self._counts()})")
        is_due = self._live is None and time.monotonic() - self._spoke_at >= LINE_INTERVAL_S
        if kind in ("row", "trial_ended") and is_due:
            self._spoke_at = time.monotonic()
            self.say(f"{self._title}: {self._summary()}")

    def _counts(self) -> str:
        counts = Counter(event["status"] for event in self._ended.values())
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none ended"

    def _summary(self) -> str:
        ended = len(self._ended)
        text = f"{ended} of {plural(self._num_trials, 'trial')} ended ({self._counts()}), {len(self._running)} running"
        remaining = self._remaining_s()
        return text if remaining is None else f"{text}, at most {remaining:.0f} s left"

    def _remaining_s(self) -> float | None:
        """Time left if nothing more is stopped early, at the pace so far.

        Until a first trial has ended, the pace is that of the epochs alone: most of the time until then went into
        starting workers, which happens once.
        """
        budget = sum(self._ended.get(name, trial)["epochs"] or 0 for name, trial in self._trials.items())
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
            label = ", ".join(f"{axis} {value}" for axis, value in trial.get("cell", {}).items()) or "winners"
            cells.setdefault((trial["dataset"], label), []).append(name)
        rows = []
        for (dataset, label), names in cells.items():
            values = [self._last[n][self._metric] for n in names if n in self._last]
            values = [value for value in values if value is not None]
            best = (min if self._mode == "min" else max)(values, default=None)
            running = sum(name in self._running for name in names)
            ended = sum(name in self._ended for name in names)
            rows.append((dataset, label, str(running), f"{ended}/{len(names)}", "" if best is None else f"{best:.5g}"))
        return rows
