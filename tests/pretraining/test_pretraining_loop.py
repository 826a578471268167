"""The loop: what a run records, and that stopping and going on gives the bytes of never stopping."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import inf, isnan, log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.generators import generator
from amoc.engine.interruption import Interrupted, Stop
from amoc.models.encoder import resnet
from amoc.models.norm import branch, same
from amoc.pretraining import loop
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.diagnostics import effective_rank, neighbour_accuracy, spread
from amoc.pretraining.loop import Method, Pretrained, build_method, build_optimizer, features_of, pretrain
from amoc.pretraining.schedule import warmup_cosine_by_step
from amoc.settings import (
    METHODS,
    ACLPretraining,
    AMOCPretraining,
    CheaperAMOCPretraining,
    Pretraining,
    TrainingAttack,
    Views,
)

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)

pytestmark = pytest.mark.usefixtures("small_resnet")
PLAIN_VIEWS = Views(
    crop_scale=None, interpolation="bilinear", jitter=None, grayscale=0.0, blur=None, flip=0.0, affine=None
)


class Killed(BaseException):
    """The process dies here."""


class StopAfter:
    """A request that comes after so many looks; or, with `kills`, no request but the end."""

    signal = 15

    def __init__(self, looks: int, kills: bool = False) -> None:
        self.looks, self.kills = looks, kills

    @property
    def requested(self) -> bool:
        self.looks -= 1
        if self.looks < 0 and self.kills:
            raise Killed
        return self.looks < 0


@pytest.fixture
def data(generator) -> tuple[Tensor, Tensor]:
    """9 images in batches of 4: two steps an epoch, of 4 and of 5 images."""
    return torch.randint(0, 256, (9, 8, 8, 3), generator=generator, dtype=torch.uint8), torch.arange(9) % 2


@pytest.fixture
def settings(tiny) -> AMOCPretraining:
    return tiny("aca", attack=TrainingAttack(steps=1, relative_step=1.0, random_start=True))


@pytest.fixture
def acl(tiny_acl) -> ACLPretraining:
    return tiny_acl("ds", attack=TrainingAttack(steps=1, relative_step=1.0, random_start=True))


Train = Callable[..., tuple[Method, Pretrained, Clock]]


@pytest.fixture
def train(data, tmp_path, monkeypatch) -> Train:
    """One session of a run: train(settings, saves=True) goes on from the state that an earlier one left."""
    monkeypatch.setenv("AMOC_CHECKPOINTS", str(tmp_path))

    def session(
        settings: Pretraining, *, saves: bool = False, images: Tensor = data[0], stop: Any = None,
        precision: str = "float32",
        prepare: Callable[[Method], None] | None = None, **options: Any,
    ) -> tuple[Method, Pretrained, Clock]:  # fmt: skip
        method, clock = build_method(settings, MEAN, STD), Clock()
        if prepare:
            prepare(method)

        def run(checkpoint: Checkpoint | None) -> Pretrained:
            return pretrain(
                method, settings, images, data[1][: len(images)], device=torch.device("cpu"), precision=precision,
                checkpoint=checkpoint,
                stop=stop or Stop(), clock=clock, title="pretrain tiny", **options,
            )  # fmt: skip

        if not saves:
            return method, run(None), clock
        with Checkpoint("pretrain-tiny", {"seed": settings.seed}) as checkpoint:
            return method, run(checkpoint), clock

    return session


def spy(seen: list[dict[str, Any]]) -> Callable[[Method], None]:
    """Notes what each step is given and returns."""

    def prepare(method: Method) -> None:
        gradients, update = method.gradients, method.update

        def noted(queries, keys, generator, which):
            given = {"queries": queries.clone(), "keys": keys.clone(), "training": method.training,
                     "autocast": torch.is_autocast_enabled("cpu")}  # fmt: skip
            terms, new = gradients(queries, keys, generator, which)
            seen.append({**given, "terms": [term.item() for term in terms]})
            return terms, new

        def noted_update(new, optimizer):
            group = optimizer.param_groups[0]
            seen[-1] |= {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov")}
            update(new, optimizer)

        method.gradients, method.update = noted, noted_update

    return prepare


# ---------------------------------------------------------------- what a run does and records


def test_each_epoch_shows_each_image_once_in_a_new_order(settings, train, data):
    seen = []
    train(settings.model_copy(update={"views": PLAIN_VIEWS}), prepare=spy(seen))
    images, orders = data[0].permute(0, 3, 1, 2).float() / 255, []
    for epoch in range(3):
        steps = seen[2 * epoch : 2 * epoch + 2]
        assert [len(step["queries"]) for step in steps] == [4, 5]  # never a last batch of one
        shown = torch.cat([step["queries"] for step in steps])
        orders.append([next(i for i in range(9) if torch.equal(images[i], view)) for view in shown])
        assert all(torch.equal(step["queries"], step["keys"]) for step in steps)
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_query_and_key_are_different_views_and_every_step_draws_anew(settings, train):
    seen = []
    train(settings, prepare=spy(seen), epochs=2, images=torch.full((8, 8, 8, 3), 77, dtype=torch.uint8))
    drawn = [view for step in seen for view in (step["queries"], step["keys"])]
    assert len(drawn) == 8
    assert all(not torch.equal(one, other) for one, other in combinations(drawn, 2))


def test_optimizer_is_as_the_settings_say(settings, train):
    seen = []
    train(settings, prepare=spy(seen))
    expected = {"momentum": 0.8, "weight_decay": 0.01, "nesterov": False}
    assert [{key: step[key] for key in expected} for step in seen] == 6 * [expected]
    assert [step["lr"] for step in seen] == pytest.approx([1e-4, 1e-4, 0.1, 0.1, 0.05, 0.05])
    assert all(step["training"] for step in seen)


def test_curve(settings, train, data, monkeypatch):
    monkeypatch.setattr(loop, "NEIGHBOURS_EVERY", 2)
    seen = []
    method, trained, clock = train(settings, prepare=spy(seen))
    assert trained.status == "ok"
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3]
    assert [row["lr"] for row in trained.curve] == pytest.approx([1e-4, 0.1, 0.05])
    for epoch, row in enumerate(trained.curve):
        first, second = (step["terms"] for step in seen[2 * epoch : 2 * epoch + 2])
        assert [row["loss"], row["loss_clean"], row["loss_variant"]] == pytest.approx(
            [(a + b) / 2 for a, b in zip(first, second, strict=True)]
        )
        assert row["loss"] == pytest.approx(0.4 * row["loss_clean"] + 0.6 * row["loss_variant"], rel=1e-5)
    assert [row["neighbour_accuracy"] is None for row in trained.curve] == [True, False, False]
    assert [row["bank_age"] for row in trained.curve] == [2, 3, 3]  # 10 keys are 3 batches of 4
    with branch(method.encoder.eval(), "adv"), torch.no_grad():
        features = method.encoder(data[0].permute(0, 3, 1, 2).float() / 255)
    last = trained.curve[-1]
    assert last["spread"] == pytest.approx(spread(features), rel=1e-5)
    assert last["rank"] == pytest.approx(effective_rank(features), rel=1e-5)
    assert last["neighbour_accuracy"] == neighbour_accuracy(features, data[1])
    assert clock.plain()["counts"]["images"] == 27


def test_of_many_images_the_first_are_looked_at_with_their_own_labels(settings, train, data, monkeypatch):
    monkeypatch.setattr(loop, "LOOKED_AT", 5)
    method, trained, _ = train(settings)
    features = features_of(method.encoder, data[0][:5], "adv", 4)
    last = trained.curve[-1]
    assert last["spread"] == pytest.approx(spread(features), rel=1e-5)
    assert last["neighbour_accuracy"] == neighbour_accuracy(features, data[1][:5])


def test_every_epoch_has_the_same_columns(settings, train):
    trained = train(settings)[1]
    assert len({tuple(row) for row in trained.curve}) == 1


def test_the_curve_of_a_trial_is_the_mean_over_the_steps_that_it_takes(settings, train):
    seen = []
    _, trained, _ = train(settings, prepare=spy(seen), steps_per_epoch=1)
    assert [row["loss"] for row in trained.curve] == pytest.approx([step["terms"][0] for step in seen])


def test_trial_is_a_beginning_of_the_schedule(settings, train):
    long = settings.model_copy(update={"epochs": 20})
    seen = []
    _, trained, clock = train(long, prepare=spy(seen), epochs=2, steps_per_epoch=1)
    assert len(seen) == 2
    assert [row["lr"] for row in trained.curve] == pytest.approx([1e-4, 0.1])
    assert trained.curve[-1]["neighbour_accuracy"] is not None  # it is the last
    assert clock.plain()["counts"]["images"] == 8


def test_projector_and_both_banks_have_random_numbers_of_their_own(settings):
    method = build_method(settings, MEAN, STD)
    clean, adversarial = method.banks["clean"].keys, method.banks["adv"].keys
    first = torch.randn(clean.shape, generator=generator(settings.seed, "method"))  # where the projector begins
    assert not torch.isclose(clean, F.normalize(first, dim=1)).any(dim=1).any()
    assert not torch.isclose(clean, adversarial).any(dim=1).any()


@pytest.mark.parametrize("method", ["amoc", "acl"])
def test_blocks_start_as_their_shortcuts_where_the_settings_say_so(method, tiny, tiny_acl, monkeypatch):
    """In the key encoder too, which is a copy; all else starts as it does without."""
    monkeypatch.setattr("amoc.models.encoder.resnet", resnet)  # the small one has no blocks
    settings = tiny("aca") if method == "amoc" else tiny_acl("ds")
    plain, zeroed = (
        build_method(settings.model_copy(update={"zero_init_last": on}), MEAN, STD).state_dict() for on in (False, True)
    )
    differ = {name for name in plain if not torch.equal(plain[name], zeroed[name])}
    assert len(differ) == (2 if method == "amoc" else 1) * 8 * 2  # encoders, blocks, branches
    assert all(name.endswith((".bn2.clean.weight", ".bn2.adv.weight")) for name in differ)
    assert not any(zeroed[name].any() for name in differ)


def test_same_seed_same_bytes_other_seed_other_run(settings, train):
    one, curve = train(settings, epochs=1)[:2]
    torch.rand(3)  # moves the global generator
    again, same_curve = train(settings, epochs=1)[:2]
    assert same(one.state_dict(), again.state_dict())
    assert curve == same_curve

    other = settings.model_copy(update={"seed": 6})
    assert not torch.equal(
        build_method(settings, MEAN, STD).encoder.backbone.conv1.weight,
        build_method(other, MEAN, STD).encoder.backbone.conv1.weight,
    )
    firsts = []
    for chosen in (settings, other):
        seen = []
        train(chosen.model_copy(update={"views": PLAIN_VIEWS}), prepare=spy(seen), epochs=1)
        firsts.append(torch.cat([step["queries"] for step in seen]))
    assert not torch.equal(*firsts)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_of_the_forward_passes_alone(settings, train, precision):
    seen = []
    method, trained, _ = train(settings, precision=precision, prepare=spy(seen), epochs=1)
    assert {step["autocast"] for step in seen} == {precision == "bfloat16"}
    assert {tensor.dtype for tensor in method.state_dict().values()} == {torch.float32, torch.int64}
    assert trained.status == "ok"


def test_bfloat16_trains_every_weight_that_float32_trains(settings, train):
    """A cast kept from an attack, which needs no gradient, would leave a weight untrained without a word."""
    method, _, _ = train(settings.model_copy(update={"variant": "cac"}), precision="bfloat16", epochs=2)
    start = build_method(settings, MEAN, STD).pair.query.get_parameter
    for name, parameter in method.pair.query.named_parameters():
        assert torch.equal(parameter, start(name)) == (".adv." in name), name


def test_fused_on_a_gpu_and_plain_on_a_cpu(settings):
    """So that a CPU's bits do not depend on what is fast elsewhere."""
    options = settings.optimizer
    assert build_optimizer(torch.nn.Linear(2, 2), options).defaults["fused"] is None
    with FakeTensorMode():  # tensors that say they are on a GPU
        assert build_optimizer(torch.nn.Linear(2, 2, device="cuda"), options).defaults["fused"] is True


