"""Runs as jobs of a cluster: submitted, watched and stopped through Ray's Jobs API, with the token in every request."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aesweep.cluster.remote.address import dashboard_address, reach_dashboard
from aesweep.process.errors import EX_CANTCREAT, AesweepError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

Answer = TypeVar("Answer")
RUN = "aesweep_run"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
# A head that has just started answers before the agent is up that takes the jobs.
START_LIMIT_S = 30.0
_NOT_UP_YET = re.compile(r"status code 50\d\b.*(?:no available agent|try again later)", re.IGNORECASE | re.DOTALL)
# They tell on stderr of each package that is sent, at a level of their own.
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")


class Jobs:
    """The jobs of one cluster.

    Args:
        address: of its dashboard, such as http://127.0.0.1:8265.

    Raises:
        AesweepError: nobody answers there within 15 s, the token is refused, or it may not be sent there.
    """

    def __init__(self, address: str):
        address = dashboard_address(address)
        reach_dashboard(address)
        from ray.job_submission import JobSubmissionClient

        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            self._client = JobSubmissionClient(address)
        except Exception as error:
            raise AesweepError(f"{address} does not take jobs: {str(error).splitlines()[0]}") from error

    def submit(self, run: str, command: str, folder: Path) -> str:
        """Sends a folder and runs a command in it, on the head.

        Args:
            run: name of the run that it works on.
            command: for the head's shell.
            folder: becomes the command's working folder.

        Returns:
            The job's id.

        Raises:
            AesweepError: a job works on that run already, or the cluster refuses, or is not up within `START_LIMIT_S`.
        """
        latest = self._latest(run)
        if latest is not None and latest.status not in ENDED:
            raise AesweepError(
                f"{run} is being worked on by job {latest.submission_id}: `aesweep stop {run}` ends it, "
                "or give another --name"
            )
        job = f"{run}-{secrets.token_hex(4)}"
        environment = {"working_dir": str(folder), "env_vars": {"PYTHONUNBUFFERED": "1"}}
        asked = {"entrypoint": command, "submission_id": job, "metadata": {RUN: run}}
        # Ray's client writes into the environment that it is given.
        return _once_up(lambda: self._client.submit_job(runtime_env=dict(environment), **asked))

    def status(self, run: str, job: str | None = None) -> dict[str, Any]:
        """Plain values: how a job of a run stands, by default the latest that worked on it."""
        job = self._known(run, job)
        return {
            "run": run,
            "job": job.submission_id,
            "status": str(job.status.value).lower(),
            "message": job.message,
            "exit_code": job.driver_exit_code,
            "started": job.start_time and job.start_time / 1000,
            "ended": job.end_time and job.end_time / 1000,
        }

    def log(self, run: str, job: str | None = None) -> str:
        """What a job of a run has said so far, by default the latest that worked on it."""
        known = self._known(run, job).submission_id
        return _once_up(lambda: self._client.get_job_logs(known))

    def follow(self, run: str, interval_s: float = 1.0, job: str | None = None) -> Iterator[str]:
        """What a job of a run says, until it ends; by asking again, so no line is lost."""
        known = 0
        while True:
            ended = self._known(run, job).status in ENDED
            text = self.log(run, job)
            if len(text) > known:
                yield text[known:]
                known = len(text)
            if ended:
                return
            time.sleep(interval_s)

    def stop(self, run: str) -> bool:
        """Asks the latest job of a run to end, as SIGTERM does; returns whether it was still at work."""
        known = self._known(run).submission_id
        return _once_up(lambda: self._client.stop_job(known))

    def _known(self, run: str, number: str | None = None) -> JobDetails:
        job = self._latest(run, number)
        if job is None:
            known = sorted(
                {job.metadata[RUN] for job in _once_up(self._client.list_jobs) if RUN in (job.metadata or {})}
            )
            raise AesweepError(f"{run}: no job of that run; known are: {', '.join(known) or 'none'}")
        return job

    def _latest(self, run: str, number: str | None = None) -> JobDetails | None:
        mine = [job for job in _once_up(self._client.list_jobs) if (job.metadata or {}).get(RUN) == run]
        mine = [job for job in mine if number in (None, job.submission_id)]
        # A job that found the run's name taken, or the run held by another, did nothing to it.
        worked = [job for job in mine if job.driver_exit_code != EX_CANTCREAT]
        return max(worked or mine, key=lambda job: job.start_time or 0, default=None)


def _once_up(ask: Callable[[], Answer], pause_s: float = 1.0) -> Answer:
    """What a cluster answers, once it is up far enough to answer at all.

    Raises:
        AesweepError: it refuses, or says for `START_LIMIT_S` that it is not up yet.
    """
    began: float | None = None
    while True:
        try:
            return ask()
        except RuntimeError as error:
            lines = str(error).split("\n")
            # The head may send a traceback, of which the last line is the reason.
            reason = f"{lines[0]} {lines[-1]}" if len(lines) > 1 else lines[0]
            if not _NOT_UP_YET.search(str(error)):
                raise AesweepError(f"the cluster refuses what it was asked for: {reason}") from error
            if began is None:
                began = time.monotonic()
                click.echo(
                    f"the cluster has just started and takes no jobs yet; waiting for up to {START_LIMIT_S:g} s",
                    err=True,
                )
            elif time.monotonic() - began > START_LIMIT_S:
                raise AesweepError(
                    f"the cluster takes no jobs {START_LIMIT_S:g} s after it was asked first: {reason}; try again "
                    "later, or look on its head with `ray status`"
                ) from error
        time.sleep(pause_s)
