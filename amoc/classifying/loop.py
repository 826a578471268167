"""The training loop of every classifier: probes, fine-tuning and training from scratch differ in their recipe only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from math import isfinite, isnan, nan
from time import monotonic
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amoc.augment import random_shift, to_float
from amoc.classifying.early_stopping import hold_out, look, looks
from amoc.classifying.objectives import attack, outcome
from amoc.classifying.schedule import multistep
from amoc.engine.batches import batches
from amoc.engine.capture import Captured
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.device import autocast
from amoc.engine.generators import generator, reseed
from amoc.engine.interruption import Interrupted, Stop
from amoc.engine.progress import bar, say
from amoc.engine.rounding import rounded
from amoc.models.classifier import Classifier
from amoc.models.folding import norms_folded
from amoc.models.norm import frozen, mode, same
from amoc.settings import EarlyStopping, Precision, Recipe

Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """What training gave besides the trained classifier.

    Attributes:
        curve: a row per finished epoch: epoch (from 1), lr, loss, and in percent of the augmented training images
            clean_accuracy and adversarial_accuracy, as far as the objective looks at such images; with early stopping
            also held_out_clean and held_out_pgd, None in the epochs without a look. Numbers have 6 significant digits.
        best_epoch: the epoch (from 1) with the best held_out_pgd (held_out_clean for an objective without attack), the
            earliest of equals; None without a look.
        best_state: the classifier's state after that epoch, on the CPU.
        status: "nan" when the loss or a weight ceased to be finite; the curve ends before that epoch.
    """

    curve: list[Row]
    best_epoch: int | None
    best_state: dict[str, Tensor] | None
    status: Literal["ok", "nan"]

    @property
    def begun(self) -> int:
        """Epochs that were trained: the finished ones, and the one after which a run was no longer finite."""
        return len(self.curve) + (self.status == "nan")


def train_classifier(
    classifier: Classifier,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    device: torch.device,
    precision: Precision,
    early_stopping: EarlyStopping | None,
    checkpoint: Checkpoint | None,
    stop: Stop,
    clock: Clock,
    title: str,
    capture: bool = False,
    save_every: float = 60.0,
) -> Trained:
    """Train a classifier in place, from where the checkpoint left off if it holds a state.

    With early stopping the held-out images are never trained on, so that the last epoch and its twin come from one run.
    In the paper's setting that takes 4 % of the training images away: a deviation from the papers, which train on all.

    Args:
        classifier: is moved to the device. With `train: head` its encoder stays as it is, norm statistics included.
        images, labels: uint8 (N, H, W, 3) and int64 (N,); all of them lie on the device during training.
        seed: of the data order, the augmentation, the attacks and the choice of held-out images.
        precision: of the forward passes in training; weights and looks at held-out images are in float32.
        early_stopping: None for a classifier without a twin.
        checkpoint: None to save nothing.
        stop: looked at before each step; on request the state is saved there.
        title: names the classifier in what is printed.
        capture: whether the attack is recorded and replayed, on a GPU.
        save_every: seconds between saves at the ends of epochs; the last epoch is always saved.

    Raises:
        Interrupted: `stop` was requested, and the state is saved.
        Refusal: early stopping holds out all images.
    """
    chosen, held_out = hold_out(len(images), early_stopping, seed)
    images, labels = images.to(device), labels.to(device)
    classifier.to(device=device, memory_format=torch.channels_last)
    encoder_before = {name: tensor.clone() for name, tensor in classifier.encoder.state_dict().items()}

    trained: nn.Module = classifier.head if recipe.train == "head" else classifier
    optimizer = torch.optim.SGD(trained.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    start = torch.Generator(device)
    perturb = build_attack(classifier, recipe, precision, start, capture)
    first, step, sums = 0, 0, torch.zeros(3, dtype=torch.float64, device=device)
    curve: list[Row] = []
    best: dict[str, Any] = {"epoch": None, "accuracy": -1.0, "state": None}
    aim = "held_out_clean" if recipe.attack is None else "held_out_pgd"  # without attacks PGD accuracy is noise near 0
    status: Literal["ok", "nan"] = "ok"

    def save(epoch: int, step: int) -> None:
        """`epoch` and `step` are the next to take; from them and the seed follow the order and all random numbers."""
        if checkpoint is not None:
            progress = {"epoch": epoch, "step": step, "sums": sums, "curve": curve, "best": best}
            weights = {"trained": trained.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save({**progress, **weights, "clock": clock.state()})

    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        first, step, sums = saved["epoch"], saved["step"], saved["sums"].to(device)
        curve, best = saved["curve"], saved["best"]
        trained.load_state_dict(saved["trained"])
        optimizer.load_state_dict(saved["optimizer"])
        clock.restore(saved["clock"])
        say(f"{title}: goes on from epoch {first + 1}, step {step + 1}")

    def shifted(batch: Tensor, epoch: int, step: int) -> Tensor:
        random = generator(seed, "shift", epoch, step, device=device)
        return random_shift(to_float(images[batch]), recipe.shift, random)

    last_save = monotonic()
    if isinstance(perturb, Captured) and first < recipe.epochs:
        with clock.phase("record"):  # and compile: not in the seconds of training
            for batch in {len(batch): batch for batch in batches(chosen.to(device), recipe.batch_size)}.values():
                perturb.record_for(shifted(batch, first, step), labels[batch])
    for epoch in range(first, recipe.epochs):
        lr = multistep(epoch, recipe.milestones, recipe.lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        order = chosen[torch.randperm(len(chosen), generator=generator(seed, "order", epoch))]
        steps = batches(order.to(device), recipe.batch_size)

        with clock.phase("train"):
            for batch in bar(steps[step:], f"{title} {epoch + 1}/{recipe.epochs}"):
                if stop.requested:
                    save(epoch, step)
                    raise Interrupted(stop.signal)
                reseed(start, seed, "attack", epoch, step)
                views = shifted(batch, epoch, step)
                sums += train_step(classifier, recipe, views, labels[batch], optimizer, precision, perturb)
                clock.count("images", len(batch))
                step += 1
            loss, clean, adversarial = (sums / len(chosen)).tolist()  # the epoch's first wait for the device
        if not (isfinite(loss) and all(tensor.isfinite().all() for tensor in trained.state_dict().values())):
            say(f"{title}: epoch {epoch + 1} is not finite, training ends here")
            status = "nan"
            break

        row: Row = {"epoch": epoch + 1, "lr": lr, "loss": loss}
        accuracies = {"clean_accuracy": 100 * clean, "adversarial_accuracy": 100 * adversarial}
        row |= {name: value for name, value in accuracies.items() if not isnan(value)}
        if early_stopping is not None:
            row |= {"held_out_clean": None, "held_out_pgd": None}
            if epoch in looks(early_stopping, recipe.epochs):
                with clock.phase("held out"):
                    row |= look(classifier, images[held_out], labels[held_out], early_stopping, recipe.epsilon, seed)
                if row[aim] > best["accuracy"]:
                    state = {name: tensor.to("cpu", copy=True) for name, tensor in classifier.state_dict().items()}
                    best = {"epoch": epoch + 1, "accuracy": row[aim], "state": state}
        curve.append(rounded(row))
        say(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in row.items() if value is not None))

        step, sums = 0, torch.zeros_like(sums)
        if epoch + 1 == recipe.epochs or monotonic() - last_save >= save_every:
            save(epoch + 1, step)
            last_save = monotonic()

    if recipe.train == "head" and status == "ok" and not same(encoder_before, classifier.encoder.state_dict()):
        raise RuntimeError(f"{title}: the encoder was to stay frozen, but it moved")
    return Trained(curve, best["epoch"], best["state"], status)


def build_attack(
    classifier: Classifier, recipe: Recipe, precision: Precision, start: torch.Generator, capture: bool
) -> Callable[[Tensor, Tensor], Tensor]:  # fmt: skip
    """images (B, 3, H, W) in [0, 1] and labels (B,) -> the perturbed images that the recipe trains on.

    Args:
        start: generator of the attack's random start, on the classifier's device; to be seeded before each call.
        capture: whether the attack is one launch on a GPU; the next call overwrites what this one gave.
    """
    attacked = [classifier.encoder] if recipe.attack else []  # also of a probe: its attack goes through the encoder

    def perturb(images: Tensor, labels: Tensor) -> Tensor:
        with mode(classifier, False), frozen(classifier), norms_folded(classifier.branch, *attacked):
            return attack(recipe, partial(logits, classifier, precision=precision), images, labels, start)

    return Captured(perturb, classifier, start) if capture and recipe.attack else perturb


def train_step(
    classifier: Classifier,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    perturb: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Attack, loss and optimiser for one batch of images (B, 3, H, W) in [0, 1].

    Args:
        perturb: the attack, of `build_attack`.

    Returns:
        (3,) float64 on the images' device, sums over the batch: the loss, the right answers on clean images and those
        on adversarial ones; nan where the objective has no such answers.
    """
    perturbed = perturb(images, labels)
    with mode(classifier, recipe.train == "all"):
        classify = partial(logits, classifier, precision=precision, head_only=recipe.train == "head")
        result = outcome(recipe, classify, images, perturbed, labels)
    optimizer.zero_grad(set_to_none=True)
    result.loss.backward()
    optimizer.step()
    loss = result.loss.detach().double() * len(images)
    return torch.stack([loss, _right(result.clean, labels), _right(result.adversarial, labels)])


