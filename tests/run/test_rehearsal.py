"""The doctor takes the steps of a run: what would stop one is a fault with a remedy, what does no harm is none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.run.preflight import rehearsal
from aesweep.study.study_file import load_study
from tests.conftest import SMALL_STUDY

EXPECTED = {"packages", "GPUs", "workers", "temporary files", "figures", "runs"}


def doctor(here: Path, *arguments: object, before: str = "", **environment: str) -> tuple[int, dict[str, dict], str]:
    """How the command ends, the rows that it tells by subject, and what it says."""
    line = f"{before}\nexec '{sys.executable}' -m aesweep.cli doctor --json \"$@\""
    done = subprocess.run(
        ["/bin/bash", "-c", line, "bash", *map(str, arguments)],
        cwd=here, env={**os.environ, **environment}, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {row["subject"]: row for row in json.loads(done.stdout)}, done.stderr


def test_odd_environment_that_harms_no_run_is_no_fault_and_nothing_is_left(tmp_path):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    (here / "models").mkdir(parents=True)
    temporary.mkdir()
    for name in ("models/autoencoder", "torch", "numpy", "sweep", "statistics"):
        (here / f"{name}.py").write_text("raise RuntimeError('a module of the user was imported')\n")
    (here / "matplotlibrc").write_text("text.usetex: True\nfigure.facecolor: black\n")
    (here / "study.yaml").write_text(yaml.safe_dump(SMALL_STUDY))
    before = sorted(here.rglob("*"))
    proxy = "http://127.0.0.1:9"
    odd = {"http_proxy": proxy, "https_proxy": proxy, "PYTHONPATH": ".", "HOME": "/nowhere", "MPLBACKEND": "none"}
    odd |= {"TMPDIR": str(temporary), "RAY_ADDRESS": "10.1.2.3:6379", "OMP_NUM_THREADS": "7", "PYTHONWARNINGS": "error"}
    odd |= {"CUDA_VISIBLE_DEVICES": ""}
    status, rows, said = doctor(here, "--study", "study.yaml", "--runs", "new/runs", **odd)
    assert (status, said, [row for row in rows.values() if row["fault"]]) == (0, "", [])
    assert set(rows) == {*EXPECTED, "study", "images"}
    assert sorted(here.rglob("*")) == before and not list(temporary.iterdir())


def test_worker_that_cannot_import_is_a_fault_though_this_process_can(tmp_path, monkeypatch):
    """An interpreter whose site has a torch that does not load, as one of another system does."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    (tmp_path / "python").write_text(f"#!/bin/sh\nPYTHONPATH='{tmp_path}/site' exec '{sys.executable}' \"$@\"\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (finding,) = rehearsal.try_worker()
    assert finding.is_fault and "libcudart.so.13" in finding.text and "make install" in finding.text
    assert len(finding.text.splitlines()) == 1
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    (finding,) = rehearsal.try_worker()
    assert finding.is_fault and "No such file" in finding.text


def test_folder_that_a_run_could_not_write_is_a_fault(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for runs in ("file", "file/runs", "dangling", "dangling/runs", "/proc/runs", "/proc/self"):
        (finding,) = rehearsal.try_folder("runs", tmp_path / runs, "give another --runs")
        assert finding.is_fault and "another --runs" in finding.text and len(finding.text.splitlines()) == 1, runs
    for runs in ("", "a", "a/b/c"):
        (finding,) = rehearsal.try_folder("runs", tmp_path / runs, "")
        assert not finding.is_fault, finding
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


def test_disk_that_is_full_or_read_only_is_a_fault(tmp_path):
    """On file systems of this test's own, in a namespace of its own."""
    script = """
mount -t tmpfs -o size=200k none "$1" && mkdir "$1/probe" && mount -t tmpfs -o ro none "$2" || exit 99
exec "$0" -c '
import sys
from pathlib import Path
from aesweep.run.preflight.rehearsal import try_folder
for place in sys.argv[1:]:
    (finding,) = try_folder("runs", Path(place) / "runs", "move")
    print(finding.is_fault, finding.text, [path.name for path in Path(place).iterdir()])
' "$1" "$2"
"""
    folders = [tmp_path / "small", tmp_path / "read-only"]
    for folder in folders:
        folder.mkdir()
    if not shutil.which("unshare"):
        pytest.skip("NOT RUN: needs unshare")
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script, sys.executable, *map(str, folders)], capture_output=True, text=True
    )
    if done.returncode in (1, 99):
        pytest.skip(f"NOT RUN: needs a mount namespace: {done.stderr}")
    full, read_only = done.stdout.splitlines()
    assert full.startswith("True") and "No space left on device" in full and full.endswith("['probe']")
    assert read_only.startswith("True") and "Read-only file system" in read_only and read_only.endswith("[]")


