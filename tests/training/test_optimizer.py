"""Learning-rate schedules and Adam against PyTorch's own."""

import pytest
import torch
from torch.optim import lr_scheduler

from aesweep.study.configuration import SCHEDULES
from aesweep.training.engine.optimizer import FACTORS, adam_step, decay_weights


def rates_of(make, num_steps: int) -> list[float]:
    """The rates that a scheduler of torch gives each step, for a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < num_steps:
            scheduler.step()
    return rates


def test_every_schedule_of_a_configuration_is_known():
    assert set(FACTORS) == set(SCHEDULES)


@pytest.mark.parametrize("num_steps", [2, 3, 7, 100, 1407])
def test_one_cycle_is_that_of_torch(num_steps):
    expected = rates_of(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=num_steps, cycle_momentum=False),
        num_steps,
    )
    got = [FACTORS["one_cycle"](step, num_steps) for step in range(num_steps)]
    assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
def test_cosine_is_that_of_torch(num_steps):
    expected = rates_of(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=num_steps), num_steps)
    got = [FACTORS["cosine"](step, num_steps) for step in range(num_steps)]
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 10])
def test_every_factor_lies_between_zero_and_one(name, num_steps):
    # Steps past the end happen when a training goes on with more images than it was planned for.
    assert all(0 <= FACTORS[name](step, num_steps) <= 1 for step in range(num_steps + 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torch(dtype, weight_decay):
    generator = torch.Generator().manual_seed(1)
    flat = torch.randn(50, dtype=dtype, generator=generator)
    weights, biases = (torch.nn.Parameter(part.clone()) for part in flat.split([40, 10]))
    reference = torch.optim.AdamW(
        [{"params": [weights], "weight_decay": weight_decay}, {"params": [biases], "weight_decay": 0.0}]
    )
    moment1, moment2, step = torch.zeros_like(flat), torch.zeros_like(flat), torch.tensor(0.0)
    for rate in (1e-3, 0.5, 1e-2, 0.0, 3e-3):
        gradient = torch.randn(50, dtype=dtype, generator=generator)
        for group in reference.param_groups:
            group["lr"] = rate
        weights.grad, biases.grad = (part.clone() for part in gradient.split([40, 10]))
        reference.step()
        decay_weights(flat[:40], rate, weight_decay)
        adam_step(flat, gradient, moment1, moment2, step, rate)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(flat, torch.cat([weights, biases]).detach(), rtol=tolerance, atol=tolerance / 10)
    assert step.item() == 5
