"""Every variant against its definition: plain networks of one norm branch each, Python's numbers, explicit SGD.

Nothing here uses the branches' scope, InfoNCE, the bank or the table of variants.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import eagerpy
import foolbox
import pytest
import torch
from torch import Tensor, nn

from amoc.models.encoder import Encoder
from amoc.models.norm import DualBatchNorm2d
from amoc.pretraining.amoc import AMOC
from amoc.pretraining.passes import passes
from amoc.pretraining.variants import VARIANTS
from amoc.settings import AMOCPretraining, TrainingAttack
from tests.pretraining.networks import in_branch, randomise, take_step, unit


@dataclass(frozen=True)
class Definition:
    """What a variant's second term sees; which sides are perturbed; which perturbed view fills the adversarial bank."""

    query: str
    key: str
    bank: str
    perturbs: str
    fills: str | None


DEFINITIONS = {
    "ccc": Definition("clean", "clean", "clean", perturbs="", fills=None),
    "cca": Definition("clean", "clean", "adv", perturbs="q", fills="q"),  # crafted as in aca, only to fill the bank
    "cac": Definition("clean", "adv", "clean", perturbs="k", fills="k"),
    "caa": Definition("clean", "adv", "adv", perturbs="k", fills="k"),
    "acc": Definition("adv", "clean", "clean", perturbs="q", fills=None),
    "aca": Definition("adv", "clean", "adv", perturbs="q", fills="q"),
    "aac": Definition("adv", "adv", "clean", perturbs="qk", fills="k"),
    "aaa": Definition("adv", "adv", "adv", perturbs="qk", fills="k"),
}
FROZEN = {
    name: Definition(d.query, d.key, d.bank, "" if name == "cca" else d.perturbs, None)
    for name, d in DEFINITIONS.items()
}
BATCH, EPSILON = 3, 0.1

pytestmark = pytest.mark.usefixtures("small_resnet")
each_variant = pytest.mark.parametrize("variant", DEFINITIONS)
each_bank = pytest.mark.parametrize("bank_adv", ["moving", "frozen"])
each_order = pytest.mark.parametrize("enqueue", ["after", "before"])


def definition(variant: str, bank_adv: str) -> Definition:
    return (DEFINITIONS if bank_adv == "moving" else FROZEN)[variant]


@pytest.fixture
def make(tiny, generator) -> Callable[..., AMOC]:
    """A method in float64 and train mode, all of whose numbers are random: make("aca", enqueue="before")."""

    def method(variant: str, **changes) -> AMOC:
        settings: AMOCPretraining = tiny(variant, epsilon=EPSILON, batch_size=BATCH, **changes)
        amoc = AMOC(Encoder("resnet18", 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), settings, generator).double()
        for network in (amoc.pair.query, amoc.pair.key):  # two different ones
            randomise(network, generator)
        return amoc.train()

    return method


