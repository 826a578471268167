"""Settings in words."""

from __future__ import annotations

import pytest

from amoc.reporting import words


@pytest.mark.parametrize(
    ("epsilon", "text"),
    [
        *((8 / 255, "8/255"), (4 / 255, "4/255"), (0.0314159, "0.0314159")),
        *((0.15, "0.15"), (0.5, "0.5"), (0.8, "0.8"), (12.0, "12"), (1.0, "1")),
    ],
)
def test_radius(epsilon, text):
    assert words.radius(epsilon) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"kind": "pgd", "norm": "linf", "epsilon": 8 / 255, "steps": 20, "relative_step": 0.1},
            "PGD, Linf 8/255, 20 steps of 0.1 epsilon",
        ),
        (
            {"kind": "slide", "norm": "l1", "epsilon": 12.0, "steps": 50, "relative_step": 0.05, "images": None},
            "SLIDE, L1 12, 50 steps of 0.05 epsilon",
        ),
        (
            {"kind": "deepfool", "norm": "linf", "epsilon": 0.15, "steps": 50, "overshoot": 0.02},
            "DeepFool, Linf 0.15, 50 steps, overshoot 0.02",
        ),
        (
            {
                **{"kind": "carlini_wagner", "norm": "l2", "epsilon": 0.5, "images": 1000},
                **{"steps": 1000, "lr": 0.01, "binary_search_steps": 9, "initial_const": 0.001},
            },
            "C&W, L2 0.5, 9 x 1000 steps, learning rate 0.01, initial constant 0.001, the first 1000 test images",
        ),
        (
            {"kind": "autoattack", "norm": "linf", "epsilon": 8 / 255, "square_queries": 5000},
            "AutoAttack, Linf 8/255, standard version, 5000 Square queries",
        ),
    ],
)
def test_attack(settings, text):
    assert words.attack(settings) == text


def test_an_attack_without_words_is_not_called_another():
    with pytest.raises(ValueError, match="no words for attacks of the kind boundary"):
        words.attack({"kind": "boundary", "norm": "l2", "epsilon": 0.5, "steps": 100})


def test_every_attack_of_the_settings_has_words(params):
    for profile in ("demo", "small", "paper"):
        for name in params.raw["attacks"]:
            assert words.attack(params.attack(profile, name).plain())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"method": "amoc", "variant": "aca", "bank_adv": "moving"}, "AMOC"),
        ({"method": "amoc", "variant": "aca", "bank_adv": "frozen"}, "AMOC-ACA frozen bank"),
        ({"method": "amoc", "variant": "acc", "bank_adv": "frozen"}, "AMOC-ACC"),
        ({"method": "amoc", "variant": "ccc", "bank_adv": "moving"}, "MoCo"),
        ({"method": "acl"}, "ACL"),
        ({"method": "acl", "form": "ds"}, "ACL"),
        ({"method": "acl", "form": "a2s"}, "ACL-A2S"),
    ],
)
def test_encoder(settings, name):
    assert words.encoder(settings) == name


def unwrapped(quote: str) -> str:
    """The first lines as one."""
    assert max(map(len, quote.splitlines())) <= 120
    return quote.replace("\n> ", " ")


def test_the_first_lines_say_what_stands_in_for_what(params):
    small, paper = params.raw["profiles"]["small"], params.raw["profiles"]["paper"]
    small["data"] = {"source": "cifar", "train": 5000, "test": 1000}
    small["model"]["width"], paper["model"]["width"] = 8, 64
    small["scale"]["short"], paper["scale"]["short"] = 21, 200
    for recipe, epochs in (("finetune", 20), ("standard", 30), ("trades", 20)):
        small["recipes"][recipe] = {"epochs": epochs}
    small["scale"] |= {"batch_size": 0.25, "bank_length": 1}
    assert unwrapped(words.stands_in(params, "small", "cifar10")) == (
        "> **small**: 5000 training, 1000 test images stand in for all of CIFAR-10. Read orderings, not numbers, "
        "and those only where another seed would keep them. "
        "Changed: width 8 instead of 64, pre-training epochs 21 instead of 200, AMOC's batch size 64 instead of 256, "
        "training epochs 20-30 instead of 76-164, and more: see `profiles.small` in params.yaml."
    )
    assert " training epochs" not in unwrapped(words.stands_in(params, "small", "cifar10", networks=()))
    shown = words.stands_in(params, "small", "cifar10", networks=["standard", "amoc"])  # one of them is an encoder
    assert "training epochs 30 instead of 164" in unwrapped(shown)
    assert words.stands_in(params, "paper", "cifar10") == "> **paper**: CIFAR-10 and the papers' settings."
    assert words.stands_in(params, "paper", "cifar10", "cifar100") == (
        "> **paper**: CIFAR-10 and CIFAR-100 and the papers' settings."
    )


def test_of_digits_not_even_orderings_are_evidence(params):
    assert unwrapped(words.stands_in(params, "demo", "cifar10", "cifar100", networks=())) == (
        "> **demo**: scikit-learn digits stand in for CIFAR-10 and scikit-learn digits, upright or turned, stand in "
        "for CIFAR-100. It shows that the pipeline works; neither numbers nor orderings are evidence. "
        "Changed: network resnet10t instead of resnet18, width 16 instead of 64, epsilon 0.15 instead of 8/255, "
        "pre-training epochs 60 instead of 200, AMOC's batch size 64 instead of 256, bank length 1024 instead of "
        "32768, and more: see `profiles.demo` in params.yaml."
    )


def test_the_first_lines_do_without_an_encoder_that_params_yaml_does_not_have(params):
    params.raw["runs"]["cifar10"] = {}
    assert "AMOC" not in words.stands_in(params, "demo", "cifar10", networks=())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"source": "digits", "train": None, "test": None}, "scikit-learn digits stand in for CIFAR-10"),
        ({"source": "cifar", "train": None, "test": None}, "CIFAR-10"),
        (
            {"source": "cifar", "train": 5000, "test": None},
            "5000 training, all test images stand in for all of CIFAR-10",
        ),
    ],
)
def test_images(params, data, text):
    params.raw["profiles"]["demo"]["data"] = data
    assert words.images(params, "demo", "cifar10") == text


def test_images_of_two_data_sets(params):
    params.raw["profiles"]["small"]["data"] = {"source": "cifar", "train": 5000, "test": 1000}
    assert words.images(params, "small", "cifar10", "cifar100") == (
        "5000 training, 1000 test images stand in for all of CIFAR-10 and of CIFAR-100"
    )
