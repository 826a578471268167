"""What is measured: a method's step as `amoc/pretraining/loop.py` takes it, on random images, views included."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Generator, Tensor, nn

from amoc.augment import RandomViews
from amoc.engine.batches import batches
from amoc.engine.capture import Captured
from amoc.engine.device import captures, compile_in_place, compiles
from amoc.engine.generators import generator, reseed
from amoc.pretraining.loop import build_gradients, build_method, build_optimizer, build_step, two_views
from amoc.pretraining.schedule import warmup_cosine
from amoc.settings import Engine, Precision, Pretraining

MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2617)  # CIFAR-10's; any would do


def random_images(count: int, size: int) -> np.ndarray:
    """uint8 (count, size, size, 3). What the pixels show changes no time."""
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def first_lr(settings: Pretraining) -> float:
    """Of the warm-up's first epoch: weights that diverge would be slow (a CPU stumbles over NaN) for no good reason."""
    return warmup_cosine(0, settings.epochs, settings.optimizer.lr, settings.optimizer.warmup_epochs)


class Workload:
    """A run of pre-training under way. Each call is one step; nothing in it waits for the device.

    Args:
        pixels: uint8 (N, H, W, 3), at least a batch.
        precision: of the forward passes, float32 or bfloat16.
    """

    def __init__(self, settings: Pretraining, pixels: np.ndarray, device: torch.device, precision: Precision) -> None:
        if len(pixels) < settings.batch_size:
            raise ValueError(f"{len(pixels)} images are less than a batch of {settings.batch_size}")
        self.settings, self.precision, self.device = settings, precision, device
        self.images = torch.from_numpy(pixels).to(device)
        self.views = RandomViews(settings.views, self.images.shape[1])
        self.method = build_method(settings, MEAN, STD).to(device).train()
        self.optimizer = build_optimizer(self.method.trained, settings.optimizer)
        for group in self.optimizer.param_groups:
            group["lr"] = first_lr(settings)
        self.random = Generator(device)
        self.method.remember(self.images, generator(settings.seed, "first perturbations", device=device))
        self._build(capture=False)
        self._places = self._positions()

    def _build(self, capture: bool) -> None:
        def only_views(pixels: Tensor) -> tuple[Tensor, Tensor]:
            return two_views(self.views, pixels, self.random)

        gradients = build_gradients(self.method, self.views, self.random, self.precision, capture)
        self.step = build_step(self.method, self.optimizer, gradients, self.precision)
        self.only_views = Captured(only_views, nn.Identity(), self.random) if capture else only_views

    def _positions(self) -> itertools.chain[tuple[Tensor, int, int]]:
        """Images of a batch, epoch and step, epoch after epoch as in the loop; full batches only."""

        def epoch(number: int):
            order = torch.randperm(len(self.images), generator=generator(self.settings.seed, "order", number))
            steps = batches(order.to(self.device), self.settings.batch_size)
            for step, batch in enumerate(steps):
                if len(batch) == self.settings.batch_size:
                    yield batch, number, step

        return itertools.chain.from_iterable(map(epoch, itertools.count()))

    def compile(self, engine: Engine) -> bool:
        """As the stage does it before training; whether it changed anything."""
        compile_in_place(self.device, engine, self.views, *self.method.encoders)
        if capture := captures(self.device, engine):
            self._build(capture)
        return capture or compiles(self.device, engine)

    def __call__(self) -> tuple[Tensor, ...]:
        batch, epoch, step = next(self._places)
        reseed(self.random, self.settings.seed, "views and attack", epoch, step)
        return self.step(self.images[batch], batch)

    def augment(self) -> None:
        """The views of a batch by themselves."""
        self.only_views(self.images[: self.settings.batch_size])
