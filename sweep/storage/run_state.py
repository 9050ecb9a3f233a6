"""The state of a run: the one fold over the journal's events, which all other modules use.

The state depends on nothing but the events, which are applied when they are recorded or read again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aesweep.storage.event import Action, Event, TrialStatus
from aesweep.storage.event_reader import parse_event, read_events
from aesweep.storage.events import (
    Baseline,
    CellWinner,
    CheckpointLost,
    Commanded,
    Decision,
    Extended,
    Failure,
    ModelLost,
    Pictures,
    Resumed,
    Retrained,
    RetrainingAsked,
    RetrainingCreated,
    Row,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    StageWinner,
    TrialCreated,
    TrialEnded,
)

RETRAINING = "retraining"  # the journal's name for the stage in which winners are retrained


@dataclasses.dataclass
class TrialState:
    """How far a trial or a retraining is.

    Attributes:
        created: the event that created it; None where that is not recorded yet.
        rows: its epochs, in order and without a gap.
        decisions: ASHA's decisions on it.
        end: its last `trial_ended`; None where it has not ended, or has continued since.
        result: its last `retrained`; None where it never had one.
        is_lost: whether the checkpoint of its result is lost, so that it is trained again.
        checkpoint: `file`, `sha256` and `num_bytes` of its model; None where it has none, or the model is lost.
        status: how it ended for good; None where it has not ended, or was only interrupted.
        seconds: how long it held a worker, as far as that is known.
        num_failures: number of attempts that failed since its last row.
        given_up: why no attempt follows the last one; None where another attempt may follow.
        stops: whether ASHA's last decision was to stop it.
        is_completed: whether it was ever trained to its end in competition.
        audited_from: the epoch after which it went on out of competition; None where it did not.
    """

    created: TrialCreated | RetrainingCreated | None = None
    rows: list[Row] = dataclasses.field(default_factory=list)
    decisions: list[Decision] = dataclasses.field(default_factory=list)
    end: TrialEnded | None = None
    result: Retrained | None = None
    is_lost: bool = False
    checkpoint: Mapping[str, Any] | None = None
    status: TrialStatus | None = None
    seconds: float = 0.0
    num_failures: int = 0
    given_up: str | None = None
    stops: bool = False
    is_completed: bool = False
    audited_from: int | None = None

    @property
    def row(self) -> Row | None:
        """The last row; None where no epoch is recorded."""
        return self.rows[-1] if self.rows else None

    @property
    def epochs(self) -> int:
        """The number of recorded epochs."""
        return self.rows[-1].epoch if self.rows else 0

    @property
    def competing_rows(self) -> list[Row]:
        """Its epochs without those that it trained out of competition."""
        return self.rows[: self.audited_from]

    @property
    def stage(self) -> str:
        return self.created.stage if isinstance(self.created, TrialCreated) else RETRAINING

    def apply(self, event: Event) -> None:
        """Updates the state by an event that names the trial."""
        match event:
            case Row():
                while self.rows and self.rows[-1].epoch >= event.epoch:
                    self.rows.pop()  # journals of older versions may hold an epoch twice
                self.rows.append(event)
                self.end = None  # the trial was interrupted and continues
                self.num_failures = 0
                self.seconds += event.seconds or 0.0
                self.checkpoint = event.checkpoint or self.checkpoint
            case Decision():
                self.decisions.append(event)
                self.stops = event.action is Action.STOP
                if event.action is Action.AUDIT:
                    self.audited_from = event.epoch
            case Failure():
                self.num_failures += 1
                self.given_up = None if event.retried else f"{event.cause}: {event.reason}"
            case Retrained():
                self.result, self.checkpoint, self.is_lost = event, event.checkpoint, False
            case CheckpointLost():
                self.checkpoint, self.status, self.is_lost = None, None, True
            case ModelLost():
                self.checkpoint = None
            case TrialEnded():
                self.end = event
                self.status = None if event.status is TrialStatus.INTERRUPTED else event.status
                self.is_completed = self.is_completed or event.status is TrialStatus.COMPLETED
                self.seconds = event.seconds or 0.0
                self.num_failures, self.given_up = 0, None


@dataclasses.dataclass
class StageState:
    """How far a stage is, or the retraining.

    Attributes:
        openings: `stage_started`, then a `stage_extended` for each extension whose trials were created.
        extensions: all requested extensions, also those whose trials are not created yet.
        cell_winners: maps data set and cell (as text) to the last `cell_winner`.
        winners: maps data set to the last `stage_winner`.
        seconds: sum of the seconds of all its `stage_ended`; None where there is none.
        has_ended: whether it has ended and was not extended since.
    """

    openings: list[StageStarted] = dataclasses.field(default_factory=list)
    extensions: list[Extended] = dataclasses.field(default_factory=list)
    cell_winners: dict[tuple[str, str], CellWinner] = dataclasses.field(default_factory=dict)
    winners: dict[str, StageWinner] = dataclasses.field(default_factory=dict)
    seconds: float | None = None
    has_ended: bool = False


class RunState:
    """The state of a run according to its events.

    Args:
        events: the journal's events in order, typed or as plain values.

    Attributes:
        events: all events, typed.
        start: the first `run_started`; None where no start is recorded.
        trials: trials and retrainings by name, in the order of their creation.
        stages: stages by name, in the order of the first event that names them; the retraining is `RETRAINING`.
        baselines: the last event for each data set, split, stage, method, latent dimension and noise variance.
        pictures: the last event for each data set, stage and purpose.
        asked: requests for retrainings with other settings.
        commands: the events that record commands, with the options that each leaves for the next.
        places: maps each folder of images to its path relative to the run's folder.
        resources: what the last session that had to decide it has decided to train on; None where there is none.
        num_resumed: how often a session resumed the run.
        last_end: the last `run_ended`; None where there is none.
        results_at: for each data set, the number of the last event that gave a retraining its first result.
    """

    def __init__(self, events: Iterable[Event | Mapping[str, Any]] = ()):
        self.events: list[Event] = []
        self.start: RunStarted | None = None
        self.trials: dict[str, TrialState] = {}
        self.stages: dict[str, StageState] = {}
        self.baselines: dict[tuple[Any, ...], Baseline] = {}
        self.pictures: dict[tuple[str, str, str], Pictures] = {}
        self.asked: list[RetrainingAsked] = []
        self.commands: list[Commanded] = []
        self.places: dict[str, str] = {}
        self.resources: dict[str, Any] | None = None
        self.num_resumed = 0
        self.last_end: RunEnded | None = None
        self.results_at: dict[str, int] = {}
        for event in events:
            self.apply(parse_event(event))

    @classmethod
    def read(cls, path: Path) -> RunState:
        """Returns the state of the run that a journal records; raises as `read_events`."""
        return cls(read_events(path))

    def apply(self, event: Event) -> None:
        """Updates the state by the next event."""
        self.events.append(event)
        if isinstance(event, (TrialCreated, RetrainingCreated)):
            self.trials.setdefault(event.trial, TrialState(event))
            return
        trial = self.trials.get(getattr(event, "trial", None))
        if trial is not None and not isinstance(event, (CellWinner, StageWinner)):
            if isinstance(event, Retrained) and trial.result is None:
                self.results_at[trial.created.dataset] = event.seq
            trial.apply(event)
        match event:
            case RunStarted():
                self.start = self.start or event
            case Extended():
                for name in event.stages:
                    stage = self._stage(name)
                    stage.extensions.append(event)
                    stage.has_ended = False
            case StageStarted():
                self._stage(event.stage).openings.append(event)
            case StageEnded():
                stage = self._stage(event.stage)
                stage.seconds = (stage.seconds or 0.0) + event.seconds
                stage.has_ended = True
            case CellWinner():
                self._stage(event.stage).cell_winners[event.dataset, str(event.cell)] = event
            case StageWinner():
                self._stage(event.stage).winners[event.dataset] = event
            case Baseline():
                place = event.dataset, event.split, event.stage
                self.baselines[(*place, event.method, event.latent_dim, event.noise_variance)] = event
            case Pictures():
                self.pictures[event.key] = event
            case RetrainingAsked():
                self.asked.append(event)
            case Resumed():
                self.num_resumed += 1
            case RunEnded():
                self.last_end = event
        if isinstance(event, Commanded):
            if event.command is not None:
                self.commands.append(event)
            self.places.update(event.places or {})
            self.resources = event.resources or self.resources

    def before(self, event: Event) -> RunState:
        """Returns the state of the run just before an event was recorded."""
        return RunState(self.events[: event.seq])

    def has_ended(self, stage: str) -> bool:
        """Returns whether a stage has ended and was not extended since."""
        return stage in self.stages and self.stages[stage].has_ended

    def of(self, stage: str) -> dict[str, TrialState]:
        """Returns the trials of a stage, or of the retraining, by name."""
        return {name: trial for name, trial in self.trials.items() if trial.stage == stage}

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the last command leaves for the next."""
        return (self.commands[-1].options or {}) if self.commands else {}

    @property
    def status(self) -> str:
        """The status with which the run ended ("completed", "interrupted" or "failed"), or one of three others.

        It is "empty" where no start is recorded, "unfinished" where no end is recorded, and "open" where events follow
        the last end, as when the run is resumed or winners are retrained later.
        """
        if self.last_end is None:
            return "unfinished" if self.start else "empty"
        return str(self.last_end.status) if self.events[-1] is self.last_end else "open"

    @property
    def is_over(self) -> bool:
        """Whether the run has come to its end, so that nothing is left to do."""
        return self.status in ("completed", "failed")

    def _stage(self, name: str) -> StageState:
        return self.stages.setdefault(name, StageState())
