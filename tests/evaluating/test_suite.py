from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import foolbox
import pyautoattack
import pytest
import torch
from torch import nn

from amoc.engine.generators import generator as stream
from amoc.evaluating import attacks, autoattack
from amoc.evaluating.checks import NotFinite, OutOfBounds
from amoc.evaluating.cost import passes
from amoc.evaluating.fingerprint import SUITE, images_and_labels, network
from amoc.evaluating.suite import run_suite

LINF = {"linf_pgd": SUITE["linf_pgd"]}


class QuickAdversary(pyautoattack.AutoAttack):
    """AutoAttack of a few iterations."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.apgd.n_iter = self.apgd_targeted.n_iter = self.fab.n_iter = 4


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(autoattack, "Adversary", QuickAdversary)


@pytest.fixture
def subject() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A model in float32, 12 images, labels; the third is wrong."""
    images, labels = images_and_labels(network())
    return network().float(), images.float(), labels


def plain(outcomes) -> dict:
    return {name: (outcome.plain(), outcome.warnings) for name, outcome in outcomes.items()}


def test_what_the_model_gets_right(subject):
    model, images, labels = subject
    for batch_size in (1, 5, 250):
        outcomes = run_suite(model, images, labels, {}, batch_size=batch_size, seed=1)
        assert list(outcomes) == ["clean"] and outcomes["clean"].attack is None
        assert outcomes["clean"].correct.tolist() == [image != 2 for image in range(12)]


def test_pgd_is_foolbox_on_the_images_that_are_right(subject):
    model, images, labels = subject
    outcome = run_suite(model, images, labels, LINF, batch_size=4, seed=40)["linf_pgd"]
    right = [image for image in range(12) if image != 2]
    expected = torch.zeros(12, dtype=torch.bool)
    settings = SUITE["linf_pgd"]
    attack = foolbox.attacks.LinfPGD(rel_stepsize=settings.relative_step, steps=settings.steps, random_start=True)
    for number, batch in enumerate((right[:4], right[4:8], right[8:])):
        torch.manual_seed(stream(40, "linf_pgd", number).initial_seed())
        bounded = foolbox.PyTorchModel(model, (0, 1), device="cpu")
        _, _, fooled = attack(bounded, images[batch], labels[batch], epsilons=settings.epsilon)
        expected[batch] = ~fooled
    assert outcome.correct.tolist() == expected.tolist()
    assert 0 < expected.sum() < 11
    assert outcome.attack == settings


def test_whole_suite_keeps_its_order_and_its_subsets(subject, quick):
    model, images, labels = subject
    outcomes = run_suite(model, images, labels, SUITE, batch_size=5, seed=2)
    assert list(outcomes) == ["clean", *SUITE]
    for name, attack in SUITE.items():
        assert outcomes[name].attack == attack
        assert len(outcomes[name].correct) == (attack.images or 12)
        assert not outcomes[name].correct[2]
        assert outcomes[name].accuracy < outcomes["clean"].accuracy
    more = {"linf_pgd": SUITE["linf_pgd"].model_copy(update={"images": 1000})}
    assert len(run_suite(model, images, labels, more, batch_size=5, seed=2)["linf_pgd"].correct) == 12


def test_same_seed_same_outcome(subject, quick):
    model, images, labels = subject
    first, again = (run_suite(model, images, labels, SUITE, batch_size=5, seed=3) for _ in range(2))
    assert plain(first) == plain(again)


def test_each_attack_and_batch_has_its_own_stream(subject, monkeypatch):
    model, images, labels = subject
    seeds = []

    def search(settings, model, images, labels, *, seed):
        seeds.append(seed)
        return images, {}

    monkeypatch.setattr(attacks, "search", search)
    suite = {"one": SUITE["linf_pgd"], "two": SUITE["linf_pgd"]}
    for seed in (4, 5):
        run_suite(model, images, labels, suite, batch_size=4, seed=seed)
    assert len(seeds) == len(set(seeds)) == 12


