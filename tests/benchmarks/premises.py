"""What benchmarks run on: this checkout, this machine, and the folder of MNIST."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def machine() -> str:
    """The machine and the versions that the numbers belong to, in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "ray", "torchvision"))
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the folder of data sets."""
    parser.add_argument("--data-dir", default=os.environ.get("AESWEEP_DATA_DIR"), help="[env: AESWEEP_DATA_DIR]")


def parsed_with_mnist(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Returns the command's arguments, with the absolute path of a folder that holds MNIST.

    Raises:
        SystemExit: no such folder was named.
    """
    arguments = parser.parse_args()
    if not arguments.data_dir or not (Path(arguments.data_dir) / "MNIST" / "raw").is_dir():
        parser.error("name the folder that holds MNIST/raw with --data-dir or AESWEEP_DATA_DIR")
    arguments.data_dir = str(Path(arguments.data_dir).resolve())
    return arguments
