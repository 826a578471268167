"""The pre-training loop, written out: data order, views, step, curve, checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite
from time import monotonic
from typing import Any, Literal, Protocol

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Generator, Tensor, nn

from amoc.augment import RandomViews, to_float
from amoc.engine.batches import batches
from amoc.engine.capture import Captured
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.device import autocast
from amoc.engine.generators import generator, reseed
from amoc.engine.interruption import Interrupted, Stop
from amoc.engine.progress import bar, say
from amoc.models.encoder import Encoder, fresh_encoder, zero_last_norms
from amoc.models.norm import branch, mode
from amoc.pretraining.acl import ACL
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.cheaper import CheaperAMOC
from amoc.pretraining.diagnostics import collapsed, effective_rank, neighbour_accuracy, spread
from amoc.pretraining.lars import lars
from amoc.pretraining.schedule import learning_rate
from amoc.settings import Lars, Optimizer, Precision, Pretraining

METHODS = {"amoc": AMOC, "amoc_cheaper": CheaperAMOC, "acl": ACL}  # called with encoder, settings, generator
LOOKED_AT = 1000  # training images whose features are looked at for collapse
AT_CHANCE = 0.005  # so near is a loss to that of projections which are one point
NEIGHBOURS_EVERY = 10  # epochs between looks at the nearest neighbours


class Method(Protocol):
    """What `pretrain` needs of a method, which is a torch.nn.Module; `left` is whatever its `update` needs."""

    encoder: Encoder  # what pre-training is for
    encoders: tuple[Encoder, ...]  # all that a step computes with, for the compiler
    trained: nn.Module  # by the optimiser
    updates: int  # of the weights, in a step; where there are several, `update` calls `again` for each but the first
    columns: tuple[str, ...]  # names of the losses of a step, "loss" among them
    chance: dict[str, float]  # some of them, and what they are where all projections are one point

    def remember(self, images: Tensor, generator: Generator) -> None:
        """Before the first step: make room for what is kept of each image, uint8 (N, H, W, 3), between epochs."""

    def gradients(
        self, queries: Tensor, keys: Tensor, generator: Generator, which: Tensor
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Two views (B, 3, H, W) of the images (B,) -> losses, as `columns`, and left; gradients in the parameters.

        A GPU records it and replays it, so it must not depend on a value that the host knows.
        """

    def update(self, left: Any, optimizer: torch.optim.Optimizer) -> None:
        """The rest of the step: the optimiser's, and whatever follows it."""

    def diagnostics(self, taken: int) -> dict[str, Any]:
        """What else a row of the training curve tells after so many steps."""


@dataclass(frozen=True)
class Pretrained:
    """What pre-training gave besides the encoder: a row per finished epoch, and how it ended.

    Collapsed means that the features of training images carry next to nothing about them, or that a loss is in the last
    epoch what it is where all projections are one point, of which contrast teaches nothing.
    """

    curve: list[dict[str, Any]]
    status: Literal["ok", "collapsed", "nan"]

    @property
    def begun(self) -> int:
        """Epochs that were trained: the finished ones, and the one after which a run was no longer finite."""
        return len(self.curve) + (self.status == "nan")


def build_method(settings: Pretraining, mean: tuple[float, ...], std: tuple[float, ...]) -> Method:
    """The method with freshly drawn weights and banks; they depend on the seed alone.

    mean, std: of the data set, for a method that normalises with them.
    """
    if settings.normalisation == "imagenet":
        mean, std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    encoder = fresh_encoder(settings.model, mean, std, generator(settings.seed, "weights"))
    if settings.zero_init_last:
        zero_last_norms(encoder)
    return METHODS[settings.method](encoder, settings, generator(settings.seed, "method"))


def build_optimizer(network: nn.Module, options: Optimizer, fused: bool | None = None) -> torch.optim.Optimizer:
    """LARS or SGD, as the settings are of one or the other, for a network that is on its device already.

    fused: whether SGD is one kernel; None means on a GPU alone: on a CPU it gains nothing.
    """
    if isinstance(options, Lars):
        return lars(network, options)
    fused = next(network.parameters()).is_cuda if fused is None else fused
    return torch.optim.SGD(  # None, not False: PyTorch chooses then how else
        network.parameters(), options.lr, options.momentum, weight_decay=options.weight_decay, fused=fused or None
    )


