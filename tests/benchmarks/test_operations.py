from __future__ import annotations

import pytest
import torch

from amoc.pretraining.passes import passes
from benchmarks.operations import MatrixProduct, count
from benchmarks.workload import Workload, random_images

CPU = torch.device("cpu")


def test_a_multiplication_and_an_addition_are_two():
    assert count(lambda: torch.rand(3, 5) @ torch.rand(5, 7)) == 2 * 3 * 5 * 7


def test_gradient_of_the_input_alone_costs_one_more():
    """What the attack asks for, and what the counter of PyTorch cannot do by itself."""
    layer, images = torch.nn.Conv2d(2, 3, 3, padding=1), torch.rand(4, 2, 8, 8, requires_grad=True)
    forward = 2 * 4 * 3 * 8 * 8 * 2 * 9
    assert count(lambda: layer(images)) == forward
    assert count(lambda: torch.autograd.grad(layer(images).sum(), images)) == 2 * forward
    assert count(lambda: layer(images).sum().backward()) == 3 * forward


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_operations_of_a_step_grow_linearly_with_the_batch(small, precision):
    def operations(batch_size: int) -> int:
        settings = small(batch_size=batch_size)
        return count(Workload(settings, random_images(batch_size, 32), CPU, precision))

    assert [operations(8), operations(12)] == [2 * operations(4), 3 * operations(4)]


def test_operations_of_a_step_are_those_of_its_passes(small):
    """`passes` is what a stage announces as its cost; counted, the stem's input gradient and the bank come on top."""
    settings = small(batch_size=4, model=small().model.model_copy(update={"width": 16}))
    work = Workload(settings, random_images(4, 32), CPU, "float32")
    images = torch.rand(4, 3, 32, 32)
    forward = count(lambda: work.method.encoder(images))
    assert count(work) == pytest.approx(passes(work.method.settings) * forward, rel=0.05)


def test_rate_of_a_matrix_product():
    product = MatrixProduct(CPU, torch.bfloat16, (8, 16))
    product.operations = 2**14
    assert {matrix.dtype for matrices in product.matrices for matrix in matrices} == {torch.bfloat16}
    for one, other, made in product.matrices:
        assert torch.equal(made, one @ other)
    for _ in range(3):
        product.measure()
    assert [len(rates) for rates in product.rates] == [3, 3]
    product.rates = [[1.0, 9.0, 2.0], [3.0, 4.0, 5.0]]
    assert product.peak() == 4
