"""Reconstruction, or denoising, of image files with a winner's checkpoint."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from aesweep.data.image_folder import read_image
from aesweep.data.noise import fixed_noise
from aesweep.models.metrics import mse, psnr_db
from aesweep.process.errors import AesweepError
from aesweep.storage.atomic_file import write_whole
from aesweep.training.checkpoints.model_file import read_checkpoint
from aesweep.training.engine.precision import inference


def reconstruct_files(
    checkpoint: Path, files: list[Path], output: Path, add_noise: float, seed: int
) -> list[dict[str, Any]]:
    """Reconstructs image files with a model, writes the outputs as PNG files, and returns their errors.

    An output has its image's name, with the suffix .png.

    Args:
        checkpoint: checkpoint of a retrained winner.
        files: image files of the size that the model was trained on.
        output: folder for the results; the noisy input is written beside the result where noise is added.
        add_noise: variance of the Gaussian noise added to each image first, pixels in [0, 1]; 0 for none.
        seed: seed of that noise.

    Returns:
        For each file `image` and `output`, the two paths, and `mse` and `psnr_db` of the output against the image
        without added noise.

    Raises:
        CheckpointError: the checkpoint is damaged, or the file is not one.
        aesweep.data.DataError: an image is damaged or of another size.
        AesweepError: a result would overwrite an image or another result.
    """
    targets = [output / f"{path.stem}.png" for path in files]
    written = [*targets, *(target.with_suffix(".noisy.png") for target in targets if add_noise)]
    if len(set(written)) < len(written):
        raise AesweepError(f"{output}: two images would be written to one file: give images of distinct names")
    overwritten = {path.resolve() for path in files} & {target.resolve() for target in written}
    if overwritten:
        raise AesweepError(f"{min(overwritten)} would be overwritten by its reconstruction: give another --output")
    model, metadata = read_checkpoint(checkpoint)
    shape = metadata.image_shape
    clean = np.stack([read_image(path, shape) for path in files]).reshape(len(files), -1).astype(np.float32) / 255
    shown = clean + fixed_noise(clean.shape, add_noise, seed, "reconstruct") if add_noise else clean
    with inference():
        outputs = model(torch.from_numpy(shown)).numpy().clip(0, 1)
    rows = []
    for number, (path, target) in enumerate(zip(files, targets, strict=True)):
        _write_png(target, outputs[number].reshape(shape))
        if add_noise:
            _write_png(target.with_suffix(".noisy.png"), shown[number].clip(0, 1).reshape(shape))
        judged = outputs[number : number + 1], clean[number : number + 1]
        rows.append({"image": str(path), "output": str(target), "mse": mse(*judged), "psnr_db": psnr_db(*judged)})
    return rows


def _write_png(path: Path, image: np.ndarray) -> None:
    pixels = np.rint(image * 255).astype(np.uint8)  # [C, H, W]
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())
