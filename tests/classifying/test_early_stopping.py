from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from amoc.classifying import early_stopping
from amoc.classifying.early_stopping import hold_out, look, looks
from amoc.refusal import Refusal
from amoc.settings import EarlyStopping


def settings(**changes) -> EarlyStopping:
    return EarlyStopping(**{"images": 3, "every": 1, "steps": 10, "relative_step": 0.25} | changes)


class Brightness(nn.Module):
    """A classifier: class 1 if the mean pixel is above 1/2, else 0. Keeps whether it was asked in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.branch = nn.Identity(), "clean"
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.asked_in_training: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked_in_training.append(self.training)
        bright = self.scale * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-bright, bright], dim=1)


def flat_images(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 4, 4, 3)


def test_the_split_is_a_partition_that_only_the_seed_decides():
    chosen, held_out = hold_out(10, settings(), seed=205)
    assert len(held_out) == 3
    assert sorted([*chosen.tolist(), *held_out.tolist()]) == list(range(10))
    again, other = hold_out(10, settings(), seed=205)[1], hold_out(10, settings(), seed=206)[1]
    assert torch.equal(held_out, again)
    assert not torch.equal(held_out, other)


def test_without_early_stopping_all_images_are_trained_on():
    chosen, held_out = hold_out(4, None, seed=205)
    assert chosen.tolist() == [0, 1, 2, 3]
    assert held_out.tolist() == []


def test_holding_out_every_image_is_refused():
    with pytest.raises(Refusal, match=r"early_stopping\.images is 3, allowed is at most 2 of 3 training images"):
        hold_out(3, settings(), seed=205)


@pytest.mark.parametrize(
    ("every", "epochs", "expected"), [(1, 3, [0, 1, 2]), (2, 5, [1, 3, 4]), (2, 4, [1, 3]), (5, 3, [2])]
)
def test_looks_are_every_so_many_epochs_and_at_the_end(every, epochs, expected):
    assert looks(settings(every=every), epochs) == expected


@pytest.mark.parametrize("batch", [4, 256])
def test_a_look_counts_what_is_right_and_what_stays_right_in_the_ball(monkeypatch, batch):
    monkeypatch.setattr(early_stopping, "BATCH", batch)
    # The mean pixel moves by at most epsilon = 0.1 = 25.5/255, and 1/2 is 127.5/255.
    images = flat_images([200, 154, 152, 128, 127, 103, 101, 10, 220, 30])
    labels = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 1])  # the last two are wrong from the start
    seen = look(Brightness(), images, labels, settings(), 0.1, seed=207)
    assert seen == {"held_out_clean": 80.0, "held_out_pgd": 40.0}  # 200, 154, 101 and 10 are out of reach


def test_an_image_that_only_the_noise_puts_right_is_not_robust():
    almost_dark = flat_images([128] * 20)  # wrong by 0.5/255, and the attack hardly moves from its random start
    answers: list[Tensor] = []
    classifier = Brightness()
    classifier.register_forward_hook(lambda module, given, logits: answers.append(logits.argmax(dim=1)))
    weak = settings(steps=1, relative_step=1e-6)
    seen = look(classifier, almost_dark, torch.zeros(20, dtype=torch.int64), weak, 0.1, seed=210)
    assert (answers[-1] == 0).any()
    assert seen == {"held_out_clean": 0.0, "held_out_pgd": 0.0}


def test_a_look_is_in_eval_mode_and_leaves_no_trace():
    classifier = Brightness().train()
    look(classifier, flat_images([200, 10]), torch.tensor([1, 0]), settings(), 0.1, seed=208)
    assert set(classifier.asked_in_training) == {False}
    assert classifier.training
    assert classifier.scale.requires_grad
    assert classifier.scale.grad is None


def test_every_look_starts_from_the_same_points():
    class Recorder(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            starts.append(images.detach().clone())
            return super().forward(images)

    starts: list[Tensor] = []
    for _ in range(2):
        look(Recorder(), flat_images([120, 140, 90]), torch.tensor([0, 1, 0]), settings(steps=1), 0.1, seed=209)
    first, second = starts[0], starts[len(starts) // 2]
    assert torch.equal(first, second)
    assert first.std() > 0.03  # random within the ball, and not the same for every pixel
