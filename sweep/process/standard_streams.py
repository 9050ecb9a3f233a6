"""Reserves stdout for a command's own output, whatever a library prints.

A command's output is what click's `echo` writes. Everything else that would go to stdout goes to stderr: the `print` of
a library, also while the interpreter exits, and the output of C libraries and of child processes. A closed or full
stream does not end a run: text for stderr is then lost without an error, and only a failed write to stdout is reported.
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
    """Stdout cannot be written. A reader that has closed its end is not this error but a BrokenPipeError."""


def take_streams() -> None:
    """Sets up this process's streams. It must be called before anything is opened or printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # occupies the number, so that no file opened later is used as a stream
    codecs.register_error(_as_told.__name__, _as_told)
    encodings = [getattr(stream, "encoding", None) or "utf-8" for stream in (sys.stdout, sys.stderr)]
    told = _text(_Told(os.dup(1), "w"), encodings[0], errors=_as_told.__name__)
    said = _text(_Said(2, "w", closefd=False), encodings[1], errors="backslashreplace")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = said

    import click.utils

    # `echo`, --help and --version can be redirected publicly only by sys.stdout, to which libraries write as well.
    click.utils._default_text_stdout = lambda: told


def _text(raw: io.RawIOBase, encoding: str, errors: str) -> io.TextIOWrapper:
    # Unbuffered, so that a failed write is not tried again while the interpreter exits.
    return io.TextIOWrapper(raw, encoding, errors, write_through=True)  # type: ignore[arg-type]


def _as_told(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encodes what the stream's encoding cannot.

    The undecodable bytes of a path are written unchanged, and a character that the encoding lacks as an escape of its
    number.
    """
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
        # Ray colours the output of its processes even if it does not go to a terminal.
        rest = memoryview(data if self.isatty() else _COLOURS.sub(b"", data))
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError:
            pass
        return len(data)

    def flush(self) -> None:
        pass
