"""A run as an MLflow tracking store: a database, and a folder of artifacts beside it, that `mlflow ui` opens there.

The study's run is an experiment; in it is one MLflow run for the whole, with the report as its artifacts, and one below
it for each trial and retraining. The database is SQLite, MLflow's own default; its older store of files is being given
up. Nothing is written that the run's folder does not say: MLflow's client would add the user's name and the commit of
the working folder only through its functions for scripts, which are not used here, and its telemetry is turned off.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aesweep.export.database import database_url
from aesweep.export.exporter import Exported, ExportError, Steps
from aesweep.export.place import replace_file
from aesweep.export.trial_record import TrialRecord, trial_records
from aesweep.process.environment import leave_out_mlflow
from aesweep.results import LoadedRun

leave_out_mlflow()  # before MLflow reads its settings

import mlflow.entities as entities  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
RUN, TRIAL, ROWS, STATUS, RESULT = "aesweep.run", "aesweep.trial", "aesweep.rows", "aesweep.status", "aesweep.result"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
PAGE = 1000  # most runs that are asked for, and most metrics that are logged, at once
STATUSES = {
    **{"completed": "FINISHED", "stopped": "FINISHED", "audited": "FINISHED", "diverged": "FAILED", "failed": "FAILED"},
    **{"interrupted": "KILLED", "unfinished": "RUNNING", "waiting": "SCHEDULED"},
    "open": "RUNNING",
}


@dataclasses.dataclass
class _Known:
    """What the store holds of a trial: MLflow's identifier, number of rows, status, and whether it has results."""

    run_id: str
    num_rows: int
    status: str
    has_results: bool


