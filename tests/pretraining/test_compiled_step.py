"""torch.compile of the encoders: nothing falls back to eager, the attack stays cheap, and the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._dynamo.testing import CompileCounter

from amoc.augment import RandomViews
from amoc.engine import device
from amoc.engine.device import autocast, compile_in_place
from amoc.engine.generators import generator as generator_of
from amoc.pretraining.loop import Method, build_method, build_optimizer
from amoc.pretraining.variants import VARIANTS
from amoc.settings import Blur, Engine, Pretraining, Views
from tests.pretraining.networks import take_step

CPU, MEAN, STD = torch.device("cpu"), (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)

pytestmark = [
    pytest.mark.usefixtures("small_resnet", "fresh_compiler"),
    # the compiler looks at the .grad of a half of a joint batch, which is no leaf
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


@pytest.fixture
def fresh_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing compiled before, and the limits as they were afterwards."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):
        yield
    torch._dynamo.reset()


def compile_with(backend: Any, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
    """As the stage does it, but for the backend."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *given, **options: compile(*given, backend=backend, **options))
    engine = Engine(device="cpu", precision="float32", compile="encoders", threads=1)
    compile_in_place(CPU, engine, *modules)


Step = Callable[[int, int], tuple[Tensor, ...]]


def steps(method: Method, settings: Pretraining, precision: str = "float32") -> Step:
    """step(number, size): views of so many images and a step on them; each number has its own random stream."""
    optimizer, views = build_optimizer(method.trained, settings.optimizer), RandomViews(settings.views, 8)
    dtype = next(method.parameters()).dtype

    def step(number: int, size: int) -> tuple[Tensor, ...]:
        random = generator_of(5, "compiled", number)
        images = torch.rand(size, 3, 8, 8, generator=random, dtype=dtype)
        with autocast(CPU, precision):
            return take_step(method, views(images, random), views(images, random), optimizer, random)

    return step


@pytest.mark.parametrize(
    ("name", "versions"),
    [("ccc", 2), ("acc", 5), ("aca", 6), ("ds", 3),
     *(pytest.param(name, 5, marks=pytest.mark.slow) for name in ("aac", "aaa", "cac", "caa", "cca"))],
)  # fmt: skip
def test_versions_that_are_compiled(name, versions, tiny, tiny_acl, monkeypatch):
    """So many for each size of a batch, in the first step with it; none later, and none is given up."""
    settings = (tiny if name in VARIANTS else tiny_acl)(name)
    method, counter = build_method(settings, MEAN, STD).train(), CompileCounter()
    compile_with(counter, monkeypatch, *method.encoders)
    step, counts = steps(method, settings), []
    for number, size in enumerate((4, 4, 3, 4, 3)):
        step(number, size)
        counts.append(counter.frame_count)
    assert counts == [versions, versions, 2 * versions, 2 * versions, 2 * versions]


def test_reaching_the_limit_is_an_error(tiny, monkeypatch):
    """PyTorch's own way would be a warning, and eager code from there on."""
    monkeypatch.setattr(device, "COMPILED_AT_MOST", 3)
    settings = tiny("aca")
    method = build_method(settings, MEAN, STD).train()
    compile_with("eager", monkeypatch, *method.encoders)
    with pytest.raises(FailOnRecompileLimitHit):
        steps(method, settings)(0, 4)


@pytest.mark.parametrize("name", ["aca", "cac", "aaa", "ds", "a2s"])
def test_a_compiled_attack_computes_no_gradients_of_weights(name, tiny, tiny_acl, monkeypatch):
    """The backward of compiled code gives all gradients that its inputs require, also those that nobody asked for."""
    settings, masks = (tiny if name in VARIANTS else tiny_acl)(name), []

    def backward(graph: torch.fx.GraphModule, _: Any) -> Callable:
        nodes = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.convolution_backward.default)
        masks.extend(tuple(node.args[-1]) for node in nodes)
        return make_boxed_func(graph.forward)

    def forward(graph: torch.fx.GraphModule, _: Any) -> Callable:
        return make_boxed_func(graph.forward)

    method = build_method(settings, MEAN, STD).train()
    backend = aot_autograd(fw_compiler=forward, bw_compiler=backward)
    compile_with(backend, monkeypatch, *method.encoders)
    images = torch.rand(2, 4, 3, 8, 8, generator=generator_of(5, "images"))
    method.attack(images[0], images[1], generator_of(5, "attack"))
    assert masks and set(masks) == {(True, False, False)}


