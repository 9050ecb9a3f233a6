"""What of the user's environment stays out of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

HOSTILE = {
    "OMP_NUM_THREADS": "7",
    "MKL_NUM_THREADS": "7",
    "ATEN_CPU_CAPABILITY": "default",
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
    "NVIDIA_TF32_OVERRIDE": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "TORCH_LOGS": "+all",
    "PYTHONDEVMODE": "1",
    "GRPC_VERBOSITY": "debug",
    "PYTHONWARNINGS": "error",
    "RAY_ADDRESS": "10.1.2.3:6379",
    "RAY_RUNTIME_ENV_HOOK": "no.such.hook",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "mine",
    "TUNE_RESULT_DIR": "/nowhere",
}


def after(code: str, **how) -> dict:
    code = f"import json, os, warnings\nfrom aesweep.process.environment import *\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **HOSTILE}, **how
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_settings_of_libraries_go_and_warnings_are_no_errors():
    left = after("leave_out_libraries(); warnings.warn('no error'); print(json.dumps(dict(os.environ)))")
    assert {name for name in HOSTILE if name in left and not name.startswith(("RAY_", "TUNE_"))} == {"GRPC_VERBOSITY"}
    assert left["RAY_ADDRESS"] and left["PATH"] == os.environ["PATH"]  # a cluster's are the user's


def test_ray_of_this_machine_gets_our_settings_and_a_token_of_its_own():
    left = after("prepare_local_ray({'TUNE_OURS': '1'}); print(json.dumps(dict(os.environ)))")
    assert {name for name in left if name.startswith(("RAY_", "TUNE_", "GRPC_"))} == {
        *("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "TUNE_OURS"),
    }
    assert len(left["RAY_AUTH_TOKEN"]) == 64 and left["RAY_AUTH_MODE"] == "token"


def test_low_limit_of_open_files_is_raised_as_far_as_it_may_be():
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    found = after(
        "import resource; leave_out_libraries(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)),
    )
    assert found == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))


def test_deleted_working_folder_is_survived(tmp_path):
    line = f"mkdir gone && cd gone && rmdir ../gone && exec '{sys.executable}' -m aesweep.cli status nowhere"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 73 and len(done.stderr.splitlines()) == 1, done.stderr


def test_optimization_that_takes_docstrings_away_is_undone():
    """By a process of the same number: Ray fails in an interpreter without docstrings."""
    code = (
        "from aesweep.process.environment import *; start_without_optimization(); import os, sys; "
        "print(os.getpid(), sys.flags.optimize, os.environ.get('PYTHONOPTIMIZE'), sys.argv[1:])"
    )
    for given, expected in (("2", "0 None"), ("1", "1 1")):
        process = subprocess.Popen(
            [sys.executable, "-c", code, "an argument"],
            **{"env": {**os.environ, "PYTHONOPTIMIZE": given}, "stdout": subprocess.PIPE, "text": True},
        )
        assert process.communicate(timeout=60)[0] == f"{process.pid} {expected} ['an argument']\n"


def test_second_ray_of_a_process_knows_the_token_of_the_first():
    """Ray reads it once a process."""
    tokens = after(
        "tokens = [];"
        "prepare_local_ray({}); tokens.append(os.environ['RAY_AUTH_TOKEN']);"
        "import ray; prepare_local_ray({}); tokens.append(os.environ['RAY_AUTH_TOKEN']);"
        "print(json.dumps(tokens))"
    )
    assert tokens[0] == tokens[1]
