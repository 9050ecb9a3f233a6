"""Describes what a run is made with: versions, hardware, the project's commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from aesweep.process.checkout import CHECKOUT
from aesweep.process.installed_packages import installed_versions

PACKAGES = ("aesweep", "ray", "torch", "torchvision", "numpy", "pandas", "scikit-learn", "scikit-image", "matplotlib")


def describe_environment() -> dict[str, Any]:
    """Returns plain values for the journal; none of them names the user or the host."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "num_cores": num_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": describe_gpus(),
        "packages": installed_versions(PACKAGES),
        "commit": _commit(),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_gpus() -> list[str]:
    """Returns the names of the GPUs that the driver shows."""
    tool = shutil.which("nvidia-smi")
    return _output([tool, "--query-gpu=name", "--format=csv,noheader"]).splitlines() if tool else []


def usable_gpus() -> int:
    """Returns the number of GPUs of this machine that PyTorch can use."""
    import torch

    return torch.cuda.device_count()


def _commit() -> str | None:
    """Returns the commit of the checkout that the project runs from; None if it was installed without one."""
    tool = shutil.which("git")
    if tool is None or not (CHECKOUT / ".git").exists():
        return None
    commit = _output([tool, "-C", str(CHECKOUT), "rev-parse", "HEAD"]).strip()
    changed = _output([tool, "-C", str(CHECKOUT), "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{commit} with uncommitted changes" if commit and changed else commit or None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def num_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
