from __future__ import annotations

import sys

import pyautoattack
import pytest
import torch
from torch import nn

from amoc.evaluating import autoattack
from amoc.evaluating.fingerprint import images_and_labels, network
from amoc.models.norm import frozen
from amoc.settings import AutoAttack


def settings(norm: str = "linf", epsilon: float = 0.03, queries: int = 40) -> AutoAttack:
    return AutoAttack(kind="autoattack", norm=norm, epsilon=epsilon, square_queries=queries)


def members_in_turn(
    attack: AutoAttack, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int
) -> tuple[torch.Tensor, list[int]]:
    """All that was found, and how many images each member breaks of what the ones before left."""
    found, alive, fallen = images.clone(), torch.arange(len(images)), []
    for member in autoattack.MEMBERS:
        if len(alive) == 0:
            break
        perturbed, _ = autoattack.search(attack, member, model, images[alive], labels[alive], classes=4, seed=seed)
        broken = model(perturbed).argmax(dim=1) != labels[alive]
        found[alive[broken]] = perturbed[broken]
        fallen.append(broken.sum().item())
        alive = alive[~broken]
    return found, fallen


def plain_run(
    attack: AutoAttack, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int
) -> torch.Tensor:
    """What pyautoattack finds by itself."""
    plain = pyautoattack.AutoAttack(
        model, norm={"linf": "Linf", "l2": "L2"}[attack.norm], eps=attack.epsilon, seed=seed, version="standard"
    )
    plain.square.n_queries = attack.square_queries
    plain.apgd_targeted.n_target_classes = plain.fab.n_target_classes = 3
    with torch.random.fork_rng():
        return plain.run_standard_evaluation(images, labels, batch_size=50)[0]


def right_images(count: int = 12) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A model in float32 and images that it gets right."""
    model = network()
    images, labels = images_and_labels(model, count)
    right = model(images).argmax(dim=1) == labels
    return model.float(), images[right].float(), labels[right]


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.017), ("l2", 0.17)])
def test_members_in_turn_are_one_plain_run(norm, epsilon, monkeypatch):
    """Bit for bit, but for APGD, which goes on with images that it has broken."""
    monkeypatch.setattr(autoattack, "stop_at_success", lambda apgd: None)
    model, images, labels = right_images(40)
    with frozen(model):
        expected = plain_run(settings(norm, epsilon), model, images, labels, seed=77)
        found, fallen = members_in_turn(settings(norm, epsilon), model, images, labels, seed=77)
    assert torch.equal(found, expected)
    assert 0 < fallen[0] < sum(fallen) < len(images)  # more than one member breaks something, and something stands


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty iterations instead of a hundred, in ours and in the plain run."""
    build = pyautoattack.AutoAttack.__init__

    def shorter(self, *arguments, **options):
        build(self, *arguments, **options)
        for member in (self.apgd, self.apgd_targeted, self.fab):
            member.n_iter = 20

    monkeypatch.setattr(pyautoattack.AutoAttack, "__init__", shorter)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("share", [0.2, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.5, 2)), 1, 20])
def test_stopping_at_success_breaks_the_images_of_a_plain_run(norm, share):
    epsilon = share * {"linf": 0.014, "l2": 0.15}[norm]
    model, images, labels = right_images(30)
    attack = settings(norm, epsilon)
    with frozen(model):
        expected = plain_run(attack, model, images, labels, seed=78)
        found, fallen = members_in_turn(attack, model, images, labels, seed=78)
        stands = model(expected).argmax(dim=1) == labels
        assert ((model(found).argmax(dim=1) == labels) == stands).all()
    assert sum(fallen) == (~stands).sum()
    sizes = (found - images).flatten(1).norm(p={"linf": torch.inf, "l2": 2}[norm], dim=1)
    assert sizes.max() <= epsilon * (1 + 1e-5) + 1e-7


