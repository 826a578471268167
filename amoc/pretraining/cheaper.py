"""AMOC at a lower cost: a part of the batch, perturbations that go on from the last epoch's, or perturbations for free.

Nothing here is the papers': these are ways to spend fewer encoder passes on the attack, which takes more than half of
them (`reports/fast` compares them). Fewer steps of AMOC's own attack need no other method.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from amoc.models.encoder import Encoder
from amoc.perturb import Ball
from amoc.pretraining.amoc import AMOC, Terms, Views
from amoc.pretraining.variants import Branch
from amoc.settings import CheaperAMOCPretraining


class CheaperAMOC(AMOC):
    """AMOC whose queries are perturbed in a cheaper way; `start` "last" needs `remember` and, at each step, `which`."""

    settings: CheaperAMOCPretraining
    perturbations: Tensor  # (N, 3, H, W), of each training image the last one, as it lay on the view of that epoch

    def __init__(self, encoder: Encoder, settings: CheaperAMOCPretraining, generator: Generator) -> None:
        super().__init__(encoder, settings, generator)
        self.again = self.use  # of a batch that was used before: what a GPU records by itself

    @property
    def updates(self) -> int:
        """Of the weights, in a step."""
        return self.settings.replays

    def diagnostics(self, taken: int) -> dict[str, int]:
        """As AMOC's; of the adversarial bank, if that gets fewer keys in a step."""
        s = self.settings
        entering = self._part(s.batch_size) if s.fills_by_query else s.batch_size
        return {"bank_age": min(taken, ceil(s.bank_length / entering))}

    def _part(self, count: int) -> int:
        """How many of so many images are perturbed: norms need two."""
        return max(2, ceil(self.settings.share * count))

    def remember(self, images: Tensor, generator: Generator) -> None:
        """With `start` "last": make room for a perturbation of each image (N, H, W, 3), uniform noise at first."""
        if self.settings.start == "random":
            return
        count, height, width, channels = images.shape
        noise = torch.empty(count, channels, height, width, device=images.device, dtype=torch.float16)
        noise.uniform_(-self.settings.epsilon, self.settings.epsilon, generator=generator)
        self.register_buffer("perturbations", noise)

    def attack(
        self, queries: Tensor, keys: Tensor, generator: Generator, start: Tensor | None = None
    ) -> tuple[Views, Views]:
        """As AMOC's, for the first images of the batch, `share` of it but at least two."""
        part = self._part(len(queries))
        perturbed, _ = super().attack(queries[:part], keys[:part], generator, start)
        return {**perturbed, "clean": queries}, {"clean": keys}

    def gradients(
        self, queries: Tensor, keys: Tensor, generator: Generator, which: Tensor | None = None
    ) -> tuple[Terms, Any]:
        """As AMOC's; with `replays` above 1 of the first use of the batch, whose perturbation is noise.

        With `start` "last" the attack goes on from where the same images were left, and leaves them anew.
        """
        s = self.settings
        if s.replays > 1:
            noisy = Ball(queries, s.epsilon).random(generator)
            terms, gradient, new = self.use(queries, noisy, keys)
            return terms, (queries, noisy, keys, gradient, new)
        if s.start == "random":
            return super().gradients(queries, keys, generator)
        which = which[: self._part(len(queries))]
        views, others = self.attack(queries, keys, generator, self.perturbations[which].to(queries.dtype))
        self.perturbations[which] = (views["adv"] - queries[: len(which)]).to(self.perturbations.dtype)
        return self.descend(views, others)

    def update(self, left: Any, optimizer: Optimizer) -> None:
        """As AMOC's; with `replays` above 1 in the manner of "free" adversarial training (Shafahi et al., 2019).

        The batch is used so many times. Each time the backward pass that gives the weights their gradient gives the
        perturbation its own, with norms in train mode, and both take a step: there is no attack besides. (The original
        carries the perturbation on to the next batch; here each batch, of new views, starts from noise.)
        """
        s = self.settings
        if s.replays == 1:
            return super().update(left, optimizer)
        queries, perturbed, keys, gradient, new = left
        ball = Ball(queries, s.epsilon)
        for replay in range(s.replays):
            if replay > 0:
                _, gradient, new = self.again(queries, perturbed, keys)
            optimizer.step()
            self.pair.follow(s.key_momentum)
            perturbed = ball.ascend(perturbed, gradient, s.attack.relative_step * s.epsilon)
        self.enqueue(new)  # once, at last: the keys of a batch would be the negatives of its own next use
        return None

    def use(self, queries: Tensor, perturbed: Tensor, keys: Tensor) -> tuple[Terms, Tensor, dict[Branch, Tensor]]:
        """Losses, the gradient of the perturbed queries, and the keys that are to enter each bank."""
        images = perturbed.detach().requires_grad_()
        terms, new = self.descend({"clean": queries, "adv": images}, {"clean": keys})
        return terms, images.grad, new
