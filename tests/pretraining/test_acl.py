"""Every form against its definition: plain networks of one norm branch each, written-out losses, attacks and steps.

Nothing here uses the branches' scope, the module NT-Xent, the table of forms or an optimiser.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import eagerpy
import foolbox
import pytest
import torch
from torch import Tensor, nn

from amoc.models.encoder import Encoder
from amoc.models.norm import DualBatchNorm
from amoc.pretraining.acl import ACL
from amoc.pretraining.loop import build_method, build_optimizer
from amoc.pretraining.passes import passes
from amoc.settings import ACLPretraining, TrainingAttack
from tests.pretraining.networks import in_branch, randomise, take_step, unit

BATCH, EPSILON, TEMPERATURE = 3, 0.1, 0.5
PERTURBED = {"ds": ("one", "other"), "a2s": ("other",), "a2a": ("one", "other")}

pytestmark = pytest.mark.usefixtures("small_resnet")
each_form = pytest.mark.parametrize("form", PERTURBED)
each_start = pytest.mark.parametrize("random_start", [True, False])


@pytest.fixture
def make(tiny_acl, generator) -> Callable[..., ACL]:
    """A method in float64 and train mode, all of whose numbers are random: make("ds", attack=...)."""

    def method(form: str, **changes) -> ACL:
        settings: ACLPretraining = tiny_acl(form, epsilon=EPSILON, batch_size=BATCH, **changes)
        acl = ACL(Encoder("resnet18", 4, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), settings, generator).double()
        randomise(acl, generator)
        return acl.train()

    return method


@pytest.fixture
def views(generator) -> dict[str, Tensor]:
    """Two clean views of a batch, (3, 3, 8, 8) each, and both perturbed."""
    one, other = (torch.rand(BATCH, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    deltas = (EPSILON * (2 * torch.rand(one.shape, generator=generator, dtype=torch.float64) - 1) for _ in range(2))
    perturbed = [(view + delta).clamp(0, 1) for view, delta in zip((one, other), deltas, strict=True)]
    return {"one": one, "other": other, "one adv": perturbed[0], "other adv": perturbed[1]}


def given_to(form: str, views: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """As the attack hands them to the loss."""
    both = tuple({"clean": views[side]} for side in ("one", "other"))
    for side, named in zip(("one", "other"), both, strict=True):
        if side in PERTURBED[form]:
            named["adv"] = views[f"{side} adv"]
    return both


def contrast(views: list[Tensor]) -> Tensor:
    """The sum of NT-Xent over 2B views, of which i and i + B are partners, one logarithm at a time."""
    count, total = len(views), torch.zeros((), dtype=torch.float64)
    for i in range(count):
        others = [torch.exp(views[i] @ views[j] / TEMPERATURE) for j in range(count) if j != i]
        partner = torch.exp(views[i] @ views[(i + count // 2) % count] / TEMPERATURE)
        total = total - torch.log(partner / torch.stack(others).sum())
    return total


def forwards(network: nn.Module, name: str) -> int:
    """How often the norms of a branch were used in train mode; every norm equally often."""
    counts = {getattr(m, name).num_batches_tracked.item() for m in network.modules() if isinstance(m, DualBatchNorm)}
    (count,) = counts
    return count


# ---------------------------------------------------------------- the loss


def by_definition(method: ACL, views: dict[str, Tensor], clean: nn.Module, adv: nn.Module) -> list[Tensor]:
    """The loss, then for the dual stream that of the clean and that of the perturbed pair."""
    per_view = 1 / (2 * BATCH)
    clean_pair = torch.cat((views["one"], views["other"]))
    adv_pair = torch.cat((views["one adv"], views["other adv"]))
    match method.settings.form:
        case "ds":
            terms = [per_view * contrast(list(unit(f(x)))) for f, x in ((clean, clean_pair), (adv, adv_pair))]
            return [(terms[0] + terms[1]) / 2, *terms]
        case "a2a":
            return [per_view * contrast(list(unit(adv(adv_pair))))]
        case "a2s":
            return [per_view * contrast([*unit(clean(views["one"])), *unit(adv(views["other adv"]))])]


@each_form
def test_loss_is_by_definition(form, make, views):
    method = make(form)
    expected = by_definition(method, views, in_branch(method.network, "clean"), in_branch(method.network, "adv"))
    terms = method.losses(*given_to(form, views))
    assert [term.item() for term in terms] == pytest.approx([term.item() for term in expected], rel=1e-10)
    assert len(terms) == len(method.columns)


def test_columns_say_which_pair_is_which(make):
    assert make("ds").columns == ("loss", "loss_clean", "loss_adv")
    assert make("a2s").columns == make("a2a").columns == ("loss",)


@each_form
def test_statistics_move_where_a_branch_is_used_of_the_head_too(form, make, views):
    """Views of the same branch are one batch: each branch is used once, the clean one not by a2a."""
    method = make(form)
    method.losses(*given_to(form, views))
    assert forwards(method.network, "clean") == (form != "a2a")
    assert forwards(method.network, "adv") == 1
    assert sum(isinstance(module, DualBatchNorm) for module in method.network.projector.modules()) == 3


@each_form
def test_each_norm_branch_sees_its_views_alone(form, make, views):
    """The running mean of the stem's norm, from the convolution of what should have come by."""
    method = make(form)
    norm, encoder = method.encoder.backbone.bn1, method.encoder
    before = {name: getattr(norm, name).running_mean.clone() for name in ("clean", "adv")}
    shown = {
        "ds": {"clean": ("one", "other"), "adv": ("one adv", "other adv")},
        "a2s": {"clean": ("one",), "adv": ("other adv",)},
        "a2a": {"clean": (), "adv": ("one adv", "other adv")},
    }[form]
    method.losses(*given_to(form, views))
    for name, sides in shown.items():
        expected = before[name]
        if sides:
            images = (torch.cat([views[side] for side in sides]) - encoder.mean) / encoder.std
            expected = 0.9 * before[name] + 0.1 * encoder.backbone.conv1(images).mean(dim=(0, 2, 3))
        torch.testing.assert_close(getattr(norm, name).running_mean, expected)


