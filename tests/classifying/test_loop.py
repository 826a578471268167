from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amoc.augment import random_shift, to_float
from amoc.classifying import loop
from amoc.classifying.early_stopping import hold_out
from amoc.classifying.loop import Trained, build_attack, logits, passes, train_classifier, train_step
from amoc.classifying.objectives import attack
from amoc.engine import capture
from amoc.engine.batches import batches
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.generators import generator
from amoc.engine.interruption import Interrupted, Stop
from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.norm import same
from amoc.settings import EarlyStopping, Recipe, Shift, TrainingAttack
from tests.recording import recorded

OBJECTIVES = ("standard", "pgd_at", "alp", "trades")
BETA = {"standard": None, "pgd_at": None, "alp": 0.5, "trades": 6.0}


def recipe(objective: str, train: str, **changes) -> Recipe:
    settings = {
        "objective": objective, "train": train, "epochs": 2, "milestones": (1,), "batch_size": 4, "lr": 0.1,
        "momentum": 0.9, "weight_decay": 0.01, "shift": Shift(pad=1, flip=0.5), "beta": BETA[objective], "epsilon": 0.1,
        "attack": None if objective == "standard" else TrainingAttack(steps=2, relative_step=0.5, random_start=True),
        "pairing": "norm" if objective == "alp" else None,
    }  # fmt: skip
    return Recipe(**settings | changes)


def twin(**changes) -> EarlyStopping:
    return EarlyStopping(**{"images": 4, "every": 1, "steps": 2, "relative_step": 0.5} | changes)


def network(seed: int, classes: int = 3) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder("resnet18", 4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
        classifier = Classifier(encoder, nn.Linear(encoder.features, classes), "adv")
        classifier(torch.rand(8, 3, 8, 8))  # in train mode: statistics that are not those of the start
    return classifier.to(memory_format=torch.channels_last)


def data(seed: int, count: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 8, 8, 3), generator=random, dtype=torch.uint8)
    return images, torch.randint(classes, (count,), generator=random)


def run(classifier: Classifier, settings: Recipe, images: Tensor, labels: Tensor, seed: int, **options) -> Trained:
    defaults = {"early_stopping": None, "checkpoint": None, "stop": Stop(), "clock": Clock()}
    always = {"device": torch.device("cpu"), "precision": "float32", "title": "tiny"}
    return train_classifier(classifier, settings, images, labels, seed=seed, **always, **defaults | options)


def kl(clean: Tensor, adversarial: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(adversarial, 1), F.softmax(clean, 1), reduction="batchmean")


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


# ---------------------------------------------------------------- one step


@dataclass
class Asked:
    """What went through an encoder, pass by pass: how many images, whether in train mode, whether a graph was built."""

    images: list[int] = field(default_factory=list)
    training: list[bool] = field(default_factory=list)
    graph: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, encoder: Encoder) -> Asked:
        asked = cls()

        def record(module: Encoder, given: tuple[Tensor], features: Tensor) -> None:
            asked.images.append(len(given[0]))
            asked.training.append(encoder.backbone.layer1.training)
            asked.graph.append(features.requires_grad)

        encoder.register_forward_hook(record)
        return asked


def step(classifier: Classifier, settings: Recipe, images: Tensor, labels: Tensor, seed: int) -> Tensor:
    trained = classifier.head if settings.train == "head" else classifier
    optimizer = torch.optim.SGD(trained.parameters(), settings.lr, weight_decay=settings.weight_decay)
    perturb = build_attack(classifier, settings, "float32", torch.Generator().manual_seed(seed), capture=False)
    return train_step(classifier, settings, images, labels, optimizer, "float32", perturb)


