"""The bank slot by slot."""

from __future__ import annotations

import pytest
import torch

from amoc.pretraining.bank import Bank


def keys(first: int, count: int) -> torch.Tensor:
    """Keys that carry their number: the one numbered n is (n, n)."""
    return torch.arange(first, first + count, dtype=torch.float32)[:, None].expand(count, 2)


def test_starts_as_unit_gaussian_noise(generator):
    bank = Bank(4000, 3, generator)
    assert bank.keys.shape == (4000, 3)
    torch.testing.assert_close(bank.keys.norm(dim=1), torch.ones(4000))
    assert bank.keys.mean(dim=0).abs().max() < 0.05  # no direction is preferred
    torch.testing.assert_close(bank.keys.T @ bank.keys / 4000, torch.eye(3) / 3, rtol=0, atol=0.03)
    assert bank.position == 0


def test_noise_depends_on_the_generator_alone():
    before = torch.get_rng_state()
    one, again, other = (Bank(5, 3, torch.Generator().manual_seed(seed)).keys for seed in (31, 31, 32))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("length", "sizes"),
    [(6, [2, 2, 2, 2]), (5, [2, 2, 2, 2, 2, 2]), (7, [3, 3, 1, 3, 3]), (4, [4, 4]), (4, [3, 4, 1, 4]), (3, [1] * 7)],
)
def test_first_in_first_out_slot_by_slot(length, sizes, generator):
    bank = Bank(length, 2, generator)
    slots, place, number = bank.keys.clone().tolist(), 0, 0
    for size in sizes:
        bank.push(keys(number, size))
        for _ in range(size):
            slots[place] = [float(number)] * 2
            place, number = (place + 1) % length, number + 1
        assert bank.keys.tolist() == slots
        assert bank.position == place
    newest = set(range(number - min(length, number), number))
    assert newest <= {int(slot[0]) for slot in slots}


def test_push_keeps_the_place_in_memory_and_the_precision(generator):
    """A captured graph reads the same memory at each step; keys may come in another precision."""
    bank = Bank(4, 2, generator)
    keys_at, position_at = bank.keys.data_ptr(), bank.position.data_ptr()
    bank.push(keys(1, 3).to(torch.bfloat16))
    bank.push(keys(4, 3).double())
    assert (bank.keys.data_ptr(), bank.position.data_ptr()) == (keys_at, position_at)
    assert bank.keys.dtype == torch.float32
    assert bank.keys[:, 0].tolist() == [5, 6, 3, 4]


def test_push_takes_no_gradient(generator):
    bank = Bank(4, 2, generator)
    bank.push(keys(1, 3) * torch.ones(1, requires_grad=True))
    assert not bank.keys.requires_grad


def test_state_dict_carries_keys_and_position(generator):
    bank, other = Bank(5, 2, generator), Bank(5, 2, generator)
    bank.push(keys(1, 3))
    other.load_state_dict(bank.state_dict())
    for each in (bank, other):
        each.push(keys(10, 3))
    assert torch.equal(bank.keys, other.keys)
    assert bank.keys[:, 0].tolist() == [12, 2, 3, 10, 11]
