"""`aesweep view` as a process: its address, its end, and a run that grows in a storage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from aesweep.storage.journal import Journal
from aesweep.storage.object_store import SEGMENTS, Storage
from aesweep.storage.run_folder import RunFolder

START = {
    **{"study": {"name": "small", "seed": 1, "stages": {}}, "study_hash": "ab" * 32, "environment": {"packages": {}}},
    **{"num_workers": 1, "reference": None, "datasets": {}},
}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path / "runs" / "small")
    folder.make()
    with Journal(folder.journal) as journal:
        journal.append("run_started", **START)
    return folder.journal


def opened(*words: str) -> tuple[subprocess.Popen[str], str]:
    """Starts the command, and returns its process and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aesweep.cli", "view", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def asked(address: str) -> dict:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{address}updates?after=-1") as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_an_address_that_holds_a_token_and_ends_by_a_signal(journal: Path, number: signal.Signals) -> None:
    process, address = opened(str(journal.parent))
    try:
        assert address.startswith("http://127.0.0.1:") and len(address.split("/")[3]) >= 32
        assert asked(address)["seq"] == 0
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.rpartition("/")[0][:-1] + "x/")
        command = [sys.executable, "-m", "aesweep.cli", "view", str(journal.parent)]
        port = address.split(":")[2].split("/")[0]
        taken = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=120)
        assert taken.returncode == 73 and "cannot be listened on: " in taken.stderr and taken.stderr.count("\n") == 1
    finally:
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output == "" and errors == "Whoever has this address can read the run. Ctrl-C ends it.\n"
    assert {path.name for path in journal.parent.iterdir()} == {"journal.jsonl", "checkpoints", "pictures"}


def test_run_grows_as_its_storage_does(journal: Path, tmp_path: Path) -> None:
    storage = Storage(f"{tmp_path / 'store'}/small")
    first = journal.read_bytes()
    storage.write_new(f"{SEGMENTS}/{0:015d}.jsonl", first)
    process, address = opened("small", "--from", str(tmp_path / "store"), "--runs", str(tmp_path / "here"))
    try:
        assert asked(address)["seq"] == 0
        with Journal(journal) as writer:
            writer.append("stage_ended", stage="x", seconds=1.0)
            writer.append("run_ended", status="completed", seconds=2.0)
        storage.write("study.yaml", b"name: small\n")
        storage.write_new(f"{SEGMENTS}/{len(first):015d}.jsonl", journal.read_bytes()[len(first) :])
        until = time.monotonic() + 30
        while asked(address)["seq"] < 2 or not (tmp_path / "here" / "small" / "study.yaml").exists():
            assert time.monotonic() < until
            time.sleep(0.2)
        assert asked(address)["status"] == "completed"
        assert (tmp_path / "here" / "small" / "journal.jsonl").read_bytes() == journal.read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