@pytest.mark.parametrize(
    ("objective", "attack", "loss"),
    [("standard", "", "c"), ("pgd_at", "aa", "a"), ("alp", "aa", "ca"), ("trades", "caa", "ca")],
)
@pytest.mark.parametrize("train", ["head", "all"])
def test_attacks_are_in_eval_mode_and_graphs_are_built_only_where_they_are_needed(objective, attack, loss, train):
    classifier = network(1)
    asked = Asked.of(classifier.encoder)
    images, labels = data(2, 5)
    step(classifier, recipe(objective, train), to_float(images), labels, seed=3)
    assert asked.training == [False] * len(attack) + [train == "all"] * len(loss)
    assert asked.graph == [letter == "a" for letter in attack] + [train == "all"] * len(loss)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_head_learns_from_the_gradient_that_the_whole_graph_would_give(objective):
    classifier, (images, labels), settings = network(4), data(5, 6), recipe(objective, "head")
    pixels = to_float(images)
    classifier.eval()
    perturbed = pixels
    if settings.attack is not None:
        perturbed = attack(settings, classifier, pixels, labels, torch.Generator().manual_seed(6))
    clean, adversarial = classifier(pixels), classifier(perturbed)
    on_clean, on_adversarial = F.cross_entropy(clean, labels), F.cross_entropy(adversarial, labels)
    loss = {
        "standard": on_clean,
        "pgd_at": on_adversarial,
        "alp": on_clean + on_adversarial + 0.5 * (clean - adversarial).norm(dim=1).mean(),
        "trades": on_clean + 6 * kl(clean, adversarial),
    }[objective]
    expected = torch.autograd.grad(loss, list(classifier.head.parameters()))
    before = copied(classifier.encoder)
    sums = step(classifier, settings, pixels, labels, seed=6)
    gradients = tuple(weight.grad for weight in classifier.head.parameters())
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-6)
    assert sums[0].item() == pytest.approx(6 * loss.item(), rel=1e-5)
    assert same(before, classifier.encoder.state_dict())
    assert all(weight.grad is None for weight in classifier.encoder.parameters())
    assert all(weight.requires_grad for weight in classifier.parameters())


def test_a_step_of_trades_on_the_whole_network_restated():
    classifier, (images, labels) = network(7).double(), data(8, 6)
    settings = recipe("trades", "all")
    reference, pixels = network(7).double(), to_float(images)

    reference.eval()
    with torch.no_grad():
        probabilities = F.softmax(reference(pixels), 1)
    noise = torch.empty_like(pixels).uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(9))
    perturbed = (pixels + noise).clamp(0, 1)
    for _ in range(2):
        perturbed.requires_grad_()
        loss = F.kl_div(F.log_softmax(reference(perturbed), 1), probabilities, reduction="sum")
        moved = perturbed.detach() + 0.05 * torch.autograd.grad(loss, perturbed)[0].sign()
        perturbed = torch.max(torch.min(moved, pixels + 0.1), pixels - 0.1).clamp(0, 1)
    reference.train()
    clean, adversarial = reference(pixels), reference(perturbed)
    (F.cross_entropy(clean, labels) + 6 * kl(clean, adversarial)).backward()
    with torch.no_grad():
        for weight in reference.parameters():
            if weight.grad is not None:  # the norms of the other branch have none, and stay
                weight -= 0.1 * (weight.grad + 0.01 * weight)

    step(classifier, settings, pixels, labels, seed=9)
    torch.testing.assert_close(classifier.state_dict(), reference.state_dict(), rtol=1e-8, atol=1e-10)


def test_a_step_counts_right_answers_and_marks_passes_that_are_not_there():
    classifier, pixels = network(11).eval(), to_float(data(10, 7)[0])
    labels = classifier(pixels).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    counted = {name: step(network(11), recipe(name, "head"), pixels, labels, seed=12) for name in OBJECTIVES}
    perturbed = attack(recipe("pgd_at", "head"), classifier, pixels, labels, torch.Generator().manual_seed(12))
    clean, adversarial = ((classifier(given).argmax(1) == labels).sum().item() for given in (pixels, perturbed))
    assert clean == 6
    assert adversarial != 6
    assert [counted[name][1].item() for name in ("standard", "alp", "trades")] == [clean] * 3  # before any learning
    assert [counted[name][2].item() for name in ("pgd_at", "alp")] == [adversarial] * 2  # and with the same attack
    assert counted["pgd_at"][1].isnan()
    assert counted["standard"][2].isnan()


def test_logits_in_bfloat16_come_back_in_float32():
    classifier, (images, _) = network(13).eval(), data(14, 4)
    with torch.no_grad():
        fine = logits(classifier, to_float(images), precision="float32")
        coarse = logits(classifier, to_float(images), precision="bfloat16")
    assert coarse.dtype == torch.float32
    assert not torch.equal(fine, coarse)
    torch.testing.assert_close(coarse, fine, rtol=0.1, atol=0.1)


# ---------------------------------------------------------------- epochs


