"""A network that attacks do not ask again about images which are broken already."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class AllSettled(Exception):
    """There is no image left to ask about: the attack can end."""


class Sparing(nn.Module):
    """Stands for a network in an attack that goes on with a whole batch. Each image is asked about until it is settled.

    From then on the last answer is repeated for it, without gradient. What the attack makes of it after that means
    nothing: what settled it is in `found`.

    Args:
        model: images (B, 3, H, W) -> logits (B, classes), in eval mode.
        images: (B, 3, H, W), the batch, of which every question asks about versions in the same order.
        settles: versions (n, 3, H, W), their logits, and which images of the batch they are (n,) -> bool (n,).

    Attributes:
        settled: bool (B,).
        found: (B, 3, H, W), the version that settled an image, the image itself where none has.
    """

    settled: Tensor
    found: Tensor

    def __init__(self, model: nn.Module, images: Tensor, settles: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.settles = model, settles
        self.settled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.found = images.clone()
        self.answers: Tensor | None = None  # (B, classes), the last
        self.eval()

    def forward(self, versions: Tensor) -> Tensor:
        """Raises AllSettled."""
        rows = (~self.settled).nonzero().squeeze(1)
        if len(rows) == 0:
            raise AllSettled
        asked = versions[rows]
        logits = self.model(asked)
        answers = logits if self.answers is None else self.answers.index_copy(0, rows, logits)
        self.answers = answers.detach()
        done = self.settles(asked.detach(), logits.detach(), rows)
        self.settled[rows[done]] = True
        self.found[rows[done]] = asked[done].detach()
        return answers
