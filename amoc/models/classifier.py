"""An encoder with a linear head on one norm branch: what is trained with labels, attacked and released."""

from __future__ import annotations

from torch import Tensor, nn

from amoc.models.encoder import Encoder
from amoc.models.norm import branch
from amoc.pretraining.variants import Branch


class Classifier(nn.Module):
    """images (B, 3, H, W) in [0, 1] -> logits (B, classes), always through the norm branch named in `branch`."""

    def __init__(self, encoder: Encoder, head: nn.Linear, branch: Branch) -> None:
        super().__init__()
        self.encoder, self.head, self.branch = encoder, head, branch

    def features(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> (B, features)."""
        with branch(self.encoder, self.branch):
            return self.encoder(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