def test_training_restated_slowly_with_momentum_weight_decay_and_schedule():
    images, labels = data(15, 10)
    settings = recipe("standard", "all", epochs=3, milestones=(1, 2), weight_decay=0.05)
    classifier, reference = network(16).double(), network(16).double().train()
    trained = run(classifier, settings, images, labels, seed=17)

    velocity = {name: torch.zeros_like(weight) for name, weight in reference.named_parameters()}
    losses = []
    for epoch, lr in enumerate([0.1, 0.01, 0.001]):
        order = torch.randperm(10, generator=generator(17, "order", epoch))
        total = 0.0
        for index, batch in enumerate([order[:4], order[4:8], order[8:]]):
            shifted = random_shift(to_float(images[batch]), settings.shift, generator(17, "shift", epoch, index))
            loss = F.cross_entropy(reference(shifted), labels[batch])
            total += loss.item() * len(batch)
            weights = dict(reference.named_parameters())
            names = [name for name in weights if ".clean." not in name]  # the branch in use is adv
            gradients = torch.autograd.grad(loss, [weights[name] for name in names])
            with torch.no_grad():
                for name, gradient in zip(names, gradients, strict=True):
                    velocity[name] = 0.9 * velocity[name] + gradient + 0.05 * weights[name]
                    weights[name] -= lr * velocity[name]
        losses.append(total / 10)
    torch.testing.assert_close(classifier.state_dict(), reference.state_dict(), rtol=1e-7, atol=1e-9)
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3]
    assert [row["lr"] for row in trained.curve] == [0.1, 0.01, 0.001]
    assert [row["loss"] for row in trained.curve] == [float(f"{loss:.6g}") for loss in losses]


def test_every_step_shifts_and_attacks_with_random_numbers_of_its_own(monkeypatch):
    shifts: list[int] = []
    starts: list[int] = []
    real = loop.attack

    def shift(images: Tensor, settings: Shift, random: torch.Generator) -> Tensor:
        shifts.append(random.initial_seed())
        return random_shift(images, settings, random)

    def attacked(*given) -> Tensor:
        starts.append(given[-1].initial_seed())
        return real(*given)

    monkeypatch.setattr(loop, "random_shift", shift)
    monkeypatch.setattr(loop, "attack", attacked)
    for seed in (73, 74):
        run(network(75), recipe("pgd_at", "head", epochs=3), *data(76, 8), seed=seed)
    assert len({*shifts, *starts}) == len(shifts) + len(starts) == 2 * 2 * 3 * 2  # two seeds, three epochs of two steps


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_curve_holds_means_over_images_of_what_the_objective_looks_at(objective):
    classifier, (images, labels) = network(18), data(19, 9)
    settings = recipe(objective, "head", epochs=1, milestones=(), lr=1e-30, shift=Shift(pad=0, flip=0.0), epsilon=1e-9)
    clean = network(18).eval()(to_float(images))  # with steps and a ball this small nothing moves
    (row,) = run(classifier, settings, images, labels, seed=20).curve
    accuracy = 100 * (clean.argmax(1) == labels).double().mean().item()
    entropy = F.cross_entropy(clean, labels).item()
    assert row.pop("epoch") == 1
    assert row.pop("lr") == 1e-30
    assert row.pop("loss") == pytest.approx(2 * entropy if objective == "alp" else entropy, rel=1e-4)
    names = {"standard": ["clean"], "pgd_at": ["adversarial"]}.get(objective, ["clean", "adversarial"])
    assert row == {f"{name}_accuracy": pytest.approx(accuracy, rel=1e-5) for name in names}


def test_with_early_stopping_a_curve_holds_means_over_the_images_that_are_trained_on():
    classifier, (images, labels) = network(18), data(19, 13)
    settings = recipe("standard", "head", epochs=1, milestones=(), lr=1e-30, shift=Shift(pad=0, flip=0.0))
    kept, _ = hold_out(13, twin(), seed=20)
    clean, truth = network(18).eval()(to_float(images[kept])), labels[kept]
    (row,) = run(classifier, settings, images, labels, seed=20, early_stopping=twin()).curve
    assert row["loss"] == pytest.approx(F.cross_entropy(clean, truth).item(), rel=1e-4)
    assert row["clean_accuracy"] == pytest.approx(100 * (clean.argmax(1) == truth).double().mean().item(), rel=1e-5)


