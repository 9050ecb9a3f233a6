"""The token that authenticates users to a cluster: where it is stored and whether it is valid. It is never shown."""

from __future__ import annotations

import os
import re
import shlex
import stat
from pathlib import Path

TOKEN_PATH = "~/.ray/auth_token"  # noqa: S105 - a path
TOKEN_REMEDY = "`(umask 077; ray get-auth-token --generate > /dev/null)` makes one"  # noqa: S105 - a sentence
_TOKEN = re.compile(rb"[!-~]+")


def is_token_sent() -> bool:
    """Returns whether requests to a cluster carry the token: Ray's mode is "token" unless the user sets another."""
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"


def token_place(path: Path | None = None) -> Path | None:
    """Returns the path of the token's file; None where the token comes from RAY_AUTH_TOKEN.

    Args:
        path: a path that replaces the one that Ray would read.
    """
    if path is None and os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return None
    named = path or os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN_PATH
    return Path(os.path.expanduser(named))


def token_fault(path: Path | None = None) -> str | None:
    """Returns a fault of the token, with its remedy, in one line; None where the token is valid.

    Args:
        path: see `token_place`.
    """
    place = token_place(path)
    if place is None:
        token = os.environb[b"RAY_AUTH_TOKEN"].strip()
        return None if _TOKEN.fullmatch(token) else "RAY_AUTH_TOKEN: expected a token of ASCII letters and digits"
    try:
        token = place.read_bytes().strip()
        mode = stat.S_IMODE(place.stat().st_mode)
    except FileNotFoundError:
        return f"{place}: expected a token, found none: {TOKEN_REMEDY}"
    except OSError as error:
        return f"{place}: the token cannot be read: {error.strerror}: expected a file that this user can read"
    if not token:
        return f"{place}: expected a token, found none: {TOKEN_REMEDY}"
    if not _TOKEN.fullmatch(token):
        return f"{place}: expected a token of ASCII letters and digits on one line, found something else"
    if mode & 0o077:
        remedy = f"`chmod 600 {shlex.quote(str(place))}`"
        return f"{place} has mode {mode:04o}: expected 0600, so that others cannot read it: {remedy} sets it"
    return None
