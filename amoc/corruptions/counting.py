"""How many corrupted images networks get right, resumable after every corruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from amoc.augment import to_float
from amoc.corruptions.catalogue import SEVERITIES
from amoc.corruptions.source import Source
from amoc.engine.progress import bar

# head -> corruption -> how many images are right at each severity; clean has one number
Right = dict[str, dict[str, list[int]]]


def count(
    features: Callable[[Tensor], Tensor], heads: Mapping[str, nn.Module], pixels: np.ndarray, labels: np.ndarray,
    source: Source, *, batch_size: int, device: torch.device, saved: Right | None = None,
    save: Callable[[Right], object] | None = None,
) -> Right:  # fmt: skip
    """Count, for the clean images and then for each corruption of the source, what each head gets right.

    A head without finite logits for an image is left out of the result, whatever it got right before.

    Args:
        features: images (B, 3, H, W) in [0, 1] -> (B, features), of a network in eval mode on the device.
        heads: (B, features) -> logits (B, classes), by name, on the device.
        pixels: the clean test images, uint8 (N, H, W, 3).
        labels: int64 (N,).
        saved: what `save` was last given by a call with the same arguments that did not finish.
        save: called after the clean images and after each corruption, with everything so far.
    """
    reached: Right = saved or {}
    heads = {head: linear for head, linear in heads.items() if head in reached or not reached}
    batches = [range(first, min(first + batch_size, len(labels))) for first in range(0, len(labels), batch_size)]

    def counted(name: str) -> dict[str, list[int | None]]:
        right: dict[str, list[int | None]] = {head: [] for head in heads}
        for severity in SEVERITIES[:1] if name == "clean" else SEVERITIES:
            found = []
            for batch in batches:
                clean = pixels[batch.start : batch.stop]
                images = clean if name == "clean" else source.images(name, severity, batch)
                found.append(_right(features, heads, images, labels[batch.start : batch.stop], device))
            for head, counts in right.items():
                numbers = [each[head] for each in found]
                counts.append(None if None in numbers else sum(numbers))
        return right

    for name in bar(["clean", *source.names], source.kind):
        if all(name in reached.get(head, {}) for head in heads):
            continue
        right = counted(name)
        heads = {head: linear for head, linear in heads.items() if None not in right[head]}
        reached = {head: {**reached.get(head, {}), name: right[head]} for head in heads}
        if save:
            save(reached)
    return reached


@torch.no_grad()
def _right(
    features: Callable[[Tensor], Tensor], heads: Mapping[str, nn.Module], pixels: np.ndarray, labels: np.ndarray,
    device: torch.device,
) -> dict[str, int | None]:  # fmt: skip
    """How many images each head gets right; None if it has logits that are NaN or infinite."""
    found = features(to_float(torch.from_numpy(pixels).to(device)))
    truth = torch.from_numpy(labels).to(device)
    logits = {name: head(found) for name, head in heads.items()}
    return {
        name: int((each.argmax(dim=1) == truth).sum()) if each.isfinite().all() else None
        for name, each in logits.items()
    }
