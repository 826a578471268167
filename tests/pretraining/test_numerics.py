"""Rounding of a step: the errors against numbers that are computed here once more, and what may not differ at all."""

from __future__ import annotations

import pytest
import torch

from amoc.augment import RandomViews
from amoc.models import folding
from amoc.models.norm import DualBatchNorm2d
from amoc.pretraining import numerics
from amoc.pretraining.loop import build_method
from amoc.pretraining.numerics import Path, errors
from amoc.settings import CheaperAMOCPretraining

MEAN, STD, CPU = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26), torch.device("cpu")
EAGER = {"float32": Path("float32"), "again": Path("float32"), "bfloat16": Path("bfloat16")}

pytestmark = pytest.mark.usefixtures("small_resnet")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(numerics, "WARM_UP", 2)
    monkeypatch.setattr(numerics, "STEPS", 3)
    monkeypatch.setattr(numerics, "BATCHES", 2)


@pytest.fixture
def images(generator) -> torch.Tensor:
    return torch.randint(0, 256, (12, 8, 8, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", ["aca", "cac", "ccc", "ds"])
def test_errors_have_the_size_of_the_rounding(name, tiny, tiny_acl, images):
    settings = tiny_acl(name) if name == "ds" else tiny(name)
    found = errors(settings, images, CPU, MEAN, STD, EAGER)
    assert found["again"] == found["float32"] and found["float32"].drift == 0
    assert 0 <= found["float32"].loss < 1e-5 and 0 < found["float32"].gradient < 1e-2
    assert found["bfloat16"].gradient > 10 * found["float32"].gradient
    assert 1e-5 < found["bfloat16"].loss < 0.1
    assert 0 < found["bfloat16"].drift < 2


@pytest.mark.parametrize("variant", ["aca", "cac"])
def test_norms_are_folded_in_the_attacks_of_all_paths_but_those_that_say_otherwise(variant, tiny, images, monkeypatch):
    encoders = []

    def norms_folded(name, *given):
        norms = ((norm for norm in each.modules() if isinstance(norm, DualBatchNorm2d)) for each in given)
        encoders.append([{norm.folds for norm in each} for each in norms])
        return folding.norms_folded(name, *given)

    monkeypatch.setattr("amoc.pretraining.amoc.norms_folded", norms_folded)
    paths = {"float32": Path("float32"), "not folded": Path("float32", folded=False), "again": Path("float32")}
    found = errors(tiny(variant), images, CPU, MEAN, STD, paths)
    assert encoders == 5 * [[{True}]] + 3 * [[{False}]] + 3 * [[{True}]]  # two steps to warm up, three of each path
    assert found["again"] == found["float32"]
    given = ("loss", "gradient")  # without an attack
    assert all(getattr(found["not folded"], what) == getattr(found["float32"], what) for what in given)
    assert found["not folded"].drift < 0.5


@pytest.mark.parametrize("way", [{"start": "last"}, {"replays": 2}])
def test_cheaper_attacks_have_numerics_too(way, tiny, images):
    plain = {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1}
    one_step = tiny("aca").attack.model_copy(update={"steps": 1, "random_start": True})
    settings = CheaperAMOCPretraining(**dict(tiny("aca", attack=one_step)) | plain | way)
    found = errors(settings, images, CPU, MEAN, STD, EAGER)
    assert found["again"] == found["float32"]


def test_the_error_of_the_gradient_is_its_distance_from_float64(tiny, images):
    """Once more for given views, by autograd itself."""
    settings = tiny("aca")
    method = build_method(settings, MEAN, STD).train()
    batches = numerics._batches(settings, RandomViews(settings.views, 8), images)
    assert len(batches) == 2
    queries, keys, shift = batches[0]
    assert shift.abs().max() <= settings.epsilon
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        network = build_method(settings, MEAN, STD).train().to(dtype)
        sides = [{"clean": x.to(dtype), "adv": (x + shift).clamp(0, 1).to(dtype)} for x in (queries, keys)]
        total = network.losses(*sides)[0].total
        parts = torch.autograd.grad(total, list(network.trained.parameters()))
        gradients[dtype] = torch.cat([part.flatten() for part in parts])
    _, gradient = numerics._given(method, method.state_dict(), batches[0], "float32")
    assert torch.allclose(gradient, gradients[torch.float32].double(), rtol=1e-4, atol=1e-7)
    exact = gradients[torch.float64]
    assert numerics._off(gradient, exact) == pytest.approx(((gradient - exact).norm() / exact.norm()).item())


def test_a_step_is_captured_on_a_gpu_alone_and_compiled_where_there_is_a_compiler(tiny, images, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    more = {name: Path("float32", compile=value) for name, value in (("a", "step"), ("b", True), ("c", "encoders"))}
    found = errors(tiny("aca"), images, CPU, MEAN, STD, EAGER | more)
    assert found.keys() == EAGER.keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiler_and_the_fused_optimiser_round_otherwise_and_no_worse(tiny, images):
    found = errors(tiny("aca"), images, CPU, MEAN, STD)
    there = [name for name, path in numerics.PATHS.items() if path.compile in (False, "encoders")]
    assert list(found) == there
    assert found["float32, compiled"].gradient < 1e-2
    assert found["float32, again"] == found["float32"] and found["float32"].drift == 0
    assert found["float32, fused optimiser"].drift < 0.1
