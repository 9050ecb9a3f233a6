"""Mirrors the files of MNIST and others of its form in a storage, for nodes that must not fetch them elsewhere.

The storage holds the raw files as a data folder does, beside a manifest of their hashes that is written last. A file
from the storage is put into place only after its hash was verified. The names and places of the files are fixed here
and are never taken from the manifest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

from aesweep.data.catalogue import IDX_DATASETS
from aesweep.data.datasets import DataError, load_dataset, raw_folder
from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.object_store import Storage

MANIFEST = "manifest.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def push_dataset(
    name: str,
    storage: Storage,
    data_dir: Path | str | None = None,
    download: bool = False,
    follow: Follow = unfollowed,
) -> list[str]:
    """Copies a data set to a storage.

    Args:
        name: a name of `IDX_DATASETS`.
        storage: the destination; files of the data set that it holds already are overwritten.
        data_dir: see `aesweep.data.datasets.data_folder`.
        download: whether to fetch the data set first where it is missing.
        follow: called before the data set is verified, and before each file.

    Returns:
        The names of the files that were written, the manifest's last.

    Raises:
        DataError: the data set is missing on this machine, or damaged.
    """
    follow(f"verifying {name}", 0, None)
    # Verify the data set first, so that no damaged copy is published.
    labels = load_dataset(name, data_dir=data_dir, download=download).labels
    hashes = {}
    known = IDX_DATASETS[name]
    files = (*known.image_files, *(known.label_files if labels is not None else ()))
    for number, file in enumerate(files):
        follow(_stored(name, f"raw/{file}"), number, len(files))
        content = _read_raw(raw_folder(name, data_dir) / file)
        storage.write(_stored(name, f"raw/{file}"), content)
        hashes[file] = hashlib.sha256(content).hexdigest()
    manifest = _stored(name, _manifest(name))
    storage.write(manifest, json.dumps({"sha256": hashes}, indent=2).encode() + b"\n")
    return [*(_stored(name, f"raw/{file}") for file in hashes), manifest]


def pull_dataset(
    name: str, storage: Storage, data_dir: Path | str | None = None, follow: Follow = unfollowed
) -> list[Path]:
    """Copies a data set from a storage into the data folder; files that have the right hash already are kept.

    Args:
        name, data_dir: as for `push_dataset`.
        storage: the source.
        follow: called before each file.

    Returns:
        The files that were copied.

    Raises:
        DataError: the storage does not hold the data set, or its files are not those that were pushed.
    """
    brought = []
    hashes = _read_manifest(name, storage)
    for number, (file, sha256) in enumerate(hashes.items()):
        follow(_stored(name, f"raw/{file}"), number, len(hashes))
        path = raw_folder(name, data_dir) / file
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            continue
        content = _read(name, storage, f"raw/{file}")
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise _fault(name, storage, f"raw/{file}", f"is damaged: its SHA-256 is {found}, expected {sha256}")
        write_whole(path, content)
        brought.append(path)
    return brought


def check_pushed(name: str, storage: Storage) -> None:
    """Checks by its manifest and the names of its files that a storage holds a data set. Raises DataError if not."""
    there = storage.names(IDX_DATASETS[name].folder)
    for file in _read_manifest(name, storage):
        if f"raw/{file}" not in there:
            raise _fault(name, storage, f"raw/{file}", "not found")


def _read_manifest(name: str, storage: Storage) -> dict[str, str]:
    """Returns the SHA-256 of each file of the data set, by the file's name."""
    known, manifest = IDX_DATASETS[name], _manifest(name)
    try:
        values = json.loads(_read(name, storage, manifest))
    except ValueError as error:
        raise _fault(name, storage, manifest, f"is damaged: {error}") from error
    hashes = values.get("sha256") if isinstance(values, dict) else None
    # Labels are there or not, of both parts; storages that older versions wrote hold none.
    if not isinstance(hashes, dict) or hashes.keys() not in (
        {*known.image_files},
        {*known.image_files, *known.label_files},
    ):
        named = ", ".join(map(str, hashes)) if isinstance(hashes, dict) else "none"
        raise _fault(
            name, storage, manifest, f"names other files than expected ({', '.join(known.image_files)}): {named}"
        )
    for file, sha256 in hashes.items():
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise _fault(name, storage, manifest, f"expected a SHA-256 of {file}, found {sha256!r}")
    return hashes


def _read(name: str, storage: Storage, file: str) -> bytes:
    try:
        return storage.read(_stored(name, file))
    except FileNotFoundError as error:
        raise _fault(name, storage, file, "not found") from error


def _read_raw(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


def _manifest(name: str) -> str:
    """Returns the name of a data set's manifest; splits that share a folder have one each."""
    split = IDX_DATASETS[name].split
    return f"manifest-{split}.json" if split else MANIFEST


def _stored(name: str, file: str) -> str:
    return f"{IDX_DATASETS[name].folder}/{file}"


def _fault(name: str, storage: Storage, file: str, problem: str) -> DataError:
    remedy = f"`aesweep data push {name}` puts it there from a machine that has it"
    return DataError(f"{storage.url}/{_stored(name, file)}", problem, remedy)
