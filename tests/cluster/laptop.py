"""A user's machine beside made-up ones: a checkout, a home with a key, and a script that runs there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.cluster.machines import enclosed, missing_tools

ROOT = Path(__file__).resolve().parents[2]


def make_laptop(out: Path, numbers: Iterable[int], key: str) -> Path:
    """The user's checkout and home, and the homes of machines of these numbers, in a folder; skips where none can be.

    Returns:
        The checkout.
    """
    missing = missing_tools()
    if missing:
        pytest.skip(f"NOT RUN: `ray up` needs {', '.join(missing)} on this machine")
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "build", "runs", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info"
    )
    shutil.copytree(ROOT, out / "checkout", ignore=left_out)
    for number in numbers:
        install(machine_home(out, number))
    (out / "home" / ".ssh").mkdir(parents=True)
    (out / "home" / ".ssh" / key).write_text("the stand-in for ssh looks at no key\n")
    return out / "checkout"


def machine_home(out: Path, number: int) -> Path:
    return out / "machines" / f"machine{number}" / "home"


def install(home: Path) -> None:
    """A machine where the packages are installed already, since it cannot reach the place that they come from."""
    environment = home / "aesweep" / ".venv"
    environment.mkdir(parents=True)
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    # As `make` would leave it there: it installs anew where the list of modules is another.
    modules = sorted(
        path.relative_to(ROOT).as_posix()
        for part in ("sweep", "models", "data")
        for path in (ROOT / part).rglob("*")
        if path.suffix in (".py", ".j2", ".js", ".css")
    )
    (environment / "modules").write_text("".join(f"{name}\n" for name in modules))
    (environment / "installed").touch()


def run_script(out: Path, numbers: Iterable[int], script: str, variables: dict[str, str] | None = None) -> None:
    """Runs the user's script beside the machines; what it keeps lies in $OUT, and what it says in its `log`."""
    (out / "script").write_text(script)
    strange = ("RAY_", "AESWEEP_", "AWS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    environment |= {
        "HOME": str(out / "home"),
        "OUT": str(out),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TMPDIR": str(out),
        **(variables or {}),
    }
    command = enclosed(out / "machines", numbers, ["bash", str(out / "script")])
    with open(out / "log", "w") as log:
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=1100)
    assert done.returncode == 0, (out / "log").read_text()[-5000:]
