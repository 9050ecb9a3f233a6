"""Runs as jobs of a cluster: submission, monitoring and stopping by Ray's Jobs API, with the token in every request."""

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
# A head that has just started answers requests before its agent, which accepts jobs, is up.
START_LIMIT_S = 30.0
_NOT_UP_YET = re.compile(r"status code 50\d\b.*(?:no available agent|try again later)", re.IGNORECASE | re.DOTALL)
# Loggers that report each package that is sent on stderr, at a level that they set themselves.
_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")


class Jobs:
    """The jobs of one cluster.

    Args:
        address: address of the cluster's dashboard, such as http://127.0.0.1:8265.

    Raises:
        AesweepError: no dashboard answers there within 15 s, or the token is refused, or may not be sent there.
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
            run: name of the run that the command works on.
            command: command line for the head's shell.
            folder: folder to send, which becomes the command's working folder.

        Returns:
            The job's id.

        Raises:
            AesweepError: a job works on that run already, the cluster refuses the job, or is not up within
                `START_LIMIT_S` seconds.
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
        # A copy for each attempt, because Ray's client modifies the environment that it is given.
        return _once_up(lambda: self._client.submit_job(runtime_env=dict(environment), **asked))

    def status(self, run: str, job: str | None = None) -> dict[str, Any]:
        """Returns the status of a job of a run, by default the latest that worked on it, as plain values.

        Args:
            run: name of the run.
            job: id of the job; None for the latest.
        """
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
        """Returns the output so far of a job of a run, by default the latest that worked on it."""
        known = self._known(run, job).submission_id
        return _once_up(lambda: self._client.get_job_logs(known))

    def follow(self, run: str, interval_s: float = 1.0, job: str | None = None) -> Iterator[str]:
        """Yields the output of a job of a run until the job ends.

        The whole output is requested each time, so that no line is lost.

        Args:
            run: name of the run.
            interval_s: time between two requests, in seconds.
            job: id of the job; None for the latest that worked on the run.
        """
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
        """Asks the latest job of a run to end, as SIGTERM does; returns whether the job was still running."""
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
        # A job that found the run's name taken, or the run locked by another job, did nothing to the run.
        worked = [job for job in mine if job.driver_exit_code != EX_CANTCREAT]
        return max(worked or mine, key=lambda job: job.start_time or 0, default=None)


def _once_up(ask: Callable[[], Answer], pause_s: float = 1.0) -> Answer:
    """Calls `ask` and returns its answer; repeats it while the cluster answers that it is not up yet.

    Args:
        ask: makes a request to the cluster.
        pause_s: time between two requests, in seconds.

    Raises:
        AesweepError: the cluster refuses the request, or is not up within `START_LIMIT_S` seconds.
    """
    began: float | None = None
    while True:
        try:
            return ask()
        except RuntimeError as error:
            lines = str(error).split("\n")
            # The head may send a traceback, whose last line is the reason.
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
