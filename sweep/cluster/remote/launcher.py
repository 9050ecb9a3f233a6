"""Calls of Ray's cluster launcher from Python: validation of a cluster file, and copying a folder from the head."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from aesweep.process.errors import AesweepError


def validate_cluster(values: dict[str, Any]) -> None:
    """Runs Ray's own check of a cluster file. Raises AesweepError, with Ray's reason, where Ray rejects the file."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    said = io.StringIO()
    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            validate_config(prepare_config(values))
    except SystemExit as error:
        raise AesweepError(f"Ray refuses the file: {_last_line(said.getvalue())}") from error
    except Exception as error:
        raise AesweepError(f"Ray refuses the file: {str(error).splitlines()[0]}") from error


def bring_folder(cluster_file: Path, source: str, target: Path) -> None:
    """Copies a folder of the head to this machine by rsync over SSH; files that are here already are not sent again.

    Args:
        cluster_file: cluster file of the running cluster.
        source: folder on the head, with a slash at its end.
        target: folder on this machine; created where it is missing.

    Raises:
        AesweepError: the head cannot be reached, or has no such folder.
    """
    from ray.autoscaler import sdk

    target.mkdir(parents=True, exist_ok=True)
    try:
        sdk.rsync(str(cluster_file), source=source, target=f"{target}/", down=True)
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError):
            target.rmdir()
        reason = _last_line(str(error)) or "no reason given"
        raise AesweepError(f"{source} cannot be brought from the head of {cluster_file}: {reason}") from error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
