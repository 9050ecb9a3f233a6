"""Test error and seconds of our convolutional family against pythae's `AE` with its own networks for MNIST.

Both sides train one autoencoder of about as many parameters at latent 16 on the same images of MNIST, for as many
epochs of as many batches, and are judged on the same images, by the mean squared error per pixel. pythae (Chadebec et
al., NeurIPS 2022) trains by its own `BaseTrainer`, with `Encoder_Conv_AE_MNIST` and `Decoder_Conv_AE_MNIST`, at a
constant rate of Adam; ours trains as a pack's member. Seconds are those of the training loop. Sides alternate in one
process, each round has another seed and begins with the other side, and ratios compare a round's sides with each other.

    pip install '.[peers]'
    python tests/benchmarks/bench_peers.py [--data-dir DATA] [--images 10000] [--epochs 5] [--rounds 3]

With `--validation 6000`, as many training images are held out and judged in place of the test set: settings are chosen
by these alone. A round takes half an hour on one core, nearly all of it pythae's (3.5 s a step). Prints a markdown
table on stdout, and what pythae says of itself on stderr.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import NamedTuple

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from aesweep.data import load_dataset
from aesweep.study.configuration import Configuration
from aesweep.training.engine.member import architecture_of
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack import Pack

SHAPE, LATENT_DIM = (1, 28, 28), 16
COLUMNS = (("MSE", ".6f"), ("seconds", ".1f"), ("CPU seconds", ".1f"))  # those of a `Measurement`


class Measurement(NamedTuple):
    """One side in one round.

    Attributes:
        mse: mean squared error per pixel of the judged images.
        seconds: of the training, by the clock.
        cpu_seconds: of the training, spent on processors: beside other work, the fairer comparison.
    """

    mse: float
    seconds: float
    cpu_seconds: float


class Clock:
    """Seconds since the clock was made, by the clock and on processors."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._started[0], time.process_time() - self._started[1]


class Ours:
    """A member of a pack.

    Args:
        configuration: what is trained.
        precision: "fp32" or "bf16".
    """

    def __init__(self, configuration: Configuration, precision: str):
        self.configuration, self.precision = configuration, precision
        self.num_parameters = architecture_of(configuration, SHAPE).layout.num_elements

    def measure(self, training: np.ndarray, judged: np.ndarray, seed: int, epochs: int) -> Measurement:
        """Trains on images uint8 [N, D], and judges on others."""
        clock = Clock()
        pack = Pack(training, image_shape=SHAPE, precision=self.precision)
        pack.add("ours", self.configuration, seed=seed, epochs=epochs)
        for _ in range(epochs):
            pack.train_epoch()
        seconds = clock.read()
        inputs = judged.astype(np.float32) / 255
        return Measurement(mean_squared_error(pack.reconstruct("ours", inputs), judged), *seconds)


class Pythae:
    """pythae's `AE` with its own networks for MNIST, trained by its own trainer.

    Args:
        learning_rate: of Adam.
        batch_size: images per step.
    """

    def __init__(self, learning_rate: float, batch_size: int):
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.num_parameters = sum(parameter.numel() for parameter in self._model().parameters())

    def _model(self) -> torch.nn.Module:
        from pythae.models import AE, AEConfig
        from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_AE_MNIST

        config = AEConfig(input_dim=SHAPE, latent_dim=LATENT_DIM)
        return AE(config, encoder=Encoder_Conv_AE_MNIST(config), decoder=Decoder_Conv_AE_MNIST(config))

    def measure(self, training: np.ndarray, judged: np.ndarray, seed: int, epochs: int) -> Measurement:
        """Trains on images uint8 [N, D], and judges on others."""
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        torch.manual_seed(seed)
        model = self._model()
        with tempfile.TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=epochs,
                learning_rate=self.learning_rate,
                per_device_train_batch_size=self.batch_size,
                keep_best_on_train=True,
                seed=seed,
                no_cuda=True,
            )
            images = torch.from_numpy(training).float().reshape(-1, *SHAPE) / 255
            trainer = BaseTrainer(model, BaseDataset(images, torch.zeros(len(images))), training_config=config)
            clock = Clock()
            trainer.train()
            seconds = clock.read()
        model.eval()
        with torch.no_grad():
            parts = (torch.from_numpy(judged).float().reshape(-1, *SHAPE) / 255).split(500)
            outputs = torch.cat([model({"data": part}).recon_x.reshape(len(part), -1) for part in parts])
        return Measurement(mean_squared_error(outputs, judged), *seconds)


