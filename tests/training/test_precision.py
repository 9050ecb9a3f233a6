"""The process's settings of torch, and that a pack leaves them as they were."""

import pytest
import torch

from aesweep.training.engine.precision import configure_torch, matmul_precision


@pytest.fixture(autouse=True)
def settings_restored():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul
    reduced = products.allow_bf16_reduced_precision_reduction
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = convolutions
    products.allow_bf16_reduced_precision_reduction = reduced


@pytest.mark.parametrize(("name", "expected"), [("fp32", "highest"), ("tf32", "high"), ("bf16", "medium")])
def test_a_precision_is_set_for_the_process_or_for_a_block(name, expected):
    with matmul_precision(name):
        assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == "highest"
    configure_torch(num_threads=1, precision=name)
    assert torch.get_float32_matmul_precision() == expected
    assert torch.get_num_threads() == 1


def test_convolutions_round_their_factors_only_where_products_do_and_sums_are_float32():
    """torch itself lets cuDNN round in any case, and cuBLAS add parts of bfloat16 products in bfloat16."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    convolutions.allow_tf32 = products.allow_bf16_reduced_precision_reduction = True
    for name, rounded in (("fp32", False), ("tf32", True), ("fp32", False)):
        with matmul_precision(name):
            assert convolutions.allow_tf32 == rounded
            assert not products.allow_bf16_reduced_precision_reduction
        assert convolutions.allow_tf32 and products.allow_bf16_reduced_precision_reduction
    configure_torch(precision="fp32")
    assert not convolutions.allow_tf32


def test_tiny_numbers_become_zero():
    tiny = torch.full((64,), 1e-38)
    assert (tiny * 1e-3 != 0).all()
    configure_torch()
    assert (tiny * 1e-3 == 0).all()


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="expected one of fp32, tf32, bf16; got 'fp16'"):
        configure_torch(precision="fp16")
    assert torch.get_float32_matmul_precision() == "highest"
