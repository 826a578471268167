"""A suite of attacks on one model, resumable after every batch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from amoc.engine.generators import generator
from amoc.engine.progress import bar
from amoc.engine.sharing import in_parallel
from amoc.evaluating import attacks, autoattack, carlini_wagner, checks
from amoc.evaluating.cost import passes
from amoc.evaluating.outcome import Outcome
from amoc.models.folding import folded
from amoc.models.norm import frozen
from amoc.settings import Attack, AutoAttack, CarliniWagner

State = dict[str, dict[str, Any]]
# images (B, 3, H, W), labels (B,) -> what the attack found (B, 3, H, W), and what was said against it, by check
Search = Callable[[Tensor, Tensor], tuple[Tensor, dict[str, str]]]


def run_suite(
    model: nn.Module, images: Tensor, labels: Tensor, suite: Mapping[str, Attack], *, batch_size: int, seed: int,
    saved: State | None = None, save: Callable[[State], object] | None = None, processes: int = 1,
) -> dict[str, Outcome]:  # fmt: skip
    """Attack the images that the model gets right.

    An image that is wrong without attack counts as broken. For the others a float32 pass of this model over what the
    attack found counts, after a check that it is an image in its ball. Images are attacked in batches of those that
    are right, in order; `batch_size` is part of the result, because random numbers are drawn by the batch. The attacks
    search on a copy of the model with its batch norms folded into its convolutions, the same function up to rounding.

    Args:
        model: images in [0, 1] -> logits (B, classes), in eval mode, on the images' device; unchanged afterwards.
        images: float32 (n, 3, H, W) in [0, 1].
        labels: int64 (n,), on the same device.
        suite: the attacks by name. Each gets the first so many images that its settings name, or all there are.
        seed: of random starts. Each batch of a foolbox attack has a stream of its own; AutoAttack's members all start
            from this seed, in every batch.
        saved: what `save` was last given by a call with the same arguments that did not finish.
        save: called after each batch of each attack (AutoAttack: of each member) with everything so far: tensors on
            the CPU, numbers and strings, which nothing changes later.
        processes: so many attacks at a time, each in a process of its own (`amoc.engine.sharing`).

    Returns:
        "clean", then the attacks in their order; on a CPU bit for bit the same however often the run was interrupted,
        and however many processes shared it.

    Raises:
        NotFinite: the model's logits are NaN or infinite.
        OutOfBounds: an attack returned something else than images in its ball.
        ValueError: this model or these inputs cannot be evaluated.
    """
    checks.check_images(images)
    images = images.contiguous(memory_format=torch.channels_last)
    state = dict(saved or {})
    # no search for the fastest convolution: the batches of images that still stand are of ever another size
    settled = torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)
    with frozen(model), torch.autocast(images.device.type, enabled=False), settled:
        classes = checks.check_model(model, images[:batch_size])
        checks.check_labels(labels, images, classes)
        if "clean" not in state:
            batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
            state["clean"] = {"correct": torch.cat([_right(model, *batch) for batch in batches])}
        clean = state["clean"]["correct"]
        quick = folded(model, images[:1])

        def attacked(name: str, attack: Attack) -> Iterator[dict[str, Any]]:
            """What is reached after each further batch."""
            reached = state[name]
            steps = list(_steps(name, attack, quick, clean[: attack.images], batch_size, classes, seed))
            for batch, search in bar(steps[len(reached["broken"]) :], name):
                standing = batch[reached["correct"][batch]]
                broken, warnings = _attack(attack, search, model, images, labels, standing)
                reached = {
                    "correct": reached["correct"].index_fill(0, broken, False),
                    "broken": [*reached["broken"], len(broken)],
                    "warnings": warnings | reached["warnings"],
                }
                yield reached

        begun = {n: {"correct": clean[: a.images], "broken": [], "warnings": {}} for n, a in suite.items()}
        state = {**begun, **state}
        order = list(suite)
        if processes > 1:  # the longest first, or one process would be left with it
            order.sort(key=lambda name: passes({name: suite[name]}, len(images), classes), reverse=True)
        for name, reached in in_parallel({name: attacked(name, suite[name]) for name in order}, processes):
            state = {**state, name: reached}
            if save:
                save(state)
    outcomes = {"clean": Outcome(clean, None)}
    for name, attack in suite.items():
        outcomes[name] = Outcome(state[name]["correct"], attack, _doubts(attack, clean, state[name]))
    checks.check_outcomes(outcomes)
    return outcomes


def _steps(
    name: str, attack: Attack, model: nn.Module, right: Tensor, batch_size: int, classes: int, seed: int
) -> Iterator[tuple[Tensor, Search]]:
    """Each batch of images that are right, with each search that is made for it; an image stays in its batch."""
    for number, batch in enumerate(right.nonzero().squeeze(1).split(batch_size)):
        if isinstance(attack, AutoAttack):
            for member in autoattack.MEMBERS:
                yield batch, partial(autoattack.search, attack, member, model, classes=classes, seed=seed)
        else:
            stream = generator(seed, name, number).initial_seed()
            search = carlini_wagner.search if isinstance(attack, CarliniWagner) else attacks.search
            yield batch, partial(search, attack, model, seed=stream)


def _attack(
    attack: Attack, search: Search, model: nn.Module, images: Tensor, labels: Tensor, standing: Tensor
) -> tuple[Tensor, dict[str, str]]:
    """Which of the `standing` images (their indices) a search breaks, and what is said against it."""
    if len(standing) == 0:
        return standing, {}
    victims, truth = images[standing], labels[standing]
    found, warnings = search(victims, truth)
    checks.check_found(attack, victims, found)
    return standing[~_right(model, found, truth)], warnings


@torch.no_grad()
def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which images the model gets right: bool (B,), on the CPU. Raises NotFinite."""
    logits = model(images)
    checks.check_finite(logits)
    return (logits.argmax(dim=1) == labels).cpu()


def _doubts(attack: Attack, clean: Tensor, reached: dict[str, Any]) -> tuple[str, ...]:
    """What was said against an attack that has run to its end."""
    warnings = dict(reached["warnings"])
    if isinstance(attack, AutoAttack):
        members = len(autoattack.MEMBERS)
        right = clean[: attack.images]
        broken = [sum(reached["broken"][member::members]) for member in range(members)]
        standing = list(accumulate(broken, operator.sub, initial=right.sum().item()))
        warnings |= autoattack.square_check(standing, len(right))
    return tuple(f"{check}: {warning}" for check, warning in sorted(warnings.items()))
