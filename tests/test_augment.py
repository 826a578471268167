from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import torch
import torchvision.transforms.functional as torchvision_functional
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from amoc import settings
from amoc.augment import RandomViews, random_shift, to_float

JITTER = {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
NAMES = ("brightness", "contrast", "saturation", "hue")
AFFINE = {"degrees": 15.0, "translate": 0.1, "scale": (0.8, 1.2)}
BLUR = {"probability": 0.5, "sigma": (0.1, 2.0)}
CRITICAL = 1e-3  # a right implementation fails once in a thousand seeds, and the seeds are fixed


def views(size: int = 32, **chosen) -> RandomViews:
    """Views with these operations and no others."""
    off = {"crop_scale": None, "jitter": None, "grayscale": 0.0, "blur": None, "flip": 0.0, "affine": None}
    return RandomViews(settings.Views.model_validate({"interpolation": "bilinear"} | off | chosen), size)


def everything(size: int = 32, **chosen) -> RandomViews:
    every = {"crop_scale": (0.2, 1.0), "jitter": JITTER, "grayscale": 0.2, "blur": BLUR, "flip": 0.5, "affine": AFFINE}
    return views(size, **every | chosen)


def noise(count: int, size: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    images = torch.rand(count, 3, size, size, generator=generator, dtype=dtype)
    return images.contiguous(memory_format=torch.channels_last)


def slow_view(image: torch.Tensor, drawn: dict[str, torch.Tensor], settings: dict) -> torch.Tensor:
    """torchvision, one operation after the other, with the drawn parameters of one image."""
    drawn = {name: value.tolist() for name, value in drawn.items()}
    size = [image.shape[-1]] * 2
    if "crop_top" in drawn:
        box = [drawn[f"crop_{name}"] for name in ("top", "left", "height", "width")]
        mode = InterpolationMode(settings["interpolation"])
        image = torchvision_functional.resized_crop(image, *box, size, mode, antialias=True).clamp(0, 1)
    if "affine_zoom" in drawn:
        degrees, shift, zoom = (drawn[f"affine_{name}"] for name in ("degrees", "shift", "zoom"))
        image = torchvision_functional.affine(image, degrees, shift, zoom, [0.0], InterpolationMode.BILINEAR)
    if drawn.get("jitter_applied"):
        present = [name for name in NAMES if f"jitter_{name}" in drawn]
        for name in sorted(present, key=lambda name: drawn["jitter_place"][present.index(name)]):
            image = getattr(torchvision_functional, f"adjust_{name}")(image, drawn[f"jitter_{name}"])
    if drawn.get("grayscale_applied"):
        image = torchvision_functional.rgb_to_grayscale(image, 3)
    if drawn.get("blur_applied"):
        image = torchvision_functional.gaussian_blur(image, [13, 13], [drawn["blur_sigma"]] * 2)
    if drawn.get("flip_applied"):
        image = torchvision_functional.hflip(image)
    return image


def assert_as_torchvision(random_views, images, drawn, interpolation="bilinear") -> None:
    seen = random_views.apply(images, drawn)
    for index, (image, ours) in enumerate(zip(images, seen, strict=True)):
        own = {name: values[index] for name, values in drawn.items()}
        theirs = slow_view(image, own, {"interpolation": interpolation})
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


# ---------------------------------------------------------------- images


def test_to_float_is_torchvisions(generator):
    pixels = torch.randint(256, (5, 7, 9, 3), generator=generator, dtype=torch.uint8)
    images = to_float(pixels)
    assert images.dtype == torch.float32 and images.is_contiguous(memory_format=torch.channels_last)
    for ours, image in zip(images, pixels.numpy(), strict=True):
        assert torch.equal(ours, torchvision_functional.to_tensor(image))


# ---------------------------------------------------------------- what is applied


@pytest.mark.parametrize(
    "chosen",
    [
        {"crop_scale": (0.2, 1.0)},
        {"crop_scale": (0.1, 1.0), "interpolation": "bicubic"},
        {"affine": AFFINE},
        {"jitter": JITTER},
        {"jitter": JITTER | {"hue": 0.5}},
        {"jitter": JITTER | {"saturation": 0.0, "hue": 0.0}},
        {"jitter": JITTER | {"brightness": 0.0, "contrast": 0.0}},
        {"jitter": JITTER | {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}},
        {"jitter": JITTER | {"contrast": 0.0, "saturation": 0.0, "hue": 0.0}},
        {"grayscale": 0.5},
        {"blur": BLUR},
        {"flip": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [8, 32])
def test_each_operation_is_torchvisions(size, chosen, generator):
    one = views(size, **chosen)
    drawn = one.draw(24, generator, "cpu")
    assert_as_torchvision(one, noise(24, size, generator), drawn, chosen.get("interpolation", "bilinear"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_all_operations_together_are_torchvisions(interpolation, dtype, generator):
    every = everything(interpolation=interpolation)
    images = noise(100, 32, generator, dtype)
    assert_as_torchvision(every, images, every.draw(100, generator, "cpu"), interpolation)


def test_every_order_of_the_jitter_is_torchvisions(generator):
    """With strong factors, so that colours are clamped between the operations and the order matters."""
    jitter = views(16, jitter={"probability": 1.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5})
    drawn = jitter.draw(24, generator, "cpu") | {"jitter_place": torch.tensor(list(permutations(range(4))))}
    images = noise(1, 16, generator).expand(24, -1, -1, -1)
    assert_as_torchvision(jitter, images, drawn)
    same = {name: values[:1].expand(24) for name, values in drawn.items() if name != "jitter_place"}
    distinct = jitter.apply(images, drawn | same).flatten(1)
    assert torch.cdist(distinct, distinct).add(torch.eye(24)).min() > 1e-3


def test_what_is_not_applied_leaves_the_image_as_it_is(generator):
    colour = views(jitter=JITTER, grayscale=0.2, blur=BLUR, flip=0.5)
    images = noise(6, 32, generator)
    drawn = colour.draw(6, generator, "cpu")
    never = {name: torch.zeros(6, dtype=torch.bool) for name in drawn if name.endswith("_applied")}
    assert torch.equal(colour.apply(images, drawn | never), images)


def test_an_operation_that_is_off_draws_nothing(generator):
    off = views(
        grayscale=0.0,
        jitter=JITTER | {"probability": 0.0},
        blur=BLUR | {"probability": 0.0},
        affine={"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0)},
    )
    weak = views(jitter=JITTER | dict.fromkeys(NAMES, 0.0))
    images, before = noise(4, 32, generator), generator.get_state()
    for idle in (off, weak):
        assert idle.draw(4, generator, "cpu") == {}
        assert torch.equal(idle(images, generator), images)
    assert torch.equal(generator.get_state(), before)
    partly = views(jitter=JITTER | {"hue": 0.0}).draw(4, generator, "cpu")
    assert "jitter_hue" not in partly and partly["jitter_place"].shape == (4, 3)


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("affine_degrees", -15, 15),
        ("affine_shift", -3.2, 3.2),  # pixels: a tenth of 32
        ("affine_zoom", 0.8, 1.2),
        ("jitter_brightness", 0.6, 1.4),
        ("jitter_contrast", 0.7, 1.3),
        ("jitter_saturation", 0.5, 1.5),
        ("jitter_hue", -0.1, 0.1),
        ("blur_sigma", 0.1, 2.0),
    ],
)
def test_parameters_are_uniform(name, low, high, generator):
    every = everything(jitter=JITTER | {"contrast": 0.3, "saturation": 0.5})
    values = every.draw(5000, generator, "cpu")[name].flatten().double().numpy()
    assert low <= values.min() and values.max() <= high + 1e-6
    assert scipy.stats.kstest(values, scipy.stats.uniform(low, high - low).cdf).pvalue > CRITICAL


@pytest.mark.parametrize(
    ("name", "probability"),
    [("jitter_applied", 0.8), ("grayscale_applied", 0.2), ("blur_applied", 0.3), ("flip_applied", 0.5)],
)
def test_operations_are_applied_with_their_probability(name, probability, generator):
    applied = everything(blur=BLUR | {"probability": 0.3}).draw(5000, generator, "cpu")[name]
    assert scipy.stats.binomtest(int(applied.sum()), 5000, probability).pvalue > CRITICAL


def test_probability_one_is_always(generator):
    drawn = views(jitter=JITTER | {"probability": 1.0}, flip=1.0).draw(5000, generator, "cpu")
    assert drawn["jitter_applied"].all() and drawn["flip_applied"].all()


def test_all_orders_of_the_jitter_are_equally_likely(generator):
    places = views(jitter=JITTER).draw(6000, generator, "cpu")["jitter_place"]
    orders, counts = places.unique(dim=0, return_counts=True)
    assert {tuple(order) for order in orders.tolist()} == set(permutations(range(4)))
    assert scipy.stats.chisquare(counts.numpy()).pvalue > CRITICAL


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("scale", [(0.2, 1.0), (0.9, 1.0), (0.05, 0.2)], ids=str)
def test_crops_are_drawn_as_torchvision_does(scale, size, generator):
    """(0.9, 1) seldom fits, so that the fallback is seen too. The joint distribution of height and width is compared,
    and where the box lies given its size."""
    drawn = views(size, crop_scale=scale).draw(20_000, generator, "cpu")
    ours = torch.stack([drawn[f"crop_{name}"] for name in ("top", "left", "height", "width")], 1).numpy()
    with torch.random.fork_rng():
        torch.manual_seed(generator.initial_seed())
        image = torch.zeros(3, size, size)
        theirs = np.array([RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(3000)])

    for column in range(4):
        assert scipy.stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > CRITICAL
    shapes = [boxes[:, 2] * (size + 1) + boxes[:, 3] for boxes in (ours, theirs)]
    table = np.stack([np.bincount(shape, minlength=(size + 1) ** 2) for shape in shapes])
    enough = table[1] >= 8
    table = np.column_stack([table[:, enough], table[:, ~enough].sum(1)])
    assert scipy.stats.chi2_contingency(table[:, table.sum(0) > 0]).pvalue > CRITICAL

    for start, length in ((ours[:, 0], ours[:, 2]), (ours[:, 1], ours[:, 3])):
        assert (start >= 0).all() and (start + length <= size).all()
        common = np.bincount(length[length < size]).argmax()
        counts = np.bincount(start[length == common], minlength=size - common + 1)
        assert scipy.stats.chisquare(counts).pvalue > CRITICAL


def test_no_two_parameters_go_together(generator):
    """Neither within an image nor from an image to the next."""
    drawn = everything().draw(5000, generator, "cpu")
    independent = [name for name in drawn if not name.startswith("crop") and name != "jitter_place"]
    own = [drawn[name].double().view(5000, -1) for name in independent]
    columns = torch.cat([*own, drawn["jitter_place"][:, :1].double()], 1)
    correlation = torch.cat([columns[1:], columns[:-1]], 1).T.corrcoef().fill_diagonal_(0)
    assert correlation.abs().max() < 5 / 5000**0.5


# ---------------------------------------------------------------- promises


def test_the_same_generator_state_gives_the_same_views(generator):
    every, images = everything(), noise(8, 32, generator)
    state = generator.get_state()
    first, second = every(images, generator), every(images, generator)
    assert not torch.equal(first, second)
    generator.set_state(state)
    assert torch.equal(every(images, generator), first)
    generator.set_state(state)
    assert torch.equal(every.apply(images, every.draw(8, generator, "cpu")), first)


def test_images_do_not_depend_on_their_neighbours(generator):
    every, images = everything(), noise(12, 32, generator)
    drawn = every.draw(12, generator, "cpu")
    together = every.apply(images, drawn)
    for index in range(12):
        one = slice(index, index + 1)
        alone = every.apply(images[one], {name: values[one] for name, values in drawn.items()})
        torch.testing.assert_close(alone, together[one], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [8, 32])
def test_views_are_images(size, interpolation, dtype, generator):
    """In [0, 1], also of images with nothing but 0, 1; same shape and dtype; channels_last; the input is left alone."""
    every = everything(size, interpolation=interpolation)
    images = noise(64, size, generator, dtype)
    images[:40] = images[:40].round()
    images[0], images[1] = 0, 1
    before = images.clone()
    for layout in (torch.channels_last, torch.contiguous_format):
        seen = every(images.contiguous(memory_format=layout), generator)
        assert seen.shape == images.shape and seen.dtype == dtype
        assert seen.is_contiguous(memory_format=torch.channels_last)
        assert seen.min() >= 0 and seen.max() <= 1
    assert torch.equal(images, before)


def test_images_of_another_size_are_refused(generator):
    with pytest.raises(ValueError, match=r"expected \(B, 3, 32, 32\)"):
        everything(32)(noise(2, 8, generator), generator)


def test_the_networks_autocast_does_not_reach_the_views(generator):
    every, images = everything(), noise(8, 32, generator)
    drawn = every.draw(8, generator, "cpu")
    with torch.autocast("cpu", torch.bfloat16):
        inside = every.apply(images, drawn)
    assert torch.equal(inside, every.apply(images, drawn))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_views_need_no_drawn_value_on_the_host(device, generator):
    """Fake tensors have a shape and a device but no values: asking for one raises, as does mixing devices."""
    with FakeTensorMode():
        images = torch.empty(8, 3, 32, 32, device=device)
        for seen in (everything()(images, generator), random_shift(images, settings.Shift(pad=4, flip=0.5), generator)):
            assert seen.shape == images.shape and seen.device == images.device


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_views_on_a_gpu_do_not_wait_for_it(generator):
    every, images = everything(), noise(64, 32, generator)
    drawn = every.draw(64, generator, "cpu")
    there = {name: values.cuda() for name, values in drawn.items()}
    torch.testing.assert_close(every.apply(images.cuda(), there).cpu(), every.apply(images, drawn), rtol=0, atol=1e-4)

    images, own = images.cuda(), torch.Generator("cuda").manual_seed(11)
    try:
        torch.cuda.set_sync_debug_mode("error")
        every(images, own)
        random_shift(images, settings.Shift(pad=4, flip=0.5), own)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- random_shift


@pytest.mark.parametrize(("size", "pad"), [(5, 2), (3, 4)])
def test_shifts_are_crops_of_the_padded_image_all_equally_likely(size, pad, generator):
    image = torch.rand(3, size, size, generator=generator)
    padded = np.pad(image.numpy(), [(0, 0), (pad, pad), (pad, pad)], mode="reflect")
    window = range(2 * pad + 1)
    crops = np.stack([padded[:, top : top + size, left : left + size] for top in window for left in window])
    candidates = torch.from_numpy(np.concatenate([crops, crops[..., ::-1]])).flatten(1)
    shifted = random_shift(image.expand(6000, -1, -1, -1), settings.Shift(pad=pad, flip=0.5), generator)
    equal = (shifted.flatten(1)[:, None] == candidates).all(2)
    assert equal.any(1).all()
    kinds, number = candidates.unique(dim=0, return_inverse=True)  # reflection may make two of them the same
    counts = torch.bincount(number[equal.to(torch.uint8).argmax(1)], minlength=len(kinds))
    expected = torch.bincount(number) * 6000 / len(candidates)
    assert scipy.stats.chisquare(counts.numpy(), expected.numpy()).pvalue > CRITICAL


def test_shift_shifts_each_image_of_the_batch(generator):
    """Pixels carry the number of their image, and images are moved by amounts of their own."""
    images = torch.arange(50.0)[:, None, None, None] * 100 + torch.rand(50, 3, 8, 8, generator=generator)
    shifted = random_shift(images, settings.Shift(pad=2, flip=0.5), generator)
    assert torch.equal(shifted.div(100).floor(), images.div(100).floor())
    moved = (shifted - torch.arange(50.0)[:, None, None, None] * 100).flatten(1)
    assert len(moved.unique(dim=0)) == 50
    assert shifted.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_shift_without_pad_only_flips(dtype, generator):
    images = torch.randint(256, (6, 3, 4, 5), generator=generator).to(dtype)
    assert torch.equal(random_shift(images, settings.Shift(pad=0, flip=0.0), generator), images)
    assert torch.equal(random_shift(images, settings.Shift(pad=0, flip=1.0), generator), images.flip(3))


def test_the_same_generator_state_gives_the_same_shifts(generator):
    images, state = noise(20, 8, generator), generator.get_state()
    shift = settings.Shift(pad=1, flip=0.5)
    first = random_shift(images, shift, generator)
    assert not torch.equal(random_shift(images, shift, generator), first)
    generator.set_state(state)
    assert torch.equal(random_shift(images, shift, generator), first)
