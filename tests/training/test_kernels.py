"""The Triton kernels against their references, in Triton's interpreter: what they compute, not that a GPU runs them.

The interpreter is chosen when Triton is imported, so all of it runs in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import torch
from aesweep.training.engine.gpu import philox as counter_streams
from aesweep.training.engine.gpu import kernels
from aesweep.training.engine.gpu.lock_step import update_plainly
from aesweep.training.engine.randomness import stream_key
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
        present = torch.ones(3, dtype=torch.int32)
        update_plainly(*expected, scalars, constants, present, 2000, has_penalty)
        kernels.update(p, g, m, v, scalars, constants, present, 2000, has_penalty)
        for got, wanted in ((p, expected[0]), (m, expected[2]), (v, expected[3])):
            torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
        g[1] = torch.nan
        before = [t[1].clone() for t in (p, m, v)]
        present[1] = 0
        kernels.update(p, g, m, v, scalars, constants, present, 2000, has_penalty)
        for got, kept, wanted in zip((p, m, v), before, (expected[0], *expected[2:]), strict=True):
            assert torch.equal(got[1], kept) and not torch.equal(got[0], wanted[0])
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


FLOAT = {torch.float32: "fp32", torch.float64: "fp64"}
COMPILED = {
    "update": (
        "_update",
        ("parameters", "gradient", "moment1", "moment2", "scalars", "constants"),
        {"num_elements": "i32", "num_weights": "i32", "present": "*i32"},
        {"has_penalty": True},
    ),
    "noise": ("_draw", ("out", "clean", "strengths"), {"layer": "i32", "num": "i32"}, {"is_noise": True}),
    "masks": ("_draw", ("out", "clean", "strengths"), {"layer": "i32", "num": "i32"}, {"is_noise": False}),
}


@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("dtype", FLOAT)
@pytest.mark.parametrize("name", COMPILED)
def test_kernel_compiles_for_a_gpu_and_reads_and_writes_16_bytes_at_a_time(
    name, dtype, architecture, tmp_path, monkeypatch
):
    """As a launch would compile it, whose vectors start on cache lines and are whole numbers of them long."""
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia import driver  # noqa: F401  no compiler for NVIDIA's GPUs, no test
    from triton.compiler import ASTSource, compile

    from aesweep.training.engine.gpu import kernels

    function, pointers, integers, options = COMPILED[name]
    kernel = getattr(kernels, function)
    block = kernels.BLOCK if name == "update" else kernels.DRAWN_BLOCKS
    constants = {**options, "block": block}
    signature = dict.fromkeys(pointers, f"*{FLOAT[dtype]}") | integers | dict.fromkeys(constants, "constexpr")
    if name != "update":
        signature |= {"keys": "*i64", "step": "*i64"}
    names = kernel.arg_names
    aligned = [argument for argument in names if argument not in constants and argument != "layer"]
    source = ASTSource(
        fn=kernel,
        signature={argument: signature[argument] for argument in names},
        constexprs=constants,
        attrs={(names.index(argument),): [["tt.divisibility", 16]] for argument in aligned},
    )
    built = compile(source, target=GPUTarget("cuda", architecture, 32))
    at_once = 16 // dtype.itemsize
    vectors = re.findall(rf"(ld|st)\.global[.\w]*\.v{at_once}\.b{8 * dtype.itemsize}", built.asm["ptx"])
    # Four vectors in and three out; the clean images in and the noisy ones out; the masks out.
    reads, writes = {"update": (4, 3), "noise": (1, 1), "masks": (0, 1)}[name]
    each = block * (1 if name == "update" else 4) // (32 * built.metadata.num_warps) // at_once
    assert vectors.count("ld") == reads * each and vectors.count("st") == writes * each
    assert len(re.findall(r"st\.global", built.asm["ptx"])) == writes * each  # and none of another width
    # Divisions and roots are exact, as torch's are: approximate ones would change masks in their last bit.
    assert not re.search(r"(div\.full|div\.approx|sqrt\.approx)", built.asm["ptx"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if tool.exists():
        (tmp_path / "kernel.cubin").write_bytes(built.asm["cubin"])
        usage = subprocess.run([tool, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True).stdout
        stack, local = re.search(r"STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage).groups()
        # Registers that do not fit would lie there. (Sine keeps some bytes for arguments that are never so large.)
        assert int(local) == 0 and int(stack) <= (40 if name == "noise" else 0)


@pytest.mark.gpu
def test_members_on_a_gpu_learn_what_they_learn_in_lock_step_on_a_cpu():
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
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    preamble = PREAMBLE.replace("torch.Generator()", "torch.Generator('cuda')")
    code = f"import torch\ntorch.set_default_device('cuda')\n{preamble}{CHECKS[check]}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
