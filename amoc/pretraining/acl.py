"""ACL: adversarial contrastive learning, SimCLR on clean and perturbed views (Jiang et al., 2020)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from amoc.models.encoder import Encoder
from amoc.models.folding import norms_folded
from amoc.models.heads import normed_projector
from amoc.models.norm import frozen, mode
from amoc.perturb import maximise
from amoc.pretraining.forms import FORMS, Pair
from amoc.pretraining.nt_xent import nt_xent
from amoc.pretraining.projections import unit
from amoc.pretraining.variants import Branch
from amoc.settings import ACLPretraining

Views = dict[Branch, Tensor]  # the clean view of a batch and, where the form has one, the perturbed view


class ACL(nn.Module):
    """One network with dual norm, head included, and the step.

    Args:
        encoder: is trained.
        settings: the form, the attack and the head.
        generator: of the head's weights, on the CPU.
    """

    updates = 1  # of the weights, in a step

    def __init__(self, encoder: Encoder, settings: ACLPretraining, generator: Generator) -> None:
        super().__init__()
        self.settings, self.pairs = settings, FORMS[settings.form]
        head = settings.projector
        projector = normed_projector(encoder.features, head.hidden, head.output, head.layers, generator)
        self.network = nn.Sequential(OrderedDict(encoder=encoder, projector=projector))

    @property
    def encoder(self) -> Encoder:
        """What pre-training is for."""
        return self.network.encoder

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """All that a step computes with, for the compiler."""
        return (self.encoder,)

    @property
    def trained(self) -> nn.Module:
        """What the optimiser trains."""
        return self.network

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the training curve, as `gradients` returns them: the loss and, of several pairs, that of each."""
        return ("loss", *(f"loss_{name}" for _, name in self.pairs)) if len(self.pairs) > 1 else ("loss",)

    @property
    def chance(self) -> dict[str, float]:
        """No loss has such a level: the head ends in a norm, so projections cannot all be one point."""
        return {}

    def remember(self, images: Tensor, generator: Generator) -> None:
        """Before the first step, as AMOC's: nothing is kept of an image between epochs."""

    def diagnostics(self, taken: int) -> dict[str, int]:
        """What else a row of the training curve tells after so many steps: nothing."""
        return {}

    def contrast(self, one: Tensor, other: Tensor) -> Tensor:
        """NT-Xent (2B,) of unit projections (B, D), in their precision."""
        with torch.autocast(one.device.type, enabled=False):
            return nt_xent(one, other, self.settings.temperature)

    def pair_loss(self, ones: Views, others: Views, pair: Pair) -> Tensor:
        """The loss of the two views of each image, each through its branch.

        Views of the same branch go through the network as one batch, whose statistics the norms take.
        """
        first, second = pair
        if first == second:
            one, other = unit(self.network, torch.cat((ones[first], others[second])), first).chunk(2)
        else:
            one, other = unit(self.network, ones[first], first), unit(self.network, others[second], second)
        return self.contrast(one, other).mean()

    def losses(self, ones: Views, others: Views) -> tuple[Tensor, ...]:
        """The loss of given views; where there are several pairs it is their mean, and they follow."""
        terms = [self.pair_loss(ones, others, pair) for pair in self.pairs]
        total = torch.stack(terms).mean()
        return (total, *terms) if len(terms) > 1 else (total,)

    def attack(self, one: Tensor, other: Tensor, generator: Generator) -> tuple[Views, Views]:
        """Perturb jointly the views that go through the adversarial branch, to maximise the loss of their pair.

        In eval mode. A2S perturbs the second view; the first one is clean, and encoded once.
        """
        s, both = self.settings, self.pairs[-1] == ("adv", "adv")
        # frozen: compiled code would compute the gradients of the weights too, whoever asks
        with mode(self.network, training=False), frozen(self.network):
            if both:

                def loss(images: Tensor) -> Tensor:
                    return self.contrast(*unit(self.network, images, "adv").chunk(2)).sum()

            else:
                with torch.no_grad():
                    fixed = unit(self.network, one, "clean")

                def loss(images: Tensor) -> Tensor:
                    return self.contrast(fixed, unit(self.network, images, "adv")).sum()

            with norms_folded("adv", self.encoder):
                perturbed = maximise(
                    loss, torch.cat((one, other)) if both else other, epsilon=s.epsilon, steps=s.attack.steps,
                    step_size=s.attack.relative_step * s.epsilon, random_start=s.attack.random_start,
                    generator=generator,
                )  # fmt: skip
        if not both:
            return {"clean": one}, {"clean": other, "adv": perturbed}
        first, second = perturbed.chunk(2)
        return {"clean": one, "adv": first}, {"clean": other, "adv": second}

    def gradients(
        self, one: Tensor, other: Tensor, generator: Generator, which: Tensor | None = None
    ) -> tuple[tuple[Tensor, ...], None]:
        """One batch up to the gradients: attack, loss, backward. Views are (B, 3, H, W) in [0, 1].

        As in AMOC, it can be captured in a graph, and what else `update` needs comes with it: nothing.
        """
        terms = self.losses(*self.attack(one, other, generator))
        self.trained.zero_grad(set_to_none=True)
        terms[0].backward()
        return tuple(term.detach() for term in terms), None

    def update(self, nothing: None, optimizer: Optimizer) -> None:
        """The rest of it: the optimiser."""
        optimizer.step()