@pytest.mark.parametrize("member", ["apgd-ce", "apgd-t"])
def test_passes_of_apgd_end_with_success(member):
    model, images, labels = right_images()
    asked = []
    model.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    with frozen(model):
        found, _ = autoattack.search(settings("linf", 0.5), member, model, images, labels, classes=4, seed=5)
    assert (model(found).argmax(dim=1) != labels).all()
    assert sum(asked) < 25 * len(images)  # of which pyautoattack's checks are a dozen; by itself APGD takes 100 more


class Recorder(pyautoattack.AutoAttack):
    """Notes how it is set up instead of attacking."""

    seen: dict

    def run_standard_evaluation(self, images, labels, *, batch_size):
        Recorder.seen = {
            "run": self.attacks_to_run, "norm": self.norm, "batch": batch_size, "seed": self.get_seed(),
            "targets": (self.apgd_targeted.n_target_classes, self.fab.n_target_classes),
            "iterations": (self.apgd.n_iter, self.apgd_targeted.n_iter, self.fab.n_iter, self.square.n_queries),
            "restarts": {part.n_restarts for part in (self.apgd, self.apgd_targeted, self.fab, self.square)},
            "epsilons": {part.eps for part in (self.apgd, self.apgd_targeted, self.fab, self.square)},
        }  # fmt: skip
        return images, labels


@pytest.mark.parametrize(("classes", "targets"), [(10, 9), (100, 9), (7, 6), (4, 3)])
def test_settings_are_those_of_version_standard(classes, targets, monkeypatch):
    monkeypatch.setattr(autoattack, "Adversary", Recorder)
    images, labels = torch.rand(3, 3, 8, 8), torch.zeros(3, dtype=torch.int64)
    attack = settings("l2", 0.5, queries=5000)
    autoattack.search(attack, "fab-t", network().float(), images, labels, classes=classes, seed=9)
    assert Recorder.seen == {
        "run": ["fab-t"], "norm": "L2", "batch": 3, "seed": 9, "targets": (targets, targets),
        "iterations": (100, 100, 100, 5000), "restarts": {1}, "epsilons": {0.5},
    }  # fmt: skip


def test_too_few_classes_for_the_targeted_loss():
    images, labels = torch.rand(3, 3, 8, 8), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="four classes"):
        autoattack.search(settings(), "apgd-t", network().float(), images, labels, classes=3, seed=1)


def test_channels_last_images_give_the_same(generator):
    model = network().float()
    images, labels = images_and_labels(network())
    images = images.float()
    with frozen(model):
        found = [
            autoattack.search(settings("l2", 0.3), member, model, arranged, labels, classes=4, seed=5)[0]
            for arranged in (images, images.contiguous(memory_format=torch.channels_last))
            for member in ("apgd-ce", "square")
        ]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])


def test_random_numbers_and_traces_are_left_alone():
    model = network().float()
    images, labels = images_and_labels(network())
    before, outer, calls = torch.get_rng_state(), sys.gettrace(), []

    def trace(frame, event, argument):
        calls.append(frame.f_code.co_name)

    sys.settrace(trace)
    try:
        with frozen(model):
            autoattack.search(settings(), "apgd-ce", model, images.float(), labels, classes=4, seed=5)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(outer)
    assert torch.equal(torch.get_rng_state(), before)


class Probabilities(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return network().float()(images).softmax(dim=1)


def test_what_its_checks_say_is_returned_and_not_printed(capfd):
    model = Probabilities().eval()
    images, labels = images_and_labels(network())
    _, warnings = autoattack.search(settings(), "apgd-ce", model, images.float(), labels, classes=4, seed=5)
    assert list(warnings) == ["apgd-ce, check_range_output"]
    assert "probability distribution" in warnings["apgd-ce, check_range_output"]
    assert capfd.readouterr() == ("", "")


def test_square_that_breaks_what_gradients_could_not_is_said():
    assert autoattack.square_check([900, 500, 480, 470, 469], 1000) == {}
    (message,) = autoattack.square_check([900, 500, 480, 470, 400], 1000).values()
    assert "7.00%" in message