@pytest.fixture
def all_views(tiny) -> Views:
    """Every operation there is."""
    return tiny("aca").views.model_copy(update={"blur": Blur(probability=0.5, sigma=(0.1, 1.0))})


def test_views_are_compiled_once_for_each_size_of_a_batch(all_views, monkeypatch):
    counter, views, random = CompileCounter(), RandomViews(all_views, 8), generator_of(5, "views")
    compile_with(counter, monkeypatch, views)
    counts = []
    for size in (4, 4, 3, 4, 3):
        views(torch.rand(size, 3, 8, 8, generator=random), random)
        counts.append(counter.frame_count)
    assert counts == [1, 1, 2, 2, 2]


# ---------------------------------------------------------------- the numbers, by the compiler that is used


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_compiled_views_are_the_eager_ones(dtype, tolerance, all_views):
    eager, compiled = RandomViews(all_views, 8), RandomViews(all_views, 8)
    compile_in_place(CPU, Engine(device="cpu", precision="float32", compile="encoders", threads=1), compiled)
    images = torch.rand(50, 3, 8, 8, generator=generator_of(5, "images"), dtype=dtype)
    view, expected = (views(images, generator_of(5, "views")) for views in (compiled, eager))
    torch.testing.assert_close(view, expected, rtol=0, atol=tolerance)
    assert view.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "backend"),
    [("aca", "aot_eager"), ("ds", "aot_eager"),  # traced and differentiated as for the compiler, run by PyTorch
     *(pytest.param(name, "inductor", marks=pytest.mark.slow) for name in ("aca", "aaa", "cac", "ds"))],
)  # fmt: skip
def test_compiled_steps_are_the_eager_ones(name, backend, tiny, tiny_acl, monkeypatch):
    """In float64, in which rounding stays small over several steps: losses, gradients, weights, statistics, banks."""
    settings = (tiny if name in VARIANTS else tiny_acl)(name)
    eager, compiled = (build_method(settings, MEAN, STD).double().train() for _ in range(2))
    compile_with(backend, monkeypatch, *compiled.encoders)
    step, its_step = steps(eager, settings), steps(compiled, settings)
    for number, size in enumerate((4, 4, 3, 4)):
        torch.testing.assert_close(its_step(number, size), step(number, size), rtol=1e-9, atol=1e-9)
        for one, other in zip(eager.parameters(), compiled.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(compiled.state_dict(), eager.state_dict(), rtol=1e-7, atol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["aca", "ds"])
def test_compiled_losses_and_gradients_are_as_close_to_the_exact_ones_as_eager_ones(name, precision, tiny, tiny_acl):
    """Exact is float64. Views are given: in an attack the sign of a gradient near 0 is anybody's."""
    settings = (tiny if name in VARIANTS else tiny_acl)(name)
    exact, eager, compiled = (build_method(settings, MEAN, STD).train() for _ in range(3))
    exact.double()
    compile_in_place(CPU, Engine(device="cpu", precision=precision, compile="encoders", threads=1), *compiled.encoders)
    for number, size in enumerate((16, 16, 11)):
        random = generator_of(5, "given", number)
        one, other, shift = torch.rand(3, size, 3, 8, 8, generator=random)
        found = []
        for method, used in ((exact, "float32"), (eager, precision), (compiled, precision)):
            dtype = next(method.parameters()).dtype
            views = [{"clean": x.to(dtype), "adv": (x + 0.05 * shift).to(dtype)} for x in (one, other)]
            method.zero_grad()
            with autocast(CPU, used):
                losses = method.losses(*views)
            total = losses[0].total if name in VARIANTS else losses[0]
            total.backward()
            gradients = [parameter.grad.flatten() for parameter in method.parameters() if parameter.grad is not None]
            found.append((total.detach().double(), torch.cat(gradients).double()))
        (loss, gradient), (eager_loss, eager_gradient), (compiled_loss, compiled_gradient) = found
        digits = torch.finfo(getattr(torch, precision)).eps
        assert (compiled_gradient - gradient).norm() <= 2 * (eager_gradient - gradient).norm()
        assert (compiled_loss - loss).abs() <= 2 * (eager_loss - loss).abs() + digits * loss