def test_batches_cover_the_order_and_none_has_one_image():
    for count in range(2, 14):
        split = batches(torch.arange(count), 4)
        assert torch.cat(split).tolist() == list(range(count))
        assert min(map(len, split)) >= 2
        assert max(map(len, split)) <= 5
    assert [len(batch) for batch in batches(torch.arange(11), 4)] == [4, 4, 3]
    assert [len(batch) for batch in batches(torch.arange(9), 4)] == [4, 5]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_probe_moves_the_head_and_nothing_else(objective):
    classifier, (images, labels) = network(21).train(), data(22, 8)
    before, head = copied(classifier.encoder), copied(classifier.head)
    assert run(classifier, recipe(objective, "head"), images, labels, seed=23).status == "ok"
    assert same(before, classifier.encoder.state_dict())
    assert not torch.equal(head["weight"], classifier.head.weight)
    assert not torch.equal(head["bias"], classifier.head.bias)
    assert classifier.training  # the mode of before is back


def test_a_probe_whose_encoder_moves_is_an_error():
    classifier, (images, labels) = network(24), data(25, 8)
    norm = classifier.encoder.backbone.bn1.adv

    def drift(*_) -> None:
        norm.running_mean += 1e-3

    norm.register_forward_hook(drift)
    with pytest.raises(RuntimeError, match="tiny: the encoder was to stay frozen"):
        run(classifier, recipe("standard", "head"), images, labels, seed=26)


