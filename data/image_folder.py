"""Reads a folder of PNG and JPEG images: `train/` and `test/`, all of one size, grey or RGB.

Image files are untrusted input: format, size and number of channels are checked from the header before anything is
decoded, and any failure of the decoder becomes a DataError that names the file. Pixels are used as they are stored,
without colour management and without EXIF rotation, since applying it would change the hashes by which earlier runs
identify their images. A warning names the first image whose EXIF data ask for rotation, and counts them.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from aesweep.data.image_data import DataError
from aesweep.process.wording import plural

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_IMAGE_PIXELS = 1024 * 1024
MAX_FOLDER_BYTES = 8 * 1024**3
_CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3, "CMYK": 3, "YCbCr": 3}
_Shape = tuple[int, int, int]
_log = logging.getLogger(__name__)


def read_image_folder(folder: Path, name: str = "NAME") -> tuple[np.ndarray, np.ndarray]:
    """Reads `folder/train/*` and `folder/test/*`, each in the order of the file names.

    Hidden files (their names start with a dot) are ignored; every other file must be an image.

    Args:
        folder: the folder of the data set.
        name: the data set's name, for messages.

    Returns:
        Training and test images, uint8 [N, C, H, W] with C = 1 (grey) or 3 (RGB).

    Raises:
        DataError: a folder or file is missing, unreadable, a link out of `folder`, not an image, damaged, too large,
            or of another size than the rest.
    """
    paths = {part: _image_paths(folder, part, name) for part in ("train", "test")}
    first = paths["train"][0]
    with _opened(first) as image:
        shape = _shape(image, first)
    num_bytes = sum(map(len, paths.values())) * int(np.prod(shape))
    if num_bytes > MAX_FOLDER_BYTES:
        remedy = "scale the images down or take fewer"
        raise DataError(
            folder, f"would take {num_bytes:,} bytes of memory, more than the {MAX_FOLDER_BYTES:,} allowed", remedy
        )
    return _read_all(paths["train"], shape, first), _read_all(paths["test"], shape, first)


def _image_paths(folder: Path, part: str, name: str) -> list[Path]:
    remedy = f"correct the path in the study, or say where it is with --images {name}=PATH"
    try:
        root = folder.resolve(strict=True)
        paths = sorted(path for path in (folder / part).iterdir() if not path.name.startswith("."))
        for path in (folder / part, *paths):
            # A link out of the folder would make the data depend on files that were not meant to be shared.
            if not path.resolve(strict=True).is_relative_to(root):
                raise DataError(path, f"is a link that leads out of {folder}", "copy the file into the folder")
    except FileNotFoundError as error:
        problem = "not found (images of your own are a folder with train/ and test/, or arrays: docs/STUDY_FILE.md)"
        place = (error.filename or folder / part) if folder.exists() else folder  # not its first missing parent
        raise DataError(place, problem, remedy) from error
    except NotADirectoryError as error:
        raise DataError(folder, "is a file, expected a folder of images or an .npz archive", remedy) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: circular links, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise DataError(folder / part, f"cannot be read ({reason})", "make the folder readable") from error
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            kinds = ", ".join(SUFFIXES)
            raise DataError(path, f"is no image, expected only {kinds} files directly in {part}/", "move it elsewhere")
    if not paths:
        raise DataError(folder / part, "holds no images", f"put {', '.join(SUFFIXES)} files there")
    return paths


def _read_all(paths: list[Path], shape: _Shape, first: Path) -> np.ndarray:
    images = np.empty((len(paths), *shape), dtype=np.uint8)
    turned: list[Path] = []
    for index, path in enumerate(paths):
        with _opened(path) as image:
            found = _shape(image, path)
            if found != shape:
                raise DataError(
                    path,
                    f"has {_shown(found)}, but {first} has {_shown(shape)}",
                    "bring all images to one size and one number of channels",
                )
            images[index] = _pixels(image, path, shape)
            if _is_turned(image):
                turned.append(path)
    _tell_turned(turned)
    return images


def _is_turned(image: Image.Image) -> bool:
    """Returns whether EXIF says that the picture is to be rotated or mirrored before it is shown."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
    except Exception:  # damaged EXIF data are ignored, since they do not affect the pixels
        return False


def _tell_turned(paths: list[Path]) -> None:
    if paths:
        first = DataError(
            paths[0],
            f"says by EXIF that it is to be turned before it is shown; {plural(len(paths), 'image')} of this folder "
            f"{'does' if len(paths) == 1 else 'do'}, and all are taken as they are stored",
            "turn the pixels themselves, as `mogrify -auto-orient` does, if they shall be trained as they are shown",
        )
        _log.warning("%s", first)


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images by the header alone; MAX_IMAGE_PIXELS is checked later and is stricter.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=("PNG", "JPEG"))
    except PermissionError as error:
        raise DataError(path, "cannot be read (permission denied)", "make it readable") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, "far more pixels") from error
    except Exception as error:  # Pillow's parsers raise many kinds: OSError, SyntaxError, ValueError, struct.error
        raise DataError(path, "is not readable as a PNG or JPEG image", "replace it or move it elsewhere") from error


def _shape(image: Image.Image, path: Path) -> _Shape:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_large(path, f"{image.width} x {image.height} pixels")
    if image.mode not in _CHANNELS:
        remedy = "convert it to 8-bit grey or RGB without transparency"
        raise DataError(path, f"has pixels of mode {image.mode}", remedy)
    return _CHANNELS[image.mode], image.height, image.width


def _pixels(image: Image.Image, path: Path, shape: _Shape) -> np.ndarray:
    try:
        pixels = np.asarray(image.convert("L" if shape[0] == 1 else "RGB"), dtype=np.uint8)
    except Exception as error:  # as in _opened: decoding damaged data fails in many ways
        reason = str(error).partition("\n")[0]
        raise DataError(path, f"is a damaged image ({reason})", "replace it or move it elsewhere") from error
    return pixels.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)  # [H, W] or [H, W, C] to [C, H, W]


def _too_large(path: Path, found: str) -> DataError:
    return DataError(path, f"has {found}, more than the {MAX_IMAGE_PIXELS:,} allowed", "scale it down")


def _shown(shape: _Shape) -> str:
    channels, rows, columns = shape
    return f"{columns} x {rows} pixels of {plural(channels, 'channel')}"


def read_image(path: Path, shape: _Shape) -> np.ndarray:
    """Reads one image file of a known shape.

    Args:
        path: a PNG or JPEG file.
        shape: the expected C, H, W.

    Returns:
        uint8 [C, H, W].

    Raises:
        DataError: the file is missing, unreadable, damaged, too large, or of another shape.
    """
    if path.is_dir():
        raise DataError(path, "is a folder, expected an image file", "name the files in it")
    if not path.exists():
        raise DataError(path, "not found, expected an image file", "correct the path")
    if not path.is_file():
        raise DataError(path, "is no file (a device or a pipe), expected an image file", "copy it into a file")
    with _opened(path) as image:
        found = _shape(image, path)
        if found != shape:
            raise DataError(path, f"has {_shown(found)}, expected {_shown(shape)}", "scale or convert it")
        pixels = _pixels(image, path, shape)
        _tell_turned([path] if _is_turned(image) else [])
        return pixels
