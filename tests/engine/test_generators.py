from __future__ import annotations

import hashlib
import itertools

import pytest
import torch

from amoc.engine.generators import drawing_from, generator, reseed


def draw(*arguments: int | str, count: int = 8) -> torch.Tensor:
    return torch.rand(count, generator=generator(*arguments))


def test_seed_is_the_beginning_of_sha256_over_seed_and_purpose():
    digest = hashlib.sha256(b'[17, "views", 3]').digest()
    assert generator(17, "views", 3).initial_seed() == sum(digest[place] * 256**place for place in range(8))


def test_same_purpose_same_stream():
    assert torch.equal(draw(91, "attack", 2), draw(91, "attack", 2))


def test_streams_do_not_disturb_one_another():
    expected = draw(92, "views")
    views, attack = generator(92, "views"), generator(92, "attack")
    first = torch.rand(4, generator=views)
    torch.rand(1000, generator=attack)
    torch.rand(1000)
    assert torch.equal(torch.cat([first, torch.rand(4, generator=views)]), expected)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    draw(93, "views")
    assert torch.equal(torch.get_rng_state(), before)


def test_every_difference_is_another_stream():
    purposes = [(), ("",), ("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), (1,), ("1",), (1, 2), (12,), ("a", 1)]
    purposes += [("epoch", number) for number in range(100)]
    seeds = [generator(seed, *purpose).initial_seed() for seed in (0, 1, 2**31 - 1) for purpose in purposes]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)  # a CPU uses 32 bits of them


def test_streams_are_uncorrelated():
    count = 20_000
    streams = [draw(seed, "views", number, count=count) - 0.5 for seed in (94, 95) for number in range(3)]
    for one, other in itertools.combinations(streams, 2):
        correlation = (one * other).mean() / (one.std() * other.std())
        assert abs(correlation) < 4.5 / count**0.5


def test_state_goes_through_a_checkpoint():
    original = generator(96, "views")
    torch.rand(5, generator=original)
    state = original.get_state()
    expected = torch.randn(3, generator=original)
    resumed = generator(97, "something else")
    resumed.set_state(state)
    assert torch.equal(torch.randn(3, generator=resumed), expected)


def test_layers_draw_from_a_generator_and_what_is_drawn_next_is_new():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    given, expected = generator(100, "weights"), generator(100, "weights")
    with drawing_from(given):
        drawn = torch.rand(7)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, torch.rand(7, generator=expected))
    assert torch.equal(torch.rand(7, generator=given), torch.rand(7, generator=expected))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    one, other = (generator(98, "views", device="cuda") for _ in range(2))
    assert one.device.type == "cuda"
    assert torch.equal(torch.rand(4, generator=one, device="cuda"), torch.rand(4, generator=other, device="cuda"))


def test_a_generator_seeded_anew_draws_what_a_new_one_draws():
    used = generator(1, "views")
    torch.randn(1, generator=used)  # the CPU's keeps a second number for later
    assert reseed(used, 3, "attack", 2) is used
    drawn = torch.randn(5, generator=used)
    assert torch.equal(drawn, torch.randn(5, generator=generator(3, "attack", 2)))
