"""Records the learning curves of a table by the project's own engine, configuration by configuration."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import math
import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from samplers.curve_tables import TableDefinition, header, read_lines, table_specs, values_of

from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import ImageData
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack_pool import Packs


def record(
    definition: TableDefinition, folder: Path, data_dir: str | None, most: int | None = None, num_processes: int = 1
) -> int:
    """Trains the configurations that are not recorded yet, and writes each when it is trained.

    Args:
        definition: the table.
        folder: of tables.
        data_dir: folder of data sets.
        most: number of configurations to train at most; None for all.
        num_processes: number of configurations that are trained at once, each on a core.

    Returns:
        How many configurations are left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{definition.name}.jsonl"
    known = read_lines(path, definition)
    _rewrite(path, [header(definition), *known.values()])  # without a line that was not finished
    specs = table_specs(definition)
    left = [number for number in range(len(specs)) if number not in known]
    wanted = [(number, specs[number]) for number in left[:most]]
    with path.open("a") as file:
        for done, (number, rows) in enumerate(_trained(wanted, data_dir, num_processes), start=len(known) + 1):
            line = {
                "number": number,
                "values": values_of(specs[number].configuration, definition),
                "validation_mse": [_finite(row.validation_mse) for row in rows],
                "seconds": [round(row.held_seconds, 6) for row in rows],
            }
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(f"{definition.name}: {done} of {len(specs)}, {line['values']}: {rows[-1].validation_mse}", flush=True)
    return max(0, len(left) - (len(left) if most is None else most))


def _trained(
    wanted: Sequence[tuple[int, TrialSpec]], data_dir: str | None, num_processes: int
) -> Iterator[tuple[int, list[TrialRow]]]:
    """Yields the number and the rows of each trial when it is trained."""
    if num_processes == 1:
        yield from ((number, train(spec, data_dir)) for number, spec in wanted)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(num_processes, mp_context=context) as pool:
        numbers = {pool.submit(train, spec, data_dir): number for number, spec in wanted}
        for future in concurrent.futures.as_completed(numbers):
            yield numbers[future], future.result()


@functools.cache
def _images(dataset: str, data_dir: str | None) -> ImageData:
    return load_dataset(dataset, data_dir=data_dir)


def train(spec: TrialSpec, data_dir: str | None) -> list[TrialRow]:
    """Returns all rows of a trial; fewer than its epochs where it diverges."""
    configure_torch(num_threads=1, precision=spec.precision)
    packs = Packs("cpu")
    packed = packs.join(spec, _images(spec.dataset, data_dir))
    rows: list[TrialRow] = []
    while not packed.done:
        for _, row in packs.train_epoch():
            if isinstance(row, Exception):
                raise row
            rows.append(row)
            packed.taken(row.epoch)
    return rows


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(line) + "\n" for line in lines))
    new.replace(path)
