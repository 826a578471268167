"""A network that is asked in reduced precision, but where that could change which class it says."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# of the largest logit: two classes nearer to each other than this are told apart in float32. bfloat16 has 8 bits; what
# a trained ResNet-18 made of its rounding was 0.004 of the largest logit in the mean and 0.022 at most, for each of two
CLOSE = 0.05
NEAR = 0.02  # the same for a search that can bear to be told now and then that a misclassified image is right


class Reduced(nn.Module):
    """Logits in bfloat16; images between two classes, and those whose logits are not finite, are asked about again.

    For searching: which class an image has is as good as in float32, by how much is not. Where a gradient is asked for,
    all is in bfloat16, and what the logits say of the class is a rumour.

    Args:
        model: images (B, 3, H, W) -> logits (B, classes) in float32, in eval mode.
        close: images whose two largest logits differ by less are between two classes; a part of the largest logit, by
            default CLOSE; with less, the class is now and then another than in float32.
    """

    def __init__(self, model: nn.Module, close: float | None = None) -> None:
        super().__init__()
        self.model = model
        self.close = CLOSE if close is None else close
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = self.model(images).float()
        if logits.requires_grad:
            return logits
        first, second = logits.topk(2, dim=1).values.unbind(dim=1)
        told = first - second > self.close * logits.abs().amax(dim=1)  # false for NaN
        again = (~told).nonzero().squeeze(1)
        return logits.index_copy(0, again, self.model(images[again])) if len(again) else logits
