"""What differs between two runs besides their values: study, versions, data sets, seeds, and what was run."""

from __future__ import annotations

from typing import Any

from aesweep.report.comparison.types import DatasetPair, KeyDifference, SeedSet
from aesweep.report.rows.types import Run

_MISSING = object()


def study_differences(reference: Run, other: Run) -> tuple[KeyDifference, ...]:
    """Returns the keys of the two studies that differ, with every default filled in, in the order of the reference."""
    return _differences(_by_name(reference.study), _by_name(other.study))


def environment_differences(reference: Run, other: Run) -> tuple[KeyDifference, ...]:
    """Returns what differs in versions, commit and hardware, as they were when each run started."""
    return _differences(reference.environment, other.environment)


def record_differences(reference: Run, other: Run) -> tuple[KeyDifference, ...]:
    """Returns what differs in how far the runs came, where the studies do not say it: after extensions, or when killed.

    Keys: status, times_resumed, and for each stage num_trials, num_completed and epochs; retraining.num_results.
    """
    return _differences(_record(reference), _record(other))


def dataset_pairs(reference: Run, other: Run) -> tuple[DatasetPair, ...]:
    """Returns the data sets of both runs with the hashes of their images."""
    names = dict.fromkeys([*reference.datasets, *other.datasets])
    return tuple(DatasetPair(name, _sha256(reference, name), _sha256(other, name)) for name in names)


def seed_sets(reference: Run, other: Run) -> tuple[SeedSet, ...]:
    """Returns the seeds of the studies, of each stage's trials and of the retrainings."""
    stages = dict.fromkeys([*reference.stages, *other.stages])
    found = [SeedSet("study", *((run.study.get("seed", 1),) for run in (reference, other)))]
    found += [SeedSet(stage, *(_of_stage(run, stage) for run in (reference, other))) for stage in stages]
    found.append(SeedSet("retraining", *(_of_retrainings(run) for run in (reference, other))))
    return tuple(part for part in found if part.reference or part.other)


def searched_fields(run: Run) -> frozenset[str]:
    """Returns the fields that a stage of the run's study searches: all axes but those that have one value.

    The winner of a stage, and with it all that starts from it, has other values of them under another seed.
    """
    axes = [
        (name, axis) for stage in run.study.get("stages", {}).values() for name, axis in stage.get("space", {}).items()
    ]
    return frozenset(name for name, axis in axes if isinstance(axis, dict) and not _is_fixed(axis))


def _is_fixed(axis: dict[str, Any]) -> bool:
    if axis.keys().isdisjoint(("value", "grid", "choice", "uniform", "log_uniform")):
        return all(_is_fixed(setting) for setting in axis.values())  # of a package's family, each an axis of its own
    return "value" in axis or len(axis.get("grid", ("several", "values"))) == 1


def flat(values: Any, key: str = "") -> dict[str, Any]:
    """Returns nested mappings as one from dotted keys to values; an empty mapping is a value, and so is a list."""
    if not isinstance(values, dict) or (not values and key):
        return {key: values}
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(flat(value, f"{key}.{name}" if key else str(name)))
    return found


def _differences(reference: dict[str, Any], other: dict[str, Any]) -> tuple[KeyDifference, ...]:
    first, second = flat(reference), flat(other)
    for side, opposite in ((first, second), (second, first)):
        for key in [key for key, value in side.items() if value == {}]:
            if any(name.startswith(f"{key}.") for name in opposite):
                del side[key]  # the keys of the other side say it
    return tuple(
        KeyDifference(key, first.get(key), second.get(key))
        for key in dict.fromkeys([*first, *second])
        if first.get(key, _MISSING) != second.get(key, _MISSING)
    )


def _by_name(study: dict[str, Any]) -> dict[str, Any]:
    """Returns a study whose data sets are a mapping, so that their order and number do not hide what differs."""
    datasets = {
        dataset["name"]: {key: value for key, value in dataset.items() if key != "name"}
        for dataset in study.get("datasets", ())
    }
    return {**study, "datasets": datasets}


def _record(run: Run) -> dict[str, Any]:
    stages = {
        stage.name: {
            "num_trials": len(stage.trials),
            "num_completed": sum(trial.status == "completed" for trial in stage.trials),
            "epochs": stage.epochs,
        }
        for stage in run.stages.values()
    }
    results = sum(retraining.result is not None for retraining in run.retrainings)
    return {
        "status": run.status,
        "times_resumed": run.num_resumed,
        "stages": stages,
        "retraining": {"num_results": results},
    }


def _sha256(run: Run, dataset: str) -> str | None:
    return run.datasets.get(dataset, {}).get("sha256")


def _of_stage(run: Run, stage: str) -> tuple[int, ...]:
    trials = run.stages[stage].trials if stage in run.stages else ()
    return tuple(sorted({seed for trial in trials for seed in trial.seeds}))


def _of_retrainings(run: Run) -> tuple[int, ...]:
    return tuple(sorted({seed for retraining in run.retrainings for seed in retraining.trial.seeds}))
