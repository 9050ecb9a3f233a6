"""How long a store of S3 is waited for, and what its answers to a conditional write mean.

A server that is gone for a moment costs less than a run, so in a run's midst it is waited for: half a minute where it
refuses, some minutes where it says nothing. Where a command begins nobody has trained anything yet, so a server that is
not there is told within seconds.
"""

from __future__ import annotations

import errno
from typing import Any

_ATTEMPTS, _ROUNDS = 6, 2  # requests of botocore's, each round of them from the first pause on
_TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 15}
_FIRST_TIMEOUTS_S = {"connect_timeout": 5, "read_timeout": 8}
# Another request for the same file was under way; S3 wants this one to be sent again.
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted")


def patient_client(url: str) -> Any:
    """The client for a URL of S3, once somebody has answered there, whatever the answer was.

    Raises:
        OSError: nobody answers, or there are no credentials.
    """
    first = _client(url, _FIRST_TIMEOUTS_S, num_attempts=1, num_rounds=1)
    try:
        first.exists(f"{url.rstrip('/')}/journal")
    except Exception as error:
        # Refused or not found is an answer; what it means is told where the file is needed.
        if not isinstance(error, FileNotFoundError) and _code(error) is None:
            raise OSError(
                errno.EHOSTUNREACH,
                f"{url}: the storage cannot be reached: {first_line(error)}; expected a server that answers, and "
                "credentials for it: check the network, AWS_ENDPOINT_URL and the AWS settings of this user",
            ) from error
    return _client(url, _TIMEOUTS_S, _ATTEMPTS, _ROUNDS)


def is_taken(error: BaseException) -> bool:
    """Whether a file was not written since there is one; some servers leave out which condition was not met."""
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def is_conflict(error: BaseException) -> bool:
    """Whether nothing was decided about a file, since another request for it was under way."""
    return _code(error) in _CONFLICTS


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
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