@each_form
def test_gradients_reach_all_that_is_used(form, make, views):
    method = make(form)
    method.losses(*given_to(form, views))[0].backward()
    for name, parameter in method.named_parameters():
        used = form != "a2a" or ".clean." not in name
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == used, name


def test_the_loss_is_counted_in_float32_under_autocast(make, generator):
    one, other = (unit(torch.randn(BATCH, 6, generator=generator)) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        given = make("ds").contrast(one, other)
    assert given.dtype == torch.float32
    assert given.sum().item() == pytest.approx(contrast(list(torch.cat((one, other)).double())).item(), rel=1e-6)


# ---------------------------------------------------------------- the attack


def attacked(method: ACL, views: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """What the attack maximises, in eval mode, as a function of the perturbed views (both, one above the other)."""
    clean, adv = (in_branch(method.network, name).eval() for name in ("clean", "adv"))

    def loss(images: Tensor) -> Tensor:
        still = [] if method.settings.form != "a2s" else list(unit(clean(views["one"])))
        return contrast([*still, *unit(adv(images))])

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


@each_form
@each_start
def test_attack_is_joint_projected_ascent(form, random_start, make, views, generator):
    method = make(form, attack=TrainingAttack(steps=3, relative_step=0.4, random_start=random_start))
    images, state = torch.cat([views[side] for side in PERTURBED[form]]), generator.get_state()
    given = method.attack(views["one"], views["other"], generator)
    generator.set_state(state)
    start = images
    if random_start:
        start = (images + torch.empty_like(images).uniform_(-EPSILON, EPSILON, generator=generator)).clamp(0, 1)
    expected = projected_ascent(attacked(method, views), images, start, 3, 0.4 * EPSILON)
    perturbed = torch.cat([side["adv"] for side in given if "adv" in side])
    torch.testing.assert_close(perturbed, expected, rtol=0, atol=1e-12)
    assert given[0]["clean"] is views["one"] and given[1]["clean"] is views["other"]
    assert ("adv" in given[0], "adv" in given[1]) == ("one" in PERTURBED[form], "other" in PERTURBED[form])


@pytest.mark.parametrize("form", ["ds", "a2a"])
def test_attack_equals_foolbox_on_both_views(form, make, views, generator):
    method = make(form, attack=TrainingAttack(steps=4, relative_step=0.25, random_start=False))
    loss = attacked(method, views)

    class OnBothViews(foolbox.attacks.LinfPGD):
        def get_loss_fn(self, model, labels):
            return lambda images: eagerpy.astensor(loss(images.raw))

    model = foolbox.PyTorchModel(nn.Identity().eval(), bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(torch.zeros(2 * BATCH, dtype=torch.long))
    expected = OnBothViews(rel_stepsize=0.25, steps=4, random_start=False).run(
        model, torch.cat((views["one"], views["other"])), criterion, epsilon=EPSILON
    )
    given = method.attack(views["one"], views["other"], generator)
    perturbed = torch.cat((given[0]["adv"], given[1]["adv"]))
    torch.testing.assert_close(perturbed, expected, rtol=0, atol=1e-12)


@each_form
def test_attack_stays_in_the_ball_and_raises_the_loss(form, make, views, generator):
    method = make(form, attack=TrainingAttack(steps=4, relative_step=0.25, random_start=True))
    images = torch.cat([views[side] for side in PERTURBED[form]])
    perturbed = torch.cat([v["adv"] for v in method.attack(views["one"], views["other"], generator) if "adv" in v])
    assert 0 < (perturbed - images).abs().max() <= EPSILON + 1e-12
    assert perturbed.min() >= 0 and perturbed.max() <= 1 and not perturbed.requires_grad
    loss = attacked(method, views)
    assert loss(perturbed) > loss(images) + 0.1


@each_form
def test_attack_leaves_every_number_and_mode_alone(form, make, views, generator):
    method = make(form)
    method.network.projector.eval()
    before, modes = copy.deepcopy(method.state_dict()), [module.training for module in method.modules()]
    method.attack(views["one"], views["other"], generator)
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state_dict().items())
    assert [module.training for module in method.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in method.parameters())


# ---------------------------------------------------------------- the step


@each_form
def test_steps_by_hand(form, make, views, monkeypatch):
    """Given the deltas: loss, gradient, LARS with its momentum, statistics; twice."""
    method = make(form)
    options = method.settings.optimizer
    optimizer = build_optimizer(method.trained, options)
    twin, velocity, results = copy.deepcopy(method), {}, []
    state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    monkeypatch.setattr(method, "attack", lambda one, other, generator: given_to(form, views))
    for _ in range(2):
        results.append(take_step(method, views["one"], views["other"], optimizer, None))

        twin.load_state_dict(state)
        networks = {name: in_branch(twin.network, name) for name in ("clean", "adv")}
        terms = by_definition(twin, views, networks["clean"], networks["adv"])
        terms[0].backward()
        assert [term.item() for term in results[-1]] == pytest.approx([term.item() for term in terms], rel=1e-9)
        for name, parameter in twin.network.named_parameters():
            slopes = [
                networks[norm].get_parameter(name.replace(f".{norm}.", ".")).grad
                for norm in networks
                if f".{norm}." in name or (".clean." not in name and ".adv." not in name)
            ]
            slopes = [slope for slope in slopes if slope is not None]
            if not slopes:  # a branch that the form does not use
                continue
            weights, slope = parameter.detach(), sum(slopes)
            if weights.ndim > 1:
                ratio = options.trust * weights.norm() / (slope.norm() + options.weight_decay * weights.norm())
                slope = ratio * (slope + options.weight_decay * weights)
            velocity[name] = options.momentum * velocity[name] + slope if name in velocity else slope
            state[f"network.{name}"] = weights - options.lr * velocity[name]
        for norm, network in networks.items():
            for name, buffer in network.named_buffers():
                if not name.endswith((".mean", ".std")):
                    place, _, statistic = name.rpartition(".")
                    state[f"network.{place}.{norm}.{statistic}"] = buffer
        assert state.keys() == method.state_dict().keys()
        for name, tensor in method.state_dict().items():
            torch.testing.assert_close(
                tensor, state[name], rtol=1e-6, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert not any(term.requires_grad for result in results for term in result)
    assert results[0][0] != results[1][0]


@each_form
def test_step_hands_the_attacks_views_to_the_loss(form, make, views, generator, monkeypatch):
    method, seen = make(form), []
    attack, losses = method.attack, method.losses
    monkeypatch.setattr(method, "attack", lambda *arguments: seen.append(attack(*arguments)) or seen[-1])
    monkeypatch.setattr(method, "losses", lambda *given: seen.append(given) or losses(*given))
    take_step(method, views["one"], views["other"], torch.optim.SGD(method.trained.parameters(), 0.1), generator)
    assert all(one is other for one, other in zip(*seen, strict=True))


@each_form
def test_passes_are_those_that_a_step_makes(form, make, views, generator):
    """Per image: 1 forward, and going back 1 for the input's gradient or 2 for the parameters'."""
    method = make(form, attack=TrainingAttack(steps=3, relative_step=0.4, random_start=True))
    images = []

    def count(encoder: Encoder, inputs: tuple[Tensor], features: Tensor) -> None:
        if not features.requires_grad:
            cost = 1
        elif inputs[0].requires_grad:
            cost = 2
        else:
            cost = 3
        images.append(cost * len(features))

    method.encoder.register_forward_hook(count)
    take_step(method, views["one"], views["other"], torch.optim.SGD(method.trained.parameters(), 0.1), generator)
    assert sum(images) / BATCH == passes(method.settings)


def test_passes_of_the_paper(make):
    """Two views: 5 x (forward + input gradient), and twice forward + backward."""
    attack = TrainingAttack(steps=5, relative_step=0.25, random_start=True)
    assert passes(make("ds", attack=attack).settings) == 2 * (5 * 2 + 2 * 3)


# ---------------------------------------------------------------- a fresh one


@pytest.mark.parametrize(
    ("normalisation", "mean", "std"),
    [("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ("dataset", (0.5, 0.45, 0.4), (0.25, 0.24, 0.26))],
)
def test_normalisation_is_the_one_asked_for(normalisation, mean, std, tiny_acl):
    encoder = build_method(tiny_acl("ds", normalisation=normalisation), (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)).encoder
    assert encoder.mean.flatten().tolist() == pytest.approx(mean)
    assert encoder.std.flatten().tolist() == pytest.approx(std)


def test_fresh_method_depends_on_the_seed_alone(tiny_acl):
    def state(seed: int) -> dict[str, Tensor]:
        torch.rand(3)  # moves the global generator
        return build_method(tiny_acl("ds", seed=seed), (0.5,) * 3, (0.25,) * 3).state_dict()

    one, again, other = state(41), state(41), state(42)
    assert all(torch.equal(one[name], again[name]) for name in one)
    for name in ("projector.fc1.weight", "projector.fc3.weight", "encoder.backbone.conv1.weight"):
        assert not torch.equal(one[f"network.{name}"], other[f"network.{name}"])


def test_all_that_is_trained_is_the_one_network(make):
    method = make("ds")
    assert {id(p) for p in method.trained.parameters()} == {id(p) for p in method.parameters()}
    assert method.encoders == (method.encoder,) and method.encoder is method.network.encoder
    assert method.diagnostics(7) == {}