def test_the_fused_optimizer_is_the_plain_one_but_for_rounding(settings, generator):
    plain, fused = (torch.nn.Linear(5, 4) for _ in range(2))
    fused.load_state_dict(plain.state_dict())
    o = settings.optimizer
    steps = [
        (plain, build_optimizer(plain, o)),
        (fused, torch.optim.SGD(fused.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay, fused=True)),
    ]
    for lr in (0.1, 0.3, 0.03, 0.01):
        gradient = torch.randn(4, 5, generator=generator)
        for layer, optimizer in steps:
            optimizer.param_groups[0]["lr"] = lr
            layer.weight.grad = gradient.clone()  # none for the bias, which stays: not even decayed
            optimizer.step()
        torch.testing.assert_close(fused.weight, plain.weight, rtol=1e-6, atol=1e-7)
        assert torch.equal(fused.bias, plain.bias)


# ---------------------------------------------------------------- ACL in the same loop


def test_every_method_has_settings_and_code():
    assert loop.METHODS.keys() == METHODS.keys()


def test_lars_moves_by_the_step(acl, train):
    """All parameter groups, and weights alone decay."""
    seen = []
    method, trained, _ = train(acl, prepare=spy(seen))
    rates = [warmup_cosine_by_step(step, 6, 2.0, 2, 0.1) for step in range(6)]
    assert [step["lr"] for step in seen] == pytest.approx(rates)
    assert [row["lr"] for row in trained.curve] == pytest.approx(rates[1::2])  # of an epoch's last step
    assert {(step["momentum"], step["weight_decay"], step["nesterov"]) for step in seen} == {(0.8, 0.01, False)}
    optimizer = loop.build_optimizer(method.trained, acl.optimizer)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]


