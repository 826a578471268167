"""Recording and replaying, acted out on a CPU; and what the actor would refuse."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from amoc.engine import capture
from amoc.engine.capture import Captured, CUDAGraphs
from tests.recording import Recorder, recorded


class Net(nn.Module):
    """Weights, a norm with statistics, and a parameter that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(3, 2), nn.BatchNorm1d(2)
        self.unused = nn.Parameter(torch.ones(2))
        self.calls = 0

    def gradients(self, generator: Generator, features: Tensor, weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        self.zero_grad(set_to_none=True)
        noise = torch.rand(features.shape, generator=generator)
        outputs = self.norm(self.layer(features + noise)).square()
        loss = (outputs.mean(1) * weights).sum()
        loss.backward()
        return loss.detach(), {"noise": noise}


def pair() -> tuple[Net, Net]:
    torch.manual_seed(4711)
    one, other = Net(), Net()
    other.load_state_dict(one.state_dict())
    return one, other


def test_replaying_is_calling(generator):
    eager, net = pair()
    one, other = Generator(), Generator()
    captured = Captured(lambda *inputs: net.gradients(other, *inputs), net, other, recorded)
    for step, size in enumerate((4, 4, 5, 4, 5)):
        inputs = torch.rand(size, 3, generator=generator), torch.rand(size, generator=generator)
        one.manual_seed(step)
        other.manual_seed(step)
        loss, drawn = eager.gradients(one, *inputs)
        its_loss, its_drawn = captured(*inputs)
        assert torch.equal(loss, its_loss) and torch.equal(drawn["noise"], its_drawn["noise"])
        assert eager.unused.grad is None and net.unused.grad is None
        assert torch.equal(eager.layer.weight.grad, net.layer.weight.grad)
        for name, tensor in eager.state_dict().items():  # the warm-up left no trace in the norm
            assert torch.equal(tensor, net.state_dict()[name]), name
        assert torch.equal(one.get_state(), other.get_state())
        with torch.no_grad():
            eager.layer.weight -= 0.1 * eager.layer.weight.grad
            net.layer.weight -= 0.1 * net.layer.weight.grad
    assert net.calls == 2 * 2  # of each shape a warm-up and a recording


def test_inputs_are_copied_and_outputs_overwritten():
    net, generator = Net(), Generator()
    captured = Captured(lambda values: {"twice": 2 * values}, net, generator, recorded)
    one = torch.ones(2)
    first = captured(one)["twice"]
    one.fill_(5)
    assert first.tolist() == [2, 2]
    second = captured(torch.full((2,), 3.0))["twice"]
    assert second is first and first.tolist() == [6, 6]


# ---------------------------------------------------------------- a GPU, played


def test_a_gpu_warms_up_beside_and_records_into_one_pool(monkeypatch):
    """The order of calls; that they are PyTorch's is all that a machine without a GPU can tell."""
    log: list[Any] = []

    class Stream:
        def wait_stream(self, other: Any) -> None:
            log.append("wait")

    @contextmanager
    def stream(chosen: Any):
        log.append(chosen)
        yield

    class Graph:
        def register_generator_state(self, generator: Generator) -> None:
            log.append(generator)

        def replay(self) -> None:
            log.append("replay")

    @contextmanager
    def graph(recording: Graph, pool: Any, stream: Any):
        assert not gc.isenabled()  # it could end an older graph, which breaks a recording
        log.append(("record", pool, stream))
        yield

    for name, played in {
        "Stream": Stream, "current_stream": Stream, "stream": stream, "CUDAGraph": Graph, "graph": graph,
        "graph_pool_handle": lambda: "pool",
    }.items():  # fmt: skip
        assert hasattr(torch.cuda, name)
        monkeypatch.setattr(torch.cuda, name, played)
    generator = Generator()
    graphs = CUDAGraphs()
    outputs, replay = graphs(lambda: log.append("compute") or "outputs", generator)
    replay()
    assert outputs == "outputs"
    compute = capture.WARM_UP * ["compute"]
    recording = ("record", "pool", graphs.stream)
    assert log == ["wait", graphs.stream, *compute, generator, recording, "compute", "replay"]
    assert hasattr(torch._C._CUDAGraph, "register_generator_state")
    assert gc.isenabled()


# ---------------------------------------------------------------- what cannot be captured is refused


@pytest.mark.parametrize(
    "compute",
    [
        lambda values: values.max().item(),
        lambda values: float(values.sum()),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: values.masked_select(values > 0),
        lambda values: values.unique(),
        lambda values: values + torch.tensor([1.0, 2.0]),
        lambda values: torch.add(values, 1) if values.any() else values,
        lambda values: values.to("meta"),
        lambda values: values.index_put_((values > 0,), torch.zeros(())),
    ],
    ids=["item", "float", "mask", "nonzero", "masked_select", "unique", "from a list", "if", "to another device",
         "put by a mask"],
)  # fmt: skip
def test_what_waits_or_copies_is_noticed(compute):
    values = torch.tensor([1.0, -2.0])
    with pytest.raises(AssertionError, match=r"waits|copies"), Recorder():
        compute(values)


def test_what_comes_from_elsewhere_is_noticed():
    values, elsewhere = torch.ones(2), torch.ones(2)
    with Recorder() as recorder:
        values + elsewhere
    with pytest.raises(AssertionError, match="elsewhere"):
        recorder.stream({"values": values})
    assert recorder.stream({"values": values, "elsewhere": elsewhere})


def test_another_number_shape_or_order_is_another_stream():
    values = torch.ones(4, 2)

    def stream(*numbers: float, size: int = 4) -> list[str]:
        with Recorder() as recorder:
            shown = values[:size]
            for number in numbers:
                shown = shown * number
        return recorder.stream({"values": values})

    assert stream(2, 3) == stream(2, 3)
    assert len({str(stream(2, 3)), str(stream(3, 2)), str(stream(2, 4)), str(stream(2, 3, size=3))}) == 4