def two_views(views: RandomViews, pixels: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """Queries and keys (B, 3, H, W) in [0, 1] of a batch, uint8 (B, H, W, 3)."""
    images = to_float(pixels)
    return views(images, random), views(images, random)


def build_gradients(
    method: Method, views: RandomViews, random: Generator, precision: Precision, capture: bool
) -> Callable[[Tensor, Tensor], tuple[tuple[Tensor, ...], Any]]:
    """pixels, uint8 (B, H, W, 3), and which images they are, (B,) -> losses, and what `method.update` needs.

    The gradients are in the parameters.

    Two random views of a batch, and what the method computes of them, on the device of all; `random` is to be seeded
    before each call. Captured, that is one launch, and the next call overwrites what this one gave.
    """

    def gradients(pixels: Tensor, which: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        queries, keys = two_views(views, pixels, random)
        with autocast(pixels.device, precision):
            return method.gradients(queries, keys, random, which)

    if not capture:
        return gradients
    captured = Captured(gradients, method, random)
    if method.updates > 1:
        method.again = Captured(method.again, method, random, captured.record)
    return captured


def build_step(
    method: Method, optimizer: torch.optim.Optimizer, gradients: Callable[[Tensor, Tensor], tuple],
    precision: Precision,
) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:  # fmt: skip
    """pixels and which images they are, as for `build_gradients` -> losses; the method is then a step further."""

    def step(pixels: Tensor, which: Tensor) -> tuple[Tensor, ...]:
        terms, left = gradients(pixels, which)
        with autocast(pixels.device, precision):  # a method may use the batch again
            method.update(left, optimizer)
        return terms

    return step


def pretrain(
    method: Method, settings: Pretraining, images: Tensor, labels: Tensor, *, device: torch.device,
    precision: Precision, checkpoint: Checkpoint | None, stop: Stop, clock: Clock, title: str,
    views: RandomViews | None = None, capture: bool = False, epochs: int | None = None,
    steps_per_epoch: int | None = None, save_every: float = 60.0,
) -> Pretrained:  # fmt: skip
    """Pre-train a method in place, resuming from the checkpoint if it holds a state.

    Args:
        method: of `build_method`; is moved to the device.
        images, labels: uint8 (N, H, W, 3) and int64 (N,); labels only serve the neighbour accuracy of the curve.
        precision: of the passes through the networks, and of the matrix products of the loss's backward, float32 or
            bfloat16; weights, banks and losses are in float32.
        checkpoint: where to save; None for nowhere.
        stop: looked at before each step; a request is followed by a save.
        views: those of the settings, compiled; None for them as they are.
        capture: whether views, attack, losses and gradients are recorded and replayed, on a GPU.
        epochs, steps_per_epoch: fewer than the settings and the data have, for a trial; the schedule stays as it is.
        save_every: seconds between saves at the ends of epochs; the last epoch is always saved.

    Raises:
        Interrupted: after the save, when `stop` was requested.
    """
    images, method = images.to(device), method.to(device)
    views = views or RandomViews(settings.views, images.shape[1])
    optimizer = build_optimizer(method.trained, settings.optimizer)
    random = Generator(device)
    method.remember(images, generator(settings.seed, "first perturbations", device=device))
    gradients = build_gradients(method, views, random, precision, capture)
    train_step = build_step(method, optimizer, gradients, precision)
    # a method that updates several times with a batch takes so many batches fewer: an epoch has as many updates
    updated = ceil(len(images) / method.updates)
    first, step, taken = 0, 0, 0
    sums = torch.zeros(len(method.columns), dtype=torch.float64, device=device)
    curve: list[dict[str, Any]] = []
    status: Literal["ok", "collapsed", "nan"] = "ok"

    def save(epoch: int, step: int) -> None:
        """The position is the next step to take; data order and random streams follow from it."""
        if checkpoint is not None:
            checkpoint.save({
                "epoch": epoch, "step": step, "taken": taken, "sums": sums, "curve": curve, "status": status,
                "method": method.state_dict(), "optimizer": optimizer.state_dict(), "clock": clock.state(),
            })  # fmt: skip

    if checkpoint is not None and (state := checkpoint.load()) is not None:
        first, step, taken, sums = state["epoch"], state["step"], state["taken"], state["sums"].to(device)
        curve, status = state["curve"], state["status"]
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        clock.restore(state["clock"])
        say(f"{title}: goes on from epoch {first + 1}, step {step + 1}")

    saved, last = monotonic(), epochs or settings.epochs
    method.train()
    if capture and first < last and status == "ok":
        with clock.phase("record"):  # and compile, a minute or more: not in the seconds of an epoch
            for batch in batches(torch.arange(updated, device=device), settings.batch_size)[:steps_per_epoch]:
                gradients.record_for(images[batch], batch)
    for epoch in range(first, last if status == "ok" else 0):
        order = torch.randperm(len(images), generator=generator(settings.seed, "order", epoch))
        whole = batches(order.to(device)[:updated], settings.batch_size)
        steps = whole[:steps_per_epoch]

        with clock.phase("train"):
            for batch in bar(steps[step:], f"{title} {epoch + 1}/{settings.epochs}"):
                if stop.requested:
                    break
                lr = learning_rate(settings.optimizer, settings.epochs, epoch, step, len(whole))
                for group in optimizer.param_groups:
                    group["lr"] = lr
                reseed(random, settings.seed, "views and attack", epoch, step)
                terms = train_step(images[batch], batch)
                sums += torch.stack(terms).double()
                step, taken = step + 1, taken + 1
                clock.count("images", len(batch) * method.updates)
        if stop.requested:
            save(epoch, step)
            raise Interrupted(stop.signal)

        losses = dict(zip(method.columns, (sums / len(steps)).tolist(), strict=True))  # the epoch's first wait
        with clock.phase("look"):
            # on the CPU: a GPU takes longer for their singular values
            looked = features_of(method.encoder, images[:LOOKED_AT], settings.branch, settings.batch_size).cpu()
            every = (epoch + 1) % NEIGHBOURS_EVERY == 0 or epoch + 1 == last
            neighbours = neighbour_accuracy(looked, labels[:LOOKED_AT]) if every else None
        if not (isfinite(losses["loss"]) and looked.isfinite().all()):
            status = "nan"
            say(f"{title}: the loss or the features are no longer finite in epoch {epoch + 1}; the run ends here")
            save(epoch, step)
            break
        lr = learning_rate(settings.optimizer, settings.epochs, epoch, len(steps) - 1, len(whole))  # of the last step
        curve.append({
            "epoch": epoch + 1, "lr": lr, **losses, "spread": spread(looked), "rank": effective_rank(looked),
            "neighbour_accuracy": neighbours, **method.diagnostics(taken),
        })  # fmt: skip
        say(
            f"{title}: epoch {epoch + 1}/{settings.epochs}, lr {lr:.4g}, "
            + ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in losses.items())
            + f", spread {curve[-1]['spread']:.3f}, rank {curve[-1]['rank']:.1f}"
            + (f", 20-NN {neighbours:.1f} %" if every else "")
        )
        step, sums = 0, torch.zeros_like(sums)
        one_point = any(abs(losses[name] - chance) < AT_CHANCE for name, chance in method.chance.items())
        if epoch + 1 == last and (one_point or collapsed(looked)):  # at the end only: a run may recover
            status = "collapsed"
        if epoch + 1 == last or monotonic() - saved > save_every:
            save(epoch + 1, 0)
            saved = monotonic()
    return Pretrained(curve, status)


@torch.no_grad()
def features_of(encoder: Encoder, pixels: Tensor, name: Literal["clean", "adv"], batch_size: int) -> Tensor:
    """Float32 features (N, D) of uint8 pixels (N, H, W, 3) through one norm branch in eval mode.

    By `forward`: to compile it for these shapes as well would take longer than all looks do.
    """
    with branch(encoder, name), mode(encoder, training=False), torch.autocast(pixels.device.type, enabled=False):
        return torch.cat([encoder.forward(to_float(batch)) for batch in pixels.split(batch_size)])