def test_only_standing_images_are_attacked_in_fixed_batches(subject, monkeypatch):
    """AutoAttack's members get what is left of a batch; nothing moves up from the next one."""
    model, images, labels = subject
    calls = []

    def search(settings, member, model, victims, truth, *, classes, seed):
        calls.append((member, [(images == victim).flatten(1).all(dim=1).nonzero().item() for victim in victims]))
        assert classes == 4 and seed == 6 and torch.equal(labels[calls[-1][1]], truth)
        broken = victims.clone()
        broken[:2] = other[calls[-1][1][:2]]  # the first two fall
        return broken, {}

    other = images.flip(0)
    wide = SUITE["linf_autoattack"].model_copy(update={"epsilon": 1.0, "images": None})
    truth_of_other = model(other).argmax(dim=1)
    labels = torch.where(truth_of_other == labels, (labels + 1) % 4, labels)  # wrong already, or broken by the other
    monkeypatch.setattr(autoattack, "search", search)
    outcomes = run_suite(model, images, labels, {"wide": wide}, batch_size=5, seed=6)
    right = outcomes["clean"].correct.nonzero().flatten().tolist()
    expected = []
    for batch in (right[:5], right[5:10], right[10:]):
        for member in autoattack.MEMBERS:
            if batch:
                expected.append((member, batch))
            batch = batch[2:]
    assert calls == expected and len(right) > 5
    assert not outcomes["wide"].correct.any()


def test_what_was_found_is_judged_by_the_model_and_not_by_its_folded_copy(subject, monkeypatch):
    model, images, labels = subject
    asked = []

    def search(settings, searched, images, labels, *, seed):
        asked.append(searched)
        return images, {}

    copy = nn.Sequential(model, nn.Linear(4, 4)).eval()  # which says something else
    monkeypatch.setattr("amoc.evaluating.suite.folded", lambda model, images: copy)
    monkeypatch.setattr(attacks, "search", search)
    outcomes = run_suite(model, images, labels, LINF, batch_size=5, seed=1)
    assert set(asked) == {copy}
    assert torch.equal(outcomes["linf_pgd"].correct, outcomes["clean"].correct)


def test_minimising_attacks_are_not_counted_beyond_the_ball(subject, monkeypatch):
    """DeepFool always reaches the boundary; what counts is the perturbation clipped to epsilon."""
    model, images, labels = subject
    settings = SUITE["linf_deepfool"]
    direct = foolbox.attacks.LinfDeepFoolAttack(steps=settings.steps, overshoot=settings.overshoot)
    right = torch.arange(12) != 2
    bounded = foolbox.PyTorchModel(model.requires_grad_(False), (0, 1), device="cpu")
    raw, _, _ = direct(bounded, images[right], labels[right], epsilons=None)
    clipped = images[right] + (raw - images[right]).clamp(-settings.epsilon, settings.epsilon)
    assert not (model(raw).argmax(dim=1) == labels[right]).any()
    outcome = run_suite(model, images, labels, {"deepfool": settings}, batch_size=50, seed=7)["deepfool"]
    assert outcome.correct[right].tolist() == (model(clipped).argmax(dim=1) == labels[right]).tolist()
    assert outcome.correct.any()


RESUMED = {name: SUITE[name] for name in ("linf_pgd", "l2_deepfool", "linf_autoattack", "l1_pgd")}