def test_every_group_has_the_rate_of_the_step(acl, train):
    rates = []

    def prepare(method: Method) -> None:
        update = method.update
        method.update = lambda new, optimizer: (
            rates.append({group["lr"] for group in optimizer.param_groups}) or update(new, optimizer)
        )

    train(acl, prepare=prepare)
    assert [len(step) for step in rates] == 6 * [1]


def test_a_trial_of_acl_is_a_beginning_of_the_schedule(acl, train):
    """Of the whole epochs' steps, of which it takes the first one."""
    seen = []
    train(acl, prepare=spy(seen), epochs=2, steps_per_epoch=1)
    assert [step["lr"] for step in seen] == pytest.approx(
        [warmup_cosine_by_step(step, 6, 2.0, 2, 0.1) for step in (0, 2)]
    )


@pytest.mark.parametrize(
    ("form", "columns"), [("ds", ["loss", "loss_clean", "loss_adv"]), ("a2s", ["loss"]), ("a2a", ["loss"])]
)
def test_curve_of_acl(form, columns, acl, train, data):
    seen = []
    method, trained, _ = train(acl.model_copy(update={"form": form}), prepare=spy(seen))
    assert list(trained.curve[0]) == ["epoch", "lr", *columns, "spread", "rank", "neighbour_accuracy"]
    for epoch, row in enumerate(trained.curve):
        first, second = (step["terms"] for step in seen[2 * epoch : 2 * epoch + 2])
        assert [row[name] for name in columns] == pytest.approx(
            [(a + b) / 2 for a, b in zip(first, second, strict=True)]
        )
        if form == "ds":
            assert row["loss"] == pytest.approx((row["loss_clean"] + row["loss_adv"]) / 2, rel=1e-5)
    features = features_of(method.encoder, data[0], "adv", 4)
    assert trained.curve[-1]["spread"] == pytest.approx(spread(features), rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_acl_trains_every_weight_of_the_branches_that_it_uses(acl, train, precision):
    method, trained, _ = train(acl, precision=precision, epochs=2)
    assert trained.status == "ok"
    assert {tensor.dtype for tensor in method.state_dict().values()} == {torch.float32, torch.int64}
    start = build_method(acl, MEAN, STD).get_parameter
    assert not any(torch.equal(parameter, start(name)) for name, parameter in method.named_parameters())


# ---------------------------------------------------------------- cheaper attacks


@pytest.fixture
def cheaper(settings) -> Callable[..., CheaperAMOCPretraining]:
    plain = {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1}
    return lambda **changes: CheaperAMOCPretraining(**dict(settings) | plain | changes)


def test_replays_make_as_many_updates_of_fewer_images(settings, cheaper, train):
    """9 images in batches of 4 are 2 steps; of 5 of them, each used twice, there is one: 2 updates as well."""
    seen = []
    train(cheaper(replays=2, views=PLAIN_VIEWS), prepare=spy(seen))
    assert [len(step["queries"]) for step in seen] == [5, 5, 5]
    assert [step["lr"] for step in seen] == pytest.approx([1e-4, 0.1, 0.05])  # of the three epochs
    every_epoch_shows_others = {step["queries"].sum().item() for step in seen}
    assert len(every_epoch_shows_others) == 3


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
@pytest.mark.parametrize("way", [{"replays": 3}, {"start": "last"}, {"share": 0.5}])
def test_every_use_of_a_batch_has_the_precision_of_the_run(way, precision, dtype, cheaper, train):
    seen: list[torch.dtype] = []

    def prepare(method: Method) -> None:
        for network in (method.pair.query, method.pair.key):
            first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
            first.register_forward_hook(lambda *call: seen.append(call[-1].dtype) if torch.is_grad_enabled() else None)

    train(cheaper(**way), prepare=prepare, precision=precision, epochs=1)
    assert len(seen) > 3 and set(seen) == {dtype}


def test_the_curve_tells_the_age_of_the_bank_that_is_filled_more_slowly(cheaper, train):
    """10 keys: 3 steps of 4 a step, but 5 of 2."""
    ages = {share: train(cheaper(share=share, epochs=3))[1].curve[-1]["bank_age"] for share in (1.0, 0.5)}
    assert ages == {1.0: 3, 0.5: 5}
    _, _, clock = train(cheaper(replays=2))
    assert clock.plain()["counts"]["images"] == 3 * 5 * 2  # each of five images twice


def test_every_image_has_its_own_perturbation_from_epoch_to_epoch(cheaper, train):
    """What is remembered of an image is what it was moved by in the epoch before, in whatever batch it was."""
    moved: list[dict[int, Tensor]] = []

    def prepare(method: Method) -> None:
        gradients, attack = method.gradients, method.attack

        def noted(queries, keys, generator, which):
            def noted_attack(queries, keys, generator, start):
                views, others = attack(queries, keys, generator, start)
                for index, begun, end, image in zip(which.tolist(), start, views["adv"], queries, strict=True):
                    moved.append({"index": index, "start": begun.half(), "end": (end - image).half()})
                return views, others

            method.attack = noted_attack
            return gradients(queries, keys, generator, which)

        method.gradients = noted

    train(cheaper(start="last"), prepare=prepare)
    assert len(moved) == 27
    for epoch in (1, 2):
        for one in moved[9 * epoch : 9 * epoch + 9]:
            (before,) = [other for other in moved[9 * epoch - 9 : 9 * epoch] if other["index"] == one["index"]]
            assert torch.equal(one["start"], before["end"])


# ---------------------------------------------------------------- stopping and going on


def finish(
    train: Train, settings: Pretraining, make_stop: Callable[[], Any], **options
) -> tuple[tuple[Method, Pretrained, Clock], int]:
    """Session after session until the run is through; its result, and how many were stopped on the way."""
    for stopped in range(50):
        try:
            return train(settings, saves=True, stop=make_stop(), **options), stopped
        except Interrupted as interrupted:
            assert interrupted.signal == 15
    pytest.fail("the run never ends")


@pytest.mark.parametrize("way", [{"start": "last"}, {"replays": 2}])
def test_remembered_perturbations_and_replays_survive_a_stop(way, cheaper, train):
    method, trained, _ = train(cheaper(**way))
    (other, resumed, _), stopped = finish(train, cheaper(**way), lambda: StopAfter(1))
    assert stopped >= 2
    assert same(method.state_dict(), other.state_dict())
    assert resumed == trained


@pytest.mark.parametrize(("looks", "sessions"), [(1, 8), (2, 4), (5, 1)])
def test_stopped_and_resumed_is_never_stopped(settings, train, looks, sessions):
    """With one look a session the run is stopped before and after each of its steps, and between its epochs."""
    method, trained, clock = train(settings)
    (other, resumed, its_clock), stopped = finish(train, settings, lambda: StopAfter(looks))
    assert stopped == sessions
    assert same(method.state_dict(), other.state_dict())
    assert trained == resumed
    assert its_clock.plain()["counts"] == clock.plain()["counts"]


@pytest.mark.parametrize(("looks", "sessions"), [(1, 8), (2, 4)])
def test_acl_stopped_and_resumed_is_never_stopped(acl, train, looks, sessions):
    """Weights, LARS' momentum, which the next weights show, and the step that the schedule is at."""
    test_stopped_and_resumed_is_never_stopped(acl, train, looks, sessions)


@pytest.mark.slow
def test_stopped_and_resumed_is_never_stopped_with_the_real_network(settings, train, monkeypatch):
    monkeypatch.setattr("amoc.models.encoder.resnet", resnet)
    test_stopped_and_resumed_is_never_stopped(settings, train, 1, 8)


@pytest.mark.parametrize("looks", [0, 4, 7])
def test_stop_saves_before_the_next_step(settings, train, looks):
    seen = []
    with pytest.raises(Interrupted):
        train(settings, saves=True, stop=StopAfter(looks), prepare=spy(seen))
    assert len(seen) == {0: 0, 4: 3, 7: 5}[looks]  # three looks an epoch: before each step and before its end
    train(settings, saves=True, prepare=spy(seen))
    assert len(seen) == 6


@pytest.mark.parametrize(("looks", "repeated"), [(2, 2), (4, 1), (8, 2)])
def test_killed_run_goes_on_from_its_last_save(settings, train, looks, repeated):
    method, trained, _ = train(settings)
    seen = []
    with pytest.raises(Killed):
        train(settings, saves=True, stop=StopAfter(looks, kills=True), save_every=0.0, prepare=spy(seen))
    other, resumed, _ = train(settings, saves=True, prepare=spy(seen))
    assert len(seen) == 6 + repeated  # the steps since the last end of an epoch are taken again
    assert same(method.state_dict(), other.state_dict())
    assert trained == resumed


def test_epochs_are_saved_every_so_often_and_the_last_always(settings, train):
    seen = []
    with pytest.raises(Killed):
        train(settings, saves=True, stop=StopAfter(8, kills=True), save_every=inf)
    train(settings, saves=True, save_every=inf, prepare=spy(seen))
    assert len(seen) == 6  # nothing had been saved
    method, trained, _ = train(settings, saves=True, prepare=spy(seen))
    assert len(seen) == 6  # the finished run is loaded, not repeated
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3]
    assert method.banks["clean"].position == 27 % 10


