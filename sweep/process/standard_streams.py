"""Standard streams: what a command tells goes to stdout, and nothing else does, whatever a library prints.

What is told is said by click's `echo`. Everything else that would go to stdout goes to stderr: the `print` of a
library, also while the interpreter ends, C libraries, and processes that are started. A stream that is closed or full
costs no run: what is said on stderr is lost then, and only what is told is missed.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from typing import Any

_COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class OutputError(OSError):
    """Stdout cannot be written, but for a reader that has left, which is a BrokenPipeError."""


def take_streams() -> None:
    """Gives this process its streams. Called before anything is opened or printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the number: what is opened later shall not be taken for a stream
    codecs.register_error(_as_told.__name__, _as_told)
    encodings = [getattr(stream, "encoding", None) or "utf-8" for stream in (sys.stdout, sys.stderr)]
    told = _text(_Told(os.dup(1), "w"), encodings[0], errors=_as_told.__name__)
    said = _text(_Said(2, "w", closefd=False), encodings[1], errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = said

    import click.utils

    # Click has no other way to be told where `echo`, --help and --version write than sys.stdout, as libraries do.
    click.utils._default_text_stdout = lambda: told


def _text(raw: io.RawIOBase, encoding: str, errors: str) -> io.TextIOWrapper:
    # Nothing is kept back: what could not be written must not be tried again while the interpreter ends.
    return io.TextIOWrapper(raw, encoding, errors, write_through=True)  # type: ignore[arg-type]


def _as_told(error: UnicodeError) -> tuple[str | bytes, int]:
    """The bytes of a path that is no text, as they are; a character that a terminal's encoding lacks, by its number."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


class _Told(io.FileIO):
    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror, "standard output") from error
        return len(data)


class _Said(io.FileIO):
    def write(self, data: Any) -> int:
        # Ray colours what its processes have to say, whoever reads it.
        rest = memoryview(data if self.isatty() else _COLOURS.sub(b"", data))
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError:
            pass
        return len(data)

    def flush(self) -> None:
        pass
