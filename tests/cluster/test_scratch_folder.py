"""The folder of Ray that a killed driver left is removed, and nothing else ever is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from aesweep.cluster.scratch_folder import PREFIX, ScratchFolder, remove_left_behind


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder for temporary files of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("aesweep.cluster.scratch_folder.MAX_TEMPORARY_PATH", 1000)
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
