"""The reference for training: an nn.Sequential, autograd, torch.optim and torch's own schedulers, a model at a time.

From the project it takes the streams of randomness alone, so that both sides start from the same weights and see the
same batches, noise and dropout.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from aesweep.models.autoencoder import Architecture, as_module
from aesweep.models.initialization import initial_parameters
from aesweep.study.configuration import Configuration
from aesweep.training.engine.randomness import epoch_order, stream


def some_images(num_images: int, num_pixels: int, seed: int = 0) -> np.ndarray:
    """uint8 [N, D] of low rank with a little noise: something to learn."""
    generator = np.random.default_rng(seed)
    smooth = generator.random((num_images, 4)) @ generator.random((4, num_pixels)) / 4
    return (255 * np.clip(smooth + 0.05 * generator.standard_normal(smooth.shape), 0, 1)).astype(np.uint8)


def train_plainly(
    images: np.ndarray,
    configuration: Configuration,
    *,
    seed: int,
    epochs: int,
    dtype: torch.dtype,
    max_steps: int | None = None,
) -> tuple[list[float], list[float], nn.Sequential]:
    """Losses (the objective) and learning rates of every step, and the trained model."""
    torch_images = torch.from_numpy(images).to(dtype) / 255
    architecture = Architecture(
        images.shape[1],
        configuration.hidden_layers,
        configuration.latent_dim,
        configuration.activation,
        configuration.output,
    )
    mean_image = torch.from_numpy(images).double().mean(0) / 255
    initial = initial_parameters(architecture, stream(seed, "initial", 0), configuration.initialization, mean_image)
    model = as_module(architecture, initial.to(dtype))
    linears = [part for part in model if isinstance(part, nn.Linear)]
    weights = [linear.weight for linear in linears]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": configuration.weight_decay},
            {"params": [linear.bias for linear in linears], "weight_decay": 0.0},
        ],
        lr=configuration.learning_rate,
    )
    num_steps = epochs * -(-len(images) // configuration.batch_size)
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=num_steps),
        "one_cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=configuration.learning_rate, total_steps=num_steps, cycle_momentum=False
        ),
    }[configuration.schedule]()
    losses, rates = [], []
    for epoch in range(1, epochs + 1):
        noise, dropout = stream(seed, "noise", epoch), stream(seed, "dropout", epoch)
        for chosen in epoch_order(seed, epoch, len(images)).split(configuration.batch_size):
            clean = torch_images[chosen]
            given = clean
            if configuration.noise_variance:
                given = clean + torch.empty_like(clean).normal_(0, configuration.noise_variance**0.5, generator=noise)
            outputs, code = _run(model, given, configuration, dropout)
            loss = (
                nn.functional.mse_loss(outputs, clean)
                + configuration.l1 * sum(weight.abs().sum() for weight in weights)
                + configuration.l2 * sum(weight.square().sum() for weight in weights)
                + configuration.sparse_code * code.abs().sum(dim=1).mean()
            )
            optimizer.zero_grad()
            loss.backward()
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
            if len(losses) == max_steps:
                return losses, rates, model
    return losses, rates, model


def _run(
    model: nn.Sequential, vectors: Tensor, configuration: Configuration, dropout: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Outputs and codes, with hidden units dropped."""
    linears = 0
    for part in model:
        vectors = part(vectors)
        if isinstance(part, nn.Linear):
            linears += 1
            if linears == len(configuration.hidden_layers) + 1:
                code = vectors
        elif configuration.dropout and not isinstance(part, nn.Sigmoid):
            keep = 1 - configuration.dropout
            vectors = vectors * torch.empty_like(vectors).bernoulli_(keep, generator=dropout) / keep
    return vectors, code
