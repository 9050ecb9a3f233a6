"""Where an export is written: names that stay inside their folder, and folders that hold one run's export alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import urllib.parse
from pathlib import Path

from aesweep.export.exporter import ExportError
from aesweep.results import LoadedRun

MARK = "aesweep-export.json"
MAX_NAME_BYTES = 200


def safe_name(name: str) -> str:
    """Returns a name as that of a file or folder, whatever it holds; different names stay different.

    Letters, digits and -._~ stay; all else is written as a URL would, such as %2F for a slash.
    """
    quoted = urllib.parse.quote(name, safe="", errors="surrogatepass")
    if not quoted:
        return "%"  # which no other name gives
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        quoted = f"{quoted[: MAX_NAME_BYTES - 17]}-{digest}"
    return quoted


def claim(output: Path, run: LoadedRun) -> None:
    """Marks a folder as the export of a run, and creates it if it is missing.

    Raises:
        ExportError: it holds the export of another run, or other files.
    """
    mark = output / MARK
    output.mkdir(parents=True, exist_ok=True)
    known = None
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(mark.read_text())
    if isinstance(known, dict) and known.get("run") == run.identity:
        return
    if known is not None:
        raise ExportError(f"{output} holds the export of another run: give another --output")
    if any(output.iterdir()):
        raise ExportError(f"{output} holds other files: give an --output that is empty or does not exist yet")
    replace_file(mark, json.dumps({"run": run.identity}).encode())


def replace_file(path: Path, content: bytes) -> bool:
    """Makes a file hold the content, by one step; returns whether it held another."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return True


def extend_file(path: Path, content: bytes) -> bool:
    """Makes a file hold the content; what it holds of its beginning stays, so that a reader which follows it goes on.

    Returns:
        Whether something was written.
    """
    try:
        known = path.read_bytes()
    except OSError:
        return replace_file(path, content)
    if known == content:
        return False
    if not content.startswith(known):
        return replace_file(path, content)
    with open(path, "ab") as file:
        file.write(content[len(known) :])
    return True
