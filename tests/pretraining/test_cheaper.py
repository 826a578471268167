"""Each cheaper attack against AMOC's own, which has tests of its own, and against loops that are written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from amoc.models.encoder import Encoder
from amoc.perturb import maximise
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.cheaper import CheaperAMOC
from amoc.pretraining.passes import passes
from amoc.settings import AMOCPretraining, CheaperAMOCPretraining, TrainingAttack
from tests.pretraining.networks import in_branch, randomise, take_step, unit

BATCH, EPSILON = 5, 0.1
FREE = {"replays": 3, "attack": TrainingAttack(steps=1, relative_step=0.7, random_start=True)}
STARTED = TrainingAttack(steps=2, relative_step=0.4, random_start=True)
STILL = TrainingAttack(steps=1, relative_step=0.7, random_start=False)

pytestmark = pytest.mark.usefixtures("small_resnet")
each_variant = pytest.mark.parametrize("variant", ["aca", "acc"])


@pytest.fixture
def cheaper(tiny) -> Callable[..., CheaperAMOCPretraining]:
    """cheaper("aca", share=0.5): AMOC's tiny settings, nothing cheaper but what is given."""

    def settings(variant: str, **changes: Any) -> CheaperAMOCPretraining:
        plain = {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1}
        return CheaperAMOCPretraining(**dict(tiny(variant, epsilon=EPSILON, batch_size=BATCH)) | plain | changes)

    return settings


def method(settings: AMOCPretraining) -> AMOC:
    """In float64 and train mode, all of whose numbers are random."""
    generator = torch.Generator().manual_seed(3)
    kind = CheaperAMOC if isinstance(settings, CheaperAMOCPretraining) else AMOC
    made = kind(Encoder("resnet18", 4, (0.5,) * 3, (0.25,) * 3), settings, generator).double()
    for network in (made.pair.query, made.pair.key):
        randomise(network, generator)
    return made.train()


@pytest.fixture
def queries(generator) -> Tensor:
    return torch.rand(BATCH, 3, 8, 8, generator=generator, dtype=torch.float64)


@pytest.fixture
def keys(generator) -> Tensor:
    return torch.rand(BATCH, 3, 8, 8, generator=generator, dtype=torch.float64)


def sgd(made: AMOC) -> torch.optim.SGD:
    return torch.optim.SGD(made.trained.parameters(), 0.1, momentum=0.9, weight_decay=0.01)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(8)


# ---------------------------------------------------------------- nothing cheaper


@each_variant
def test_with_nothing_cheaper_it_is_amoc(variant, cheaper, tiny, queries, keys):
    pair = method(cheaper(variant, attack=STARTED)), method(tiny(variant, epsilon=EPSILON, attack=STARTED))
    optimizers = [sgd(made) for made in pair]
    for _ in range(2):
        one, other = (
            take_step(each, queries, keys, optimizer, seeded())
            for each, optimizer in zip(pair, optimizers, strict=True)
        )
        assert one == other
    state = pair[1].state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in pair[0].state_dict().items())


# ---------------------------------------------------------------- a part of the batch


@each_variant
@pytest.mark.parametrize(("share", "part"), [(0.4, 2), (0.5, 3), (0.01, 2)])
def test_a_share_perturbs_the_first_images_of_the_batch(variant, share, part, cheaper, tiny, queries, keys):
    views, other = method(cheaper(variant, share=share)).attack(queries, keys, seeded())
    alone, _ = method(tiny(variant, epsilon=EPSILON)).attack(queries[:part], keys[:part], seeded())
    assert torch.equal(views["adv"], alone["adv"])
    assert torch.equal(views["clean"], queries)
    assert other.keys() == {"clean"}
    assert torch.equal(other["clean"], keys)


@each_variant
def test_a_share_has_the_variants_term(variant, cheaper, queries, keys):
    """-log( e^(q.k/T) / (e^(q.k/T) + sum of e^(q.n/T)) ), a mean over the perturbed images alone."""
    made = method(cheaper(variant, share=0.4))
    views, _ = made.attack(queries, keys, seeded())
    with torch.no_grad():
        q = unit(in_branch(made.pair.query, "adv")(views["adv"]))
        k = unit(in_branch(made.pair.key, "clean")(keys))
        entering = unit(in_branch(made.pair.key, "adv")(views["adv"]))
    bank = made.banks["adv" if variant[2] == "a" else "clean"].keys.clone()
    terms, new = made.losses(views, {"clean": keys})
    total = torch.zeros((), dtype=torch.float64)
    for i in range(2):
        similar = torch.stack([q[i] @ k[i], *(q[i] @ negative for negative in bank)]) / made.settings.temperature
        total -= torch.log(similar[0].exp() / similar.exp().sum())
    assert terms.variant.item() == pytest.approx(total.item() / 2, rel=1e-10)
    if variant == "aca":
        assert torch.allclose(new["adv"], entering, rtol=1e-10)
    assert len(new["clean"]) == BATCH


