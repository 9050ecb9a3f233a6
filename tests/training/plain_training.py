"""The reference for training: an nn.Sequential, autograd, torch.optim and torch's own schedulers, a model at a time.

From the project it takes the streams of randomness alone, so that both sides start from the same weights and see the
same batches, noise and dropout.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from aesweep.models.family import build
from aesweep.models.network import Mean
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
    image_shape: tuple[int, ...] | None = None,
) -> tuple[list[float], list[float], nn.Sequential]:
    """Losses (the objective) and learning rates of every step, and the trained model."""
    torch_images = torch.from_numpy(images).to(dtype) / 255
    image_shape = image_shape or (1, 1, images.shape[1])
    architecture = build(configuration, image_shape)
    mean_image = torch.from_numpy(images).double().mean(0) / 255
    initial = architecture.initial_parameters(stream(seed, "initial", 0), configuration.initialization, mean_image)
    model = architecture.as_module(initial.to(dtype))
    # Penalties and decay are for weights alone; a bias, and what normalization learns, has one dimension.
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": configuration.weight_decay},
            {"params": others, "weight_decay": 0.0},
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
        noise, dropout, draws = (stream(seed, purpose, epoch) for purpose in ("noise", "dropout", "code"))
        for chosen in epoch_order(seed, epoch, len(images)).split(configuration.batch_size):
            clean = torch_images[chosen]
            given = clean
            if configuration.noise_variance:
                given = clean + torch.empty_like(clean).normal_(0, configuration.noise_variance**0.5, generator=noise)
            outputs, code, divergence = _run(model, given, configuration, dropout, draws)
            compare = {"gaussian": nn.functional.mse_loss, "bernoulli": nn.functional.binary_cross_entropy}
            loss = (
                compare[configuration.likelihood](outputs, clean)
                + configuration.beta / images.shape[1] * divergence
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
    model: nn.Sequential,
    vectors: Tensor,
    configuration: Configuration,
    dropout: torch.Generator,
    draws: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, codes, and the mean divergence of variational codes in nats; hidden units are dropped."""
    layers, divergence = 0, torch.zeros(())
    for index, part in enumerate(model):
        if isinstance(part, Mean):
            mean, log_variance = vectors.chunk(2, dim=1)
            code_of = torch.distributions.Normal(mean, (log_variance / 2).exp())
            normal = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
            divergence = torch.distributions.kl_divergence(code_of, normal).sum(1).mean()
            code = vectors = mean + code_of.stddev * torch.empty_like(mean).normal_(generator=draws)
            continue
        vectors = part(vectors)
        if configuration.options and index == 1:  # a user's own encoder, in one piece
            code = vectors
        elif isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            layers += 1
            if layers == len(configuration.channels) + len(configuration.hidden_layers) + 1:
                code = vectors
        elif configuration.dropout and isinstance(part, (nn.GELU, nn.ReLU, nn.SiLU, nn.Tanh)):
            keep = 1 - configuration.dropout
            vectors = (
                vectors * torch.empty(vectors.shape, dtype=vectors.dtype).bernoulli_(keep, generator=dropout) / keep
            )
    return vectors, code, divergence
