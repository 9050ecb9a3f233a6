"""Searches replayed on recorded learning curves: ours against Ray Tune's, Optuna's and Syne Tune's, at equal epochs.

    python tests/benchmarks/bench_samplers.py record digits mnist [--data-dir DATA]
    python tests/benchmarks/bench_samplers.py replay digits mnist [--seeds 50] [--workers 1 4 16] [--figure regret.svg]

`record` trains every configuration of a table to its end once: 252 configurations x 27 epochs, some 2 CPU minutes for
the digits and 30 for 10,000 images of MNIST. It goes on where it was stopped. `replay` takes what a search is told from
the table, under a simulated clock, and prints a markdown table of medians over seeds with 95 % bootstrap intervals, and
where ours is not first. Its replays are kept as well, so that it too goes on where it was stopped, and more seeds may
be asked for later. Tables and replays lie in --folder, by default in the user's cache, outside the repository.

Syne Tune comes with `pip install 'aesweep[search-peers]'`; without it, its searches are left out, and that is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import sys
from pathlib import Path

from samplers.contest import SEARCHERS
from samplers.curve_tables import DEFINITIONS, curves_folder, load_table
from samplers.outcomes import SHARES, Task, kept, outcomes
from samplers.summary import ALONE, as_json, claims, lines, markdown


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = found.add_subparsers(dest="command", required=True)
    recorded = commands.add_parser("record", help="train the configurations that are not recorded yet")
    recorded.add_argument("--data-dir", help="folder of data sets [env: AESWEEP_DATA_DIR]")
    recorded.add_argument("--most", type=int, help="configurations to train in this call")
    replayed = commands.add_parser("replay", help="replay searches and print the tables")
    replayed.add_argument("--seeds", type=int, default=50)
    replayed.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    replayed.add_argument("--searchers", nargs="+", default=SEARCHERS, choices=SEARCHERS, metavar="SEARCHER")
    replayed.add_argument("--cells", nargs="+", choices=["with", "without"], default=["without", "with"])
    replayed.add_argument("--share", type=float, choices=SHARES, default=max(SHARES), help="of all epochs, to spend")
    replayed.add_argument("--outcomes", type=Path, help="file of replays; another one where searchers have changed")
    replayed.add_argument("--only-kept", action="store_true", help="replay nothing: tell of the replays that are kept")
    replayed.add_argument("--json", type=Path, help="write the lines of the tables here too")
    replayed.add_argument("--figure", type=Path, help="write the figure here")
    for command in (recorded, replayed):
        command.add_argument("tables", nargs="+", choices=DEFINITIONS)
        command.add_argument("--folder", help="of tables and replays")
        command.add_argument("--processes", type=int, default=1, help="to work in at once")
    return found


def tasks(arguments: argparse.Namespace) -> list[Task]:
    """Returns the replays that are wanted, seed by seed, so that a call that is stopped has all searchers alike."""
    wanted = [
        Task(table, searcher, cells == "with", num_workers, seed, arguments.share)
        for seed, table, cells, num_workers, searcher in itertools.product(
            range(arguments.seeds), arguments.tables, arguments.cells, arguments.workers, arguments.searchers
        )
        if cells == "with" or searcher != ALONE  # a single cell has none to share with
    ]
    if not arguments.only_kept and importlib.util.find_spec("syne_tune") is None:
        print("left out: Syne Tune, which is not installed: pip install 'aesweep[search-peers]'", file=sys.stderr)
        wanted = [task for task in wanted if not task.searcher.startswith("Syne Tune")]
    return wanted


def main() -> None:
    arguments = parser().parse_args()
    folder = curves_folder(arguments.folder)
    if arguments.command == "record":
        from samplers.recording import record

        for name in arguments.tables:
            left = record(DEFINITIONS[name], folder, arguments.data_dir, arguments.most, arguments.processes)
            print(f"{folder / name}.jsonl: {f'{left} configurations are left' if left else 'complete'}")
        return
    num_epochs = {name: load_table(folder, name).errors.size for name in arguments.tables}
    file = arguments.outcomes or folder / "outcomes.jsonl"
    wanted = tasks(arguments)
    if arguments.only_kept:
        known = kept(file)
        wanted = [task for task in wanted if task in known]
    found = outcomes(wanted, folder, file, arguments.processes)
    summed = lines(found, num_epochs)
    print(markdown(summed), "", *claims(summed), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(summed), indent=1) + "\n")
    if arguments.figure:
        from samplers.regret_figure import draw

        draw(found, num_epochs, arguments.figure)


if __name__ == "__main__":
    main()