def logits(classifier: Classifier, images: Tensor, *, precision: Precision, head_only: bool = False) -> Tensor:
    """images (B, 3, H, W) -> logits (B, classes), in float32 or finer; with `head_only` the encoder leaves no graph."""
    with autocast(images.device, precision):
        with torch.no_grad() if head_only else nullcontext():
            features = classifier.features(images)
        answers = classifier.head(features)
    return answers.to(torch.promote_types(answers.dtype, torch.float32))


def passes(recipe: Recipe, images: int, early_stopping: EarlyStopping | None) -> float:
    """Cost of the training in forward passes of one image through the encoder.

    A backward counts 2, an input gradient 1.

    Args:
        images: how many training images there are, held-out ones included.
    """
    looked_at = 2 if recipe.objective in ("alp", "trades") else 1  # by the loss: clean and adversarial, or one of them
    step = looked_at * (3 if recipe.train == "all" else 1)
    if recipe.attack is not None:
        step += 2 * recipe.attack.steps + (recipe.objective == "trades")
    if early_stopping is None:
        return recipe.epochs * images * step
    seen = len(looks(early_stopping, recipe.epochs)) * early_stopping.images
    return recipe.epochs * (images - early_stopping.images) * step + seen * (2 * early_stopping.steps + 2)


def _right(answers: Tensor | None, labels: Tensor) -> Tensor:
    """How many rows of the logits (B, classes) are right, as float64; nan if there are no logits."""
    if answers is None:
        return torch.full((), nan, dtype=torch.float64, device=labels.device)
    return (answers.argmax(dim=1) == labels).sum(dtype=torch.float64)
