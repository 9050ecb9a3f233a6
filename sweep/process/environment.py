"""Removes variables from the user's environment, so that they cannot change the results of a run.

These stay as they are: the places of files (HOME, TMPDIR, AESWEEP_*, AWS_*), proxies (`aesweep.cluster.remote.address`
says where they are bypassed), the choice of GPUs (CUDA_VISIBLE_DEVICES), and that of cores (the process's affinity).
Other modules of this package handle the search path and the standard streams.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import warnings

# Prefixes of variables that set how many threads libraries use, and which instructions and algorithms, which change the
# last digits of results; and what PyTorch logs.
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
# Single variables with the same effects, and those that change Python's own behaviour: with warnings as errors a
# library's import fails, libraries rely on their own docstrings, and all of Ray's processes would log.
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
OPEN_FILES = 65_536  # upper bound of the limit that is requested; each of Ray's processes holds hundreds


def start_without_optimization() -> None:
    """Restarts the process without PYTHONOPTIMIZE if that removed the docstrings, since Ray parses its own.

    The interpreter read the variable when it started, so that only a restart changes its effect. This function must be
    called before anything else. The process keeps its number, its streams and its arguments.
    """
    if sys.flags.optimize > 1 and os.environ.pop("PYTHONOPTIMIZE", None):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def leave_out_libraries() -> None:
    """Removes the variables of libraries and of Python, ignores warnings, and raises the limit of open files.

    It must be called before a library is imported that would read its settings.
    """
    _remove(_OF_LIBRARIES, _ALONE)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    _allow_open_files()


def prepare_local_ray(settings: dict[str, str]) -> None:
    """Prepares the environment of a local Ray: aesweep's settings alone, and a secret token.

    Without the token in the environment, Ray would read one from the user's home, or write one there that others can
    read.

    Args:
        settings: environment variables for Ray.
    """
    if "ray" in sys.modules:
        # Ray has read by now how its processes authenticate each other, and does not read it a second time.
        known = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH_")}
    else:
        known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _remove(_OF_RAY, ())
    os.environ.update(settings, **known)


def leave_out_mlflow() -> None:
    """Removes MLflow's variables, such as a server's address, and turns off its telemetry, before it is imported.

    A database that MLflow creates then names no folder of this machine either: artifacts are where its server has them.
    """
    _remove(("MLFLOW_", "_MLFLOW_", "DATABRICKS_"), ())
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"


def _remove(beginnings: tuple[str, ...], names: tuple[str, ...]) -> None:
    for name in list(os.environ):
        if name.startswith(beginnings) or name in names:
            del os.environ[name]


def _allow_open_files() -> None:
    """Raises the limit of open files up to the system's limit for this user, since a shell's own is often lower."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
