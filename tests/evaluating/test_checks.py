from __future__ import annotations

import pytest
import torch
from torch import nn

from amoc.evaluating.checks import (
    NotFinite,
    OutOfBounds,
    check_found,
    check_images,
    check_labels,
    check_model,
    check_outcomes,
    masked_gradients,
    void_attacks,
)
from amoc.evaluating.outcome import Outcome
from amoc.settings import CarliniWagner, ProjectedGradient


def pgd(norm: str, epsilon: float) -> ProjectedGradient:
    return ProjectedGradient(kind="pgd", norm=norm, epsilon=epsilon, steps=5, relative_step=0.2)


class Model(nn.Module):
    """Linear logits, then whatever the test wants to go wrong."""

    def __init__(self, spoil=lambda logits: logits) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Dropout(0.5))
        self.spoil = spoil

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.spoil(self.layers(images))


def images(count: int = 4) -> torch.Tensor:
    return torch.linspace(0, 1, count * 12).view(count, 3, 2, 2)


def test_sound_model_passes_and_tells_its_classes():
    assert check_model(Model().eval(), images()) == 5


def test_one_module_in_training_mode_is_named():
    model = Model().eval()
    model.layers[2].train()
    with pytest.raises(ValueError, match=r"layers\.2 \(Dropout\) is in training mode"):
        check_model(model, images())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_have_a_name_of_their_own(value):
    def spoil(logits):
        return logits.index_put((torch.tensor([1, 3]), torch.tensor([0, 2])), torch.tensor(value))

    with pytest.raises(NotFinite, match="2 of 4 images"):
        check_model(Model(spoil).eval(), images())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda logits: logits + 1e-3 * torch.rand(()), "random"),
        (lambda logits: logits.bfloat16(), "float32"),
        (lambda logits: logits.double(), "float32"),
        (lambda logits: logits.mean(dim=1), "float32"),
        (lambda logits: logits[:, :1], "classes"),
        (lambda logits: logits[1:], "float32"),
    ],
)
def test_what_is_no_classifier_is_refused(spoil, said):
    with pytest.raises(ValueError, match=said):
        check_model(Model(spoil).eval(), images())


@pytest.mark.parametrize(
    "wrong",
    [
        images().double(), images()[0], images()[:0], images()[:, :1], images() * 255, images() - 0.01,
        images() + torch.nan, (255 * images()).to(torch.uint8),
    ],
)  # fmt: skip
def test_what_are_no_images_is_refused(wrong):
    with pytest.raises(ValueError, match="images must"):
        check_images(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2, 5]), torch.tensor([0, -1, 2, 3]),
        torch.zeros(4), torch.zeros(4, 1, dtype=torch.int64),
    ],
)  # fmt: skip
def test_what_are_no_labels_is_refused(wrong):
    with pytest.raises(ValueError, match="labels must"):
        check_labels(wrong, images(), classes=5)


def test_the_ends_of_the_ranges_are_allowed():
    check_images(images())
    check_labels(torch.tensor([0, 4, 4, 0]), images(), classes=5)


@pytest.mark.parametrize(
    ("norm", "direction"),
    [("linf", torch.ones(12)), ("l2", torch.ones(12) / 12**0.5), ("l1", torch.eye(12)[3]), ("l1", torch.ones(12) / 12)],
)
def test_the_ball_has_its_radius(norm, direction):
    middle = torch.full((2, 3, 2, 2), 0.5)
    step = direction.view(3, 2, 2) * torch.tensor([-1.0, 0.5]).view(2, 1, 1, 1)
    check_found(pgd(norm, 0.1), middle, middle + 0.1 * step)
    with pytest.raises(OutOfBounds, match=f"0.1001.* in {norm}"):
        check_found(pgd(norm, 0.1), middle, middle + 0.1001 * step)


@pytest.mark.parametrize("pixel", [-1e-5, 1 + 1e-5, torch.nan, torch.inf])
def test_what_is_found_must_be_an_image(pixel):
    found = images()
    found[2, 0, 1, 1] = pixel
    with pytest.raises(OutOfBounds):
        check_found(pgd("linf", 2.0), images(), found)


def test_no_image_may_get_lost():
    with pytest.raises(OutOfBounds, match=r"\(3, 3, 2, 2\)"):
        check_found(pgd("linf", 2.0), images(), images()[:3])


def outcomes(clean: list[int], **attacked: tuple[str, list[int]]) -> dict[str, Outcome]:
    made = {"clean": Outcome(torch.tensor(clean).bool(), None)}
    for name, (norm, correct) in attacked.items():
        made[name] = Outcome(torch.tensor(correct).bool(), pgd(norm, 0.1))
    return made


def test_an_attack_cannot_repair_an_image():
    check_outcomes(outcomes([1, 0, 1, 1], a=("linf", [1, 0, 0, 1]), b=("l2", [0, 0])))
    with pytest.raises(AssertionError, match=r"^b: .* wrong without attack"):
        check_outcomes(outcomes([1, 0, 1, 1], a=("linf", [1, 0, 0, 1]), b=("l2", [0, 1])))


def test_attacks_that_spare_most_of_an_unprotected_network_are_named():
    found = outcomes(
        [1, 1, 1, 1, 0, 0],
        half=("linf", [1, 1, 0, 0, 0, 0]), most=("linf", [1, 1, 1, 0, 0, 0]), two=("l2", [1, 1, 1, 1, 0, 0]),
        weak=("l1", [1, 1, 1, 1, 0, 0]), few=("l2", [1, 0]), none=("l2", [0, 0, 0]),
    )  # fmt: skip
    assert void_attacks(found) == ["most", "two"]


def test_an_attack_of_the_first_images_is_held_against_what_was_right_of_those():
    """Of six images right, four among the first four: two left are half of them, three are more."""
    clean = Outcome(torch.ones(6, dtype=torch.bool), None)
    for left, expected in ((2, []), (3, ["few"])):
        few = Outcome(torch.arange(4) < left, pgd("linf", 0.1))
        assert void_attacks({"clean": clean, "few": few}) == expected


def test_carlini_and_wagner_counts_as_an_l2_attack():
    attack = CarliniWagner(
        kind="carlini_wagner", norm="l2", epsilon=0.1, steps=1, lr=0.1, binary_search_steps=1, initial_const=1.0
    )
    standing = torch.ones(3, dtype=torch.bool)
    assert void_attacks({"clean": Outcome(standing, None), "l2_cw": Outcome(standing, attack)}) == ["l2_cw"]


def test_images_without_a_gradient_are_counted():
    labels = torch.tensor([0, 1, 2, 3])
    model = Model().eval().requires_grad_(False)
    assert masked_gradients(model, images(), labels) == []

    def flat(logits):
        return torch.where(torch.tensor([[True], [False], [True], [True]]), logits.detach(), logits)

    (said,) = masked_gradients(Model(flat).eval(), images(), labels)
    assert "zero at 3 of 4 images" in said

    def broken(logits):
        return logits + 0 * (logits - logits.detach()).abs().sqrt()  # 0 times an infinite slope

    (said,) = masked_gradients(Model(broken).eval(), images(), labels)
    assert "NaN or infinite at 4 of 4 images" in said
