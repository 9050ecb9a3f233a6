"""A folder of images: read exactly in a stated order, or refused in one line that names the file."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError
from aesweep.data.image_folder import read_image_folder

RANDOM = np.random.default_rng(5)
many_files = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def save(path: Path, pixels: np.ndarray, **options) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def grey(rows: int = 6, columns: int = 9) -> np.ndarray:
    return RANDOM.integers(0, 256, (rows, columns), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of three training images and one test image, 9 x 6 pixels, grey."""
    root = tmp_path / "faces"
    for name in ("train/a.png", "train/b.png", "train/c.png", "test/a.png"):
        save(root / name, grey())
    return root


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset("faces", path=folder)
    line = str(caught.value)
    assert len(line.splitlines()) == 1 and "; " in line
    return line


def test_images_come_in_the_order_of_their_names_with_every_pixel(tmp_path):
    last, first = save(tmp_path / "train" / "b.png", grey()), save(tmp_path / "train" / "a.PNG", grey())
    test = save(tmp_path / "test" / "x.png", grey())
    data = load_dataset("faces", path=tmp_path)
    assert data.name == "faces" and data.training.dtype == np.uint8
    assert np.array_equal(data.training, np.stack([first, last])[:, None])
    assert np.array_equal(data.test, test[None, None])


def test_colour_comes_before_rows_and_columns(tmp_path):
    pixels = save(tmp_path / "train" / "a.png", RANDOM.integers(0, 256, (4, 7, 3), dtype=np.uint8))
    save(tmp_path / "test" / "a.png", pixels)
    data = load_dataset("faces", path=tmp_path)
    assert data.training.shape == (1, 3, 4, 7)
    assert np.array_equal(data.training[0, 2], pixels[:, :, 2])


def test_jpeg_files_are_read(tmp_path):
    for name in ("train/a.jpg", "train/b.jpeg", "test/a.jpg"):
        save(tmp_path / name, np.full((8, 8), 100, dtype=np.uint8), quality=95)
    assert np.abs(load_dataset("faces", path=tmp_path).training.astype(int) - 100).max() <= 1


def test_hidden_files_are_passed_over(folder):
    (folder / "train" / ".DS_Store").write_bytes(b"no image")
    assert len(load_dataset("faces", path=folder).training) == 3


def test_a_link_inside_the_folder_is_followed(folder):
    (folder / "train" / "d.png").symlink_to(folder / "test" / "a.png")
    data = load_dataset("faces", path=folder)
    assert np.array_equal(data.training[3], data.test[0])


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_leads_out_of_the_folder_is_refused(folder, tmp_path, what):
    save(tmp_path / "private" / "secret.png", grey())
    link = folder / "train" / "d.png" if what == "file" else folder / "test"
    if what == "folder":
        (folder / "test" / "a.png").unlink()
        (folder / "test").rmdir()
    link.symlink_to(tmp_path / "private" / "secret.png" if what == "file" else tmp_path / "private")
    line = refusal(folder)
    assert line.startswith(str(link)) and "leads out of" in line


def test_links_in_a_circle_are_refused(folder):
    (folder / "train" / "d.png").symlink_to(folder / "train" / "e.png")
    (folder / "train" / "e.png").symlink_to(folder / "train" / "d.png")
    assert str(folder / "train") in refusal(folder)


def test_a_missing_folder_is_named(tmp_path):
    line = refusal(tmp_path / "nowhere")
    assert line.startswith(str(tmp_path / "nowhere")) and "train/ and test/" in line


def test_a_missing_test_part_is_named(folder):
    (folder / "test" / "a.png").unlink()
    (folder / "test").rmdir()
    assert refusal(folder).startswith(str(folder / "test") + ": not found")


def test_a_file_in_place_of_a_part_is_refused(folder):
    (folder / "test" / "a.png").unlink()
    (folder / "test").rmdir()
    (folder / "test").write_text("")
    assert "expected a folder" in refusal(folder)


def test_a_part_without_images_is_refused(folder):
    (folder / "test" / "a.png").unlink()
    assert refusal(folder).startswith(str(folder / "test") + ": holds no images")


