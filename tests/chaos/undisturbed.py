"""What the trials of a study measure where nothing disturbs them: trained here, each in one go."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration
from aesweep.study.inputs import load_images
from aesweep.study.schema import Study
from aesweep.training.single_trial import fit

MEASURED = ("loss", "training_mse", "validation_mse", "validation_psnr_db", "learning_rate", "per_seed")

_images: dict[str, Any] = {}  # by data set; one of a name is the same in every study that is disturbed


def undisturbed_rows(study: Study) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Gives what each epoch of a trial has to measure, by its `trial_created` or `retraining_created` event."""
    _images.update(load_images(study, None, False))

    def rows(created: dict[str, Any]) -> list[dict[str, Any]]:
        stage = study.stages.get(created.get("stage"))
        spec = TrialSpec(
            trial="undisturbed",
            purpose="search" if stage else "retraining",
            dataset=created["dataset"],
            configuration=Configuration.from_dict(created["configuration"]),
            seeds=tuple(created["seeds"] if stage else [created["seed"]]),
            epochs=created["epochs"],
            split_seed=study.seed,
            validation_fraction=study.validation_fraction,
            training_images=stage and stage.training_images,
            validation_images=stage and stage.validation_images,
            precision=study.precision,
        )
        return _rows(spec)

    return rows


@functools.lru_cache(maxsize=10_000)
def _rows(spec: TrialSpec) -> list[dict[str, Any]]:
    if spec.purpose == "search":
        found = list(fit(spec, _images[spec.dataset]))
    else:
        # Without its last epoch, which brings the test and the checkpoint.
        trained = fit(dataclasses.replace(spec, checkpoint="/nowhere"), _images[spec.dataset])
        found = [row for row, _ in zip(trained, range(spec.epochs - 1), strict=False)]
    return [
        {name: value for name in ("epoch", *MEASURED) if (value := getattr(row, name)) is not None} for row in found
    ]
