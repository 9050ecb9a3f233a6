"""What the objective of a model consists of, beside the penalties that every family shares.

The objective of an image x of D pixels, with outputs y and code z, is

    gaussian:   mean of (y - x)^2 over the pixels          + beta / D * KL
    bernoulli:  mean of -x log y - (1 - x) log (1 - y)     + beta / D * KL

where KL is the divergence of a variational code's distribution from a standard normal one, in nats, and 0 for a plain
code. At beta = 1, D times the objective is the negative evidence lower bound (Kingma and Welling 2014): exactly with
the Bernoulli likelihood, and up to a constant with a Gaussian one of variance 1/2. Other values of beta are those of
Higgins et al. 2017. Letters: N images, D pixels, Z latent dimension.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional


class Terms(NamedTuple):
    """What a forward pass gives for the objective.

    Attributes:
        outputs: the outputs, [N, D].
        natural: what the reconstruction term is differentiated by, [N, D]: the outputs, or under a Bernoulli likelihood
            what the sigmoid is given. In both cases the derivative is a constant times (outputs - targets).
        code: the codes, [N, Z]; of a variational model those that were drawn, or their means.
        divergence: KL of each image's code, in nats, [N]; zero for a plain code.
    """

    outputs: Tensor
    natural: Tensor
    code: Tensor
    divergence: Tensor


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns the divergence KL(N(mean, variance) || N(0, 1)) of each code, in nats, [N], from two tensors [N, Z]."""
    return ((mean.square() + log_variance.exp() - 1 - log_variance) / 2).sum(-1)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns each image's mean over pixels of -x log y - (1 - x) log (1 - y), y = sigmoid(logits), [..., N]."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
