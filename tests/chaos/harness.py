"""Disturbs runs at random and checks that each comes to what it would have come to: `make chaos N=500 SEED=1`.

Runs of the toy study are killed, cut, damaged and interrupted again and again until they end; a third of them with one
worker, compared with an undisturbed run to the byte, the others with two, or with two trainers, whose order may differ:
every decision is derived again, and every row trained again. Prints a table by fault, and exits 1 where anything was
wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter

from tabulate import tabulate

# Of runs, in turn: trials at once, or trainers, and whether they are trainers.
KINDS = ((2, False), (1, False), (2, True))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so long")
    parser.add_argument("--json", help="file for the result")
    options = parser.parse_args(arguments)
    if "CHAOS_NAMESPACE" not in os.environ and shutil.which("unshare"):
        # A mount namespace of its own, for a disk that can be filled; it is gone with the harness.
        os.environ["CHAOS_NAMESPACE"] = "1"
        command = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            os.execvp(command[0], [*command, sys.executable, "-m", "tests.chaos.harness", *sys.argv[1:]])
    return disturb(options.faults, options.seed, options.minutes, options.json)


def disturb(num_faults: int, seed: int, minutes: float = 1e9, result_file: str | None = None) -> int:
    from tests.chaos.campaign import Campaign
    from tests.chaos.world import World

    started = time.monotonic()
    faults: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    found: list[str] = []
    recoveries, signals = [], []
    number = 0
    with World() as world:
        print(f"seed {seed}; {'a' if world.has_disk else 'NO'} small disk", flush=True)
        undisturbed = Campaign(world, f"{seed}/whole", 0, 1, False, None)
        found += [f"undisturbed: {line}" for line in undisturbed.execute().found]
        while faults.total() < num_faults and time.monotonic() - started < 60 * minutes:
            number += 1
            workers, has_trainers = KINDS[(number - 1) % len(KINDS)]
            name = f"{seed}/{number}"
            whole = undisturbed.run if workers == 1 else None
            who = "trainers" if has_trainers else "workers"
            campaign = Campaign(world, name, min(60, num_faults - faults.total()), workers, has_trainers, whole)
            result = campaign.execute()
            faults += result.faults
            refused += result.refused
            recoveries += result.recoveries_s
            signals += result.signals_s
            found += [f"{name}: {line}" for line in result.found]
            passed = time.monotonic() - started
            print(
                f"{name}: {workers} {who}, {result.faults.total()} faults ({faults.total()} in {passed:.0f} s), "
                f"{len(result.found)} violations",
                flush=True,
            )
            for line in result.found:
                print(f"  {line}", flush=True)
    rows = [(name, count, refused.get(name, 0)) for name, count in sorted(faults.items())]
    rows.append(("all", faults.total(), refused.total()))
    print(tabulate(rows, ["fault", "injected", "refused as expected, then put back"], tablefmt="github"))
    print(f"{number} runs, {time.monotonic() - started:.0f} s, {len(found)} violations")
    if recoveries:
        print(
            f"failed trial to its next row: median {statistics.median(recoveries):.1f} s, most {max(recoveries):.1f} s"
        )
    if signals:
        print(f"signal to the end: median {statistics.median(signals):.1f} s, most {max(signals):.1f} s")
    if result_file:
        with open(result_file, "w") as file:
            json.dump({"faults": faults, "refused": refused, "found": found, "recoveries_s": recoveries}, file)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
