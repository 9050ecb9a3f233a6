"""What members are judged by, against the metrics of their outputs one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aesweep.data.noise import fixed_noise
from aesweep.models.metrics import per_image_mse
from aesweep.training import evaluation as judging
from aesweep.training.pack import Pack
from aesweep.training.pack_pool import Packs
from aesweep.training.trial_images import to_float
from tests.tiny_jobs import BASE, tiny_job

RNG = np.random.default_rng(8)
PIXELS = RNG.integers(0, 256, (48, 16), dtype=np.uint8)
CLEAN = to_float(RNG.integers(0, 256, (31, 16), dtype=np.uint8))
NOISE = fixed_noise(CLEAN.shape, 1.0, 5, "validation")
VARIANCES = {"clean": 0.0, "noisy": 0.3, "noisier": 2.0}


def trained(output: str, **arguments) -> Pack:
    pack = Pack(PIXELS, members_per_step=10, **arguments)
    for number, (name, variance) in enumerate(VARIANCES.items()):
        configuration = dataclasses.replace(BASE, noise_variance=variance, output=output, learning_rate=0.02)
        pack.add(name, configuration, seed=number, epochs=9)
    pack.train_epoch()
    return pack


def expected(pack: Pack, name: str) -> np.ndarray:
    shown = CLEAN + fixed_noise(CLEAN.shape, VARIANCES[name], 5, "validation") if VARIANCES[name] else CLEAN
    outputs = pack.reconstruct(name, shown).numpy()
    return per_image_mse(outputs.clip(0, 1) if VARIANCES[name] else outputs, CLEAN)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("lock_step", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_errors_are_those_of_each_members_outputs(output, lock_step, dtype, tolerance):
    pack = trained(output, lock_step=lock_step, dtype=dtype)
    found = pack.per_image_mse(VARIANCES, CLEAN, NOISE)
    assert list(found) == list(VARIANCES)
    for name, errors in found.items():
        assert errors.dtype == np.float64
        np.testing.assert_allclose(errors, expected(pack, name), rtol=tolerance)
    if output == "linear":
        raw = pack.reconstruct("noisier", CLEAN + fixed_noise(CLEAN.shape, 2.0, 5, "validation")).numpy()
        assert raw.min() < 0 or raw.max() > 1  # else nothing was cut


def test_one_by_one_they_are_the_metrics_bits():
    pack = trained("sigmoid", lock_step=False)
    for name, errors in pack.per_image_mse(VARIANCES, CLEAN, NOISE).items():
        np.testing.assert_allclose(errors, expected(pack, name), rtol=1e-15)


@pytest.mark.parametrize("lock_step", [False, True])
def test_a_member_that_is_broken_spoils_its_own_errors_alone(lock_step):
    pack = trained("linear", lock_step=lock_step)
    before = pack.per_image_mse(VARIANCES, CLEAN, NOISE)
    pack._members["clean"].parameters.fill_(torch.nan)
    found = pack.per_image_mse(VARIANCES, CLEAN, NOISE)
    assert np.isnan(found["clean"]).all()
    assert np.array_equal(found["noisy"], before["noisy"])


@pytest.mark.parametrize("lock_step", [False, True])
def test_members_that_were_not_asked_for_are_not_told_and_those_that_never_trained_are(lock_step):
    pack = trained("sigmoid", lock_step=lock_step)
    pack.add("new", BASE, seed=4, epochs=1)
    found = pack.per_image_mse({"noisy", "new"}, CLEAN, NOISE)
    assert set(found) == {"noisy", "new"}
    np.testing.assert_allclose(found["new"], per_image_mse(pack.reconstruct("new", CLEAN).numpy(), CLEAN), rtol=1e-12)


def test_where_memory_is_short_fewer_images_are_judged_at_a_time(monkeypatch):
    pack = trained("sigmoid", lock_step=True)
    before = pack.per_image_mse(VARIANCES, CLEAN, NOISE)
    original, asked = judging.per_image_mse, []

    def short(*arguments):
        asked.append(arguments[-1])
        if arguments[-1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(*arguments)

    monkeypatch.setattr(judging, "per_image_mse", short)
    found = pack.per_image_mse(VARIANCES, CLEAN, NOISE)
    assert asked[0] > 5 and asked[-1] <= 5
    for name, errors in before.items():
        np.testing.assert_allclose(found[name], errors, rtol=1e-5)
    monkeypatch.setattr(judging, "per_image_mse", lambda *a: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(torch.OutOfMemoryError):
        pack.per_image_mse(VARIANCES, CLEAN, NOISE)


def test_jobs_of_a_pack_that_are_judged_by_different_images_each_get_their_own(images):
    """As where one stage still trains with 5 validation images and another already with 7."""
    specs = [
        tiny_job(0, BASE, epochs=2, validation_images=5),
        tiny_job(1, dataclasses.replace(BASE, noise_variance=0.2), epochs=2, validation_images=7),
        tiny_job(2, BASE, epochs=2, validation_images=5, seeds=(4, 5)),
    ]
    together = Packs()
    packed_trials = {together.join(spec, images): spec for spec in specs}
    assert len({id(packed.pack) for packed in packed_trials}) == 1
    rows = {packed_trials[packed].trial: row for packed, row in together.train_epoch()}
    for spec in specs:
        alone = Packs()
        alone.join(spec, images)
        ((_, row),) = alone.train_epoch()
        for name in ("validation_mse", "validation_psnr_db", "training_mse", "per_seed"):
            assert getattr(rows[spec.trial], name) == getattr(row, name)