def mean_squared_error(outputs: Tensor, images: np.ndarray) -> float:
    """Returns the mean squared error per pixel of outputs [N, D] in [0, 1] against images uint8 [N, D], in float64."""
    return float(np.square(outputs.double().numpy() - images.astype(np.float64) / 255).mean())


def summary(measured: dict[str, list[Measurement]], sizes: dict[str, int]) -> str:
    """Returns a markdown table of medians over the rounds, and of each side's ratio to the first one's, also medians.

    Args:
        measured: by side, ours first, the measurements of all rounds.
        sizes: by side, the number of parameters.
    """
    first, rows = next(iter(measured.values())), []
    for name, found in measured.items():
        medians = [statistics.median(values) for values in zip(*found, strict=True)]
        ratios = [np.divide(theirs, ours) for ours, theirs in zip(first, found, strict=True)]
        rows.append([name, f"{sizes[name]:,}", *medians, *np.median(ratios, axis=0)])
    headers = ["side", "parameters", *(name for name, _ in COLUMNS), *(f"{name} / ours" for name, _ in COLUMNS)]
    form = ("", "", *(form for _, form in COLUMNS), *[".2f"] * len(COLUMNS))
    return tabulate(rows, headers, "github", floatfmt=form, disable_numparse=[1])


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    found.add_argument("--data-dir")
    found.add_argument("--images", type=int, default=10_000)
    found.add_argument("--validation", type=int, default=0)
    found.add_argument("--epochs", type=int, default=5)
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--batch-size", type=int, default=128)
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--precision", nargs="+", default=["fp32"])
    found.add_argument("--channels", type=int, nargs="+", default=[64, 128])
    found.add_argument("--hidden-layers", type=int, nargs="*", default=[1365])
    found.add_argument("--kernel-size", type=int, default=4)
    found.add_argument("--activation", default="gelu")
    found.add_argument("--normalization", default="none")
    found.add_argument("--learning-rate", type=float, nargs="+", default=[3e-3])
    found.add_argument("--pythae-learning-rate", type=float, nargs="*", default=[1e-3])
    return found


def configurations(arguments: argparse.Namespace) -> dict[float, Configuration]:
    """Returns what our side trains, by learning rate."""
    return {
        rate: Configuration(
            family="convolutional",
            channels=tuple(arguments.channels),
            hidden_layers=tuple(arguments.hidden_layers),
            kernel_size=arguments.kernel_size,
            activation=arguments.activation,
            normalization=arguments.normalization,
            latent_dim=LATENT_DIM,
            batch_size=arguments.batch_size,
            learning_rate=rate,
        )
        for rate in arguments.learning_rate
    }


def main() -> None:
    arguments = parser().parse_args()
    configure_torch(num_threads=arguments.threads)
    sides: dict[str, Ours | Pythae] = {}
    for precision in arguments.precision:
        for rate, configuration in configurations(arguments).items():
            sides[f"ours, {precision}, {rate:g}"] = Ours(configuration, precision)
    for rate in arguments.pythae_learning_rate:
        sides[f"pythae, {rate:g}"] = Pythae(rate, arguments.batch_size)

    data = load_dataset("mnist", data_dir=arguments.data_dir)
    training, judged = (images.reshape(len(images), -1) for images in (data.training, data.test))
    if arguments.validation:
        training, judged = training[: -arguments.validation], training[-arguments.validation :]
    training = np.ascontiguousarray(training[: arguments.images])
    measured: dict[str, list[Measurement]] = {name: [] for name in sides}
    for number in range(arguments.rounds):
        for name in list(sides)[:: -1 if number % 2 == 0 else 1]:
            measured[name].append(sides[name].measure(training, judged, number, arguments.epochs))
            mse, seconds, cpu_seconds = measured[name][-1]
            print(f"round {number + 1}, {name}: {mse:.6f}, {seconds:.1f} s, CPU {cpu_seconds:.1f} s", flush=True)
    where = f"{arguments.validation:,} held-out training images" if arguments.validation else "the test set"
    print(
        f"\nLatent {LATENT_DIM}, {len(training):,} images, {arguments.epochs} epochs, batch {arguments.batch_size}, "
        f"judged on {where}; medians of {arguments.rounds} rounds, threads: {arguments.threads}\n"
    )
    print(summary(measured, {name: side.num_parameters for name, side in sides.items()}))


if __name__ == "__main__":
    main()