def test_saves_at_the_ends_of_epochs_are_as_rare_as_asked(settings, train, monkeypatch):
    # at the start, after each epoch but the last, and after each save
    seconds = iter([0.0, 10.0, 61.0, 61.0, 100.0, 122.0, 122.0, 140.0])
    monkeypatch.setattr(loop, "monotonic", lambda: next(seconds))
    saved, save = [], Checkpoint.save

    def noted(checkpoint: Checkpoint, state: dict[str, Any]) -> None:
        saved.append((state["epoch"], state["step"]))
        save(checkpoint, state)

    monkeypatch.setattr(Checkpoint, "save", noted)
    train(settings.model_copy(update={"epochs": 5}), saves=True)
    assert saved == [(2, 0), (4, 0), (5, 0)]  # after 61 s, 61 s later, and the last


# ---------------------------------------------------------------- runs that go wrong


def not_finite(method: AMOC) -> None:
    method.encoder.backbone.conv2.weight.data[0, 0, 0, 0] = torch.nan


@pytest.mark.parametrize("prepare", [not_finite, None])
def test_a_loss_that_is_not_finite_ends_the_run(settings, train, prepare):
    """From a broken weight in epoch 1, or from a learning rate beyond all bounds, felt after the warm-up in epoch 2."""
    lr = 0.1 if prepare else 1e30
    settings = settings.model_copy(
        update={"optimizer": settings.optimizer.model_copy(update={"lr": lr, "warmup_epochs": 1})}
    )
    _, trained, clock = train(settings, saves=True, prepare=prepare)
    assert trained.status == "nan"
    assert len(trained.curve) < 3
    assert clock.plain()["counts"]["images"] == 9 * trained.begun
    assert not any(isnan(row["loss"]) for row in trained.curve)
    seen = []
    assert train(settings, saves=True, prepare=spy(seen))[1] == trained
    assert not seen  # asked for again, it does not try again