# ---------------------------------------------------------------- from where an image was left


WHICH = torch.tensor([7, 2, 0, 8, 4])


def attacked(made: CheaperAMOC, queries: Tensor, keys: Tensor) -> Tensor:
    """The perturbed queries of a step with images WHICH, which ends there."""
    made.descend = lambda views, others: views["adv"]
    return made.gradients(queries, keys, seeded(), WHICH)


def test_perturbations_go_on_from_the_last_ones_of_the_same_images(cheaper, tiny, queries, keys, monkeypatch):
    made = method(cheaper("aca", start="last", attack=STARTED))
    made.remember(torch.zeros(9, 8, 8, 3, dtype=torch.uint8), seeded())
    made.perturbations = made.perturbations.double()  # their rounding has a test of its own
    remembered = made.perturbations.clone()
    assert remembered.shape == (9, 3, 8, 8)
    assert 0.9 * EPSILON < remembered.abs().max() <= EPSILON * 1.001

    perturbed = attacked(made, queries, keys)
    seen: list[Tensor] = []

    def ascended(loss, images: Tensor, **_) -> Tensor:
        seen.append(images)
        start = (images + remembered[WHICH]).clamp(0, 1)
        for _ in range(2):
            start = start.detach().requires_grad_()
            loss(start).backward()
            start = (start + 0.4 * EPSILON * start.grad.sign()).clamp(images - EPSILON, images + EPSILON).clamp(0, 1)
        return start.detach()

    plain = method(tiny("aca", epsilon=EPSILON))
    monkeypatch.setattr("amoc.pretraining.amoc.maximise", ascended)
    assert torch.allclose(perturbed, plain.attack(queries, keys, seeded())[0]["adv"], atol=1e-12)
    assert len(seen) == 1

    left = remembered.clone()
    left[WHICH] = perturbed - queries
    assert torch.equal(made.perturbations, left)  # the others are as they were


def test_remembered_perturbations_are_small_in_memory_and_stay_in_the_ball(cheaper, queries, keys):
    made = method(cheaper("aca", start="last", share=0.4, attack=STARTED))
    made.remember(torch.zeros(9, 8, 8, 3, dtype=torch.uint8), seeded())
    before = made.perturbations.clone()
    assert before.dtype == torch.float16
    perturbed = attacked(made, queries, keys)
    assert (perturbed - queries[:2]).abs().max() <= EPSILON + 1e-12
    changed = (made.perturbations != before).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == [2, 7]  # the first two of the batch
    assert torch.allclose(made.perturbations[[7, 2]].double(), perturbed - queries[:2], atol=1e-4)


def test_a_start_is_kept_within_the_bounds_of_pixels():
    images = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 3, 1, 1)
    found = maximise(
        lambda x: 0 * x.sum(), images, epsilon=0.2, steps=1, step_size=0.1, start=torch.full((1, 3, 1, 1), -0.1)
    )
    assert torch.allclose(found.flatten(), torch.tensor([0.0, 0.4, 0.9]))


# ---------------------------------------------------------------- for free


