"""Converts rows to pandas frames, in full precision: one line per cell, winner or trial, with the trials behind it.

The CSV files hold these frames, and the markdown tables, figures and sentences are made from them. A number that the
run does not have is NaN or None.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from aesweep.report.analysis.statistics import Estimate, estimate, ranks
from aesweep.report.rows.names import axis_value, cell_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Retraining, Run, Stage, Trial
from aesweep.study.configuration import DERIVED, settings_in_use

# The name that baselines and retrained winners have for each metric of the journal.
QUANTITY = {"validation_mse": "mse", "validation_psnr_db": "psnr_db"}
# Columns are named here so that a frame without lines has a header; the configuration's columns follow.
SEED_COLUMNS = (
    "trial", "dataset", "seed", "epochs", "num_images", "status", "serves", "training_mse", "test_mse", "test_psnr_db",
    "test_ssim", "checkpoint", "checkpoint_sha256",
)  # fmt: skip
TRIAL_COLUMNS = (
    "trial", "stage", "dataset", "status", "reason", "epochs", "budget", "seconds", "seeds", "training_mse",
    "validation_mse", "validation_psnr_db",
)  # fmt: skip
# What only variational models have; columns that begin so are left out of a file where they hold nothing.
RATES = ("rate_nats", "test_rate_nats")
BASELINES = ("mean_image", "pca", "noisy_input", "linear_mmse")


def cell_frame(run: Run, stage: Stage, dataset: str) -> pd.DataFrame:
    """Returns one line per cell of a stage's table, sorted by axis value if it is a number, else in the study's order.

    Columns: the axes (`rows`, `columns` hold their raw values); num_trials, num_completed; `trial`, the winner, with
    its value of the stage's metric (`value`, `half_width` over `num_seeds`), `rank`, `is_best`, training_mse,
    validation_mse, validation_psnr_db and its configuration; for each baseline `<method>_validation` in the stage's
    metric and `<method>_validation_psnr_db`; and, where the cell was retrained, `retraining_trials` and test_mse,
    test_psnr_db, test_ssim with their half widths and baselines `<method>_test_<quantity>`.
    """
    quantity = QUANTITY[stage.metric]
    best = stage.best(dataset)
    lines, fields = [], _fields(run)
    for cell, winner in stage.cells(dataset).items():
        members = [trial for trial in stage.trials if trial.dataset == dataset and trial.cell == cell]
        shown = winner or members[0]
        values = dict(cell)
        line: dict[str, Any] = {
            "rows": values[stage.rows],
            "columns": values.get(stage.columns) if stage.columns else None,
            **{axis: axis_value(axis, value) if isinstance(value, tuple) else value for axis, value in cell},
            "num_trials": len(members),
            "num_completed": sum(trial.status == "completed" for trial in members),
            "trial": winner.name if winner else None,
            **_search_numbers(winner, stage.metric),
            "is_best": winner is not None and winner is best,
        }
        for method in BASELINES:
            for name, unit in ((f"{method}_validation", quantity), (f"{method}_validation_psnr_db", "psnr_db")):
                line[name] = run.baseline(dataset, stage.name, method, unit, shown.configuration)
        line.update(_test_numbers(run, dataset, retrained_as(run, winner)))
        if winner:
            line.update({name: value for name, value in _configuration(winner, fields).items() if name not in line})
        lines.append(line)
    frame = pd.DataFrame(lines)
    frame.insert(frame.columns.get_loc("value") + 1, "rank", ranks([_none(v) for v in frame["value"]], stage.mode))
    return frame.sort_values(["rows", "columns"], key=_axis_order, kind="stable", ignore_index=True)


def _search_numbers(winner: Trial | None, metric: str) -> dict[str, Any]:
    spread = estimate(winner.last.per_seed) if winner and len(winner.seeds) > 1 else None
    return {
        "value": winner.value(metric) if winner else None,
        "half_width": spread.half_width if spread and metric == "validation_mse" else None,
        "num_seeds": len(winner.seeds) if winner else 0,
        "epochs": winner.last.epoch if winner else None,
        "training_mse": winner.value("training_mse") if winner else None,
        "validation_mse": winner.value("validation_mse") if winner else None,
        "validation_psnr_db": winner.value("validation_psnr_db") if winner else None,
        "rate_nats": winner.value("rate_nats") if winner else None,
    }


def retrained_as(run: Run, trial: Trial | None, epochs: int | None = None) -> list[Retraining]:
    """Returns the retrainings of a trial's configuration that gave a result, one per seed.

    They may have been made for another trial: a configuration that won one stage may stand in another's table as well.

    Args:
        run: the run.
        trial: the trial of the search; None has no retrainings.
        epochs: number of epochs of the retrainings; None for the longest (`aesweep retrain` may have added some).
    """
    found = [
        retraining
        for retraining in run.retrainings
        if retraining.result is not None
        and trial is not None
        and retraining.trial.dataset == trial.dataset
        and retraining.trial.configuration == trial.configuration
    ]
    epochs = epochs or max((retraining.trial.budget for retraining in found), default=None)
    return [retraining for retraining in found if retraining.trial.budget == epochs]


def result_estimate(retrained: list[Retraining], field: str) -> Estimate | None:
    """Returns mean and interval over seeds of a field of the journal's `retrained` events; None if any lacks it."""
    values = [getattr(retraining.result, field) for retraining in retrained]
    return None if any(value is None for value in values) else estimate(values)


