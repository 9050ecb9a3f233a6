"""What a run takes from the user's environment: what is named here is left out, so that it changes no result.

Left as they are: where files are (HOME, TMPDIR, AESWEEP_*, AWS_*), proxies (`aesweep.cluster.address` says where they
are passed by), which GPUs are to be used (CUDA_VISIBLE_DEVICES), and which cores (the process's affinity). The search
path is that of `aesweep.search_path`, the standard streams are those of `aesweep.standard_streams`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings

# How many threads libraries use, and which instructions, which change the last digits of their results; warnings as
# errors, which end a library's import; a server's choice of a debugger.
_OF_LIBRARIES = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "GOTO_",
    "BLIS_",
    "VECLIB_",
    "NUMEXPR_",
    "DNNL_",
    "ONEDNN_",
)
_ALONE = ("ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONINSPECT")
_OF_RAY = ("RAY_", "TUNE_")
OPEN_FILES = 65_536  # the most that are asked for; Ray's processes hold hundreds each


def leave_out_libraries() -> None:
    """Called before a library is imported that would read its settings."""
    _remove(_OF_LIBRARIES, _ALONE)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    _allow_open_files()


def prepare_local_ray(settings: dict[str, str]) -> None:
    """Gives a Ray that this process starts our settings alone, and a token that nobody else has.

    Ray would otherwise read a token from the user's home, or write one there that others can read.

    Args:
        settings: environment variables.
    """
    _remove(_OF_RAY, ())
    os.environ.update(settings, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def _remove(beginnings: tuple[str, ...], names: tuple[str, ...]) -> None:
    for name in list(os.environ):
        if name.startswith(beginnings) or name in names:
            del os.environ[name]


def _allow_open_files() -> None:
    """As many as the system lets this user have: a shell's own limit is often lower."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
