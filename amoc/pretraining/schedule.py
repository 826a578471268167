"""The learning rate of pre-training as a function of the epoch, or of the step."""

from __future__ import annotations

from math import cos, pi

from amoc.settings import Lars, Optimizer


def warmup_cosine(epoch: int, epochs: int, lr: float, warmup: int) -> float:
    """lr / 1000 at epoch 0, then linear up to lr at epoch `warmup`, then a cosine to 0 at `epochs` (official schedule).

    Without warm-up it is the cosine alone.
    """
    if warmup and epoch == 0:
        return lr / 1000
    if epoch < warmup:
        return lr * epoch / warmup
    return lr / 2 * (1 + cos(pi * (epoch - warmup) / (epochs - warmup)))


def warmup_cosine_by_step(step: int, steps: int, lr: float, warmup: int, final: float) -> float:
    """Linear from 0 before the first step up to lr at the last of `warmup` steps, then a cosine to `final` at the last.

    The schedule of ACL's official code, which moves before each step. Steps count from 0.
    """
    done = step + 1
    if done <= warmup:
        return lr * done / warmup
    return final + (lr - final) / 2 * (1 + cos(pi * (done - warmup) / (steps - warmup)))


def learning_rate(options: Optimizer, epochs: int, epoch: int, step: int, steps: int) -> float:
    """The rate at a step of an epoch, both from 0: LARS changes it with every step, SGD with every epoch.

    steps: that an epoch has.
    """
    if isinstance(options, Lars):
        done, warmup = epoch * steps + step, options.warmup_epochs * steps
        return warmup_cosine_by_step(done, epochs * steps, options.lr, warmup, options.final_lr)
    return warmup_cosine(epoch, epochs, options.lr, options.warmup_epochs)
