"""The step up to the gradients can be captured in a CUDA graph: it never waits for the device, takes nothing from the
host, does the same operations each time, and doing only these again gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from amoc.augment import RandomViews
from amoc.engine import capture
from amoc.engine.checkpoint import Checkpoint
from amoc.engine.clock import Clock
from amoc.engine.device import compile_in_place
from amoc.engine.generators import reseed
from amoc.engine.interruption import Interrupted, Stop
from amoc.models.norm import same
from amoc.pretraining.loop import Method, build_gradients, build_method, build_optimizer, pretrain
from amoc.pretraining.variants import VARIANTS
from amoc.settings import Blur, CheaperAMOCPretraining, Engine, Pretraining, TrainingAttack
from tests.recording import Recorder, recorded

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)
SWITCHES: tuple[dict[str, Any], ...] = ({"enqueue": "before"}, {"attack_key": "noisy"}, {"attack_mode": "train"})
CASES = [
    *((variant, {}) for variant in VARIANTS),
    *((variant, switch) for variant in ("aca", "cac", "aaa") for switch in SWITCHES),
    *((variant, {"bank_adv": "frozen"}) for variant in ("aca", "cca", "aaa")),
    *((form, {}) for form in ("ds", "a2a", "a2s")),
    *((variant, way) for variant in ("aca", "acc") for way in ({"share": 0.7}, {"start": "last"}, {"replays": 2})),
]
CHEAPER = {"method": "amoc_cheaper", "share": 1.0, "start": "random", "replays": 1}


def name_of(case: Any) -> str | None:
    return "-".join((case[0], *map(str, case[1].values()))) if isinstance(case, tuple) else None


every_case = pytest.mark.parametrize("case", CASES, ids=name_of)
OFTEN_IN_BFLOAT16 = [("aca", {}), ("aaa", {"attack_key": "noisy"}), ("ds", {}), ("aca", {"share": 0.7})]


def in_bfloat16(case: tuple[str, dict[str, Any]]) -> Any:
    return pytest.param(case, "bfloat16", marks=[] if case in OFTEN_IN_BFLOAT16 else [pytest.mark.slow])


pytestmark = pytest.mark.usefixtures("small_resnet")


@pytest.fixture
def settings(tiny, tiny_acl) -> Callable[[tuple[str, dict[str, Any]]], Pretraining]:
    """Of a case, with every operation on images there is and a random start."""

    def of(case: tuple[str, dict[str, Any]]) -> Pretraining:
        name, changes = case
        cheaper = changes if changes.keys() & CHEAPER.keys() else {}
        plain = (tiny if name in VARIANTS else tiny_acl)(name, **({} if cheaper else changes))
        views = plain.views.model_copy(update={"blur": Blur(probability=0.5, sigma=(0.1, 1.0))})
        attack = TrainingAttack(steps=1 if "replays" in cheaper else 2, relative_step=0.4, random_start=True)
        plain = plain.model_copy(update={"views": views, "attack": attack})
        return CheaperAMOCPretraining(**dict(plain) | CHEAPER | cheaper) if cheaper else plain

    return of


@pytest.fixture
def batches(generator) -> list[Tensor]:
    """Five batches of 8x8 images; the third and the last are smaller."""
    sizes = (4, 4, 3, 4, 3)
    return [torch.randint(0, 256, (n, 8, 8, 3), generator=generator, dtype=torch.uint8) for n in sizes]


def which(pixels: Tensor) -> Tensor:
    """Which images of the data set a batch holds: the last ones, backwards."""
    return 3 - torch.arange(len(pixels), device=pixels.device)


class Run:
    """A method under way: run(pixels) takes a step and returns its losses."""

    def __init__(
        self, settings: Pretraining, precision: str = "float32", device: str = "cpu", captured: bool = False,
        compiled: bool = False,
    ) -> None:  # fmt: skip
        self.method = build_method(settings, MEAN, STD).train().to(device)
        self.optimizer = build_optimizer(self.method.trained, settings.optimizer)
        self.random, self.steps = Generator("cpu" if device == "meta" else device), 0
        views = RandomViews(settings.views, 8)
        self.method.remember(torch.zeros(4, 8, 8, 3, device=device), self.random)
        engine = Engine(device="auto", precision=precision, compile="encoders" if compiled else False, threads=0)
        compile_in_place(torch.device(device), engine, views, *self.method.encoders)
        self.gradients = build_gradients(self.method, views, self.random, precision, captured)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        reseed(self.random, 5, "step", self.steps)
        terms, new = self.gradients(pixels, which(pixels))
        self.method.update(new, self.optimizer)
        self.steps += 1
        return tuple(term.clone() for term in terms)

    def tensors(self) -> dict[str, Tensor]:
        return {**dict(self.method.named_parameters()), **dict(self.method.named_buffers())}


@every_case
def test_every_step_does_the_same_operations(case, settings, batches):
    run, streams = Run(settings(case)), []
    pixels, images = batches[0].clone(), which(batches[0])
    for batch in (batches[0], batches[1], batches[3]):
        pixels.copy_(batch)
        reseed(run.random, 5, "step", run.steps)
        with Recorder() as recorder:
            _, new = run.gradients(pixels, images)
        streams.append(recorder.stream({**run.tensors(), "pixels": pixels, "which": images}))
        run.method.update(new, run.optimizer)
        run.steps += 1
    assert len(streams[0]) > 500
    for one, other in pairwise(streams):
        assert one == other


class ElsewhereGenerator(Generator):
    """One that draws on the device without memory."""

    device = torch.device("meta")


@every_case
def test_a_step_takes_nothing_from_the_host_and_waits_for_nothing(case, settings, monkeypatch):
    """On the device without memory, where no value can be read. Optimiser and banks included."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which it does not have
    run = Run(settings(case), device="meta")
    random, views = ElsewhereGenerator(), RandomViews(settings(case).views, 8)
    images = torch.arange(4, device="meta")
    gradients = build_gradients(run.method, views, random, "float32", capture=False)
    pixels = torch.empty(4, 8, 8, 3, dtype=torch.uint8, device="meta")
    for _ in range(2):  # the first makes the momenta
        with Recorder():
            terms, new = gradients(pixels, images)
            run.method.update(new, run.optimizer)
    assert {term.device.type for term in terms} == {"meta"}