def test_temporary_folder_without_sockets_or_files_is_a_fault(monkeypatch):
    def refused(self, address):
        raise PermissionError(1, "Operation not permitted")

    assert [finding.is_fault for finding in rehearsal.try_scratch_folder()] == [False]
    with monkeypatch.context() as change:
        change.setattr(socket.socket, "bind", refused)
        (finding,) = rehearsal.try_scratch_folder()
        assert finding.is_fault and "not permitted" in finding.text and "TMPDIR" in finding.text
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    (finding,) = rehearsal.try_scratch_folder()
    assert finding.is_fault and "TMPDIR" in finding.text


def test_figure_that_cannot_be_drawn_is_a_fault(monkeypatch):
    import matplotlib.figure

    def broken(*_, **__):
        raise RuntimeError("no font")

    assert [finding.is_fault for finding in rehearsal.try_figure()] == [False]
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", broken)
    (finding,) = rehearsal.try_figure()
    assert finding.is_fault and "RuntimeError: no font" in finding.text


def told(*arguments: object) -> dict[str, list[str]]:
    done = CliRunner().invoke(commands, ["doctor", "--json", *map(str, arguments)])
    rows = json.loads(done.stdout)
    assert done.exit_code == any(row["fault"] for row in rows)
    return {row["subject"]: [r["text"] for r in rows if r["fault"] and r["subject"] == row["subject"]] for row in rows}


@pytest.fixture
def alone(monkeypatch):
    """The study's own steps without the machine's, which other tests take, and without a cluster."""
    import aesweep.cluster.remote.gpus
    from aesweep.run.preflight import doctor as examination

    monkeypatch.setattr(aesweep.cluster.remote.gpus, "count_gpus", lambda _address: 0)

    for module, name in ((examination, "examine_machine"), (rehearsal, "try_worker"), (rehearsal, "try_figure")):
        monkeypatch.setattr(module, name, list)
    monkeypatch.delenv("AESWEEP_DATA_DIR", raising=False)
    monkeypatch.delenv("AESWEEP_STORAGE", raising=False)


def test_images_and_reference_that_are_missing_are_faults(alone, tmp_path, write_study):
    folder = {"name": "mine", "path": "images"}
    path = write_study({**SMALL_STUDY, "datasets": [folder, "mnist"], "report": {"reference": "published.yaml"}})
    found = told("--study", path, "--data-dir", tmp_path / "data")
    assert "published.yaml" in found["reference"][0] and str(tmp_path / "images") in found["images"][0]
    assert told("--study", path, "--images", f"mine={tmp_path}/elsewhere")["images"][0].startswith(
        f"{tmp_path}/elsewhere"
    )
    assert CliRunner().invoke(commands, ["doctor", "--study", str(path), "--images", "no=x"]).exit_code == 78
    assert not (tmp_path / "data").exists()


def test_what_a_run_would_fetch_is_no_fault_where_it_can_be_kept(alone, tmp_path, write_study):
    path, data = write_study({**SMALL_STUDY, "datasets": ["mnist"]}), tmp_path / "data"
    assert "train-images" in told("--study", path, "--data-dir", data)["images"][0]
    assert told("--study", path, "--data-dir", data, "--download")["images"] == [] and not data.exists()
    data.write_text("")
    assert told("--study", path, "--data-dir", data, "--download")["downloads"]


def test_stages_that_ask_for_more_images_than_there_are_are_faults(alone, tmp_path, write_study, small_study):
    small_study["stages"]["architecture"]["training_images"] = 100_000
    (fault,) = told("--study", write_study(small_study))["images"]
    assert "stages.architecture.training_images" in fault and "100,000" in fault


def test_token_is_asked_for_where_there_is_somewhere_to_send_it(alone, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert "token" not in told()
    assert "get-auth-token" in told("--address", "http://127.0.0.1:8265")["token"][0]


def test_images_of_a_cluster_are_not_sought_here(alone, tmp_path, monkeypatch, write_study):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "made-up")
    path = write_study({**SMALL_STUDY, "datasets": ["mnist"]})
    assert "images" not in told("--study", path, "--address", "http://127.0.0.1:9", "--data-dir", tmp_path)


def test_rehearsal_reads_what_a_run_reads(tmp_path, write_study, small_study):
    (good,) = rehearsal.try_images(load_study(write_study(small_study)), None, False)
    assert not good.is_fault and good.text.startswith("digits")
    assert stat.S_ISDIR(tmp_path.stat().st_mode) and not (tmp_path / "runs").exists()