def test_a_last_step_that_breaks_the_weights_ends_the_run(settings, train):
    """The epoch's loss is finite still, its features are not."""
    settings = settings.model_copy(
        update={"optimizer": settings.optimizer.model_copy(update={"lr": 1e38, "warmup_epochs": 0})}
    )
    seen = []
    _, trained, _ = train(settings, steps_per_epoch=1, prepare=spy(seen))
    assert [isnan(step["terms"][0]) for step in seen] == [False]
    assert trained == Pretrained([], "nan")


def test_features_that_are_all_the_same_are_reported(settings, train):
    grey = torch.full((9, 8, 8, 3), 128, dtype=torch.uint8)
    trained = train(settings, saves=True, images=grey)[1]
    assert trained.status == "collapsed"
    assert len(trained.curve) == 3  # judged at the end only: a run may recover
    assert trained.curve[-1]["spread"] == pytest.approx(0, abs=1e-6)
    assert train(settings, saves=True, images=grey)[1] == trained


def test_features_that_are_all_the_same_for_a_while_only_are_no_collapse(settings, train, monkeypatch):
    looks = []
    monkeypatch.setattr(loop, "features_of", lambda *given: looks.append(given) or features_of(*given))
    monkeypatch.setattr(loop, "collapsed", lambda features: len(looks) < 3)
    assert train(settings)[1].status == "ok"


