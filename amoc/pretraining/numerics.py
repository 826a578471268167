"""How far the fast ways to compute a step are from the exact numbers: precision, folding, compiler, fusion, capture."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
import torch._dynamo
from torch import Generator, Tensor

from amoc.augment import RandomViews
from amoc.engine.device import autocast, captures, compile_in_place, has_compiler
from amoc.engine.generators import generator, reseed
from amoc.models.norm import DualBatchNorm2d
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.loop import Method, build_gradients, build_method, build_optimizer, build_step, two_views
from amoc.settings import Engine, Precision, Pretraining

WARM_UP = 100  # steps before all that is measured, in plain float32: fresh networks give all images nearly one feature
BATCHES = 4  # of given views, whose losses and gradients are held against float64
STEPS = 20  # of real training, with attack and optimiser
RATE = 0.1  # of the schedule's largest rate, in all steps


@dataclass(frozen=True)
class Path:
    """One way to compute a step."""

    precision: Precision
    compile: bool | Literal["encoders", "step"] = False
    fused: bool = False  # the optimiser
    folded: bool = True  # the norms, into the convolutions, in attacks


PATHS = {
    "float32": Path("float32"),  # the reference of the drift
    "float32, again": Path("float32"),  # what a device does otherwise the second time: a GPU something, a CPU nothing
    "float32, norms not folded": Path("float32", folded=False),
    "float32, fused optimiser": Path("float32", fused=True),
    "float32, compiled": Path("float32", compile="encoders"),
    "float32, captured": Path("float32", compile="step"),
    "bfloat16": Path("bfloat16"),
    "bfloat16, norms not folded": Path("bfloat16", folded=False),
    "bfloat16, compiled": Path("bfloat16", compile="encoders"),
    "bfloat16, captured": Path("bfloat16", compile="step"),
    "bfloat16, compiled, captured, fused optimiser": Path("bfloat16", compile=True, fused=True),  # the paper profile's
}


@dataclass(frozen=True)
class Errors:
    """Of a path. Each is a share: 0.01 is one percent.

    Attributes:
        loss: of given views, against float64; the mean of the absolute errors over a few batches. None of a captured
            step, which begins with views of its own.
        gradient: the same of all weights' gradient, |g - exact| / |exact|.
        drift: of the weights after a few steps from where plain float32 takes them, |w - w'| / |w' - start|.
    """

    loss: float | None
    gradient: float | None
    drift: float


def errors(
    settings: Pretraining, images: Tensor, device: torch.device,
    mean: tuple[float, ...], std: tuple[float, ...], paths: dict[str, Path] = PATHS,
) -> dict[str, Errors]:  # fmt: skip
    """Of each path that there is: a step is captured on a GPU only, and on a CPU compiling needs a compiler.

    Args:
        images: uint8 (N, H, W, 3), at least as many as a batch has.
        mean, std: of the data set.
    """
    images = images.to(device)
    begun, views = build_method(settings, mean, std).to(device).train(), RandomViews(settings.views, images.shape[1])
    begun.remember(images, generator(settings.seed, "first perturbations", device=device))
    _train(begun, views, PATHS["float32"], images, "warm-up", WARM_UP)
    start, state, batches = _weights(begun), deepcopy(begun.state_dict()), _batches(settings, views, images)
    exact = [_given(begun.double(), state, batch, "float32") for batch in batches]
    begun.float()
    found, plain = {}, None
    for name, path in paths.items():
        captured = captures(device, _engine(path))
        if not captured and (path.compile in (True, "step") or (path.compile and not has_compiler(device))):
            continue
        torch._dynamo.reset()
        method, views = deepcopy(begun), RandomViews(settings.views, images.shape[1])
        compile_in_place(device, _engine(path), views, *method.encoders)
        given = [] if captured else [_given(method, state, batch, path.precision) for batch in batches]
        pairs = list(zip(given, exact, strict=False))
        method.load_state_dict(state)
        _train(method, views, path, images, "steps", STEPS)
        weights = _weights(method)
        plain = weights if plain is None else plain
        found[name] = Errors(
            loss=fmean(abs(loss - right) / right for (loss, _), (right, _) in pairs) if pairs else None,
            gradient=fmean(_off(gradient, right) for (_, gradient), (_, right) in pairs) if pairs else None,
            drift=((weights - plain).norm() / (plain - start).norm()).item(),
        )
    return found


def _engine(path: Path) -> Engine:
    return Engine(device="auto", precision=path.precision, compile=path.compile, threads=0)


Batch = tuple[Tensor, Tensor, Tensor]  # queries, keys and a perturbation, (B, 3, H, W)


def _batches(settings: Pretraining, draw: RandomViews, images: Tensor) -> list[Batch]:
    """Queries, keys and a perturbation for each of a few batches, drawn in float32: the same for every path."""
    batches = []
    for number in range(BATCHES):
        random = generator(settings.seed, "numerics", "given", number, device=images.device)
        which = torch.randperm(len(images), generator=random, device=images.device)[: settings.batch_size]
        queries, keys = two_views(draw, images[which], random)
        shift = torch.empty_like(queries).uniform_(-settings.epsilon, settings.epsilon, generator=random)
        batches.append((queries, keys, shift))
    return batches


def _given(method: Method, state: dict[str, Tensor], batch: Batch, precision: Precision) -> tuple[float, Tensor]:
    """Loss and gradient of given views: an attack would take the sign of a gradient near 0 for anything."""
    method.load_state_dict(state)
    method.zero_grad(set_to_none=True)
    dtype = next(method.parameters()).dtype
    queries, keys, shift = (tensor.to(dtype) for tensor in batch)
    sides = [{"clean": side, "adv": (side + shift).clamp(0, 1)} for side in (queries, keys)]
    with autocast(queries.device, precision):
        losses = method.losses(*sides)
        total = losses[0].total if isinstance(method, AMOC) else losses[0]
        total.backward()  # here, as in training: the products of the loss's backward are in the precision too
    gradients = [parameter.grad.flatten() for parameter in method.trained.parameters() if parameter.grad is not None]
    return total.item(), torch.cat(gradients).double()


def _train(method: Method, views: RandomViews, path: Path, images: Tensor, purpose: str, steps: int) -> None:
    """A few steps of pre-training in place, the same images, views and noise for every path."""
    settings, device = method.settings, images.device
    optimizer = build_optimizer(method.trained, settings.optimizer, fused=path.fused)
    for group in optimizer.param_groups:
        group["lr"] = RATE * settings.optimizer.lr
    for norm in (module for module in method.modules() if isinstance(module, DualBatchNorm2d)):
        norm.folds = path.folded
    random = Generator(device)
    gradients = build_gradients(method, views, random, path.precision, captures(device, _engine(path)))
    take = build_step(method, optimizer, gradients, path.precision)
    for step in range(steps):
        order = torch.randperm(len(images), generator=generator(settings.seed, "numerics", purpose, step))
        batch = order[: settings.batch_size].to(device)
        reseed(random, settings.seed, "numerics", purpose, "random", step)
        take(images[batch], batch)


def _weights(method: Method) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in method.trained.parameters()]).double()


def _off(found: Tensor, exact: Tensor) -> float:
    return ((found - exact).norm() / exact.norm()).item()
