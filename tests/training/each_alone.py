"""Runs each test that needs a GPU in a process of its own, some at a time, and tells all results.

    python -m tests.training.each_alone [--at-once 4] [--seconds 150] [TEST ...]

A kernel that writes where it may not breaks all that comes after it in the same process; here it breaks one test. What
tests print is shown of those that fail, and lines with NOTE or 'largest' of all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTEST = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q"]


def collected(tests: list[str], marker: str) -> list[str]:
    """Returns the ids of the tests."""
    done = subprocess.run(
        [*PYTEST, "-m", marker, "--collect-only", *tests], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the tests cannot be collected:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return [line for line in done.stdout.splitlines() if "::" in line]


def run(test: str, seconds: float) -> tuple[str, str]:
    """Runs a test.

    Args:
        test: its id.
        seconds: until it is given up.

    Returns:
        "passed", "skipped", "FAILED" or "TIMED OUT" with the seconds it took, and what it printed.
    """
    started = time.perf_counter()
    command = [*PYTEST, "-rA", "--tb=short", test]
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
        )
        result = "FAILED" if done.returncode else "skipped" if "1 skipped" in done.stdout else "passed"
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        result, said = "TIMED OUT", (error.stdout or b"").decode(errors="replace")
    return f"{result} {time.perf_counter() - started:.1f} s", said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tests", nargs="*", default=["tests/training"])
    parser.add_argument("--marker", default="gpu")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=150, help="until a test is given up")
    arguments = parser.parse_args()
    tests = collected(arguments.tests, arguments.marker)
    with ThreadPoolExecutor(arguments.at_once) as threads:
        results = threads.map(lambda test: run(test, arguments.seconds), tests)
        found = list(zip(tests, results, strict=True))
    failed = [entry for entry in found if not entry[1][0].startswith(("passed", "skipped"))]
    for test, (_, said) in failed:
        print(f"==== {test}\n{said[-4000:]}")
    print("==== SUMMARY")
    for test, (result, said) in found:
        notes = [line.strip() for line in said.splitlines() if line.startswith(("NOTE", "largest", "K ", "shortage"))]
        print(f"{result:>16}  {test.rpartition('/')[2]}  {' | '.join(notes)[:200]}")
    print(f"{len(found) - len(failed)} of {len(found)} passed or were skipped")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
