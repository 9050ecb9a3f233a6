"""Triton kernels for a lock-step: the update, the noise and the dropout masks, each fused into one kernel.

The references are `philox.py` and `update_plainly` in `lock_step.py`. Tests compare the kernels with them in Triton's
interpreter, and compile the kernels for A100 and H100: vectors are read and written 16 bytes at a time, and no
registers are spilled. The kernels have not run on a GPU yet. The module is imported only where there is one.

Letters: K members, P length of a parameter vector, n numbers per member.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

# Elements of a vector, and blocks of four random numbers, that one Triton program processes.
BLOCK, DRAWN_BLOCKS = 1024, 256


@triton.jit
def _divided(a, b):
    """The quotient rounded as IEEE 754 has it; Triton's division of float32 may be off by two units."""
    if b.dtype == tl.float32:
        return tl.div_rn(a, b)
    else:
        return a / b


@triton.jit
def _root(a):
    """The square root rounded as IEEE 754 has it; Triton's of float32 is approximate."""
    if a.dtype == tl.float32:
        return tl.sqrt_rn(a)
    else:
        return tl.sqrt(a)


@triton.jit
def _update(
    parameters, gradient, moment1, moment2, scalars, constants, present, num_elements, num_weights,
    has_penalty: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    member = tl.program_id(1).to(tl.int64)
    offsets = tl.program_id(0) * block + tl.arange(0, block)
    # Nothing is read or written of a model that is not present.
    inside = (offsets < num_elements) & (tl.load(present + member) != 0)
    at = member * num_elements + offsets
    p = tl.load(parameters + at, mask=inside)
    g = tl.load(gradient + at, mask=inside)
    m = tl.load(moment1 + at, mask=inside)
    v = tl.load(moment2 + at, mask=inside)
    # The constants are loaded, because literals would be float32 where the parameters are float64.
    keep1, add1 = tl.load(constants), tl.load(constants + 1)
    keep2, add2, epsilon = tl.load(constants + 2), tl.load(constants + 3), tl.load(constants + 4)
    own = scalars + member * 5
    step_size, root, decay = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    is_weight = offsets < num_weights
    if has_penalty:
        l1, twice_l2 = tl.load(own + 3), tl.load(own + 4)
        sign = (p > 0).to(p.dtype) - (p < 0).to(p.dtype)
        g = tl.where(is_weight, g + l1 * sign + twice_l2 * p, g)
    p = tl.where(is_weight, p * decay, p)
    m = keep1 * m + add1 * g
    v = keep2 * v + add2 * g * g
    p = p - _divided(step_size * m, _divided(_root(v), root) + epsilon)
    tl.store(parameters + at, p, mask=inside)
    tl.store(moment1 + at, m, mask=inside)
    tl.store(moment2 + at, v, mask=inside)


def update(
    parameters: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, scalars: Tensor, constants: Tensor,
    present: Tensor, num_weights: int, has_penalty: bool,
) -> None:  # fmt: skip
    """Does `aesweep.training.engine.gpu.lock_step.update_plainly` in one pass; the gradient is not overwritten."""
    num_members, num_elements = parameters.shape
    grid = (triton.cdiv(num_elements, BLOCK), num_members)
    _update[grid](
        parameters, gradient, moment1, moment2, scalars, constants, present, num_elements, num_weights, has_penalty,
        BLOCK,
    )  # fmt: skip


@triton.jit(do_not_specialize=["layer"])  # one kernel for all layers
def _draw(
    out, clean, keys, strengths, step, layer, num, is_noise: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    member = tl.program_id(1).to(tl.int64)
    blocks = tl.program_id(0) * block + tl.arange(0, block)
    zeros = blocks * 0
    count = tl.load(step).to(tl.int32)
    key = tl.load(keys + member)
    a, b, c, d = tl.philox(key, blocks, zeros + count, zeros + layer, zeros)
    strength = tl.load(strengths + member)
    unit = 1.0 / 16777216
    u0, u1 = (a >> 8).to(tl.float32) * unit, (b >> 8).to(tl.float32) * unit
    u2, u3 = (c >> 8).to(tl.float32) * unit, (d >> 8).to(tl.float32) * unit
    if is_noise:
        half = unit / 2
        r0, r1 = _root(-2 * tl.log(u0 + half)), _root(-2 * tl.log(u2 + half))
        a0, a1 = 6.283185307179586 * (u1 + half), 6.283185307179586 * (u3 + half)
        u0, u1, u2, u3 = r0 * tl.cos(a0), r0 * tl.sin(a0), r1 * tl.cos(a1), r1 * tl.sin(a1)
    # Interleaved into the order of their counters, so that neighbouring threads read and write neighbouring memory.
    drawn = tl.interleave(tl.interleave(u0, u2), tl.interleave(u1, u3)).to(strength.dtype)
    offsets = tl.program_id(0) * (4 * block) + tl.arange(0, 4 * block)
    inside = offsets < num
    at = member * num + offsets
    if is_noise:
        value = tl.load(clean + at, mask=inside) + strength * drawn
    else:
        value = _divided((drawn < strength).to(strength.dtype), strength)
    tl.store(out + at, value, mask=inside)


def add_noise(out: Tensor, clean: Tensor, keys: Tensor, deviations: Tensor, step: Tensor) -> None:
    """Writes clean + deviation * normal numbers.

    Args:
        out: noisy images, [K, n], overwritten.
        clean: clean images, [K, n].
        keys: keys of the members' noise streams, int64 [K].
        deviations: standard deviation of each member's noise, [K], of the type of `out`.
        step: step within the epoch, from 0; int64, one element.
    """
    num_members, num = out.shape
    grid = (triton.cdiv(num, 4 * DRAWN_BLOCKS), num_members)
    _draw[grid](out, clean, keys, deviations, step, 0, num, True, DRAWN_BLOCKS)


def draw_masks(out: Tensor, keys: Tensor, kept: Tensor, step: Tensor, layer: int) -> None:
    """Writes 1 / kept with probability `kept`, else 0.

    Args:
        out: masks, [K, n], overwritten.
        keys: keys of the members' dropout streams, int64 [K].
        kept: each member's probability to keep a unit, [K], of the type of `out`.
        step: step within the epoch, from 0; int64, one element.
        layer: index of the mask's layer.
    """
    num_members, num = out.shape
    grid = (triton.cdiv(num, 4 * DRAWN_BLOCKS), num_members)
    _draw[grid](out, out, keys, kept, step, layer, num, False, DRAWN_BLOCKS)
