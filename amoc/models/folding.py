"""Batch norms folded into the convolutions before them: the same network in fewer passes over memory.

In eval mode a convolution and the norm behind it are one convolution with other weights and a bias,
g (w * x - m) / s + b = (g w / s) * x + (b - g m / s). `norms_folded` is for an encoder in training, whose weights
change between two attacks; `folded` makes a copy of any network, for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from amoc.models.encoder import Encoder
from amoc.models.norm import DualBatchNorm2d
from amoc.pretraining.variants import Branch


@contextmanager
def norms_folded(name: Branch, *encoders: Encoder) -> Iterator[None]:
    """Within the scope encoders in eval mode compute the same through one branch with fewer operations.

    For input gradients while the weights stay: none reaches weights or norms. The convolutions have other weights until
    the scope ends, also by an exception; the optimiser's are not touched.

    Args:
        name: the branch whose norms are folded; the other cannot be used within the scope.
        encoders: those in train mode are left as they are, because their norms take the statistics of the batch. So
            are norms that do not want it (`DualBatchNorm2d.folds`).

    Raises:
        ValueError: norms are folded already, or a norm has no convolution of its own before it.
    """
    pairs = [pair for encoder in encoders if not encoder.training for pair in _followed(encoder)]
    if len({convolution for convolution, _ in pairs}) < len(pairs) or any(dual.folded for _, dual in pairs):
        raise ValueError("these norms cannot be folded: they are so already, or are not alone behind a convolution")
    before = [(convolution.weight, convolution.bias) for convolution, _ in pairs]
    try:
        for convolution, dual in pairs:
            norm: nn.BatchNorm2d = getattr(dual, name)
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight.detach(), convolution.bias, norm.running_mean, norm.running_var, norm.eps,
                norm.weight.detach(), norm.bias.detach(),
            )  # fmt: skip
            dual.folded = name
        yield
    finally:
        for (convolution, dual), (weight, bias) in zip(pairs, before, strict=True):
            convolution.weight, convolution.bias, dual.folded = weight, bias, None


def _followed(encoder: Encoder) -> Iterator[tuple[nn.Conv2d, DualBatchNorm2d]]:
    """Each convolution with the norm behind it: in timm's ResNets that is the next one in the order of the modules."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            convolution = module
        elif isinstance(module, DualBatchNorm2d) and module.folds:
            yield convolution, module


@torch.no_grad()
def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy that computes the same with fewer operations, for many passes through a network that does not change.

    Which norm is behind which convolution shows on the way that images take, so of dual norms the copy has the branch
    that they go through now: it is good for no other.

    Args:
        model: in eval mode; unchanged.
        images: some that it takes.

    Returns:
        the copy; the model itself where there is nothing to fold, or no finite logit to compare.

    Raises:
        ValueError: the copy does not compute the same, because something else too takes what a convolution gives.
    """
    pairs, expected = _pairs(model, images)
    if not pairs or not expected.isfinite().all():
        return model
    names = {module: name for name, module in model.named_modules()}
    copy = deepcopy(model)
    for convolution, norm in pairs:
        copy.set_submodule(names[convolution], fuse_conv_bn_eval(convolution, norm))
        copy.set_submodule(names[norm], nn.Identity())
    # rounding is one part in a million of the largest numbers, but nothing bounds what further layers make of it
    if not (copy(images) - expected).abs().max() <= 1e-3 * expected.abs().max():
        raise ValueError("without its batch norms the model computes something else")
    return copy


def _pairs(model: nn.Module, images: Tensor) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor]:
    """Each convolution with the norm that takes what it gives, both used once on the images' way; and the logits."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    uses: Counter[nn.Module] = Counter()

    def leaves(convolution: nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        made[id(output)] = convolution, output  # kept, or its id could become another tensor's
        uses[convolution] += 1

    def enters(norm: nn.BatchNorm2d, given: tuple[Tensor]) -> None:
        if id(given[0]) in made:
            pairs.append((made[id(given[0])][0], norm))
        uses[norm] += 1

    hooks = [module.register_forward_hook(leaves) for module in model.modules() if isinstance(module, nn.Conv2d)]
    hooks += [
        module.register_forward_pre_hook(enters) for module in model.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if uses[pair[0]] == uses[pair[1]] == 1], logits
