"""Sets the timeouts and retries of S3 clients, and interprets S3's answers to conditional writes.

A short outage of the server costs less than a lost run, so during a run the client waits: half a minute if the server
refuses connections, some minutes if it does not respond. When a command starts, nothing has been trained yet, so an
unreachable server is reported within seconds.
"""

from __future__ import annotations

import errno
from typing import Any

_ATTEMPTS, _ROUNDS = 6, 2  # botocore's requests in a round, and s3fs's rounds; each begins with the shortest pause
_TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 15}
_FIRST_TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 8}
# S3 answers so while another request for the same file is in progress, and the client has to send its own again.
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted")


def patient_client(url: str) -> Any:
    """Returns a client for a URL of S3 after the server has answered a first request, whatever the answer was.

    Raises:
        OSError: the server does not answer, or there are no credentials.
    """
    first = _client(url, _FIRST_TIMEOUTS_S, num_attempts=1, num_rounds=1)
    try:
        first.exists(f"{url.rstrip('/')}/journal")
    except Exception as error:
        # "Refused" and "not found" are answers as well; they are reported where the file is needed.
        if not isinstance(error, FileNotFoundError) and _code(error) is None:
            raise OSError(
                errno.EHOSTUNREACH,
                f"{url}: the storage cannot be reached: {first_line(error)}; expected a server that answers, and "
                "credentials for it: check the network, AWS_ENDPOINT_URL and the AWS settings of this user",
            ) from error
    return _client(url, _TIMEOUTS_S, _ATTEMPTS, _ROUNDS)


def is_taken(error: BaseException) -> bool:
    """Returns whether a conditional write failed because the file exists.

    Some servers send the bare status 412, without the name of the failed condition.
    """
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def is_conflict(error: BaseException) -> bool:
    """Returns whether a write had no outcome because another request for the file was in progress."""
    return _code(error) in _CONFLICTS


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message; the name of its type where the message is empty."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split("\n")[0].split())
    return text or type(error).__name__


def _code(error: BaseException) -> str | None:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code")


def _client(url: str, timeouts_s: dict[str, float], num_attempts: int, num_rounds: int) -> Any:
    import fsspec

    config = {**timeouts_s, "retries": {"mode": "standard", "total_max_attempts": num_attempts}}
    client, _ = fsspec.core.url_to_fs(url, use_listings_cache=False, config_kwargs=config)
    client.retries = num_rounds
    return client
