"""The exceptions for errors that the user can correct; each holds the exit code of the command that it ends.

The codes are those of BSD's sysexits.h where it has one. `aesweep.data.DataError` is not derived from `AesweepError`,
since `data` does not depend on sweeps; the command line gives it the code `EX_DATAERR` as well.
"""

from __future__ import annotations

EX_DATAERR = 65
EX_CANTCREAT = 73
EX_CONFIG = 78


class AesweepError(Exception):
    """An error that the user can correct; its text says what was expected, what came, where, and the remedy."""

    exit_code = 1


class StudyError(AesweepError):
    """A study that cannot be run.

    Attributes:
        source: the file or option at fault.
        faults: all faults, a line each.
    """

    exit_code = EX_CONFIG

    def __init__(self, source: str, faults: list[str]):
        self.source = source
        self.faults = faults
        super().__init__("\n".join(f"{source}: {fault}" for fault in faults))


class RunFolderError(AesweepError):
    """A run folder that exists already, is held by another process, or is not a run's."""

    exit_code = EX_CANTCREAT


class JournalError(AesweepError):
    """A journal that is missing or damaged, or a file that is not a journal."""

    exit_code = EX_DATAERR


class RecordingError(AesweepError):
    """A journal that can no longer be written."""

    exit_code = EX_CANTCREAT


class ReportError(AesweepError):
    """A report that cannot be drawn or written; the error does not affect its run."""

    exit_code = EX_CANTCREAT


class ComparisonError(AesweepError):
    """Runs whose records hold nothing that can be compared."""

    exit_code = EX_DATAERR
