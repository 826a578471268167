from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo

from amoc.engine.clock import STAGES_AT_ONCE
from amoc.engine.device import autocast, captures, compile_in_place, describe, device, fastest, python_header
from amoc.refusal import Refusal
from amoc.settings import Engine

CPU = torch.device("cpu")


def engine(**changes: object) -> Engine:
    settings = {"device": "auto", "precision": "float32", "compile": False, "threads": 0}
    return Engine(**(settings | changes))


@pytest.fixture(autouse=True)
def torch_as_before() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    tf32, benchmark = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    reduced = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    yield
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = tf32, benchmark


@pytest.mark.parametrize(
    ("asked", "there", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_which_device(monkeypatch, asked, there, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    torch.backends.cudnn.benchmark = expected == "cpu"
    assert device(engine(device=asked)) == torch.device(expected)
    assert torch.backends.cudnn.benchmark == (expected == "cuda")


@pytest.mark.parametrize(
    ("asked", "driver", "hidden", "said"),
    [
        ("auto", True, False, True),
        ("auto", True, True, False),  # by CUDA_VISIBLE_DEVICES
        ("auto", False, False, False),
        ("cpu", True, False, False),
    ],
)
def test_a_driver_without_a_gpu_that_pytorch_can_use_is_said(
    asked, driver, hidden, said, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("amoc.engine.device.NVIDIA", tmp_path / "version")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if driver:
        (tmp_path / "version").touch()
    if hidden:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device(engine(device=asked)) == CPU
    assert ("there is an NVIDIA driver, but PyTorch" in capsys.readouterr().out) == said


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Refusal, match=r"engine\.device is cuda, but .* use auto or cpu"):
        device(engine(device="cuda"))


@pytest.mark.parametrize(
    ("avx512", "amx", "expected"),
    [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_a_cpu_is_fastest_in_bfloat16_if_it_has_units_for_it(monkeypatch, avx512, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fastest(torch.device("cpu")) == expected


def test_a_pytorch_that_does_not_tell_gets_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert fastest(torch.device("cpu")) == "float32"


@pytest.mark.parametrize(("there", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_fastest_in_bfloat16_if_it_has_units_for_it(monkeypatch, there, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: there)
    assert fastest(torch.device("cuda")) == expected


@pytest.mark.parametrize(
    ("precision", "units", "said"), [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)]
)
def test_it_says_where_a_precision_is_emulated(monkeypatch, capsys, precision, units, said):
    """And goes on in it: results are of the precision that the settings say."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: units)
    device(engine(precision=precision))
    assert ("engine.precision is bfloat16, for which this CPU has no units" in capsys.readouterr().out) == said


def test_threads_and_a_float32_that_is_one():
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    device(engine(device="cpu", threads=0))
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    device(engine(device="cpu", threads=2))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_counts_in_the_precision_asked_for(precision):
    torch.manual_seed(711)
    convolution, images = torch.nn.Conv2d(3, 4, 3), torch.rand(2, 3, 5, 5)
    with autocast(CPU, precision):
        output = convolution(images)
    assert output.dtype == getattr(torch, precision)
    assert convolution.weight.dtype == torch.float32
    rounded = getattr(torch, precision)
    expected = torch.nn.functional.conv2d(
        images.to(rounded).double(), convolution.weight.to(rounded).double(), convolution.bias.double()
    )
    torch.testing.assert_close(output.double(), expected, rtol=0, atol=1e-6 if precision == "float32" else 2e-2)
    assert convolution(images).dtype == torch.float32


def test_autocast_sees_a_step_taken_inside_it():
    layer = torch.nn.Linear(1, 1, bias=False)
    ones = torch.ones(1, 1)
    with autocast(CPU, "bfloat16"):
        for value in (1.0, 2.0, 3.0):
            with torch.no_grad():
                layer.weight.fill_(value)
            assert layer(ones).item() == value


@pytest.mark.parametrize(("environment", "at_once"), [({}, 1), ({STAGES_AT_ONCE: "2"}, 2)])
def test_description_is_ready_for_json(environment, at_once, monkeypatch):
    monkeypatch.delenv(STAGES_AT_ONCE, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    description = json.loads(json.dumps(describe(CPU)))
    assert description.pop("device").strip()
    assert description == {
        "threads": torch.get_num_threads(),
        "stages_at_once": at_once,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def test_a_gpu_is_described_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the {device}")
    assert describe(torch.device("cuda"))["device"] == "the cuda"


CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "where", "compiles", "records"),
    [
        (False, CPU, False, False),
        (False, CUDA, False, False),
        (True, CPU, False, False),
        (True, CUDA, True, True),
        ("encoders", CPU, True, False),
        ("encoders", CUDA, True, False),
        ("step", CPU, False, False),
        ("step", CUDA, False, True),
    ],
)
def test_what_is_compiled_where(monkeypatch, asked, where, compiles, records):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **options: compiled.append((module, options)))
    monkeypatch.setattr("amoc.engine.device.has_compiler", lambda where: True)
    monkeypatch.setattr("amoc.engine.device.python_header", lambda: Path(__file__))
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):
        compile_in_place(where, engine(compile=asked), one, other)
        assert (torch._dynamo.config.recompile_limit > 8) == compiles
        assert torch._dynamo.config.fail_on_recompile_limit_hit == compiles
    options = {"fullgraph": True, "dynamic": False}
    assert compiled == ([(one, options), (other, options)] if compiles else [])
    assert captures(where, engine(compile=asked)) == records


@pytest.mark.parametrize(
    ("where", "asked", "variables", "sentence"),
    [
        (CPU, "encoders", {"CXX": "no-such"}, r"compile is encoders, .* C\+\+ .* no no-such; .* name it in CXX"),
        (CUDA, True, {"CC": "no-such"}, "compile is true, which needs a C compiler .* no no-such; .* name it in CC"),
        (CUDA, "encoders", {"PATH": ""}, "compile is encoders, which needs a C compiler .* no gcc nor clang; install"),
    ],
)
def test_a_missing_compiler_is_refused(where, asked, variables, sentence, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    module = torch.nn.Linear(2, 2)
    with pytest.raises(Refusal, match=sentence):
        compile_in_place(where, engine(compile=asked), module)
    assert module._compiled_call_impl is None


def test_missing_headers_of_python_are_refused(monkeypatch, tmp_path):
    assert python_header().name == "Python.h"
    monkeypatch.setattr("amoc.engine.device.has_compiler", lambda where: True)
    monkeypatch.setattr("sysconfig.get_paths", lambda scheme: {"include": str(tmp_path)})
    module = torch.nn.Linear(2, 2)
    with pytest.raises(Refusal, match=rf"which needs Python's headers, and there is no {tmp_path}/Python\.h; inst"):
        compile_in_place(CUDA, engine(compile=True), module)
    assert module._compiled_call_impl is None


@pytest.mark.parametrize(("default", "used"), [("posix_local", "posix_prefix"), ("venv", "venv")])
def test_headers_are_where_triton_looks_for_them(default, used, monkeypatch):
    """In Debian's own scheme there are none."""
    monkeypatch.setattr("sysconfig.get_default_scheme", lambda: default)
    monkeypatch.setattr("sysconfig.get_paths", lambda scheme: {"include": f"/{scheme}"})
    assert python_header() == Path(f"/{used}/Python.h")


def test_a_python_in_which_compiled_code_goes_wrong_is_refused_where_something_is_compiled(monkeypatch):
    monkeypatch.setattr("amoc.engine.device.OVERLOOKS_CHANGES", True)
    with pytest.raises(Refusal, match=r"engine.compile is true, and in Python 3\.13\.0 .* 3\.13\.1 or newer"):
        compile_in_place(CUDA, engine(compile=True), torch.nn.Linear(2, 2))
    compile_in_place(CPU, engine(compile=True), torch.nn.Linear(2, 2))


def test_a_compiled_module_computes_the_same_under_the_same_names():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    names, inputs = list(module.state_dict()), torch.ones(1, 3)
    before = module(inputs)
    module.compile(backend="eager")
    assert list(module.state_dict()) == names
    assert torch.equal(module(inputs), before)