@each_variant
def test_replays_move_weights_and_perturbation_by_the_same_loss(variant, cheaper, queries, keys):
    """Written out with separate gradients, SGD by hand and the momentum update parameter by parameter."""
    settings = cheaper(variant, **FREE)
    made, mine = method(settings), method(settings)
    banks = {name: bank.keys.clone() for name, bank in made.banks.items()}
    terms = take_step(made, queries, keys, sgd(made), seeded())

    weights, velocities, losses = list(mine.pair.query.parameters()), [], []
    perturbed = queries + torch.empty_like(queries).uniform_(-EPSILON, EPSILON, generator=seeded())
    perturbed = perturbed.clamp(0, 1)
    for replay in range(3):
        image = perturbed.clone().requires_grad_()
        found, new = mine.losses({"clean": queries, "adv": image}, {"clean": keys})
        losses.append(torch.stack(found))
        ascent, *descents = torch.autograd.grad(found.total, [image, *weights])
        with torch.no_grad():
            for index, (weight, descent) in enumerate(zip(weights, descents, strict=True)):
                descent = descent + 0.01 * weight
                if replay == 0:
                    velocities.append(descent)
                else:
                    velocities[index] = 0.9 * velocities[index] + descent
                weight -= 0.1 * velocities[index]
            for slow, fast in zip(mine.pair.key.parameters(), weights, strict=True):
                slow.copy_(settings.key_momentum * slow + (1 - settings.key_momentum) * fast)
            moved = perturbed + 0.7 * EPSILON * ascent.sign()
            perturbed = moved.clamp(queries - EPSILON, queries + EPSILON).clamp(0, 1)
    mine.enqueue(new)

    assert torch.allclose(torch.stack(terms), losses[0].detach(), rtol=1e-9)  # of the batch when it was new
    state = mine.state_dict()
    for name, tensor in made.state_dict().items():
        assert torch.allclose(tensor.double(), state[name].double(), rtol=1e-7, atol=1e-9), name
    assert not torch.equal(made.banks["clean"].keys[:BATCH], banks["clean"][:BATCH])
    assert torch.equal(made.banks["clean"].keys[BATCH:], banks["clean"][BATCH:])  # pushed once


def test_replays_without_ascent_would_be_other_weights(cheaper, queries, keys, monkeypatch):
    settings = cheaper("aca", **FREE)
    free, still = method(settings), method(settings)
    take_step(free, queries, keys, sgd(free), seeded())
    monkeypatch.setattr("amoc.perturb.Ball.ascend", lambda self, perturbed, gradient, step_size: perturbed)
    take_step(still, queries, keys, sgd(still), seeded())
    one, other = (torch.cat([p.flatten() for p in made.trained.parameters()]) for made in (free, still))
    assert not torch.allclose(one, other, rtol=1e-6)


# ---------------------------------------------------------------- cost, settings


@each_variant
@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"share": 0.4}, {"share": 0.4, "bank_adv": "frozen"}),
        *({"start": "last", "share": 0.6, "attack": STARTED}, FREE),
    ],
)
def test_passes_are_those_that_an_update_makes(variant, changes, cheaper, queries, keys):
    """Per image: 1 forward, and going back 1 for the input's gradient, 2 for the parameters' or for both."""
    made, images = method(cheaper(variant, **changes)), []
    made.remember(torch.zeros(BATCH, 8, 8, 3, dtype=torch.uint8), seeded())

    def count(encoder: Encoder, inputs: tuple[Tensor], features: Tensor) -> None:
        only_input = features.requires_grad and inputs[0].requires_grad and not encoder.training
        images.append((1 if not features.requires_grad else 2 if only_input else 3) * len(features))

    for network in (made.pair.query, made.pair.key):
        network.encoder.register_forward_hook(count)
    take_step(made, queries, keys, sgd(made), seeded(), torch.arange(BATCH))
    assert sum(images) / BATCH / made.updates == pytest.approx(passes(made.settings))


def test_free_costs_less_than_half_of_amoc(cheaper):
    attack = TrainingAttack(steps=5, relative_step=0.25, random_start=True)
    assert passes(cheaper("aca", attack=attack)) == 19
    assert passes(cheaper("aca", **FREE)) == 8


@pytest.mark.parametrize(
    ("variant", "changes", "sentence"),
    [
        ("cac", {}, "variant cac does not perturb the query alone, it must be aca or acc"),
        ("aca", {**FREE, "share": 0.5}, "replays 3 needs share 1, it is 0.5"),
        ("aca", {**FREE, "start": "last"}, "replays 3 needs start random, it is last"),
        ("aca", {**FREE, "enqueue": "before"}, "replays 3 needs enqueue after, it is before"),
        ("aca", {"replays": 2}, "replays 2 needs attack.steps 1, it is 2"),
        ("aca", {"replays": 2, "attack": STILL}, "replays 2 needs attack.random_start true, it is false"),
        ("acc", {"start": "last", "attack": STILL}, "start last needs attack.random_start true, it is false"),
        ("aca", {"share": 0.0}, "a number above 0 and up to 1"),
    ],
)
def test_what_does_not_go_together_is_refused(variant, changes, sentence, cheaper):
    with pytest.raises(ValidationError, match=sentence):
        cheaper(variant, **changes)