@pytest.mark.parametrize(
    ("case", "precision"),
    [*((case, "float32") for case in CASES), *map(in_bfloat16, CASES)],
    ids=name_of,
)
def test_replayed_steps_are_the_eager_ones(case, precision, settings, batches, monkeypatch):
    """To the last bit: losses, gradients, weights, norm statistics, banks; full and smaller batches in turn."""
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: recorded)
    eager, replayed = Run(settings(case), precision), Run(settings(case), precision, captured=True)
    for pixels in batches:
        assert torch.equal(torch.stack(eager(pixels)), torch.stack(replayed(pixels)))
        parameters = zip(eager.method.parameters(), replayed.method.parameters(), strict=True)
        for one, other in parameters:
            assert (one.grad is None) == (other.grad is None)
            assert one.grad is None or torch.equal(one.grad, other.grad)
        assert same(eager.method.state_dict(), replayed.method.state_dict())
        assert torch.equal(eager.random.get_state(), replayed.random.get_state())
    assert len(replayed.gradients.recorded) == 2
    again = replayed.method.updates > 1  # with the batch: recorded too
    assert not again or len(replayed.method.again.recorded) == 2


class StopAfter:
    """A request to stop that comes after so many looks."""

    signal = 15

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def requested(self) -> bool:
        self.looks -= 1
        return self.looks < 0


STOPPED = {"amoc": ("aca", {"enqueue": "before"}), "warm": ("aca", {"start": "last"}), "acl": ("ds", {})}


@pytest.mark.parametrize("case", STOPPED.values(), ids=STOPPED)
def test_a_captured_run_is_the_eager_one_also_when_it_is_stopped_and_goes_on(
    case, settings, batches, tmp_path, monkeypatch
):
    monkeypatch.setenv("AMOC_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(capture, "CUDAGraphs", lambda: recorded)
    images = torch.cat(batches[:2])[:7]  # batches of 4 and of 3

    def train(captured: bool, checkpoint: Checkpoint | None, stop: Any) -> tuple[Method, list]:
        method, clock = build_method(settings(case), MEAN, STD), Clock()
        trained = pretrain(
            method, settings(case), images, torch.arange(7) % 2, device=torch.device("cpu"), precision="float32",
            checkpoint=checkpoint, stop=stop, clock=clock, title="run", capture=captured,
        )  # fmt: skip
        assert ("record" in clock.plain()["seconds"]) == captured
        return method, trained.curve

    eager, curve = train(False, None, Stop())
    for _ in range(10):
        try:
            with Checkpoint("run", {}) as checkpoint:
                captured, its_curve = train(True, checkpoint, StopAfter(4))
            break
        except Interrupted:
            pass
    assert same(eager.state_dict(), captured.state_dict())
    assert curve == its_curve


AS_IN_PAPER = [("bfloat16", True, case) for case in (*OFTEN_IN_BFLOAT16, ("aca", {"replays": 2}))]


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")  # are not used, on purpose
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("precision", "compiled", "case"), [*(("float32", False, case) for case in CASES), *AS_IN_PAPER], ids=name_of
)
def test_on_a_gpu(precision, compiled, case, settings, batches, monkeypatch):
    """As on a CPU, by CUDA's own graphs. Memory stands still after the first step with each size."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    eager, replayed = (Run(settings(case), precision, "cuda", captured, compiled) for captured in (False, True))
    for pixels in batches:
        torch.testing.assert_close(torch.stack(replayed(pixels.cuda())), torch.stack(eager(pixels.cuda())))
        torch.testing.assert_close(replayed.method.state_dict(), eager.method.state_dict(), rtol=1e-4, atol=1e-5)
        assert torch.equal(eager.random.get_state(), replayed.random.get_state())
    used = torch.cuda.memory_allocated()
    for pixels in batches:
        replayed(pixels.cuda())
    assert torch.cuda.memory_allocated() <= used
