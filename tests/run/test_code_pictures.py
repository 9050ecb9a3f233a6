"""Codes of retrained winners: what is judged, from real checkpoints, and what is pictured."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from tiny_jobs import BASE, tiny_images, tiny_job

from aesweep.data.image_data import ImageData, Labels
from aesweep.models.baselines import Pca
from aesweep.models.codes import neighbour_accuracy, probe_accuracy
from aesweep.run.evaluation.codes import code_pictures, decoded, encoded, judge_codes
from aesweep.run.evaluation.example_images import plain_winners
from aesweep.search.retraining import Retraining
from aesweep.search.winners import Winner
from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.run_folder import CHECKPOINTS, RunFolder, checkpoint_name
from aesweep.study.study_file import check_study
from aesweep.training.checkpoints.model_file import CodeModel, read_checkpoint
from aesweep.training.engine.member import architecture_of
from aesweep.training.single_trial import fit

CONVOLUTIONAL = dataclasses.replace(BASE, family="convolutional", channels=(3,), kernel_size=3, hidden_layers=())
MODELS = {
    "dense": BASE,
    "convolutional": CONVOLUTIONAL,
    "variational": dataclasses.replace(CONVOLUTIONAL, code="variational", beta=0.1),
}


@pytest.fixture(scope="module")
def images() -> ImageData:
    plain = tiny_images()
    generator = np.random.default_rng(0)
    labels = Labels(*(generator.integers(0, 3, len(part)) for part in (plain.training, plain.test)))
    return dataclasses.replace(plain, labels=labels)


def retrained(folder: RunFolder, images: ImageData, configuration, trial="a", stage="stage", epochs=2) -> Retraining:
    name = f"{trial}-{epochs}"
    spec = tiny_job(1, configuration, trial=name, epochs=epochs, purpose="retraining")
    spec = dataclasses.replace(spec, checkpoint=f"{CHECKPOINTS}/{checkpoint_name(name)}", dataset=images.name)
    list(fit(spec, images, FolderFiles(folder.root)))
    winner = Winner(stage, images.name, {"latent_dim": configuration.latent_dim}, trial, 1.0, configuration)
    return Retraining(spec, [winner])


def study(stages=("stage",)):
    space = {"hidden_layers": [12, 8], "latent_dim": {"grid": [1, 3]}}
    stage = {"space": space, "table": {"rows": "latent_dim"}, "epochs": 2}
    values = {"name": "codes", "datasets": ["digits"], "stages": dict.fromkeys(stages, stage)}
    return check_study({**values, "retraining": {"epochs": 2}}, "a test")


@pytest.mark.parametrize("name", MODELS)
def test_accuracies_are_those_of_the_checkpoints_own_encoder(tmp_path, images, name):
    folder = RunFolder(tmp_path)
    done = [retrained(folder, images, MODELS[name])]
    events = list(judge_codes(folder, images, plain_winners(done), ()))
    assert [event["method"] for event in events] == ["pixels", "pca", "model"]
    assert {event["num_fitted"] for event in events} == {len(images.training)}
    assert {event["num_judged"] for event in events} == {len(images.test)}
    training, test = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (images.training, images.test))
    module, _ = read_checkpoint(tmp_path / CHECKPOINTS / checkpoint_name("a-2"))
    latent_dim = MODELS[name].latent_dim
    # The encoder is the front of the plain module, up to the layer whose output is as long as the code.
    sizes = [module[: n + 1](torch.zeros(1, test.shape[1])).shape[-1] for n in range(len(module))]
    encoder = module[: sizes.index(latent_dim) + 1]
    pca = Pca.fit(training, latent_dim)
    with torch.no_grad():
        codes = {
            "pixels": (training, test),
            "pca": (pca.encode(training, latent_dim), pca.encode(test, latent_dim)),
            "model": tuple(encoder(torch.from_numpy(part)).numpy() for part in (training, test)),
        }
    for event in events:
        fitted, judged = codes[event["method"]]
        truth = fitted, images.labels.training, judged, images.labels.test
        # The order in which images are fitted moves a probe that has not converged by an image or two.
        assert event["probe_accuracy"] == pytest.approx(probe_accuracy(*truth), abs=0.1)
        assert event["neighbour_accuracy"] == pytest.approx(neighbour_accuracy(*truth), abs=0.1)


def test_what_is_judged_already_is_not_judged_again(tmp_path, images):
    folder = RunFolder(tmp_path)
    done = [retrained(folder, images, BASE)]
    first = list(judge_codes(folder, images, plain_winners(done), ()))
    known = {(event["method"], event["latent_dim"], event["retraining"]) for event in first}
    assert list(judge_codes(folder, images, plain_winners(done), known)) == []
    (left,) = judge_codes(folder, images, plain_winners(done), known - {("pixels", None, None)})
    assert left == first[0]


def test_images_without_labels_and_denoisers_are_not_judged(tmp_path, images):
    folder = RunFolder(tmp_path)
    done = [retrained(folder, images, BASE)]
    assert list(judge_codes(folder, dataclasses.replace(images, labels=None), plain_winners(done), ())) == []
    denoiser = dataclasses.replace(BASE, noise_variance=0.1)
    winner = Winner("stage", images.name, {"noise_variance": 0.1}, "b", 1.0, denoiser)
    assert plain_winners([Retraining(done[0].spec, [winner])]) == []


@pytest.mark.parametrize("name", MODELS)
def test_lines_begin_and_end_at_test_images_and_pass_through_their_reconstructions(tmp_path, images, name):
    folder = RunFolder(tmp_path)
    done = [retrained(folder, images, MODELS[name])]
    (event,) = code_pictures(folder, study(), images, done)
    assert (event["purpose"], event["stage"], event["epochs"]) == ("codes", "stage", [2])
    with np.load(io.BytesIO((tmp_path / event["file"]).read_bytes()), allow_pickle=False) as archive:
        arrays = dict(archive)
    assert ("samples" in arrays) == (name == "variational")
    assert all(array.dtype == np.float32 for array in arrays.values())
    test = images.test.astype(np.float32) / 255
    lines = arrays["lines"]
    pairs = len(lines)
    np.testing.assert_array_equal(lines[:, 0], test[0 : 2 * pairs : 2])
    np.testing.assert_array_equal(lines[:, -1], test[1 : 2 * pairs : 2])
    module, _ = read_checkpoint(tmp_path / CHECKPOINTS / checkpoint_name("a-2"))
    with torch.no_grad():
        outputs = module(torch.from_numpy(test[: 2 * pairs].reshape(2 * pairs, -1))).numpy().clip(0, 1)
    outputs = outputs.reshape(-1, *test.shape[1:])
    np.testing.assert_allclose(lines[:, 1], outputs[0::2], atol=1e-5)
    np.testing.assert_allclose(lines[:, -2], outputs[1::2], atol=1e-5)
    assert len(arrays["positions"]) == len(arrays["labels"]) == len(images.test)
    np.testing.assert_array_equal(arrays["labels"], images.labels.test)


def test_pictures_are_the_same_every_time_and_not_taken_twice(tmp_path, images):
    folder = RunFolder(tmp_path)
    done = [retrained(folder, images, MODELS["variational"]), retrained(folder, images, BASE, "b", "other")]
    first = list(code_pictures(folder, study(("stage", "other")), images, done))
    assert first == list(code_pictures(folder, study(("stage", "other")), images, done))
    assert len({event["file"] for event in first}) == 2
    (left,) = code_pictures(folder, study(("stage", "other")), images, done, {("stage", "codes")})
    assert left == first[1]


def test_numbers_are_those_of_any_process_however_many_threads_it_has():
    """Layers of a size that torch divides among threads: a run's and a resumed run's drivers differ in their number."""
    configuration = dataclasses.replace(CONVOLUTIONAL, channels=(8, 16), latent_dim=20)
    architecture = architecture_of(configuration, (1, 28, 28))
    model = CodeModel(architecture, architecture.initial_parameters(torch.Generator().manual_seed(0)))
    images = np.random.default_rng(0).random((1000, 784), dtype=np.float32)
    found = []
    for num_threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(num_threads)
        try:
            codes = encoded(model, images)
            found.append((codes.tobytes(), decoded(model, codes).tobytes()))
            assert torch.get_num_threads() == num_threads
        finally:
            torch.set_num_threads(before)
    assert len(set(found)) == 1