def test_a_text_file_among_the_images_is_refused(folder):
    (folder / "train" / "notes.txt").write_text("hello")
    line = refusal(folder)
    assert line.startswith(str(folder / "train" / "notes.txt")) and "is no image" in line


def test_a_folder_among_the_images_is_refused(folder):
    (folder / "train" / "cats.png").mkdir()
    assert refusal(folder).startswith(str(folder / "train" / "cats.png"))


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a" + bytes(50), b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_inside_is_refused(folder, content):
    (folder / "train" / "b.png").write_bytes(content)
    line = refusal(folder)
    assert line.startswith(str(folder / "train" / "b.png")) and "not readable as a PNG or JPEG" in line


def test_an_unreadable_file_is_refused(folder):
    (folder / "train" / "b.png").chmod(0)
    if os.access(folder / "train" / "b.png", os.R_OK):
        pytest.skip("runs with rights that no file mode takes away (root)")
    assert "permission denied" in refusal(folder)


def test_images_of_mixed_sizes_are_refused_with_both_sizes(folder):
    save(folder / "train" / "c.png", grey(9, 6))
    line = refusal(folder)
    assert line.startswith(str(folder / "train" / "c.png"))
    assert "has 6 x 9 pixels of 1 channel" in line and "has 9 x 6 pixels" in line


def test_colour_among_grey_images_is_refused(folder):
    save(folder / "test" / "a.png", RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    assert "9 x 6 pixels of 3 channels" in refusal(folder)


@pytest.mark.parametrize("pixels", [np.zeros((6, 9, 4), dtype=np.uint8), np.zeros((6, 9), dtype=np.uint16)])
def test_transparency_and_deep_pixels_are_refused_rather_than_converted(folder, pixels):
    save(folder / "train" / "b.png", pixels)
    assert "convert it to 8-bit grey or RGB" in refusal(folder)


@pytest.mark.parametrize(("side", "problem"), [(1025, "1025 x 1025 pixels"), (60_000, "far more pixels")])
def test_a_decompression_bomb_is_refused_from_its_header(folder, side, problem):
    (folder / "train" / "b.png").write_bytes(_png_header(side, side))
    line = refusal(folder)
    assert line.startswith(str(folder / "train" / "b.png")) and problem in line and "1,048,576 allowed" in line


def _png_header(columns: int, rows: int) -> bytes:
    header = b"IHDR" + struct.pack(">2I5B", columns, rows, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_folder_larger_than_memory_allows_is_refused_from_its_first_header(folder, monkeypatch):
    monkeypatch.setattr("aesweep.data.image_folder.MAX_FOLDER_BYTES", 4 * 54 - 1)
    assert "would take 216 bytes of memory" in refusal(folder)


@many_files
@given(data=st.data())
def test_an_image_cut_off_anywhere_is_refused_or_whole(folder, data):
    path = folder / "train" / "b.png"
    pixels = save(path, np.arange(54, dtype=np.uint8).reshape(6, 9))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:  # the last bytes of a PNG carry no pixels
        found = load_dataset("faces", path=folder).training[1, 0]
    except DataError:
        assert refusal(folder).startswith(str(path))
    else:
        assert np.array_equal(found, pixels)


@many_files
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_harmless_but_never_another_error(folder, data):
    path = folder / "train" / "b.png"
    save(path, np.arange(54, dtype=np.uint8).reshape(6, 9))
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    try:
        load_dataset("faces", path=folder)
    except DataError:
        refusal(folder)


def test_exif_orientation_is_told_and_changes_no_hash(tmp_path, caplog):
    """Older runs took the pixels as they are stored, and are known by their hash."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        Image.fromarray(pixels).save(tmp_path / part / "plain.png")
    plain, _ = read_image_folder(tmp_path)
    assert not caplog.records
    for part in ("train", "test"):
        Image.fromarray(pixels).save(tmp_path / part / "plain.png", exif=exif)
    turned, _ = read_image_folder(tmp_path)
    assert np.array_equal(plain, turned)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "plain.png: says by EXIF that it is to be turned" in caplog.text and "as they are stored" in caplog.text
