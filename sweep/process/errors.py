"""The user's mistakes, as one small tree; each knows the exit code of the command that it ends.

The codes are those of BSD's sysexits.h where it has one. `aesweep.data.DataError` stands outside the tree, since `data`
knows nothing of sweeps; the command line gives it the code of `EX_DATAERR` as well.
"""

from __future__ import annotations

EX_DATAERR = 65
EX_CANTCREAT = 73
EX_CONFIG = 78


class AesweepError(Exception):
    """Something that the user can mend; its text says what was expected, what came, where, and the remedy."""

    exit_code = 1


class StudyError(AesweepError):
    """A study file that cannot be run. `faults` holds all of them, a line each."""

    exit_code = EX_CONFIG

    def __init__(self, source: str, faults: list[str]):
        self.source = source
        self.faults = faults
        super().__init__("\n".join(f"{source}: {fault}" for fault in faults))


class RunFolderError(AesweepError):
    """A run folder that exists already, is held by another process, or is not one."""

    exit_code = EX_CANTCREAT


class JournalError(AesweepError):
    """A journal that is missing, damaged inside, or not one."""

    exit_code = EX_DATAERR


class RecordingError(AesweepError):
    """A journal that can no longer be written."""

    exit_code = EX_CANTCREAT


class ReportError(AesweepError):
    """A report that cannot be drawn or written. The run that it is about is not touched by it."""

    exit_code = EX_CANTCREAT
