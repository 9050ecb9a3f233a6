"""The package that is sent to a cluster to run a study there: the project's code and the study, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

import aesweep.data
import aesweep.models
from aesweep.process.errors import AesweepError
from aesweep.study.schema import Study

MAX_BYTES = 20_000_000
STUDY = "study.yaml"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")


def fill_parcel(folder: Path, study: Study | None) -> int:
    """Copies the project's code, the study and its reference into an empty folder.

    Image folders are not copied: the study names them by their paths on the cluster's head.

    Args:
        folder: the empty folder.
        study: the study to run; None to send the code alone.

    Returns:
        The size of the folder's files, in bytes.

    Raises:
        AesweepError: the files have more than `MAX_BYTES`, which code alone never has.
    """
    for package in (aesweep, aesweep.models, aesweep.data):
        target = folder / package.__name__.replace(".", "/")
        shutil.copytree(Path(package.__file__).resolve().parent, target, ignore=_LEFT_OUT, dirs_exist_ok=True)
    if study is not None:
        values = study.resolved()
        if study.report.reference:
            shutil.copyfile(study.report.reference, folder / "reference.yaml")
            values["report"]["reference"] = "reference.yaml"
        (folder / STUDY).write_text(yaml.safe_dump(values, sort_keys=False))
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=sizes.get)
        raise AesweepError(
            f"what is to be sent holds {sum(sizes.values()):,} bytes, expected at most {MAX_BYTES:,}: "
            f"{largest.relative_to(folder)} alone has {sizes[largest]:,}; move data out of the project's folders"
        )
    return sum(sizes.values())
