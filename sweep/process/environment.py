"""What a run takes from the user's environment: what is named here is left out, so that it changes no result.

Left as they are: where files are (HOME, TMPDIR, AESWEEP_*, AWS_*), proxies (`aesweep.cluster.remote.address` says where
they are passed by), which GPUs are to be used (CUDA_VISIBLE_DEVICES), and which cores (the process's affinity). The
search path and the standard streams have modules of their own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import warnings

# How many threads libraries use, and which instructions and which of several ways to a result, which change its last
# digits; what PyTorch logs.
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
    "CUBLAS_",
    "CUBLASLT_",
    "CUDNN_",
    "TORCH_",
)
# Likewise; and what Python does beside running a program: warnings as errors end a library's import, libraries rely on
# their own docstrings, and Ray's processes would all log.
_ALONE = (
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "TRITON_INTERPRET",
    "TRITON_F32_DEFAULT",
    "PYTHONASYNCIODEBUG",
    "PYTHONDEVMODE",
    "PYTHONINSPECT",
    "PYTHONMALLOC",
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",
)
_OF_RAY = ("RAY_", "TUNE_", "GRPC_")
OPEN_FILES = 65_536  # the most that are asked for; Ray's processes hold hundreds each


def start_without_optimization() -> None:
    """Begins the process anew where PYTHONOPTIMIZE took the docstrings away: Ray takes its own apart.

    The interpreter has read the variable by then, and nothing but another beginning changes its mind. Called before
    anything else: this process keeps its number, its streams and its arguments.
    """
    if sys.flags.optimize > 1 and os.environ.pop("PYTHONOPTIMIZE", None):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


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
    if "ray" in sys.modules:
        # It has read by now how its processes know each other, and reads it no second time.
        known = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH_")}
    else:
        known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _remove(_OF_RAY, ())
    os.environ.update(settings, **known)


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