class MlflowExporter:
    """Writes a run into OUTPUT/mlflow.db, which may hold other runs, and its report into OUTPUT/mlartifacts.

    What is there is known by the trials' names and their numbers of rows; only what is new is added.

    Args:
        output: the folder.
    """

    def __init__(self, output: Path):
        self._output = output
        self._url = database_url(output / DATABASE)
        self._known: dict[str, _Known] | None = None

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        """Writes what is new; see `Exporter`."""
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        client = MlflowClient(self._url)
        experiment = self._experiment(client, run)
        if self._known is None:
            self._known = {name: known for name, known in _stored(client, experiment, run)}
        parent = self._parent(client, experiment, run)
        records = list(trial_records(run))
        steps.begin("MLflow", len(records))
        for record in records:
            self._write(client, experiment, parent, run, record)
            steps.advance()
        self._copy_report(run, parent)
        return Exported(self._output / DATABASE, len(records), sum(len(record.rows) for record in records))

    def _experiment(self, client: MlflowClient, run: LoadedRun) -> str:
        """Returns the experiment of the run; its name is followed by the run's identity if another run has it."""
        for name in (run.name, f"{run.name} ({run.identity})"):
            known = client.get_experiment_by_name(name)
            if known is None:
                # The server of `mlflow ui` finds such a place in the folder in which it is started, so that an export
                # may be moved, and holds no path of this machine.
                place = f"mlflow-artifacts:/{run.identity}"
                return client.create_experiment(name, artifact_location=place, tags={RUN: run.identity})
            if known.tags.get(RUN) == run.identity:
                return known.experiment_id
        raise ExportError(f"{self._output / DATABASE}: another experiment is called {name!r}: give another --output")

    def _parent(self, client: MlflowClient, experiment: str, run: LoadedRun) -> str:
        known = self._known.get("")
        status = run.status
        if known is None:
            started_ms = round(1000 * (run.record.started_at or 0))
            tags = {RUN: run.identity, TRIAL: "", STATUS: status, NOTE: repr(run)}
            created = client.create_run(experiment, started_ms, tags, run.name[:250])
            known = self._known[""] = _Known(created.info.run_id, 0, "", False)
        if known.status != status:
            client.set_tag(known.run_id, STATUS, status)
            client.set_tag(known.run_id, NOTE, repr(run))
            _end(client, known.run_id, status, run.state.events[-1].time if run.state.events else None)
            known.status = status
        return known.run_id

    def _write(self, client: MlflowClient, experiment: str, parent: str, run: LoadedRun, record: TrialRecord) -> None:
        known = self._known.get(record.name)
        if known is None:
            tags = {
                **{RUN: run.identity, TRIAL: record.name, PARENT: parent, ROWS: "0", STATUS: "", RESULT: ""},
                **{"aesweep.stage": record.stage, "aesweep.dataset": record.dataset, "aesweep.cell": record.cell},
            }
            created = client.create_run(experiment, round(1000 * record.started_s), tags, record.name[:250])
            known = self._known[record.name] = _Known(created.info.run_id, 0, "", False)
            client.log_batch(known.run_id, params=list(_params(record)))
        has_results = bool(record.results and record.rows)
        if (known.num_rows, known.status, known.has_results) == (len(record.rows), record.status, has_results):
            return
        metrics = [
            entities.Metric(name, value, round(1000 * row.time_s), row.epoch)
            for row in record.rows[known.num_rows :]
            for name, value in row.metrics.items()
        ]
        if has_results and not known.has_results:
            last = record.rows[-1]
            metrics += [
                entities.Metric(name, value, round(1000 * last.time_s), last.epoch)
                for name, value in record.results.items()
            ]
        # A kill between these steps leaves metrics without the tag that counts them. They are then logged again, which
        # the store takes as the same ones, since name, value, time and step are equal.
        for start in range(0, len(metrics), PAGE):
            client.log_batch(known.run_id, metrics=metrics[start : start + PAGE])
        values = {ROWS: str(len(record.rows)), STATUS: record.status, RESULT: "1" if has_results else ""}
        values.update({"aesweep.reason": record.reason} if record.reason else {})
        client.log_batch(known.run_id, tags=[entities.RunTag(name, value) for name, value in values.items()])
        if known.status != record.status:
            _end(client, known.run_id, record.status, record.ended_s)
        known.num_rows, known.status, known.has_results = len(record.rows), record.status, has_results

    def _copy_report(self, run: LoadedRun, parent: str) -> None:
        """Copies the report beside the database, where the server of `mlflow ui` looks for the parent's artifacts."""
        target = self._output / ARTIFACTS / run.identity / parent / "artifacts"
        root = run.folder.root
        pages = [root / name for name in ("report.md", "report.html", "study.yaml")]
        for path in [*pages, *sorted((root / "tables").glob("*")), *sorted((root / "figures").glob("*"))]:
            if path.is_file() and not path.is_symlink():
                replace_file(target / path.relative_to(root), path.read_bytes())


def _stored(client: MlflowClient, experiment: str, run: LoadedRun) -> Iterator[tuple[str, _Known]]:
    """Yields what the store holds of a run, by the trials' names."""
    token: str | None = None
    while True:
        found = client.search_runs([experiment], f"tags.`{RUN}` = '{run.identity}'", max_results=PAGE, page_token=token)
        for stored in found:
            tags = stored.data.tags
            known = _Known(stored.info.run_id, int(tags.get(ROWS, 0)), tags.get(STATUS, ""), bool(tags.get(RESULT)))
            yield tags.get(TRIAL, ""), known
        token = found.token
        if not token:
            return


def _params(record: TrialRecord) -> Iterator[entities.Param]:
    for name, value in {**record.settings, "seeds": record.seeds}.items():
        yield entities.Param(name, _text(value))


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)  # all digits of a number


def _end(client: MlflowClient, run_id: str, status: str, ended_s: float | None) -> None:
    """Sets the status of a run, and when it ended if it has."""
    shown = STATUSES.get(status, "RUNNING")
    if shown in ("FINISHED", "FAILED", "KILLED") and ended_s is not None:
        client.set_terminated(run_id, shown, round(1000 * ended_s))
    else:
        client.update_run(run_id, status=shown)
