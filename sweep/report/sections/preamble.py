"""The texts of a report outside its sections, as inline markdown: how to read it, and where its numbers come from."""

from __future__ import annotations

import datetime
from typing import Any

from aesweep.process.wording import plural
from aesweep.report.rows.names import MISSING, dataset_name
from aesweep.report.rows.origin import Origin
from aesweep.report.rows.types import Run
from aesweep.report.sections.rules import OVERFITTING_GAP
from aesweep.report.text.markdown import code, inert

_WARNINGS = {
    "completed": "Something is missing.",
    "interrupted": "This run was interrupted.",
    "failed": "This run ended with something missing.",
}
HOW_TO_READ = (
    "Every choice was made on validation images, which are cut from the training images. The test images are opened "
    "once, by the retrained winners and the baselines; a winner's validation error is a little too "
    "good, since it was chosen by it, and its test error is not. MSE is the mean squared error per pixel, pixels in "
    "[0, 1]. A number with ± is a mean with its 95 % Student-t interval over seeds. A cell is called undertrained "
    "where PCA or the mean image does as well, and a model is said to overfit where its error on unseen images lies "
    f"more than {round(100 * OVERFITTING_GAP)} % above its training error. The CSV files hold every number in full, "
    "with the trials behind it."
)


def warning(run: Run, missing: list[str]) -> str:
    """Returns a sentence for the top of an incomplete run's report; empty if nothing is missing."""
    if run.status == "completed" and not missing:
        return ""
    return _WARNINGS.get(run.status, "This run has not ended.")


def image_facts(facts: dict[str, Any]) -> str:
    """Says how many images a data set has, and their shape."""
    return (
        f"{facts['num_training_images']:,} training, {facts['num_validation_images']:,} validation and "
        f"{plural(facts['num_test_images'], 'test image')} of {' × '.join(map(str, facts['shape']))} "
        "(channels × height × width)."
    )


def provenance(run: Run, origin: Origin) -> list[tuple[str, str]]:
    """Returns what a run was made from and on, as pairs of a heading and its value."""
    environment = run.environment
    seeds = sorted({seed for retraining in run.retrainings for seed in retraining.trial.seeds})
    retraining = f", retraining {', '.join(map(str, seeds))}" if seeds else ""
    packages = environment["packages"].items()
    return [
        ("Started", utc(run.started_at)),
        ("Record", f"{code(origin.journal_sha256)} (SHA-256 of {plural(origin.num_lines, 'line')} of journal.jsonl)"),
        *(
            [("Pictures", f"{code(origin.pictures_sha256)} (SHA-256 of what `sha256sum` prints of them)")]
            if origin.pictures
            else []
        ),
        ("Commit", code(environment.get("commit") or "")),
        ("Study", f"{code(run.study_hash)} (SHA-256; in full in study.yaml)"),
        *(
            (inert(dataset_name(name)), f"{code(facts['sha256'])} (SHA-256 of the images)")
            for name, facts in run.datasets.items()
        ),
        ("Seeds", f"search {run.study['seed']}{retraining}"),
        (
            "Processor",
            f"{inert(environment['cpu'])}, {plural(environment['num_cores'], 'core')}, "
            f"{environment['memory_bytes'] / 2**30:.0f} GiB",
        ),
        *([("Trained on", inert(run.resources["reason"]))] if "reason" in run.resources else []),
        ("GPUs", inert(", ".join(environment["gpus"])) or "none"),
        ("System", f"{inert(environment['platform'])}, Python {inert(environment['python'])}"),
        ("Packages", ", ".join(f"{inert(name)} {inert(version)}" for name, version in packages)),
    ]


def utc(seconds: float | None) -> str:
    """Formats unix seconds as a date and a time of day in UTC."""
    if seconds is None:
        return MISSING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
