"""AMOC: adversarial momentum-contrastive pre-training (journal, section 3, Algorithm 1). MoCo is its ccc."""

from __future__ import annotations

from math import ceil, log
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from amoc.models.encoder import Encoder
from amoc.models.folding import norms_folded
from amoc.models.heads import projector
from amoc.models.norm import frozen, mode
from amoc.perturb import Ball, maximise
from amoc.pretraining.bank import Bank
from amoc.pretraining.infonce import info_nce
from amoc.pretraining.momentum import MomentumPair
from amoc.pretraining.projections import unit
from amoc.pretraining.variants import VARIANTS, Branch
from amoc.settings import AMOCPretraining

Views = dict[Branch, Tensor]  # the clean view of a batch and, where the variant has one, the perturbed view


class Terms(NamedTuple):
    """The loss of a step: total = lambda * clean + (1 - lambda) * variant."""

    total: Tensor
    clean: Tensor
    variant: Tensor


class AMOC(nn.Module):
    """The momentum pair, the two banks and the step.

    Args:
        encoder: becomes the query encoder.
        settings: the variant and its switches.
        generator: of the projector's weights and the banks' initial noise, on the CPU.
    """

    columns = ("loss", "loss_clean", "loss_variant")  # of the training curve, as `gradients` returns them
    updates = 1  # of the weights, in a step

    def __init__(self, encoder: Encoder, settings: AMOCPretraining, generator: Generator) -> None:
        super().__init__()
        self.settings, self.variant = settings, VARIANTS[settings.variant]
        hidden, output = settings.projector.hidden, settings.projector.output
        self.pair = MomentumPair(encoder, projector(encoder.features, hidden, output, generator))
        self.banks = nn.ModuleDict({name: Bank(settings.bank_length, output, generator) for name in ("clean", "adv")})

    @property
    def encoder(self) -> Encoder:
        """What pre-training is for: the query encoder."""
        return self.pair.query.encoder

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """All that a step computes with, for the compiler."""
        return self.pair.query.encoder, self.pair.key.encoder

    @property
    def trained(self) -> nn.Module:
        """What the optimiser trains: the query network."""
        return self.pair.query

    @property
    def chance(self) -> dict[str, float]:
        """Losses of the training curve, and what they are where all projections, the banks' too, are one point."""
        return {"loss_clean": log(1 + self.settings.bank_length)}

    def remember(self, images: Tensor, generator: Generator) -> None:
        """Nothing is kept of an image (N, H, W, 3) between epochs; CheaperAMOC does."""

    def diagnostics(self, taken: int) -> dict[str, int]:
        """What else a row of the training curve tells after so many steps: the age of the oldest key, in steps."""
        return {"bank_age": min(taken, ceil(self.settings.bank_length / self.settings.batch_size))}

    def contrast(self, queries: Tensor, keys: Tensor, bank: Branch) -> Tensor:
        """InfoNCE (B,) of unit projections (B, D) with the negatives of a bank, in the projections' precision."""
        with torch.autocast(queries.device.type, enabled=False):
            return info_nce(queries, keys, self.banks[bank].keys, self.settings.temperature)

    def losses(self, queries: Views, keys: Views) -> tuple[Terms, dict[Branch, Tensor]]:
        """The loss of given views, and the keys that are to enter each bank."""
        v, s = self.variant, self.settings
        q = {name: unit(self.pair.query, queries[name], name) for name in dict.fromkeys(("clean", v.query))}
        with torch.no_grad():
            k = {name: unit(self.pair.key, keys[name], name) for name in dict.fromkeys(("clean", v.key))}
            new = dict(k)
            if s.fills_by_query:
                new["adv"] = unit(self.pair.key, queries["adv"], "adv")
            elif s.bank_adv == "frozen":
                new.pop("adv", None)
        if s.enqueue == "before":
            self.enqueue(new)
        clean = self.contrast(q["clean"], k["clean"], "clean").mean()
        rows = min(len(q[v.query]), len(k[v.key]))  # of a batch of which only the first images are perturbed
        variant = self.contrast(q[v.query][:rows], k[v.key][:rows], v.bank).mean()
        return Terms(s.lambda_ * clean + (1 - s.lambda_) * variant, clean, variant), new

    def enqueue(self, keys: dict[Branch, Tensor]) -> None:
        """Push the new keys of each branch into its bank."""
        for name, new in keys.items():
            self.banks[name].push(new)

    def attack(
        self, queries: Tensor, keys: Tensor, generator: Generator, start: Tensor | None = None
    ) -> tuple[Views, Views]:
        """Perturb the views that the variant perturbs, to maximise its second term (journal, section 3.2).

        The side that is not perturbed is encoded once: clean, or with uniform noise as in the official code.

        Args:
            start: perturbations to start from; None for those that the settings say.
        """
        views: tuple[Views, Views] = ({"clean": queries}, {"clean": keys})
        v, s = self.variant, self.settings
        if not s.attacks:
            return views

        def still(images: Tensor) -> Tensor:
            return images if s.attack_key == "clean" else Ball(images, s.epsilon).random(generator)

        # frozen: compiled code would compute the gradients of the weights too, whoever asks
        with mode(self.pair, s.attack_mode == "train"), frozen(self.pair):
            if s.perturbs_query and s.perturbs_key:  # AAC, AAA: both jointly

                def loss(both: Tensor) -> Tensor:
                    query, key = both.chunk(2)
                    q, k = unit(self.pair.query, query, "adv"), unit(self.pair.key, key, "adv")
                    return self.contrast(q, k, v.bank).sum()

                images = torch.cat((queries, keys))
            elif s.perturbs_query:
                with torch.no_grad():
                    fixed = unit(self.pair.key, still(keys), "clean")

                def loss(query: Tensor) -> Tensor:
                    return self.contrast(unit(self.pair.query, query, "adv"), fixed, v.bank).sum()

                images = queries
            else:  # CAC, CAA: through the key encoder
                with torch.no_grad():
                    fixed = unit(self.pair.query, still(queries), "clean")

                def loss(key: Tensor) -> Tensor:
                    return self.contrast(fixed, unit(self.pair.key, key, "adv"), v.bank).sum()

                images = keys
            moved = ((self.pair.query, s.perturbs_query), (self.pair.key, s.perturbs_key))
            with norms_folded("adv", *(network.encoder for network, perturbed in moved if perturbed)):
                perturbed = maximise(
                    loss, images, epsilon=s.epsilon, steps=s.attack.steps,
                    step_size=s.attack.relative_step * s.epsilon, random_start=s.attack.random_start, start=start,
                    generator=generator,
                )  # fmt: skip
        parts = perturbed.split(len(queries))
        if s.perturbs_query:
            views[0]["adv"] = parts[0]
        if s.perturbs_key:
            views[1]["adv"] = parts[-1]
        return views

    def gradients(
        self, queries: Tensor, keys: Tensor, generator: Generator, which: Tensor | None = None
    ) -> tuple[Terms, dict[Branch, Tensor]]:
        """Algorithm 1 for one batch up to the gradients: attack, loss, backward. Views are (B, 3, H, W) in [0, 1].

        Can be captured in a graph: weights stay, and nothing depends on a value that the host knows.

        Args:
            which: (B,), the images' indices, for a method that remembers something of each.
        """
        return self.descend(*self.attack(queries, keys, generator))

    def descend(self, queries: Views, keys: Views) -> tuple[Terms, dict[Branch, Tensor]]:
        """The losses of given views, their gradients in the parameters, and the keys that are to enter each bank."""
        terms, new = self.losses(queries, keys)
        self.trained.zero_grad(set_to_none=True)
        terms.total.backward()
        return terms._make(term.detach() for term in terms), new

    def update(self, new: dict[Branch, Tensor], optimizer: Optimizer) -> None:
        """The rest of the algorithm: optimiser, momentum, banks."""
        optimizer.step()
        self.pair.follow(self.settings.key_momentum)
        if self.settings.enqueue == "after":
            self.enqueue(new)
