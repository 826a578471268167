from __future__ import annotations

import pytest
import torch

from benchmarks.precision import fastest


@pytest.mark.parametrize(
    ("avx512", "amx", "expected"),
    [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")],
)
def test_cpu_counts_in_bfloat16_if_it_has_units_for_it(monkeypatch, avx512, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fastest(torch.device("cpu")) == expected


def test_a_pytorch_that_does_not_tell_gets_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert fastest(torch.device("cpu")) == "float32"


@pytest.mark.parametrize(("there", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_gpu(monkeypatch, there, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: there)
    assert fastest(torch.device("cuda")) == expected
