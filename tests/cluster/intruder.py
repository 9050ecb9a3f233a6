"""Run on a head: tries to submit a trial to every port that listens there, without a token and with a wrong one.

Prints what came of it as JSON: for each port and token the HTTP status, or the name of the error.
"""

from __future__ import annotations

import json
from pathlib import Path

import requests

TOKENS = {"none": {}, "wrong": {"Authorization": "Bearer " + "0" * 64}}
LISTEN = "0A"


def listening() -> list[int]:
    """The TCP ports on which anybody listens in this network namespace."""
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return sorted({int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[3] == LISTEN})


def submit(port: int, headers: dict[str, str]) -> int | str:
    spec = {"entrypoint": "touch /tmp/intruded", "submission_id": f"intruder-{port}"}
    try:
        return requests.post(f"http://127.0.0.1:{port}/api/jobs/", json=spec, headers=headers, timeout=5).status_code
    except requests.RequestException as error:
        return type(error).__name__


if __name__ == "__main__":
    found = {port: {name: submit(port, headers) for name, headers in TOKENS.items()} for port in listening()}
    print(json.dumps(found))
