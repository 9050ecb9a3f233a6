"""Checks of a cluster's address, with time limits: Ray itself would retry a dead address for minutes."""

from __future__ import annotations

import ipaddress
import os
import socket
from urllib.parse import urlsplit

import requests

from aesweep.cluster.remote.token import TOKEN_PATH, is_token_sent, token_fault
from aesweep.process.errors import AesweepError

LIMIT_S = 8.0  # of each of two steps, so that a dead address is reported within 20 s
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"}
# A client opens HTTP/2, which gRPC uses, with a fixed text and an empty SETTINGS frame; the server answers with a
# SETTINGS frame (RFC 9113, 3.4). A channel of the gRPC library would do as well, but closing one has been seen to hang.
_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4


def dashboard_address(text: str) -> str:
    """Checks a dashboard's address and prepares the environment of this process for requests to it.

    Requests to this machine then bypass the environment's proxies, and requests to a cluster do not send a password
    from ~/.netrc in the token's place.

    Args:
        text: address of the dashboard, with or without its scheme.

    Returns:
        The address with its scheme and without a final slash.

    Raises:
        AesweepError: it is no such address, the token would be sent unencrypted, or there is no valid token that only
            this user can read.
    """
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise AesweepError(f"{text}: expected the address of a dashboard, such as http://127.0.0.1:8265")
    if is_token_sent():
        if parts.scheme == "http" and not is_loopback(host):
            raise AesweepError(
                f"{text}: the token would go to {host} in clear: `ray dashboard cluster.yaml` makes a tunnel, to "
                "http://127.0.0.1:8265; or give an https address"
            )
        if fault := token_fault():
            raise AesweepError(fault)
    # Ray reads the mode once per process; without it the token would not be sent to a cluster that needs one.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ["NETRC"] = os.devnull
    if is_loopback(host):
        for name in [name for name in os.environ if name.lower() in _PROXIES]:
            del os.environ[name]
    return address.rstrip("/")


def is_loopback(host: str) -> bool:
    """Returns whether a host name or address means this machine, whichever way names are resolved."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reach_dashboard(address: str) -> None:
    """Checks that a dashboard answers at an http address within `LIMIT_S` seconds and accepts this user's token.

    Raises:
        AesweepError: it does not.
    """
    from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

    remedy = "`ray dashboard cluster.yaml` makes a tunnel to the cluster's"
    headers = get_auth_headers_if_auth_enabled({})
    try:
        found = requests.get(f"{address}/api/version", headers=headers, timeout=LIMIT_S, allow_redirects=False)
    except requests.Timeout as error:
        raise AesweepError(f"{address}: no answer within {LIMIT_S:g} s; {remedy}") from error
    except requests.ConnectionError as error:
        raise AesweepError(f"{address}: nobody answers there; {remedy}") from error
    except OSError as error:
        raise AesweepError(f"{address}: cannot be asked: {str(error).splitlines()[0]}; {remedy}") from error
    if found.status_code in (401, 403):
        raise AesweepError(f"{address}: the cluster refuses the token of this user, {TOKEN_PATH} or RAY_AUTH_TOKEN")
    if found.status_code != 200:
        raise AesweepError(f"{address}: expected a dashboard of Ray, got HTTP status {found.status_code}; {remedy}")


def reach_head(address: str) -> None:
    """Checks that a head answers at an address, before Ray tries it.

    Args:
        address: host:port, or "auto" for the cluster of this machine.

    Raises:
        AesweepError: it is no such address, or no head answers there.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _on_this_machine()
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise AesweepError(
            f"--address {address}: expected host:port of a head, or auto on one of its nodes; "
            "from elsewhere, `aesweep submit` sends the study to the cluster"
        )
    try:
        with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
            # A frozen head still accepts connections, but does not answer on them.
            connection.sendall(_OPENING)
            answer = connection.recv(9)
    except OSError as error:
        silent = isinstance(error, TimeoutError)
        reason = f"no answer within {LIMIT_S:g} s" if silent else error.strerror or str(error)
        raise AesweepError(f"--address {address}: no head answers there: {reason}; is the cluster up?") from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise AesweepError(
            f"--address {address}: expected a head of Ray, found another server; is the port the head's?"
        )


def _on_this_machine() -> str:
    from ray._private.services import find_bootstrap_address, find_gcs_addresses

    found = find_bootstrap_address(None) or next(iter(find_gcs_addresses()), None)
    if found is None:
        raise AesweepError("--address auto: expected a Ray node on this machine, found none; is the cluster up?")
    return found
