"""SQLite databases that exports fill: their address, and how they are written quickly."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy.event
from sqlalchemy.engine import Engine

from aesweep.export.exporter import ExportError


def database_url(path: Path) -> str:
    """Returns the address of a database for SQLAlchemy, and creates its folder.

    A database that does not exist yet is written without waiting for the disk after each of thousands of steps: if the
    machine loses its power meanwhile, it is exported again. One that exists may hold what others wrote, and is written
    as SQLite does.

    Raises:
        ExportError: the path cannot be written as an address.
    """
    place = path.resolve()
    if any(character in str(place) for character in "?#%"):
        raise ExportError(f"{path}: no database can be opened in a path with ?, # or %: give another --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _unsynced.add(str(place))
    return f"sqlite:///{place}"


_unsynced: set[str] = set()


@sqlalchemy.event.listens_for(Engine, "connect")
def _connected(connection: Any, record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    try:
        (_, _, place) = cursor.execute("PRAGMA database_list").fetchone()
        if place in _unsynced:
            cursor.execute("PRAGMA synchronous=OFF")
    finally:
        cursor.close()
