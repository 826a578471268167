"""Which precision is fast on a device."""

from __future__ import annotations

import torch

from amoc.settings import Precision


def fastest(device: torch.device) -> Precision:
    """bfloat16 where the hardware multiplies in it; elsewhere it is emulated, and slower than float32.

    PyTorch runs bfloat16 on any CPU, and its public interface does not tell whether that has units for it (AVX-512 BF16
    or AMX): hence the private names, and float32 where a version has others.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bfloat16" if any(getattr(torch.cpu, name, bool)() for name in units) else "float32"
