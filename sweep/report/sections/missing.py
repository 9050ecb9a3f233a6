"""Finds what is missing from a run, for the top of the page."""

from __future__ import annotations

from aesweep.process.wording import agree, plural
from aesweep.report.rows.names import dataset_name
from aesweep.report.rows.types import Run
from aesweep.report.sections.example_images import picture_arrays
from aesweep.report.text.markdown import code, inert
from aesweep.storage.run_folder import RunFolder


def missing_parts(run: Run, folder: RunFolder) -> list[str]:
    """Returns a sentence for each thing that is missing from a run."""
    found = []
    for name, settings in run.study.get("stages", {}).items():
        stage = run.stages.get(name)
        earlier = run.stages.get(settings.get("from"))
        if stage is None:
            found.append(f"Stage {inert(name)} was not started.")
        elif stage.seconds is None:
            ended = sum(trial.status not in ("unfinished", "waiting", "interrupted") for trial in stage.trials)
            found.append(
                f"Stage {inert(name)} has not ended: {ended} of "
                f"{plural(len(stage.trials), 'trial')} {agree(ended, 'has', 'have')}; its winners are provisional."
            )
        elif any(winner is None for winner in stage.winners.values()):
            found.append(f"Stage {inert(name)} has cells in which no trial was trained to its end.")
        if stage is not None and earlier is not None:
            found += [
                f"Stage {inert(name)} was not run on {inert(dataset_name(dataset))}: "
                f"stage {inert(earlier.name)} has no winner there."
                for dataset in run.datasets
                if dataset not in stage.datasets and earlier.best(dataset) is None
            ]
    owed = [retraining for retraining in run.retrainings if retraining.result is None]
    if owed:
        found.append(
            f"{len(owed)} of {plural(len(run.retrainings), 'retraining')} gave no result; intervals are "
            "over the seeds that did."
        )
    elif run.status in ("unfinished", "interrupted", "open") and not run.retrainings:
        found.append("No winner has been retrained, so the test set has not been opened.")
    found += [
        f"{code(event.file)} is missing or not as it was recorded; its figures are left out."
        for event in run.pictures
        if picture_arrays(folder, event) is None
    ]
    return found
