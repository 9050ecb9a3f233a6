"""Disturbs runs at random and checks that each comes to what it would have come to: `make chaos N=500 SEED=1`.

Runs of the studies in tests/flows/studies.py, in turn, are killed, damaged, cut off and interrupted, over and over
until they end; half of them with one worker, compared with an undisturbed run to the byte, the others with two, or with
two trainers, whose order may differ: every decision is derived again, and every row trained again. Every third is kept
in an S3 that refuses, delays, cuts and repeats requests. Prints a table by fault and study, and exits 1 where anything
was wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

MOST_FAULTS = 40  # of one run, so that many faults come to every study, with one worker and with two
EVERY_STORED = 3  # of so many runs one has a storage


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so long")
    parser.add_argument("--studies", nargs="*", default=[], help="names among those of tests/flows/studies.py; all")
    parser.add_argument("--json", help="file for the result")
    options = parser.parse_args(arguments)
    if "CHAOS_NAMESPACE" not in os.environ and shutil.which("unshare"):
        # A mount namespace of its own, for a disk that can be filled; it is gone with the harness.
        os.environ["CHAOS_NAMESPACE"] = "1"
        command = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            os.execvp(command[0], [*command, sys.executable, "-m", "tests.chaos.harness", *sys.argv[1:]])
    return disturb(options.faults, options.seed, options.minutes, options.json, options.studies)


def disturb(
    num_faults: int, seed: int, minutes: float = 1e9, result_file: str | None = None, studies: Sequence[str] = ()
) -> int:
    from tests.chaos.campaign import Campaign
    from tests.chaos.world import World
    from tests.flows.studies import SMALL, TriedStudy

    started = time.monotonic()
    faults: dict[str, Counter[str]] = {}
    refused: Counter[str] = Counter()
    found: list[str] = []
    recoveries, signals = [], []
    wholes: dict[str, Path] = {}
    number = total = 0
    names = list(studies) or list(SMALL)
    with World() as world:
        storage = "an S3 that fails" if world.s3 else "NO S3"
        print(f"seed {seed}; {'a' if world.has_disk else 'NO'} small disk, {storage}", flush=True)
        share = min(MOST_FAULTS, math.ceil(num_faults / len(names)))
        while total < num_faults and time.monotonic() - started < 60 * minutes:
            study = TriedStudy(names[(number + seed) % len(names)])
            # One worker and two in turn, and the other way round in the next round.
            is_compared = study.is_ordered and (number % len(names) + number // len(names)) % 2 == 1
            if is_compared and study.name not in wholes:
                undisturbed = Campaign(world, f"{seed}/{study.name}", 0, study, 1)
                found += [f"undisturbed {study.name}: {line}" for line in undisturbed.execute().found]
                wholes[study.name] = undisturbed.run
            has_storage = world.s3 is not None and number % EVERY_STORED == 0
            number += 1
            name = f"{seed}/{number}"
            campaign = Campaign(
                world,
                name,
                min(share, num_faults - total),
                study,
                1 if is_compared else 2,
                wholes[study.name] if is_compared else None,
                has_storage,
            )
            result = campaign.execute()
            campaign.clear()
            faults.setdefault(study.name, Counter()).update(result.faults)
            total += result.faults.total()
            refused += result.refused
            recoveries += result.recoveries_s
            signals += result.signals_s
            found += [f"{name}: {line}" for line in result.found]
            who = "one worker" if is_compared else "two workers" if study.is_ordered else "trainers"
            print(
                f"{name}: {study.name}, {who}{', storage' if has_storage else ''}, {result.faults.total()} faults "
                f"({total} in {time.monotonic() - started:.0f} s), {len(result.found)} violations",
                flush=True,
            )
            for line in result.found:
                print(f"  {line}", flush=True)
    print(fault_table(faults, refused))
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


def fault_table(faults: dict[str, Counter[str]], refused: Counter[str]) -> str:
    """How often each fault came to each study, and how often the record was refused for it."""
    names = sorted({name for counts in faults.values() for name in counts})
    rows = [(name, *(counts[name] for counts in faults.values())) for name in names]
    rows = [(*row, sum(row[1:]), refused[row[0]]) for row in rows]
    rows.append(("all", *(counts.total() for counts in faults.values())))
    rows[-1] = (*rows[-1], sum(rows[-1][1:]), refused.total())
    return tabulate(rows, ["fault", *faults, "all", "refused as expected, then put back"], tablefmt="github")


if __name__ == "__main__":
    sys.exit(main())