@pytest.mark.parametrize(("train", "objective", "lr"), [("head", "standard", 0.5), ("all", "pgd_at", 0.05)])
def test_a_separable_problem_is_learnt(train, objective, lr):
    random = torch.Generator().manual_seed(27)
    labels = torch.arange(32) % 2
    dark = torch.randint(100, (32, 8, 8, 3), generator=random)
    images = (dark + 150 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    classifier = network(28, classes=2)
    nn.init.zeros_(classifier.head.weight)
    nn.init.zeros_(classifier.head.bias)
    settings = recipe(objective, train, epochs=8, milestones=(6,), batch_size=8, lr=lr)
    curve = run(classifier, settings, images, labels, seed=29).curve
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert curve[-1]["clean_accuracy" if objective == "standard" else "adversarial_accuracy"] >= 95
    with torch.no_grad():
        assert (classifier.eval()(to_float(images)).argmax(1) == labels).double().mean() >= 0.95


# ---------------------------------------------------------------- runs that fail


def test_a_loss_that_is_not_finite_ends_the_training_without_an_exception(capsys):
    classifier, (images, labels) = network(30), data(31, 8)
    trained = run(classifier, recipe("standard", "all", epochs=6, milestones=(), lr=1e15), images, labels, seed=32)
    assert trained.status == "nan"
    assert len(trained.curve) < 6
    assert "is not finite" in capsys.readouterr().out


def test_a_last_step_to_infinity_is_noticed():
    classifier, (images, labels) = network(33), data(34, 4)
    settings = recipe("standard", "head", epochs=1, milestones=(), lr=1e38, weight_decay=1e38)
    # one step, whose loss is finite
    assert run(classifier, settings, images, labels, seed=35) == Trained([], None, None, "nan")


# ---------------------------------------------------------------- the early-stopped twin


def test_held_out_images_are_never_trained_on(monkeypatch):
    images = torch.arange(14, dtype=torch.uint8).view(14, 1, 1, 1).expand(14, 8, 8, 3) * 10
    labels = torch.arange(14) % 3
    trained_on: list[int] = []
    looked_at: list[int] = []
    real_step, real_look = loop.train_step, loop.look

    def step(classifier, recipe, pixels, labels, *rest):
        numbers = (pixels[:, 0, 0, 0] * 25.5).round().long()
        assert torch.equal(labels, numbers % 3)
        trained_on.extend(numbers.tolist())
        return real_step(classifier, recipe, pixels, labels, *rest)

    def look(classifier, pixels, labels, *rest, **options):
        looked_at.extend((pixels[:, 0, 0, 0] // 10).tolist())
        return real_look(classifier, pixels, labels, *rest, **options)

    monkeypatch.setattr(loop, "train_step", step)
    monkeypatch.setattr(loop, "look", look)
    run(network(36), recipe("standard", "all"), images, labels, seed=37, early_stopping=twin())
    held_out = set(looked_at)
    assert len(held_out) == 4
    assert sorted(looked_at) == sorted([*held_out, *held_out])  # two epochs, two looks
    assert sorted(trained_on) == sorted(2 * list(set(range(14)) - held_out))  # each once an epoch


@pytest.mark.parametrize(("objective", "aim"), [("pgd_at", "held_out_pgd"), ("standard", "held_out_clean")])
def test_the_twin_is_the_first_of_the_best_looks(monkeypatch, objective, aim):
    scores: Iterator[float] = iter([10.0, 30.0, 30.0, 20.0])
    states = []

    def look(classifier, *rest, **options):
        states.append(copied(classifier))
        return {"held_out_clean": 50.0, "held_out_pgd": 50.0} | {aim: next(scores)}

    monkeypatch.setattr(loop, "look", look)
    classifier, (images, labels) = network(38), data(39, 12)
    settings = recipe(objective, "all", epochs=7)
    trained = run(classifier, settings, images, labels, seed=40, early_stopping=twin(every=2))
    assert [row[aim] for row in trained.curve] == [None, 10.0, None, 30.0, None, 30.0, 20.0]
    assert trained.best_epoch == 4
    assert same(trained.best_state, states[1])
    assert same(copied(classifier), states[3])  # the last epoch's weights stay in the classifier


def test_a_look_changes_nothing_about_the_training():
    (images, labels), settings = data(41, 12), recipe("pgd_at", "all")
    often, once = network(42), network(42)
    run(often, settings, images, labels, seed=43, early_stopping=twin(every=1))
    run(once, settings, images, labels, seed=43, early_stopping=twin(every=2))
    assert same(copied(often), copied(once))


# ---------------------------------------------------------------- stopping and resuming


class StopAfter(Stop):
    """A stop that is requested once it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    @property
    def requested(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.signal = 15
        return self.signal is not None


@pytest.mark.parametrize(
    ("objective", "train", "early_stopping"), [("trades", "all", twin()), ("pgd_at", "head", None)]
)
def test_stopped_before_any_step_and_resumed_is_the_same_bit_for_bit(
    tmp_path, monkeypatch, objective, train, early_stopping
):
    monkeypatch.setenv("AMOC_CHECKPOINTS", str(tmp_path))
    (images, labels), settings = data(44, 10), recipe(objective, train)
    straight, clock = network(45), Clock()
    expected = run(straight, settings, images, labels, seed=46, early_stopping=early_stopping, clock=clock)
    steps = 2 * len(batches(torch.arange(6 if early_stopping else 10), 4))

    for done in range(steps):
        with Checkpoint(f"{objective}-{done}", {}) as checkpoint:
            options = {"seed": 46, "early_stopping": early_stopping, "checkpoint": checkpoint}
            with pytest.raises(Interrupted) as interruption:
                run(network(45), settings, images, labels, stop=StopAfter(done), **options)
            assert interruption.value.signal == 15
            resumed = network(45 if train == "head" else 47 + done)  # what is trained comes from the state alone
            resumed_clock = Clock()
            trained = run(resumed, settings, images, labels, clock=resumed_clock, **options)
        assert same(copied(resumed), copied(straight)), f"stopped after {done} steps"
        assert trained.curve == expected.curve
        assert trained.best_epoch == expected.best_epoch
        assert same(trained.best_state or {}, expected.best_state or {})
        assert resumed_clock.plain()["counts"] == clock.plain()["counts"]


def test_a_killed_training_resumes_from_the_end_of_its_last_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("AMOC_CHECKPOINTS", str(tmp_path))
    (images, labels), settings = data(60, 8), recipe("standard", "all", epochs=3)
    straight = network(61)
    expected = run(straight, settings, images, labels, seed=62)
    real, steps = loop.train_step, []

    def killed_in_the_sixth_step(*given):
        steps.append(given)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return real(*given)

    with Checkpoint("killed", {}) as checkpoint:
        monkeypatch.setattr(loop, "train_step", killed_in_the_sixth_step)
        with pytest.raises(KeyboardInterrupt):
            run(network(61), settings, images, labels, seed=62, checkpoint=checkpoint, save_every=0.0)
        assert (checkpoint.load()["epoch"], checkpoint.load()["step"]) == (2, 0)
        resumed = network(63)
        trained = run(resumed, settings, images, labels, seed=62, checkpoint=checkpoint)
        assert len(steps) == 6 + 2
        assert trained == expected
        assert same(copied(resumed), copied(straight))

        again = network(64)  # complete: only loaded, as when the stage is stopped after its training
        assert run(again, settings, images, labels, seed=62, checkpoint=checkpoint) == expected
        assert len(steps) == 6 + 2
        assert same(copied(again), copied(straight))


def test_saves_at_the_ends_of_epochs_are_as_rare_as_asked(monkeypatch):
    # at the start, after each epoch but the last, and after each save
    seconds = iter([0.0, 10.0, 59.0, 61.0, 61.0, 100.0, 130.0, 130.0, 140.0])
    monkeypatch.setattr(loop, "monotonic", lambda: next(seconds))

    class Recorder:
        saved: ClassVar[list[tuple[int, int]]] = []

        def load(self) -> None:
            return None

        def save(self, state: dict) -> None:
            self.saved.append((state["epoch"], state["step"]))

    images, labels = data(65, 4)
    run(network(66), recipe("standard", "head", epochs=6), images, labels, seed=67, checkpoint=Recorder())
    assert Recorder.saved == [(3, 0), (5, 0), (6, 0)]  # after 61 s, 69 s later, and the last


# ---------------------------------------------------------------- what it costs


@pytest.mark.parametrize(
    ("objective", "train", "per_image"),
    [("standard", "head", 1), ("standard", "all", 3), ("pgd_at", "head", 20 + 1), ("pgd_at", "all", 20 + 3),
     ("alp", "all", 20 + 6), ("trades", "head", 21 + 2), ("trades", "all", 21 + 6)],
)  # fmt: skip
def test_passes_of_the_papers_steps(objective, train, per_image):
    attack = None if objective == "standard" else TrainingAttack(steps=10, relative_step=0.25, random_start=True)
    settings = recipe(objective, train, epochs=7, attack=attack)
    assert passes(settings, 100, None) == 7 * 100 * per_image
    # eight images held out, seen after epochs 3, 6 and 7: ten steps, one clean and one adversarial pass
    assert passes(settings, 100, twin(images=8, every=3, steps=10)) == 7 * 92 * per_image + 3 * 8 * 22


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_passes_agree_with_the_forward_passes_that_are_made(objective):
    classifier, (images, labels) = network(70), data(71, 12)
    asked = Asked.of(classifier.encoder)
    settings, early_stopping = recipe(objective, "head"), twin()
    run(classifier, settings, images, labels, seed=72, early_stopping=early_stopping)
    attacked = 0 if settings.attack is None else settings.epochs * 8 * settings.attack.steps
    input_gradients = attacked + settings.epochs * 4 * early_stopping.steps
    assert passes(settings, 12, early_stopping) == sum(asked.images) + input_gradients


# ---------------------------------------------------------------- recorded


@pytest.mark.parametrize("train", ["head", "all"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_with_a_recorded_attack_it_is_the_same_bit_for_bit(objective, train, monkeypatch):
    """By a recorder in place of CUDA's, which allows nothing that waits; with a smaller last batch, and a twin."""
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: recorded)
    images, labels = data(1, 14)
    ended = []
    for captured in (False, True):
        classifier, clock = network(2), Clock()
        trained = run(
            classifier, recipe(objective, train), images, labels, 3, early_stopping=twin(), capture=captured,
            clock=clock,
        )  # fmt: skip
        ended.append((classifier, trained))
        assert ("record" in clock.plain()["seconds"]) == (captured and objective != "standard")
    (eager, its_run), (replayed, other) = ended
    assert same(eager.state_dict(), replayed.state_dict())
    assert its_run.curve == other.curve and its_run.best_epoch == other.best_epoch


def test_the_attack_is_recorded_once_for_each_size_of_a_batch(monkeypatch):
    """Weights and statistics of norms that moved since are those that a replay computes with."""
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: recorded)
    classifier, settings, start = network(1), recipe("trades", "all"), torch.Generator()
    perturb = build_attack(classifier, settings, "float32", start, capture=True)
    optimizer = torch.optim.SGD(classifier.parameters(), 0.1)
    for step_number, size in enumerate((4, 4, 3, 4, 3)):
        images, labels = data(step_number, size)
        images = to_float(images)
        expected = build_attack(classifier, settings, "float32", torch.Generator().manual_seed(5), capture=False)
        start.manual_seed(5)
        assert torch.equal(perturb(images, labels), expected(images, labels))
        train_step(classifier, settings, images, labels, optimizer, "float32", perturb)
    assert len(perturb.recorded) == 2


def test_without_an_attack_nothing_is_recorded():
    assert not isinstance(
        build_attack(network(1), recipe("standard", "head"), "float32", torch.Generator(), capture=True),
        capture.Captured,
    )
