"""IDX files: read exactly or refused in one line that names the file and the remedy, whatever is in them."""

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aesweep.data.idx import read_idx_images
from aesweep.data.image_data import DataError

SHAPE = (5, 3, 4)
IMAGES = np.random.default_rng(11).integers(0, 256, SHAPE, dtype=np.uint8)
# Written by hand from the format's description, not by code of ours.
CONTENT = b"\x00\x00\x08\x03" + b"\x00\x00\x00\x05" + b"\x00\x00\x00\x03" + b"\x00\x00\x00\x04" + IMAGES.tobytes()
REMEDIES = ("--download", "--data-dir")

# The folder is written anew by every example, so sharing it between examples is harmless.
many_files = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train-images-idx3-ubyte"


def refusal(path: Path, shape: tuple[int, int, int] = SHAPE) -> str:
    """The line that refuses the file; checks what holds for every such line."""
    with pytest.raises(DataError) as caught:
        read_idx_images(path, shape)
    line = str(caught.value)
    assert line.startswith(str(path.parent / "train-images-idx3-ubyte"))
    assert len(line.splitlines()) == 1
    assert any(remedy in line for remedy in REMEDIES)
    return line


def test_a_raw_file_is_read_exactly(path):
    path.write_bytes(CONTENT)
    assert np.array_equal(read_idx_images(path, SHAPE), IMAGES)


def test_a_gzipped_file_is_read_where_it_stands_alone(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(CONTENT))
    assert np.array_equal(read_idx_images(path, SHAPE), IMAGES)


def test_the_raw_file_is_preferred_to_the_gzipped_one(path):
    path.write_bytes(CONTENT)
    path.with_name(path.name + ".gz").write_bytes(b"damaged")
    assert np.array_equal(read_idx_images(path, SHAPE), IMAGES)


def test_a_missing_file_is_named_with_the_ways_to_get_it(path):
    line = refusal(path)
    assert "not found" in line and "AESWEEP_DATA_DIR" in line


def test_an_empty_file_is_called_empty(path):
    path.write_bytes(b"")
    assert "is empty" in refusal(path)


def test_labels_in_place_of_images_are_refused_by_their_magic_number(path):
    path.write_bytes(struct.pack(">2I", 0x00000801, 60) + bytes(60))
    assert "starts with 0x00000801, expected 0x00000803" in refusal(path)


def test_images_of_another_size_are_refused_with_both_sizes(path):
    path.write_bytes(CONTENT)
    assert "holds 5 of 3 x 4 images, expected 60,000 of 28 x 28" in refusal(path, (60_000, 28, 28))


def test_a_header_that_promises_terabytes_is_refused_without_taking_them(path):
    path.write_bytes(struct.pack(">4I", 0x00000803, 2**32 - 1, 2**31, 2**31) + b"x")
    assert "expected 5 of 3 x 4" in refusal(path)


def test_a_single_byte_too_many_is_noticed(path):
    path.write_bytes(CONTENT + b"\x00")
    assert "goes on after the 60 pixels" in refusal(path)


def test_a_gzip_bomb_is_noticed_at_its_first_surplus_byte(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(CONTENT + bytes(50_000_000)))
    assert "goes on after" in refusal(path)


def test_a_folder_in_place_of_the_file_is_refused(path):
    path.mkdir()
    assert "expected a file" in refusal(path)


def test_a_pipe_in_place_of_the_file_does_not_hang(path):
    os.mkfifo(path)
    assert "expected a file" in refusal(path)


def test_a_dangling_link_is_refused_as_unreadable(path):
    path.symlink_to(path.parent / "nowhere")
    assert "cannot be read" in refusal(path)


def test_an_unreadable_file_is_refused_with_the_reason(path):
    path.write_bytes(CONTENT)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("runs with rights that no file mode takes away (root)")
    assert "Permission denied" in refusal(path)


def test_a_read_error_halfway_is_refused_with_the_reason(path, monkeypatch):
    path.write_bytes(CONTENT)
    monkeypatch.setattr("builtins.open", _failing_open)
    assert "cannot be read (Input/output error)" in refusal(path)


def _failing_open(*arguments, **options):
    raise OSError(5, "Input/output error")


@many_files
@given(length=st.integers(0, len(CONTENT) - 1))
def test_a_file_cut_off_anywhere_is_refused(path, length):
    path.write_bytes(CONTENT[:length])
    line = refusal(path)
    assert "is cut off" in line or (length == 0 and "is empty" in line)


@many_files
@given(bit=st.integers(0, 16 * 8 - 1))
def test_any_flipped_bit_of_the_header_is_refused(path, bit):
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    line = refusal(path)
    assert "starts with" in line if bit < 32 else "expected 5 of 3 x 4" in line


@many_files
@given(length=st.integers(1, len(gzip.compress(CONTENT, mtime=0)) - 1))
def test_a_gzipped_file_cut_off_anywhere_is_refused(path, length):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(CONTENT, mtime=0)[:length])
    refusal(path)


@many_files
@given(bit=st.integers(0, len(gzip.compress(CONTENT, mtime=0)) * 8 - 1))
def test_a_flipped_bit_of_a_gzipped_file_never_changes_an_image(path, bit):
    content = bytearray(gzip.compress(CONTENT, mtime=0))
    content[bit // 8] ^= 1 << bit % 8
    path.with_name(path.name + ".gz").write_bytes(content)
    try:  # gzip's own header holds bytes that mean nothing to the content
        images = read_idx_images(path, SHAPE)
    except DataError:
        refusal(path)
    else:
        assert np.array_equal(images, IMAGES)


@many_files
@given(content=st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(path, content):
    path.write_bytes(content)
    refusal(path)


def test_a_file_name_with_line_breaks_stays_on_one_line():
    line = str(DataError(Path("a\nb\udc80"), "is empty", "delete it"))
    assert line == r"'a\nb\udc80': is empty; delete it"


def test_the_error_survives_pickling():
    error = DataError(Path("a"), "is empty", "delete it")
    assert str(pickle.loads(pickle.dumps(error))) == "a: is empty; delete it"