def stored(state: dict) -> dict:
    """As a checkpoint would: through a file that may hold no code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_resuming_after_any_save_is_never_having_stopped(subject, quick):
    model, images, labels = subject

    def run(saved: dict | None, save: Callable) -> dict:
        return plain(run_suite(model, images, labels, RESUMED, batch_size=4, seed=8, saved=saved, save=save))

    states: list[dict] = []
    whole = run(None, states.append)
    assert len(states) == 3 + 3 + 2 * 4 + 3  # batches of 11 images, of 5 for AutoAttack's members
    for number, state in enumerate(states):
        rest: list[dict] = []
        assert run(stored(state), rest.append) == whole
        assert len(rest) == len(states) - number - 1


def test_processes_share_a_suite_and_change_nothing(subject, quick):
    """Nor does who takes over a state that several of them left half done, with another number of them."""
    model, images, labels = subject

    def run(processes: int, saved: dict | None = None) -> tuple[dict, list[dict]]:
        states: list[dict] = []
        outcomes = run_suite(
            model, images, labels, RESUMED, batch_size=4, seed=8, saved=saved, save=states.append, processes=processes
        )
        return plain(outcomes), states

    whole, states = run(1)
    shared, theirs = run(3)
    assert shared == whole
    assert len(theirs) == len(states)
    half_done = stored(theirs[len(theirs) // 2])
    for processes in (1, 2):
        outcomes, rest = run(processes, half_done)
        assert outcomes == whole
        assert len(rest) == len(states) - len(theirs) // 2 - 1


def test_the_longest_attack_is_begun_first_where_processes_share(subject, quick, monkeypatch):
    model, images, labels = subject
    begun = []

    def in_parallel(tasks: dict, processes: int) -> Iterator:
        begun.append((processes, list(tasks)))
        return ((name, item) for name, items in tasks.items() for item in items)

    monkeypatch.setattr("amoc.evaluating.suite.in_parallel", in_parallel)
    for processes in (1, 2):
        run_suite(model, images, labels, RESUMED, batch_size=4, seed=8, processes=processes)
    needed = [passes({name: attack}, len(images), 5) for name, attack in RESUMED.items()]
    longest_first = [name for _, name in sorted(zip(needed, RESUMED, strict=True), reverse=True)]
    assert begun == [(1, list(RESUMED)), (2, longest_first)]


def test_killed_while_saving(subject, quick):
    model, images, labels = subject
    whole = plain(run_suite(model, images, labels, RESUMED, batch_size=4, seed=9))
    saved: dict | None = None
    for _ in range(100):  # each time, it gets three saves further and dies at the fourth
        count = 0

        def save(state: dict) -> None:
            nonlocal saved, count
            count += 1
            if count == 4:
                raise KeyboardInterrupt
            saved = stored(state)

        try:
            outcomes = run_suite(model, images, labels, RESUMED, batch_size=4, seed=9, saved=saved, save=save)
            break
        except KeyboardInterrupt:
            continue
    assert plain(outcomes) == whole


def test_saved_state_is_not_changed_later(subject, quick):
    model, images, labels = subject
    states, copies = [], []

    def save(state: dict) -> None:
        states.append(state)
        copies.append(stored(state))

    run_suite(model, images, labels, RESUMED, batch_size=4, seed=10, save=save)
    for state, copy in zip(states, copies, strict=True):
        assert state.keys() == copy.keys()
        for name in state:
            assert all(torch.equal(*pair) if torch.is_tensor(pair[0]) else pair[0] == pair[1]
                       for pair in zip(state[name].values(), copy[name].values(), strict=True))  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SUITE if "autoattack" not in name])
def test_an_attack_that_fails_is_not_skipped(name, subject, monkeypatch):
    model, images, labels = subject
    kind = type(attacks.build(SUITE[name]))

    def fail(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(kind, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_suite(model, images, labels, {name: SUITE[name]}, batch_size=50, seed=11)


@pytest.mark.parametrize(
    "part",
    ["autopgd_base.APGDAttack", "autopgd_base.APGDAttack_targeted", "fab_base.FABAttack", "square.SquareAttack"],
)
def test_a_member_of_autoattack_that_fails_is_not_skipped(part, subject, quick, monkeypatch):
    model, images, labels = subject

    def fail(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(f"pyautoattack.{part}.perturb", fail)
    weak = SUITE["linf_autoattack"].model_copy(update={"epsilon": 1e-4})
    with pytest.raises(RuntimeError, match="out of memory"):
        run_suite(model, images, labels, {"autoattack": weak}, batch_size=50, seed=12)


@pytest.mark.parametrize(
    ("name", "cheat"),
    [
        ("linf_pgd", lambda images: images + 0.01),
        ("l1_pgd", lambda images: (images + 0.1).clamp(0, 1)),
        ("l2_cw", lambda images: 1 - images),
        ("linf_deepfool", lambda images: images * torch.nan),
        ("linf_pgd", lambda images: images[:0]),
    ],
)
def test_an_attack_that_cheats_is_caught(name, cheat, subject, monkeypatch):
    model, images, labels = subject
    monkeypatch.setattr(attacks, "search", lambda settings, model, images, labels, *, seed: (cheat(images), {}))
    with pytest.raises(OutOfBounds):
        run_suite(model, images, labels, {name: SUITE[name]}, batch_size=50, seed=13)


def test_a_member_of_autoattack_that_cheats_is_caught(subject, monkeypatch):
    model, images, labels = subject

    def search(settings, member, model, images, labels, **options):
        return (images if member != "square" else images.roll(1, dims=0)), {}

    monkeypatch.setattr(autoattack, "search", search)
    with pytest.raises(OutOfBounds):
        run_suite(model, images, labels, {"a": SUITE["linf_autoattack"]}, batch_size=50, seed=14)


class Spoilt(nn.Module):
    """NaN wherever the first pixel of an image is not the one it has in `images`."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        super().__init__()
        self.model, self.first = model, images[:, 0, 0, 0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        known = torch.isin(images[:, 0, 0, 0], self.first)
        return self.model(images).masked_fill(~known[:, None], torch.nan)


def test_logits_that_are_not_finite_have_no_accuracy(subject):
    model, images, labels = subject
    broken = images.clone()
    broken[-1, 0, 0, 0] = 0.123
    spoilt = Spoilt(model, images).eval()
    with pytest.raises(NotFinite, match="1 of 2 images"):
        run_suite(spoilt, broken, labels, {}, batch_size=5, seed=15)
    with pytest.raises(NotFinite):
        run_suite(spoilt, images, labels, LINF, batch_size=5, seed=15)


def test_training_mode_is_refused(subject):
    model, images, labels = subject
    model[1].train()
    with pytest.raises(ValueError, match="training mode"):
        run_suite(model, images, labels, LINF, batch_size=5, seed=16)


def test_images_and_labels_are_checked(subject):
    model, images, labels = subject
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        run_suite(model, images * 255, labels, LINF, batch_size=5, seed=17)
    with pytest.raises(ValueError, match="labels"):
        run_suite(model, images, labels + 3, LINF, batch_size=5, seed=17)


def test_model_is_left_as_it_was(subject, quick):
    model, images, labels = subject
    model[0].bias.requires_grad_(False)
    before = {name: (value.clone(), value.requires_grad) for name, value in model.named_parameters()}
    given = images.clone()
    run_suite(model, images, labels, RESUMED, batch_size=5, seed=18)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name][0]) and value.requires_grad == before[name][1] and value.grad is None
    assert not any(module.training for module in model.modules())
    assert torch.equal(images, given)


