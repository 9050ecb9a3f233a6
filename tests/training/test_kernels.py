"""The Triton kernels against their references, in Triton's interpreter: what they compute, not that a GPU runs them.

The interpreter is chosen when Triton is imported, so all of it runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import torch
from sweep.training import counter_streams, kernels
from sweep.training.lock_step import update_plainly
from sweep.training.randomness import stream_key
generator = torch.Generator().manual_seed(0)
draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
"""
CHECKS = {
    "update": """
for dtype, tolerance in ((torch.float32, 2e-6), (torch.float64, 1e-14)):
    for has_penalty in (False, True):
        p, g, m, v = draw(3, 2500), draw(3, 2500), draw(3, 2500), draw(3, 2500).square()
        p, g, m, v = (t.to(dtype) for t in (p, g, m, v))
        p[:, 7] = 0
        scalars = torch.tensor([[1e-3, 0.5, 0.9, 0.1, 0.0], [0.1, 0.9, 1.0, 0.0, 0.3], [2e-3, 0.7, 0.99, 0.0, 0.0]])
        scalars = scalars.double().to(dtype)
        constants = torch.tensor([0.9, 0.1, 0.999, 0.001, 1e-8], dtype=torch.float64).to(dtype)
        expected = [t.clone() for t in (p, g, m, v)]
        update_plainly(*expected, scalars, constants, 2000, has_penalty)
        kernels.update(p, g, m, v, scalars, constants, 2000, has_penalty)
        for got, wanted in ((p, expected[0]), (m, expected[2]), (v, expected[3])):
            torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
""",
    "streams": """
keys = torch.tensor([stream_key(seed, "noise", 3) for seed in (1, 2, 3)])
step = torch.tensor([11])
for dtype in (torch.float32, torch.float64):
    for num in (5000, 4099, 3):
        strengths = torch.tensor([0.5, 1.0, 0.9], dtype=dtype)
        clean = draw(3, num).to(dtype)
        got, expected = torch.full_like(clean, 9.0), torch.empty_like(clean)
        kernels.add_noise(got, clean, keys, strengths, step)
        counter_streams.add_noise(expected, clean, keys, strengths, step)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
        for layer in (0, 1, 3):
            kernels.draw_masks(got, keys, strengths, step, layer)
            counter_streams.draw_masks(expected, keys, strengths, step, layer)
            assert torch.equal(got, expected)
""",
}


@pytest.mark.parametrize("check", CHECKS)
def test_kernel_computes_what_its_reference_computes(check):
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + CHECKS[check]], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
def test_members_on_a_gpu_learn_what_they_learn_in_lock_step_on_a_cpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from tests.training.test_lock_step import VARIANTS, pack_of, trained

    # Normal numbers differ in the last bits that float32 has.
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-5)):
        on_cpu = trained(pack_of(list(VARIANTS), dtype, lock_step=True))
        on_gpu = trained(pack_of(list(VARIANTS), dtype, device="cuda"))
        for name in VARIANTS:
            torch.testing.assert_close(on_gpu[name], on_cpu[name], rtol=tolerance, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS)
def test_kernel_on_a_gpu_computes_what_its_reference_computes(check):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    preamble = PREAMBLE.replace("torch.Generator()", "torch.Generator('cuda')")
    code = f"import torch\ntorch.set_default_device('cuda')\n{preamble}{CHECKS[check]}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
