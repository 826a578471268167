"""Where to compute and in which precision."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Protocol

import torch

from amoc.engine.clock import STAGES_AT_ONCE
from amoc.engine.progress import say
from amoc.refusal import Refusal
from amoc.settings import Engine, Precision

NVIDIA = Path("/proc/driver/nvidia/version")
UNUSED = "this runs on the CPU (is the driver older than this PyTorch's CUDA asks for? README, Pre-training AMOC)"
COMPILED_AT_MOST = 64  # versions of a module
# Python whose dictionaries do not tell of every change (python/cpython#125608): compiled code goes on with the norm
# branch that it was compiled for, though another is set
OVERLOOKS_CHANGES = sys.version_info[:3] == (3, 13, 0)


def device(engine: Engine) -> torch.device:
    """The device that `engine.device` asks for ("auto": a GPU where there is one), with PyTorch set up for it.

    Set for the whole process: the number of CPU threads (0 leaves PyTorch's choice), float32 that is float32 (no TF32)
    and that products of bfloat16 are summed up in, and on a GPU cuDNN's search for the fastest convolutions. Says so
    where `engine.precision` is slow there, and where "auto" finds a driver but no GPU.

    Raises:
        Refusal: "cuda" is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if engine.device == "cuda" and not available:
        raise Refusal("profiles.<profile>.engine.device is cuda, but PyTorch finds no CUDA device; use auto or cpu")
    chosen = torch.device("cuda" if available and engine.device != "cpu" else "cpu")
    if engine.device == "auto" and not available and NVIDIA.exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        say(f"there is an NVIDIA driver, but PyTorch {torch.__version__} finds no GPU that it can use: {UNUSED}")
    if engine.threads:
        torch.set_num_threads(engine.threads)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # PyTorch's default is True: convolutions with 10 bits of mantissa
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = False  # of bfloat16 numbers, summed up in float32, as on a CPU
    torch.backends.cudnn.benchmark = chosen.type == "cuda"
    if engine.precision == "bfloat16" and fastest(chosen) == "float32":
        kind = "GPU" if chosen.type == "cuda" else "CPU"
        say(f"engine.precision is bfloat16, for which this {kind} has no units: it is emulated, slower than float32")
    return chosen


def fastest(device: torch.device) -> Precision:
    """bfloat16 where the hardware multiplies in it; elsewhere it is emulated, and slower than float32.

    PyTorch runs bfloat16 on any CPU, and its public interface does not tell whether that has units for it (AVX-512 BF16
    or AMX): hence the private names, and float32 where a version has others.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bfloat16" if any(getattr(torch.cpu, name, bool)() for name in units) else "float32"


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager:
    """Matrix products and convolutions in `precision` within the block; weights stay float32.

    Casts of weights are not cached: the cache would outlive an optimiser step taken inside the block.
    """
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


class Compiles(Protocol):
    """A module, or what else can be compiled in place."""

    def compile(self, *, fullgraph: bool, dynamic: bool) -> None: ...


def compile_in_place(device: torch.device, engine: Engine, *modules: Compiles) -> None:
    """Let torch.compile fuse what the modules compute, if `engine.compile` says so; parameters and their names stay.

    They are compiled anew for each shape of the input, mode, norm branch and kind of gradient: for AMOC up to six
    times, and as often for an epoch's smaller last batch. PyTorch's own limit is eight, after which it goes on eagerly;
    ours is an error.

    Raises:
        Refusal: there is no compiler for it, of C++ for a CPU, of C for a GPU, or there are no headers of Python. Or
            this Python would compute wrong.
    """
    if not compiles(device, engine):
        return
    if OVERLOOKS_CHANGES:
        raise Refusal(
            f"profiles.<profile>.engine.compile is {str(engine.compile).lower()}, and in Python 3.13.0 compiled code "
            "computes with the wrong norms; take another Python, 3.13.1 or newer for one, or set compile to false"
        )
    needs = f"profiles.<profile>.engine.compile is {str(engine.compile).lower()}, which needs"
    if not has_compiler(device):
        language, variable = ("C++", "CXX") if device.type == "cpu" else ("C", "CC")
        raise Refusal(
            f"{needs} a {language} compiler here, and there is no {' nor '.join(_compilers(device))}; "
            f"install one, name it in {variable}, or set compile to false"
        )
    if not (header := python_header()).exists():
        raise Refusal(
            f"{needs} Python's headers, and there is no {header}; install them (Debian's package is python3-dev), or "
            "set compile to false"
        )
    torch._dynamo.config.recompile_limit = COMPILED_AT_MOST
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    for module in modules:
        module.compile(fullgraph=True, dynamic=False)


def compiles(device: torch.device, engine: Engine) -> bool:
    """Whether encoders and views are compiled: on a CPU only if that is asked for by name."""
    return engine.compile == "encoders" or (engine.compile is True and device.type == "cuda")


def has_compiler(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: on a CPU a C++ compiler, on a GPU one of C for Triton's stubs."""
    return any(shutil.which(name) for name in _compilers(device))


def python_header() -> Path:
    """What the compiled code includes, by PyTorch and Triton."""
    scheme = sysconfig.get_default_scheme()
    found = sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)  # Debian's has none there
    return Path(found["include"]) / "Python.h"


def _compilers(device: torch.device) -> list[str]:
    """Which PyTorch and Triton call."""
    if device.type == "cpu":
        return [os.environ.get("CXX", "g++")]
    return [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]


def captures(device: torch.device, engine: Engine) -> bool:
    """Whether steps of pre-training and attacks of probes and fine-tuning are recorded (engine/capture.py)."""
    return device.type == "cuda" and engine.compile in (True, "step")


def describe(device: torch.device) -> dict:
    """What a time was measured on, for clock files: device, CPU threads, stages at once, PyTorch and Python."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_model(),
        "threads": torch.get_num_threads(),
        "stages_at_once": int(os.environ.get(STAGES_AT_ONCE, 1)),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")  # Linux; platform.processor() is empty or just "x86_64" there
    if information.exists():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
