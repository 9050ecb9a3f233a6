"""The process's settings of torch, and that a pack leaves them as they were."""

import pytest
import torch

from aesweep.training.engine.precision import configure_torch, matmul_precision


@pytest.fixture(autouse=True)
def settings_restored():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize(("name", "expected"), [("fp32", "highest"), ("tf32", "high"), ("bf16", "medium")])
def test_a_precision_is_set_for_the_process_or_for_a_block(name, expected):
    with matmul_precision(name):
        assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == "highest"
    configure_torch(num_threads=1, precision=name)
    assert torch.get_float32_matmul_precision() == expected
    assert torch.get_num_threads() == 1


def test_tiny_numbers_become_zero():
    tiny = torch.full((64,), 1e-38)
    assert (tiny * 1e-3 != 0).all()
    configure_torch()
    assert (tiny * 1e-3 == 0).all()


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="expected one of fp32, tf32, bf16; got 'fp16'"):
        configure_torch(precision="fp16")
    assert torch.get_float32_matmul_precision() == "highest"
