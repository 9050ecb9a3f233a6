"""The folder of Ray that a killed driver left is removed, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from aesweep.cluster.tune.scratch_folder import LONGEST_SOCKET, PREFIX, ScratchFolder, remove_left_behind
from aesweep.process.errors import AesweepError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder for temporary files of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("aesweep.cluster.tune.scratch_folder.MAX_SOCKET_BYTES", 1000)
    return folder


def test_folder_is_new_and_private_and_goes_with_its_note(tmp_path):
    scratch = ScratchFolder(tmp_path / "note")
    assert scratch.path.is_dir() and scratch.path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "note").read_text() == str(scratch.path)
    (scratch.path / "session").mkdir()
    scratch.remove()
    assert not scratch.path.exists() and not (tmp_path / "note").exists()


def test_folder_of_a_killed_driver_is_removed_at_the_next_start(tmp_path):
    left = ScratchFolder(tmp_path / "note").path
    (left / "session").mkdir()
    assert ScratchFolder(tmp_path / "note").path != left
    assert not left.exists()


@pytest.mark.parametrize("what", ["elsewhere", "another name", "deeper", "a link", "a file", "missing", "relative"])
def test_what_is_not_ours_stays(tmp_path, temporary, what):
    kept = tmp_path / f"{PREFIX}kept"
    kept.mkdir()
    (kept / "precious").write_text("here")
    named = {
        "elsewhere": kept,
        "another name": temporary / "precious",
        "deeper": temporary / "deep" / f"{PREFIX}x",
        "a link": temporary / f"{PREFIX}link",
        "a file": temporary / f"{PREFIX}file",
        "missing": temporary / f"{PREFIX}missing",
        "relative": Path(os.path.relpath(kept, temporary)),
    }[what]
    if what in ("another name", "deeper"):
        named.mkdir(parents=True)
    elif what == "a link":
        named.symlink_to(kept)
    elif what == "a file":
        named.write_text("")
    before = sorted(temporary.rglob("*"))
    assert not remove_left_behind(named)
    assert sorted(temporary.rglob("*")) == before and (kept / "precious").exists()


def test_folder_of_another_user_stays(temporary, monkeypatch):
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    assert not remove_left_behind(left)
    assert left.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0", b"/" * 10_000, b"~"])
def test_note_of_nonsense_is_passed_over(tmp_path, content):
    (tmp_path / "note").write_bytes(content)
    assert ScratchFolder(tmp_path / "note").path.is_dir()


def test_links_inside_are_not_followed(tmp_path, temporary):
    (tmp_path / "precious").write_text("here")
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    (left / "out").symlink_to(tmp_path)
    assert remove_left_behind(left)
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    "name", ["n" * length for length in range(3, 40)] + ["é" * 10, "ä b", "a b", "ü" * 21, "q'\"q"]
)
def test_sockets_path_fits_whatever_the_temporary_folder_is_called(tmp_path, monkeypatch, name):
    monkeypatch.setattr("aesweep.cluster.tune.scratch_folder.MAX_SOCKET_BYTES", 107)
    chosen = Path("/tmp") / f"x{os.getpid()}" / name
    chosen.mkdir(parents=True)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(chosen))
        scratch = ScratchFolder(tmp_path / "note")
        path = scratch.path / LONGEST_SOCKET
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))  # the system's own word
        assert scratch.path.parent in (chosen, Path("/tmp"))
        assert (
            scratch.path.parent == chosen or len(os.fsencode(chosen)) > 26 or not name.isalpha() or not name.isascii()
        )
        assert len(os.fsencode(path)) <= 107
        assert remove_left_behind(scratch.path)
    finally:
        shutil.rmtree(chosen.parent)


def test_no_place_for_a_folder_is_told_in_one_line(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(AesweepError, match="Permission denied; set TMPDIR to a folder that can be written"):
        ScratchFolder(tmp_path / "note")


@pytest.mark.ray
def test_longest_socket_is_as_ray_names_it():
    """With the folder's name and this process's number in place of the longest, as Ray itself makes it."""
    from tests.cluster.local_ray import local_ray

    with local_ray(num_cpus=1) as folder:
        longest = max(
            len(str(path.relative_to(folder))) - len(str(os.getpid()))
            for path in folder.glob("session_2*/**/*")
            if path.is_socket()
        )
    assert longest == len(LONGEST_SOCKET) - 7