def test_autocast_outside_does_not_reach_the_evaluation(subject):
    model, images, labels = subject
    expected = plain(run_suite(model, images, labels, LINF, batch_size=5, seed=19))
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).dtype == torch.bfloat16
        assert plain(run_suite(model, images, labels, LINF, batch_size=5, seed=19)) == expected


def test_warnings_survive_an_interruption(subject, monkeypatch):
    model, images, labels = subject
    said = iter(["first", "second", "third", "fourth"] * 4)

    def search(settings, member, model, images, labels, **options):
        return images, {f"{member}, check": next(said)}

    monkeypatch.setattr(autoattack, "search", search)
    suite = {"a": SUITE["linf_autoattack"]}
    states: list[dict] = []
    whole = run_suite(model, images, labels, suite, batch_size=3, seed=20, save=states.append)["a"].warnings
    assert whole == (
        "apgd-ce, check: first", "apgd-t, check: second", "fab-t, check: third", "square, check: fourth"
    )  # fmt: skip
    rest = run_suite(model, images, labels, suite, batch_size=3, seed=20, saved=stored(states[5]))
    assert rest["a"].warnings == whole


def test_square_that_breaks_what_gradients_could_not_is_a_warning(subject, monkeypatch):
    """One image of each batch falls, and to square alone."""
    model, images, labels = subject
    labels = model(images).argmax(dim=1)
    far = {label: images[labels != label][0] for label in range(4)}
    labels[2] = (labels[2] + 1) % 4

    def search(settings, member, model, victims, truth, **options):
        found = victims.clone()
        if member == "square":
            found[0] = far[truth[0].item()]
        return found, {}

    monkeypatch.setattr(autoattack, "search", search)
    wide = SUITE["linf_autoattack"].model_copy(update={"epsilon": 1.0, "images": None})
    outcome = run_suite(model, images, labels, {"a": wide}, batch_size=4, seed=21)["a"]
    assert outcome.correct.sum() == 8
    (warning,) = outcome.warnings
    assert "Square" in warning and "25.00%" in warning  # of all images


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(subject, quick):
    model, images, labels = subject
    outcomes = run_suite(model.cuda(), images.cuda(), labels.cuda(), SUITE, batch_size=5, seed=22)
    assert all(outcome.correct.device.type == "cpu" for outcome in outcomes.values())
    assert outcomes["clean"].correct.sum() == 11