def _test_numbers(run: Run, dataset: str, retrained: list[Retraining]) -> dict[str, Any]:
    line: dict[str, Any] = {"num_retrained": len(retrained)}
    for field in ("training_mse", "test_mse", "test_psnr_db", "test_ssim", "test_rate_nats"):
        found = result_estimate(retrained, field)
        name = f"retrained_{field}" if field == "training_mse" else field
        line[name] = found.mean if found else None
        line[f"{name}_half_width"] = found.half_width if found else None
    for method in BASELINES:
        for quantity in ("mse", "psnr_db", "ssim"):
            line[f"{method}_test_{quantity}"] = (
                run.baseline(dataset, None, method, quantity, retrained[0].trial.configuration) if retrained else None
            )
    line["retraining_epochs"] = retrained[0].trial.budget if retrained else None
    line["retraining_trials"] = " ".join(retraining.trial.name for retraining in retrained) or None
    return line


def winner_frame(run: Run, dataset: str, published: Published) -> pd.DataFrame:
    """Returns one line per winner that was to be retrained, in the order of the study's stages and their cells.

    A winner that was retrained for different numbers of epochs has several lines. Two columns define, for all parts of
    the report, which line counts: `is_longest` marks the longest retraining of each winner that has a result, and
    `is_best` marks the best of a stage's winners that have one (denoisers do not compete with plain autoencoders).
    """
    serving = [retraining for retraining in run.retrainings if retraining.trial.dataset == dataset]
    winners = dict.fromkeys((stage, trial) for retraining in serving for stage, _, trial in retraining.serves)
    lines, fields = [], _fields(run)
    for stage in run.stages.values():
        mine = [trial for trial in stage.cells(dataset).values() if trial and (stage.name, trial.name) in winners]
        known = {trial.name: retrained_as(run, trial) for trial in mine}
        best = [
            stage.best_of(t for t in mine if known[t.name] and (t.configuration.noise_variance > 0) == denoises)
            for denoises in (False, True)
        ]
        for winner in mine:
            # Retrainings that were made for another stage are included, as in `retrained_as`.
            same = [retraining for retraining in serving if retraining.trial.configuration == winner.configuration]
            for epochs in sorted({retraining.trial.budget for retraining in same}):
                owed = [retraining for retraining in same if retraining.trial.budget == epochs]
                lines.append(
                    {
                        "stage": stage.name,
                        "cell": cell_name(winner.cell),
                        "epochs": epochs,
                        "trial": winner.name,
                        "is_best": any(winner is other for other in best),
                        "is_longest": bool(known[winner.name]) and known[winner.name][0].trial.budget == epochs,
                        **_configuration(winner, fields),
                        "search_epochs": winner.last.epoch,
                        "search_training_mse": winner.value("training_mse"),
                        "search_validation_mse": winner.value("validation_mse"),
                        "search_validation_psnr_db": winner.value("validation_psnr_db"),
                        "num_owed": len(owed),
                        "num_images": owed[0].num_images,
                        **_test_numbers(run, dataset, retrained_as(run, winner, epochs)),
                        "published_training_mse": published.winner(dataset).get("train_mse"),
                        "published_validation_mse": published.winner(dataset).get("validation_mse"),
                    }
                )
    return pd.DataFrame(lines)


def seed_frame(run: Run) -> pd.DataFrame:
    """Returns one line per retraining: its seed, its numbers, its checkpoint and the winners that it serves."""
    lines, fields = [], settings_in_use(retraining.trial.configuration for retraining in run.retrainings)
    for retraining in run.retrainings:
        result = retraining.result
        checkpoint = (result and result.checkpoint) or {}
        lines.append(
            {
                "trial": retraining.trial.name,
                "dataset": retraining.trial.dataset,
                "seed": retraining.trial.seeds[0],
                "epochs": retraining.trial.budget,
                "num_images": retraining.num_images,
                "status": retraining.trial.status,
                "serves": " ".join(trial for _, _, trial in retraining.serves),
                **{
                    name: getattr(result, name, None)
                    for name in ("training_mse", "test_mse", "test_psnr_db", "test_ssim")
                },
                "checkpoint": checkpoint.get("file"),
                "checkpoint_sha256": checkpoint.get("sha256"),
                **_configuration(retraining.trial, fields),
            }
        )
    return pd.DataFrame(lines, columns=[*SEED_COLUMNS, *fields])


def trial_frame(run: Run) -> pd.DataFrame:
    """Returns one line per trial of the search: how it ended, its last numbers and its configuration."""
    fields = _fields(run)
    lines = [
        {
            "trial": trial.name,
            "stage": trial.stage,
            "dataset": trial.dataset,
            "status": trial.status,
            "reason": trial.reason,
            "epochs": len(trial.epochs),
            "budget": trial.budget,
            "seconds": trial.seconds,
            "seeds": " ".join(str(seed) for seed in trial.seeds),
            "training_mse": trial.value("training_mse"),
            "validation_mse": trial.value("validation_mse"),
            "validation_psnr_db": trial.value("validation_psnr_db"),
            **_configuration(trial, fields),
        }
        for stage in run.stages.values()
        for trial in stage.trials
    ]
    return pd.DataFrame(lines, columns=[*TRIAL_COLUMNS, *fields])


def _fields(run: Run) -> list[str]:
    """Returns the settings that the run's trials need, without those of families that it lacks."""
    return settings_in_use(trial.configuration for stage in run.stages.values() for trial in stage.trials)


def _configuration(trial: Trial, fields: list[str]) -> dict[str, Any]:
    values = {name: trial.configuration.value_of(name) for name in (*fields, *DERIVED)}
    return {name: axis_value(name, value) if isinstance(value, tuple) else value for name, value in values.items()}


def _axis_order(column: pd.Series) -> pd.Series:
    """Returns sort keys that order numbers by size, and anything else by first appearance."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    positions = {value: position for position, value in enumerate(dict.fromkeys(column))}
    return column.map(positions.get)


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value