@pytest.fixture
def views(generator) -> dict[str, Tensor]:
    """Four different views of a batch, (3, 3, 8, 8) each: clean and perturbed query, clean and perturbed key."""
    c, k = (torch.rand(BATCH, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    delta, other = (
        EPSILON * (2 * torch.rand(BATCH, 3, 8, 8, generator=generator, dtype=torch.float64) - 1) for _ in range(2)
    )
    return {"q clean": c, "k clean": k, "q adv": (c + delta).clamp(0, 1), "k adv": (k + other).clamp(0, 1)}


def nce(queries: Tensor, keys: Tensor, bank: Tensor, temperature: float) -> float:
    """The mean over the batch of -log( e^(q.k/T) / (e^(q.k/T) + sum of e^(q.n/T)) )."""
    total = 0.0
    for query, key in zip(queries.tolist(), keys.tolist(), strict=True):
        positive = exp(sum(a * b for a, b in zip(query, key, strict=True)) / temperature)
        negatives = [
            exp(sum(a * b for a, b in zip(query, negative, strict=True)) / temperature) for negative in bank.tolist()
        ]
        total -= log(positive / (positive + sum(negatives)))
    return total / len(queries)


def pushed(bank: Tensor, position: int, keys: list[list[float]]) -> Tensor:
    slots = bank.tolist()
    for number, key in enumerate(keys):
        slots[(position + number) % len(slots)] = key
    return torch.tensor(slots, dtype=bank.dtype)


def given_to(variant: str, bank_adv: str, views: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The views as the attack hands them to the loss: the perturbed ones only where the variant has them."""
    perturbs = definition(variant, bank_adv).perturbs
    return tuple(
        {"clean": views[f"{side} clean"]} | ({"adv": views[f"{side} adv"]} if side in perturbs else {}) for side in "qk"
    )


def norms(network: nn.Module, name: str) -> list[nn.BatchNorm2d]:
    return [getattr(module, name) for module in network.modules() if isinstance(module, DualBatchNorm2d)]


def forwards(network: nn.Module, name: str) -> int:
    """How often the network's norms of one branch went through in train mode."""
    (count,) = {int(norm.num_batches_tracked) for norm in norms(network, name)}
    return count


# ---------------------------------------------------------------- the loss


@each_variant
@each_bank
@each_order
def test_losses_are_the_written_out_formula(variant, bank_adv, enqueue, make, views):
    method = make(variant, bank_adv=bank_adv, enqueue=enqueue)
    d, s = definition(variant, bank_adv), method.settings
    banks = {name: method.banks[name].keys.clone() for name in ("clean", "adv")}
    with torch.no_grad():
        q = {name: unit(in_branch(method.pair.query, name)(views[f"q {name}"])) for name in ("clean", "adv")}
        k = {name: unit(in_branch(method.pair.key, name)(views[f"k {name}"])) for name in ("clean", "adv")}
        entering = {"clean": k["clean"]}
        if d.fills == "q":
            entering["adv"] = unit(in_branch(method.pair.key, "adv")(views["q adv"]))
        elif d.fills == "k":
            entering["adv"] = k["adv"]

    terms, new = method.losses(*given_to(variant, bank_adv, views))

    after = {
        name: pushed(bank, 0, entering[name].tolist()) if name in entering else bank for name, bank in banks.items()
    }
    seen = after if enqueue == "before" else banks
    clean = nce(q["clean"], k["clean"], seen["clean"], s.temperature)
    second = nce(q[d.query], k[d.key], seen[d.bank], s.temperature)
    assert terms.clean.item() == pytest.approx(clean, rel=1e-10)
    assert terms.variant.item() == pytest.approx(second, rel=1e-10)
    assert terms.total.item() == pytest.approx(s.lambda_ * clean + (1 - s.lambda_) * second, rel=1e-10)

    assert new.keys() == entering.keys()
    assert not any(keys.requires_grad for keys in new.values())
    if enqueue == "after":
        method.enqueue(new)
    for name, bank in method.banks.items():
        torch.testing.assert_close(bank.keys, after[name], rtol=0, atol=1e-12)
        assert bank.position == (BATCH if name in entering else 0)


@each_variant
@each_bank
def test_a_bank_that_is_read_is_written_or_frozen_on_purpose(variant, bank_adv, make, views):
    """The copies of the official code hid a bank that nothing ever filled."""
    method = make(variant, bank_adv=bank_adv)
    _, new = method.losses(*given_to(variant, bank_adv, views))
    for read in {"clean", definition(variant, bank_adv).bank}:
        assert (read in new) != (read == "adv" and bank_adv == "frozen")


@each_variant
@each_bank
def test_statistics_move_where_a_branch_is_used(variant, bank_adv, make, views):
    method, d = make(variant, bank_adv=bank_adv), definition(variant, bank_adv)
    method.losses(*given_to(variant, bank_adv, views))
    assert forwards(method.pair.query, "clean") == 1
    assert forwards(method.pair.query, "adv") == (d.query == "adv")
    assert forwards(method.pair.key, "clean") == 1
    assert forwards(method.pair.key, "adv") == (d.key == "adv" or d.fills == "q")


@each_variant
def test_gradients_reach_the_query_network_alone(variant, make, views):
    method, d = make(variant), DEFINITIONS[variant]
    method.losses(*given_to(variant, "moving", views))[0].total.backward()
    assert all(parameter.grad is None for parameter in method.pair.key.parameters())
    for name, parameter in method.pair.query.named_parameters():
        used = ".adv." not in name or d.query == "adv"
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == used, name


# ---------------------------------------------------------------- the attack


def second_term(method: AMOC, still: dict[str, Tensor], training: bool = False) -> Callable[[Tensor], Tensor]:
    """The sum over the batch of the attacked term as a function of the perturbed side (both, one above the other).

    `still` holds the clean views as the side that is not perturbed sees them.
    """
    d, s = definition(method.settings.variant, method.settings.bank_adv), method.settings
    bank = method.banks[d.bank].keys.clone()
    networks = {"q": method.pair.query, "k": method.pair.key}
    f = {(side, name): in_branch(networks[side], name).train(training) for side in "qk" for name in ("clean", "adv")}

    def loss(images: Tensor) -> Tensor:
        parts = dict(zip(d.perturbs, images.split(BATCH), strict=True))
        q, k = (unit(f[side, "adv"](parts[side]) if side in parts else f[side, "clean"](still[side])) for side in "qk")
        total = torch.zeros((), dtype=torch.float64)
        for row in range(BATCH):
            logits = torch.cat([(q[row] * k[row]).sum()[None], bank @ q[row]]) / s.temperature
            total = total - torch.log_softmax(logits, dim=0)[0]
        return total

    return loss


def projected_ascent(
    loss: Callable[[Tensor], Tensor], images: Tensor, start: Tensor, steps: int, step_size: float
) -> Tensor:
    perturbed = start
    for _ in range(steps):
        perturbed = perturbed.detach().requires_grad_()
        loss(perturbed).backward()
        moved = perturbed.detach() + step_size * perturbed.grad.sign()
        perturbed = (images + (moved - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    return perturbed


def test_the_loss_is_counted_in_float32_under_autocast(make, generator):
    method = make("aca").float()
    bank = method.banks["adv"].keys
    queries, keys = (unit(torch.randn(BATCH, bank.shape[1], generator=generator)) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        given = method.contrast(queries, keys, "adv")
    assert given.dtype == torch.float32
    exact = nce(queries.double(), keys.double(), bank.double(), method.settings.temperature)
    assert given.mean().item() == pytest.approx(exact, rel=1e-6)


@each_variant
@each_bank
def test_attack_perturbs_its_sides_in_the_ball_and_raises_the_second_term(variant, bank_adv, make, views, generator):
    attack = TrainingAttack(steps=3, relative_step=0.25, random_start=True)
    method, d = make(variant, bank_adv=bank_adv, attack=attack), definition(variant, bank_adv)
    clean = {side: views[f"{side} clean"] for side in "qk"}
    given = dict(zip("qk", method.attack(clean["q"], clean["k"], generator), strict=True))
    assert method.settings.attacks == bool(d.perturbs)
    for side in "qk":
        assert given[side].keys() == ({"clean", "adv"} if side in d.perturbs else {"clean"})
        assert given[side]["clean"] is clean[side]
    for side in d.perturbs:
        perturbed = given[side]["adv"]
        assert 0 < (perturbed - clean[side]).abs().max() <= EPSILON + 1e-12
        assert perturbed.min() >= 0
        assert perturbed.max() <= 1
        assert not perturbed.requires_grad
    if d.perturbs:
        loss = second_term(method, clean)
        before, after = (
            torch.cat(images)
            for images in zip(*((clean[side], given[side]["adv"]) for side in d.perturbs), strict=True)
        )
        assert loss(after) > loss(before) + 0.1
    assert all(parameter.grad is None for parameter in method.parameters())


@pytest.mark.parametrize("variant", [name for name, d in DEFINITIONS.items() if d.perturbs])
@pytest.mark.parametrize("attack_key", ["clean", "noisy"])
@pytest.mark.parametrize("random_start", [True, False])
def test_attack_is_projected_ascent_on_the_second_term(variant, attack_key, random_start, make, views, generator):
    attack = TrainingAttack(steps=2, relative_step=0.4, random_start=random_start)
    method, perturbs = make(variant, attack_key=attack_key, attack=attack), DEFINITIONS[variant].perturbs
    clean, state = {side: views[f"{side} clean"] for side in "qk"}, generator.get_state()
    given = dict(zip("qk", method.attack(clean["q"], clean["k"], generator), strict=True))

    def noise(images: Tensor) -> Tensor:
        return (images + torch.empty_like(images).uniform_(-EPSILON, EPSILON, generator=generator)).clamp(0, 1)

    generator.set_state(state)
    still = dict(clean)
    if attack_key == "noisy" and len(perturbs) == 1:  # the side that stays gets noise, drawn before the start
        (side,) = set("qk") - set(perturbs)
        still[side] = noise(clean[side])
    images = torch.cat([clean[side] for side in perturbs])
    expected = projected_ascent(
        second_term(method, still), images, noise(images) if random_start else images, 2, 0.4 * EPSILON
    )
    torch.testing.assert_close(torch.cat([given[side]["adv"] for side in perturbs]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["acc", "aca"])
def test_attack_on_the_query_equals_foolbox(variant, make, views, generator):
    method = make(variant, attack=TrainingAttack(steps=4, relative_step=0.25, random_start=False))
    loss = second_term(method, {"k": views["k clean"]})

    class OnSecondTerm(foolbox.attacks.LinfPGD):
        def get_loss_fn(self, model, labels):
            return lambda images: eagerpy.astensor(loss(images.raw))

    model = foolbox.PyTorchModel(nn.Identity().eval(), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(torch.zeros(BATCH, dtype=torch.long))
    expected = OnSecondTerm(rel_stepsize=0.25, steps=4, random_start=False).run(
        model, views["q clean"], criterion, epsilon=EPSILON
    )
    given = method.attack(views["q clean"], views["k clean"], generator)[0]["adv"]
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-12)


@each_variant
def test_attack_in_eval_mode_leaves_every_number_and_mode_alone(variant, make, views, generator):
    method = make(variant, attack_mode="eval", attack_key="noisy")
    method.banks.eval()
    before, modes = copy.deepcopy(method.state_dict()), [module.training for module in method.modules()]
    method.attack(views["q clean"], views["k clean"], generator)
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state_dict().items())
    assert [module.training for module in method.modules()] == modes


@pytest.mark.parametrize(
    ("variant", "moved"),
    [("aca", {"q adv": 2, "k clean": 1}), ("caa", {"k adv": 2, "q clean": 1}), ("aaa", {"q adv": 2, "k adv": 2})],
)
def test_attack_in_train_mode_uses_and_moves_the_statistics(variant, moved, make, views, generator):
    method = make(variant, attack_mode="train").eval()
    loss = second_term(method, {"q": views["q clean"], "k": views["k clean"]}, training=True)
    given = method.attack(views["q clean"], views["k clean"], generator)
    for side, network in (("q", method.pair.query), ("k", method.pair.key)):
        assert [forwards(network, name) for name in ("clean", "adv")] == [
            moved.get(f"{side} {name}", 0) for name in ("clean", "adv")
        ]
    images = torch.cat([views[f"{side} clean"] for side in DEFINITIONS[variant].perturbs])
    perturbed = torch.cat([view["adv"] for view in given if "adv" in view])
    torch.testing.assert_close(perturbed, projected_ascent(loss, images, images, 2, 0.4 * EPSILON), rtol=0, atol=1e-12)
    assert not any(module.training for module in method.modules())


# ---------------------------------------------------------------- the step


@each_order
def test_steps_of_aca_by_hand(enqueue, make, views, monkeypatch):
    """Given the deltas: loss, gradient, SGD with momentum and weight decay, momentum of the key, banks; twice."""
    method, (lr, mu, decay) = make("aca", enqueue=enqueue), (0.1, 0.8, 0.01)
    s = method.settings
    optimizer = torch.optim.SGD(method.pair.query.parameters(), lr, mu, weight_decay=decay)
    state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    twin, velocity, results = copy.deepcopy(method), {}, []
    monkeypatch.setattr(
        method, "attack", lambda queries, keys, generator: ({"clean": queries, "adv": views["q adv"]}, {"clean": keys})
    )
    for turn in range(2):
        results.append(take_step(method, views["q clean"], views["k clean"], optimizer, None))

        twin.load_state_dict(state)
        query = {name: in_branch(twin.pair.query, name) for name in ("clean", "adv")}
        key = {name: in_branch(twin.pair.key, name) for name in ("clean", "adv")}
        q = {name: unit(query[name](views[f"q {name}"])) for name in ("clean", "adv")}
        k = unit(key["clean"](views["k clean"])).detach()
        entering = {"clean": k, "adv": unit(key["adv"](views["q adv"])).detach()}
        old = {name: state[f"banks.{name}.keys"] for name in ("clean", "adv")}
        new = {name: pushed(old[name], turn * BATCH, entering[name].tolist()) for name in old}
        terms = {}
        for name, bank in (new if enqueue == "before" else old).items():
            logits = torch.cat([(q[name] * k).sum(dim=1, keepdim=True), q[name] @ bank.T], dim=1) / s.temperature
            terms[name] = -torch.log_softmax(logits, dim=1)[:, 0].mean()
        total = s.lambda_ * terms["clean"] + (1 - s.lambda_) * terms["adv"]
        total.backward()
        assert [term.item() for term in results[-1]] == pytest.approx(
            [total.item(), terms["clean"].item(), terms["adv"].item()], rel=1e-10
        )

        for name, parameter in twin.pair.query.named_parameters():
            slope = decay * parameter.detach()
            for norm in query:  # what both branches share has the sum of both gradients
                if f".{norm}." in name or (".clean." not in name and ".adv." not in name):
                    slope = slope + query[norm].get_parameter(name.replace(f".{norm}.", ".")).grad
            velocity[name] = mu * velocity[name] + slope if name in velocity else slope
            state[f"pair.query.{name}"] = parameter.detach() - lr * velocity[name]
        for name, parameter in twin.pair.key.named_parameters():
            state[f"pair.key.{name}"] = s.key_momentum * parameter + (1 - s.key_momentum) * state[f"pair.query.{name}"]
        for side, networks in (("query", query), ("key", key)):
            for norm, network in networks.items():
                for name, buffer in network.named_buffers():
                    if not name.endswith((".mean", ".std")):
                        place, _, statistic = name.rpartition(".")
                        state[f"pair.{side}.{place}.{norm}.{statistic}"] = buffer
        for name in new:
            state[f"banks.{name}.keys"], state[f"banks.{name}.position"] = new[name], torch.tensor((turn + 1) * BATCH)

        assert state.keys() == method.state_dict().keys()
        for name, tensor in method.state_dict().items():
            torch.testing.assert_close(
                tensor, state[name], rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert not any(term.requires_grad for result in results for term in result)
    assert results[0].total != results[1].total


@each_variant
def test_step_hands_the_attacks_views_to_the_loss(variant, make, views, generator, monkeypatch):
    """And the perturbed view of CCA, which its loss does not see, all the same."""
    method, seen = make(variant), []
    attack, losses = method.attack, method.losses
    monkeypatch.setattr(method, "attack", lambda *arguments: seen.append(attack(*arguments)) or seen[-1])
    monkeypatch.setattr(method, "losses", lambda *given: seen.append(given) or losses(*given))
    optimizer = torch.optim.SGD(method.pair.query.parameters(), 0.1)
    take_step(method, views["q clean"], views["k clean"], optimizer, generator)
    attacked, given = seen
    for one, other in zip(attacked, given, strict=True):
        assert one is other


@each_variant
@each_bank
def test_passes_are_those_that_a_step_makes(variant, bank_adv, make, views, generator):
    """Per image: 1 forward, and going back 1 for the input's gradient or 2 for the parameters'."""
    method = make(variant, bank_adv=bank_adv, attack=TrainingAttack(steps=3, relative_step=0.4, random_start=True))
    images = []

    def count(encoder: Encoder, inputs: tuple[Tensor], features: Tensor) -> None:
        if not features.requires_grad:
            cost = 1
        elif inputs[0].requires_grad:
            cost = 2
        else:
            cost = 3
        images.append(cost * len(features))

    for network in (method.pair.query, method.pair.key):
        network.encoder.register_forward_hook(count)
    optimizer = torch.optim.SGD(method.pair.query.parameters(), 0.1)
    take_step(method, views["q clean"], views["k clean"], optimizer, generator)
    assert sum(images) / BATCH == passes(method.settings)


def test_passes_of_the_paper(make):
    """5 x (forward + input gradient) + the clean key, 2 x (forward + backward), 3 - 1 key forwards."""
    attack = TrainingAttack(steps=5, relative_step=0.25, random_start=True)
    assert passes(make("aca", attack=attack).settings) == 5 * 2 + 1 + 2 * 3 + 2
    assert passes(make("ccc", attack=attack).settings) == 3 + 1


def test_definitions_are_of_all_variants():
    assert DEFINITIONS.keys() == VARIANTS.keys()


def test_fresh_method_depends_on_the_generators_seed_alone(tiny):
    def state(seed: int) -> dict[str, Tensor]:
        encoder = Encoder("resnet18", 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        for parameter in encoder.parameters():
            parameter.data.fill_(0.1)
        return AMOC(encoder, tiny("aca"), torch.Generator().manual_seed(seed)).state_dict()

    one, again, other = state(41), state(41), state(42)
    assert all(torch.equal(one[name], again[name]) for name in one)
    for name in ("pair.query.projector.fc1.weight", "banks.clean.keys", "banks.adv.keys"):
        assert not torch.equal(one[name], other[name])
    assert not torch.equal(one["banks.clean.keys"], one["banks.adv.keys"])


def test_encoder_is_the_query_encoder(make):
    method = make("aca")
    assert method.encoder is method.pair.query.encoder