def test_projections_that_are_all_the_same_are_reported(settings, train):
    """By a projector that gives its bias alone, of features that differ."""

    def one_point(method: Method) -> None:
        for network in (method.pair.query, method.pair.key):
            last = network.projector.fc2.requires_grad_(False)
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.ones_(last.bias)

    assert train(settings)[1].status == "ok"
    trained = train(settings, prepare=one_point)[1]
    assert trained.status == "collapsed"
    assert trained.curve[-1]["loss_clean"] == pytest.approx(log(1 + settings.bank_length))
    assert trained.curve[-1]["spread"] > 0.1 and trained.curve[-1]["rank"] > 1.5


# ---------------------------------------------------------------- features


def test_features_are_of_the_branch_in_eval_mode_and_float32(settings, data):
    method = build_method(settings, MEAN, STD).train()
    for name, tensor in method.encoder.state_dict().items():
        if name.endswith("adv.running_mean"):
            tensor.add_(0.2)
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    images = data[0].permute(0, 3, 1, 2).float() / 255
    for name in ("clean", "adv"):
        with torch.autocast("cpu", torch.bfloat16):
            features = features_of(method.encoder, data[0], name, 4)
        assert features.shape == (9, 8)
        assert features.dtype == torch.float32
        assert not features.requires_grad
        assert all(module.training for module in method.encoder.modules())
        with branch(method.encoder.eval(), name):
            torch.testing.assert_close(features, method.encoder(images).detach())
        method.train()
    assert same(before, method.state_dict())
    assert not torch.allclose(
        features_of(method.encoder, data[0], "clean", 4), features_of(method.encoder, data[0], "adv", 4)
    )


def test_looks_at_features_are_not_compiled(settings, data):
    """The encoder of a step is, on a GPU; compiling takes longer than all looks of a run."""

    def compiler(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        raise AssertionError("compiled")

    method = build_method(settings, MEAN, STD)
    expected = features_of(method.encoder, data[0], "adv", 4)
    method.encoder.compile(backend=compiler)
    assert torch.equal(features_of(method.encoder, data[0], "adv", 4), expected)
