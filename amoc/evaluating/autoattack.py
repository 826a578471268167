"""AutoAttack (Croce and Hein, 2020) through pyautoattack, version standard, one member of the ensemble at a time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from pyautoattack import AutoAttack as Adversary
from pyautoattack.autopgd_base import APGDAttack
from pyautoattack.checks import check_square_sr
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from amoc.evaluating.reduced import NEAR, Reduced
from amoc.evaluating.sparing import AllSettled, Sparing
from amoc.settings import AutoAttack

MEMBERS = ("apgd-ce", "apgd-t", "fab-t", "square")
NORMS = {"linf": "Linf", "l2": "L2"}


def search(
    settings: AutoAttack, member: str, model: nn.Module, images: Tensor, labels: Tensor, *, classes: int, seed: int
) -> tuple[Tensor, dict[str, str]]:
    """One member of the ensemble, with random numbers drawn from the seed anew.

    The four in order in float32, each on the images that the ones before left standing, find what one plain
    `run_standard_evaluation` of the batch with this seed finds.

    Args:
        member: one of MEMBERS.
        model: images in [0, 1] -> logits (B, classes), in eval mode, without parameter gradients.
        images: (B, 3, H, W) in [0, 1], on the model's device.
        labels: (B,).
        classes: with 10 or more there are 9 target classes, otherwise all the other ones.

    Returns:
        images (B, 3, H, W), perturbed where the member succeeded and as they were elsewhere; and what pyautoattack's
        checks say against the evaluation, by member and check.

    Raises:
        ValueError: fewer than four classes, for which APGD-T's loss, the targeted DLR, is not defined.
    """
    if classes < 4:
        raise ValueError(f"AutoAttack's targeted loss needs four classes, the model has {classes}")
    in_bfloat16 = settings.search_precision == "bfloat16"
    network = Reduced(model) if in_bfloat16 else model
    images = images.contiguous()  # pyautoattack takes views that channels-last memory does not have
    logger, said = _listener()
    with _contained(images.device):
        adversary = Adversary(
            network, norm=NORMS[settings.norm], eps=settings.epsilon, seed=seed, version="standard",
            device=images.device,
        )  # fmt: skip
        adversary.attacks_to_run = [member]
        adversary.square.n_queries = settings.square_queries
        targets = min(9, classes - 1)
        adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = targets
        adversary.logger = adversary.apgd.logger = adversary.apgd_targeted.logger = logger
        stop_at_success(adversary.apgd)
        stop_at_success(adversary.apgd_targeted)
        if in_bfloat16:
            doubt_success(adversary.square)
        found, _ = adversary.run_standard_evaluation(images, labels, batch_size=len(images))
    return found, {f"{member}, {check}": warning for check, warning in said.items()}


def stop_at_success(apgd: APGDAttack) -> None:
    """Have APGD leave each image alone once a version of it is misclassified, as it counts from then on as broken.

    By itself it goes on with all images of a batch until the last iteration, and returns the last such version. A
    network that computes gradients in reduced precision is asked about such a version again, without a gradient.
    """
    run, network = apgd.attack_single_run, apgd.model

    def stopping(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, None, Tensor]:
        """What `attack_single_run` returns: best version, still right, its loss, a misclassified version if any."""

        @torch.no_grad()
        def misclassified(versions: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
            wrong = logits.argmax(dim=1) != labels[rows]
            if isinstance(network, Reduced) and wrong.any():
                wrong[wrong.clone()] = network(versions[wrong]).argmax(dim=1) != labels[rows[wrong]]
            return wrong

        apgd.model = sparing = Sparing(network, images, misclassified)
        try:
            with suppress(AllSettled):
                run(images, labels)
        finally:
            apgd.model = network
        return sparing.found, ~sparing.settled, None, sparing.found

    apgd.attack_single_run = stopping


def doubt_success(square: SquareAttack) -> None:
    """Have Square ask a `Reduced` network again about all versions that are misclassified, and about fewer others.

    Square leaves an image alone once a version of it is misclassified, so that has to be true. A version that is so in
    float32 only, and is taken for right, is one of thousands on the way of its image, which goes on.
    """
    network, measure = square.predict, square.margin_and_loss
    quick = Reduced(network.model, NEAR)

    def margin_and_loss(versions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """By how much the right logit is the largest (n,), at most 0 if it is not, and the loss (n,)."""
        square.predict = quick
        margins, losses = measure(versions, labels)
        wrong = margins <= 0
        if wrong.any():
            square.predict = network.model
            margins[wrong], losses[wrong] = measure(versions[wrong], labels[wrong])
        square.predict = network
        return margins, losses

    square.margin_and_loss = margin_and_loss


def square_check(standing: Sequence[int], total: int) -> dict[str, str]:
    """pyautoattack's last check: if queries break what gradients could not break, the gradients are masked.

    Args:
        standing: images right before the attack and after each of MEMBERS.
        total: all images.
    """
    logger, said = _listener()
    accuracies = {name: count / total for name, count in zip(("clean", *MEMBERS), standing, strict=True)}
    check_square_sr(accuracies, logger=logger)
    return said


def _listener() -> tuple[logging.Logger, dict[str, str]]:
    """A logger that prints nothing, and the first warning that each of pyautoattack's checks gave to it."""
    said: dict[str, str] = {}

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.setdefault(record.funcName, record.getMessage())

    logger = logging.Logger("autoattack")
    logger.addHandler(Listener(logging.WARNING))
    return logger, said


@contextmanager
def _contained(device: torch.device) -> Iterator[None]:
    """pyautoattack seeds the global generators and ends any debugger's or coverage tool's trace: put both back."""
    trace = sys.gettrace()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        sys.settrace(trace)
