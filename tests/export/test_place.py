"""Names of files and folders that come from a run."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aesweep.export.place import extend_file, replace_file, safe_name
from tests.export.exported_runs import EVIL_DATASET, EVIL_STAGE

names = st.text(max_size=300) | st.sampled_from(["", ".", "..", "/", "a/b", "%2F", "../x", EVIL_STAGE, EVIL_DATASET])


@given(name=names)
def test_a_name_is_one_part_of_a_path(name):
    safe = safe_name(name)
    assert os.path.basename(safe) == safe and safe not in ("", ".", "..") and not safe.startswith(".")
    assert safe.isascii() and safe.isprintable() and len(safe) <= 200
    assert not set(safe) & set('/\\:*?"<>| \n')


@given(first=names, second=names)
def test_different_names_stay_different(first, second):
    assert (safe_name(first) == safe_name(second)) == (first == second)


@pytest.mark.parametrize("name", ["architecture-digits-0003", "fashion_mnist", "v1.2"])
def test_ordinary_names_stay_as_they_are(name):
    assert safe_name(name) == name


def test_a_file_that_grows_keeps_its_beginning_in_place(tmp_path):
    path = tmp_path / "deep" / "file"
    assert extend_file(path, b"abc") and not extend_file(path, b"abc")
    inode = path.stat().st_ino
    assert extend_file(path, b"abcdef") and path.read_bytes() == b"abcdef"
    assert path.stat().st_ino == inode
    assert extend_file(path, b"xbc") and path.read_bytes() == b"xbc"
    assert replace_file(path, b"x") and not replace_file(path, b"x")
    assert [found.name for found in path.parent.iterdir()] == ["file"]
