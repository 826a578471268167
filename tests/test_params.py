"""params.yaml: how settings are merged, and that a wrong value is refused in one sentence that says what is allowed."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from amoc import datasets
from amoc.params import DATASETS, PROFILES, Params, merge
from amoc.refusal import Refusal
from amoc.settings import METHODS, AutoAttack, lineage

FILE = Path(__file__).parents[1] / "params.yaml"
SHIPPED = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
ABSENT = object()


def changed(*changes: tuple[str, Any]) -> dict:
    """The shipped file with other values: changed(("profiles.demo.scale.short", 3), ...)."""
    raw = copy.deepcopy(SHIPPED)
    for path, value in changes:
        *sections, key = path.split(".")
        place = raw
        for section in sections:
            place = place[section]
        if value is ABSENT:
            del place[key]
        else:
            place[key] = value
    return raw


def refusal(raw: Any) -> str:
    """The sentence with which the whole file is refused."""
    with pytest.raises(Refusal) as refused:
        Params(raw).check()
    sentence = str(refused.value)
    assert sentence.startswith("params.yaml: ")
    assert "\n" not in sentence
    assert refused.value.__cause__ is None
    return sentence.removeprefix("params.yaml: ")


def written(tmp_path: Path, *replacements: tuple[str, str]) -> Path:
    """The shipped text with some of it replaced."""
    text = FILE.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- what is accepted


def test_the_shipped_file_loads():
    params = Params.load(FILE)
    assert params.profile in PROFILES
    assert {"amoc", "moco", "acl"} <= set(params.runs("cifar10"))
    assert {"standard", "pgd_at", "alp", "trades", "amoc_finetuned"} <= set(params.networks("cifar10"))
    assert params.attacked_probe in params.probes


@pytest.mark.parametrize("profile", PROFILES)
def test_everything_is_plain_and_comes_back(profile):
    """What goes into result files can be validated again."""
    params = Params.load(FILE)
    for run in params.runs("cifar10"):
        plain = params.pretraining(profile, "cifar10", run).plain()
        assert json.loads(json.dumps(plain)) == plain
        assert ("lambda" in plain) == (plain["method"] != "acl")
        assert ("share" in plain) == (plain["method"] == "amoc_cheaper")
        assert METHODS[plain["method"]].model_validate_json(json.dumps(plain)).plain() == plain
    for name in params.networks("cifar10"):
        assert json.dumps(params.classifying(profile, "cifar10", name).plain(), allow_nan=False)
    for attack in params.suite(profile, "table5").values():
        assert json.dumps(attack.plain(), allow_nan=False)


def test_the_paper_profile_is_the_paper():
    """Protocol, section 2, word by word."""
    params = Params.load(FILE)
    amoc = params.pretraining("paper", "cifar10", "amoc")
    assert (amoc.variant, amoc.branch, amoc.bank_adv, amoc.epochs, amoc.batch_size, amoc.bank_length) == (
        "aca",
        "adv",
        "moving",
        200,
        256,
        32768,
    )
    assert (amoc.temperature, amoc.lambda_, amoc.key_momentum, amoc.epsilon) == (
        0.2,
        0.5,
        0.999,
        pytest.approx(8 / 255),
    )
    assert (amoc.enqueue, amoc.attack_key, amoc.attack_mode) == ("after", "clean", "eval")
    assert amoc.attack.plain() == {"steps": 5, "relative_step": 0.25, "random_start": True}
    assert amoc.optimizer.plain() == {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "warmup_epochs": 10}
    assert amoc.projector.plain() == {"hidden": 512, "output": 128}
    assert amoc.views.plain() == {
        "crop_scale": [0.2, 1.0], "interpolation": "bilinear", "grayscale": 0.2, "flip": 0.5, "affine": None,
        "jitter": {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
        "blur": {"probability": 0.5, "sigma": [0.1, 2.0]},
    }  # fmt: skip
    assert amoc.model.plain() == {"architecture": "resnet18", "width": 64}
    moco = params.pretraining("paper", "cifar10", "moco")
    assert (moco.variant, moco.branch) == ("ccc", "clean")
    acl = params.pretraining("paper", "cifar10", "acl")
    assert (acl.form, acl.branch, acl.normalisation, acl.epochs, acl.batch_size, acl.temperature) == (
        "ds", "adv", "imagenet", 200, 512, 0.5,
    )  # fmt: skip
    assert (acl.attack, acl.epsilon, acl.model) == (amoc.attack, amoc.epsilon, amoc.model)
    assert acl.optimizer.plain() == {
        "lr": 5.0, "momentum": 0.9, "weight_decay": 1e-6, "warmup_epochs": 10, "final_lr": 1e-6, "trust": 0.001,
        "layerwise": "weights", "lr_scaling": "linear",
    }  # fmt: skip
    assert acl.projector.plain() == {"layers": 3, "hidden": 512, "output": 512}
    assert acl.views.plain() == {
        **amoc.views.plain(), "crop_scale": [0.1, 1.0], "interpolation": "bicubic", "blur": None,
    }  # fmt: skip
    recipes = {name: params.recipe("paper", name) for name in SHIPPED["recipes"]}
    assert {name: (r.epochs, r.milestones, r.weight_decay, r.beta) for name, r in recipes.items()} == {
        "stdev": (25, (15, 20), 2e-4, None), "adev": (25, (15, 20), 5e-4, 6), "robev": (25, (15, 20), 5e-4, None),
        "finetune": (100, (40, 60), 5e-4, 6), "finetune_v1": (40, (30, 35), 5e-4, None),
        "standard": (164, (82, 123), 2e-4, None), "pgd_at": (200, (102, 154), 2e-4, None),
        "alp": (200, (102, 154), 2e-4, 0.5), "trades": (76, (75,), 2e-4, 6),
        "slf": (25, (15, 20), 2e-4, None), "alf": (25, (10, 20), 2e-4, None), "aff": (25, (15, 20), 2e-4, 6),
    }  # fmt: skip
    assert recipes["slf"] == recipes["stdev"]
    alf, aff = recipes.pop("alf"), recipes["aff"]
    assert (alf.batch_size, alf.lr, alf.momentum, alf.shift.pad) == (512, 0.01, 0.9, 4)
    assert (alf.objective, alf.train, aff.objective, aff.train) == ("pgd_at", "head", "trades", "all")
    assert {(r.batch_size, r.lr, r.momentum, r.shift.pad) for r in recipes.values()} == {(128, 0.1, 0.9, 4)}
    assert {r.attack and (r.attack.steps, r.attack.relative_step) for r in recipes.values()} == {None, (10, 0.25)}


@pytest.mark.parametrize(
    ("value", "number"),
    [("8/255", 8 / 255), ("8 / 255", 8 / 255), ("0.05", 0.05), (1, 1.0), (0.125, 0.125), ("1e-3", 1e-3)],
)
def test_ratios_are_numbers(value, number):
    params = Params(changed(("profiles.demo.epsilon.linf", value)))
    params.check()
    assert params.epsilon("demo").linf == pytest.approx(number, rel=1e-15)
    assert isinstance(params.epsilon("demo").linf, float)
    assert params.pretraining("demo", "cifar10", "amoc").epsilon == params.epsilon("demo").linf


def test_other_norms_may_be_larger_than_one():
    Params(changed(("profiles.demo.epsilon.l1", 12), ("profiles.demo.epsilon.l2", 1.5))).check()


def test_numbers_as_dvc_writes_them(tmp_path):
    """`dvc exp run -S ...weight_decay=0.00001` writes 1e-05, which PyYAML would read as a string."""
    text = ("weight_decay: 0.0005, warmup_epochs: 10", "weight_decay: 1e-05, warmup_epochs: 10")
    params = Params.load(written(tmp_path, text))
    assert params.pretraining("paper", "cifar10", "amoc").optimizer.weight_decay == 1e-5


def test_settings_do_not_change():
    amoc = Params.load(FILE).pretraining("demo", "cifar10", "amoc")
    with pytest.raises(ValueError, match="frozen"):
        amoc.seed = 2


def test_data_sets_are_those_that_can_be_built():
    assert DATASETS == datasets.NAMES


def test_reading_needs_no_torch():
    program = "import sys; from amoc.params import Params; Params.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=FILE.parent, check=False).returncode == 0


# ---------------------------------------------------------------- the order of merging


def test_merge_is_key_by_key_and_the_later_wins():
    low, high = {"a": 1, "b": {"c": 2, "d": [1, 2]}, "e": {"f": 3}}, {"a": 4, "b": {"d": [5]}, "e": None}
    assert merge(low, high) == {"a": 4, "b": {"c": 2, "d": [5]}, "e": None}
    assert merge(low, {"e": {"g": 1}}) == {**low, "e": {"f": 3, "g": 1}}
    assert merge({"e": None}, {"e": {"g": 1}}) == {"e": {"g": 1}}
    assert low == {"a": 1, "b": {"c": 2, "d": [1, 2]}, "e": {"f": 3}}


def test_paper_then_profile_then_run_then_scale():
    raw = changed(
        ("pretrain.amoc.temperature", 0.1), ("pretrain.amoc.key_momentum", 0.1), ("pretrain.amoc.optimizer.lr", 0.1),
        ("profiles.demo.pretrain.every", {"temperature": 0.15, "optimizer": {"momentum": 0.2}}),
        ("profiles.demo.pretrain.amoc", {"key_momentum": 0.2, "temperature": 0.2}),
        ("runs.cifar10.amoc", {"method": "amoc", "temperature": 0.3, "batch_size": 128}),
        ("runs.cifar10.amoc.optimizer", {"warmup_epochs": 3}),
        ("profiles.demo.scale", {"short": 17, "long": 19, "batch_size": 0.5, "bank_length": 0.25}),
    )  # fmt: skip
    params = Params(raw)
    params.check()
    demo, paper = params.pretraining("demo", "cifar10", "amoc"), params.pretraining("paper", "cifar10", "amoc")
    assert (demo.temperature, demo.key_momentum) == (0.3, 0.2)
    assert (paper.temperature, paper.key_momentum) == (0.3, 0.1)
    assert demo.optimizer.plain() == {"lr": 0.1, "momentum": 0.2, "weight_decay": 0.0005, "warmup_epochs": 3}
    assert (demo.epochs, demo.batch_size, demo.bank_length) == (17, 64, 8192)
    assert (paper.epochs, paper.batch_size, paper.bank_length) == (200, 128, 32768)
    assert demo.model == params.model("demo")
    assert params.pretraining("demo", "cifar10", "moco").temperature == 0.2
    assert params.pretraining("demo", "cifar10", "acl").temperature == 0.15
    assert params.pretraining("demo", "cifar10", "acl").optimizer.momentum == 0.2


def test_a_method_that_extends_another_comes_after_it():
    """pretrain.amoc, pretrain.amoc_cheaper, then the profile's changes of both in that order, then the run."""
    raw = changed(
        ("pretrain.amoc.temperature", 0.1), ("pretrain.amoc_cheaper.temperature", 0.2),
        ("pretrain.amoc_cheaper.key_momentum", 0.3), ("pretrain.amoc_cheaper.share", 0.7),
        ("profiles.demo.pretrain.amoc", {"key_momentum": 0.4, "lambda": 0.1}),
        ("profiles.demo.pretrain.amoc_cheaper", {"lambda": 0.2, "share": 0.8}),
        ("runs.cifar10", {"amoc": {"method": "amoc"}, "amoc_half": {"method": "amoc_cheaper", "share": 0.9}}),
        ("classifiers.cifar10", {}),
    )  # fmt: skip
    params = Params(raw)
    params.check()
    demo, paper = (params.pretraining(profile, "cifar10", "amoc_half") for profile in ("demo", "paper"))
    assert (demo.temperature, demo.key_momentum, demo.lambda_, demo.share) == (0.2, 0.4, 0.2, 0.9)
    assert (paper.temperature, paper.key_momentum, paper.lambda_, paper.share) == (0.2, 0.3, 0.5, 0.9)
    amoc = params.pretraining("demo", "cifar10", "amoc")
    assert (amoc.temperature, amoc.lambda_) == (0.1, 0.1)
    assert lineage("amoc_cheaper") == ["amoc", "amoc_cheaper"]
    assert lineage("amoc") == ["amoc"]


def test_a_switch_that_no_method_says_is_recorded_by_the_runs_that_say_it():
    """Results from before there was such a setting are those of runs that do not say it."""
    params = Params.load(FILE)
    plain = {run: params.pretraining("small", "cifar10", run).plain() for run in ("amoc", "acl", "amoc_zero_init")}
    assert {run: each.get("zero_init_last") for run, each in plain.items()} == {
        "amoc": None, "acl": None, "amoc_zero_init": True
    }  # fmt: skip
    assert plain["amoc_zero_init"] == plain["amoc"] | {"zero_init_last": True}
    assert refusal(changed(("runs.cifar10.amoc_zero_init.zero_init_last", "yes"))) == (
        'runs.cifar10.amoc_zero_init.zero_init_last is "yes", allowed is true or false'
    )


def test_the_official_run_is_the_official_codes():
    """Its choices where the papers leave one; the bank that moves and the rest are ours too."""
    params = Params.load(FILE)
    ours, official = (params.pretraining("paper", "cifar10", run).plain() for run in ("amoc", "amoc_official"))
    assert official == ours | {"enqueue": "before", "attack_key": "noisy"}
    assert params.engine("paper", "cifar10", "amoc_official").precision == "float32"


def test_an_encoder_may_have_an_engine_of_its_own():
    params = Params(changed(("runs.cifar10.amoc_b64.engine", {"precision": "bfloat16", "threads": 3})))
    params.check()
    demo, own = params.engine("demo"), params.engine("demo", "cifar10", "amoc_b64")
    assert own == demo.model_copy(update={"precision": "bfloat16", "threads": 3}) != demo
    assert params.engine("demo", "cifar10", "amoc") == params.engine("demo", "cifar10", "not a run") == demo
    assert params.pretraining("demo", "cifar10", "amoc_b64") == Params.load(FILE).pretraining(
        "demo", "cifar10", "amoc_b64"
    )


@pytest.mark.parametrize(("epochs", "expected"), [("short", 40), ("long", 80), (33, 33)])
def test_short_and_long_are_the_profiles_and_a_number_is_a_number(epochs, expected):
    raw = changed(
        ("runs.cifar10.amoc.epochs", epochs), ("profiles.demo.scale.short", 40), ("profiles.demo.scale.long", 80)
    )
    assert Params(raw).pretraining("demo", "cifar10", "amoc").epochs == expected


@pytest.mark.parametrize(("variant", "branch"), [("ccc", "clean"), ("caa", "clean"), ("acc", "adv"), ("aaa", "adv")])
def test_branch_auto_is_the_variants(variant, branch):
    assert (
        Params(changed(("runs.cifar10.moco.variant", variant))).pretraining("demo", "cifar10", "moco").branch == branch
    )
    raw = changed(("runs.cifar10.moco", {"method": "amoc", "variant": variant, "branch": "clean"}))
    assert Params(raw).pretraining("demo", "cifar10", "moco").branch == "clean"  # which every variant trains


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, 5.0 * 128 / 512),
        ({"profiles.demo.scale.batch_size": 1}, 5.0),
        ({"runs.cifar10.acl.batch_size": 64}, 5.0 * 16 / 512),  # scaled twice: by the run and by the profile
        ({"pretrain.acl.batch_size": 256}, 5.0 * 64 / 256),  # the rate is for the batch size beside it
        ({"pretrain.acl.optimizer.lr": "5/2", "pretrain.acl.optimizer.lr_scaling": "linear"}, 2.5 / 4),
        ({"pretrain.acl.optimizer.lr_scaling": "none"}, 5.0),
        ({"runs.cifar10.acl.optimizer": {"lr": 2.0}}, 2.0),  # whoever says the rate has said it
        ({"profiles.demo.pretrain.acl": {"optimizer": {"lr": 3.0}}}, 3.0),
        ({"profiles.demo.pretrain.every.optimizer": {"lr": 3.0}}, 3.0),
    ],
)
def test_the_rate_of_acl_is_linear_in_the_batch(changes, rate):
    raw = changed(("profiles.demo.scale.batch_size", 0.25), *changes.items())
    acl = Params(raw).pretraining("demo", "cifar10", "acl")
    assert acl.optimizer.lr == pytest.approx(rate, rel=1e-12)
    if "profiles.demo.pretrain.every.optimizer" not in changes:
        assert Params(raw).pretraining("demo", "cifar10", "amoc").optimizer.lr == 0.1


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [(25, (15, 20)), (50, (30, 40)), (10, (6, 8)), (5, (3, 4)), (3, (2,)), (2, (1,)), (1, ())],
)  # fmt: skip
def test_milestones_move_with_the_epochs(epochs, milestones):
    raw = changed(("profiles.demo.recipes.stdev", {"epochs": epochs}))
    recipe = Params(raw).recipe("demo", "stdev")
    assert (recipe.epochs, recipe.milestones) == (epochs, milestones)


def test_milestones_of_the_profile_itself_stay():
    raw = changed(("profiles.demo.recipes.stdev", {"epochs": 10, "milestones": [2, 9]}))
    assert Params(raw).recipe("demo", "stdev").milestones == (2, 9)


def test_a_recipe_is_the_paper_then_every_then_its_own():
    raw = changed(
        ("profiles.demo.recipes.every", {"batch_size": 64, "lr": 0.2, "shift": {"pad": 1}}),
        ("profiles.demo.recipes.stdev", {"lr": 0.3}),
        ("profiles.demo.recipes.adev", {}),
    )
    stdev, adev = (Params(raw).recipe("demo", name) for name in ("stdev", "adev"))
    assert (stdev.batch_size, stdev.lr, stdev.momentum, stdev.shift.plain()) == (64, 0.3, 0.9, {"pad": 1, "flip": 0.5})
    assert (adev.batch_size, adev.lr) == (64, 0.2)
    assert Params(raw).recipe("paper", "stdev").batch_size == 128


def test_a_recipe_that_extends_another_comes_after_it_everywhere():
    raw = changed(
        ("recipes.stdev.lr", 0.5),
        ("recipes.slf", {"extends": "stdev", "momentum": 0.8, "epochs": 50, "milestones": [20]}),
        ("recipes.third", {"extends": "slf", "weight_decay": 0.0}),
        ("profiles.demo.recipes", {"stdev": {"epochs": 10, "beta": None}, "slf": {"lr": 0.3}}),
    )
    params = Params(raw)
    params.check()
    paper, demo, third = params.recipe("paper", "slf"), params.recipe("demo", "slf"), params.recipe("demo", "third")
    assert (paper.lr, paper.momentum, paper.epochs, paper.milestones) == (0.5, 0.8, 50, (20,))
    assert (demo.lr, demo.momentum, demo.epochs, demo.milestones) == (0.3, 0.8, 10, (4,))
    assert third == demo.model_copy(update={"weight_decay": 0.0})
    assert params.recipe("demo", "stdev").lr == 0.5


def test_protocols_are_recipes_and_the_suite_of_their_name():
    raw = changed(("protocols.quick", ["aff", "stdev"]), ("suites.quick", ["linf_pgd20_peers"]))
    params = Params(raw)
    params.check()
    for name, recipes, attacks in (
        ("quick", ["aff", "stdev"], ["linf_pgd20_peers"]),
        ("peers", ["slf", "alf", "aff"], ["linf_pgd20_peers", "linf_autoattack"]),
        ("probes", ["stdev", "adev", "robev"], ["linf_pgd20"]),
    ):
        found, suite = params.protocols("small", name)
        assert found == {recipe: params.recipe("small", recipe) for recipe in recipes}
        assert list(found) == recipes
        assert suite == {attack: params.attack("small", attack) for attack in attacks}


def test_a_profile_need_not_name_every_recipe_attack_or_method():
    raw = changed(("profiles.demo.recipes", {}), ("profiles.demo.attacks", {}), ("profiles.demo.pretrain", {}))
    Params(raw).check()
    assert Params(raw).recipe("demo", "stdev").epochs == 25
    assert Params(raw).attack("demo", "l2_cw").steps == 1000
    assert Params(raw).pretraining("demo", "cifar10", "amoc").key_momentum == 0.999


def test_attacks_have_the_profiles_epsilon_of_their_norm_and_its_changes():
    params = Params(
        changed(
            ("profiles.demo.epsilon", {"linf": 0.15, "l1": 4.0, "l2": 0.8}),
            ("profiles.demo.attacks.l2_cw", {"images": 7}),
        )
    )
    assert {name: attack.epsilon for name, attack in params.suite("demo", "table5").items()} == {
        "linf_pgd20": 0.15, "linf_pgd20_peers": 0.15, "linf_deepfool": 0.15, "linf_autoattack": 0.15,
        "l1_pgd50": 4.0, "l1_slide": 4.0, "l2_pgd50": 0.8, "l2_pgd50_v1": 0.8, "l2_cw": 0.8,
    }  # fmt: skip
    assert params.attack("demo", "l2_cw").images == 7
    assert params.attack("paper", "l2_cw").images == 1000
    assert isinstance(params.attack("paper", "linf_autoattack"), AutoAttack)


def test_a_network_has_its_recipe_and_the_profiles_model():
    params = Params.load(FILE)
    tuned, standard = (params.classifying("small", "cifar10", name) for name in ("amoc_finetuned", "standard"))
    assert (tuned.encoder, tuned.recipe_name, standard.encoder) == ("amoc", "finetune", None)
    assert tuned.recipe == params.recipe("small", "finetune")
    assert tuned.model == params.model("small")
    assert tuned.early_stopping == params.early_stopping("small")
    assert tuned.early_stopping.images == SHIPPED["profiles"]["small"]["early_stopping"]["images"]
    assert tuned.early_stopping.steps == SHIPPED["early_stopping"]["steps"]


# ---------------------------------------------------------------- what is refused

FROM_1, FROM_2, ABOVE_0, TO_1 = (
    "a whole number from 1 up",
    "a whole number from 2 up",
    "a number above 0",
    "a number from 0 to 1",
)
RADIUS = "a number above 0 and up to 1, such as 8/255, in pixel units"
NAME = "a letter a-z, then any of a-z, 0-9 and _"
SEED = "a whole number from 0 to 2147483647"
CROP = "two shares of the area, above 0 and up to 1, the smaller one first, or null"
HEADS, WHOLE = "stdev, adev, robev, slf, alf", "finetune, finetune_v1, standard, pgd_at, alp, trades, aff"
PROBES = "stdev, adev, robev"
BEFORE_SLF = "stdev, adev, robev, finetune, finetune_v1, standard, pgd_at, alp, trades"
VARIANT = "ccc, cca, cac, caa, acc, aca, aac or aaa"
LARS = "lr, momentum, weight_decay, warmup_epochs, final_lr, trust, layerwise, lr_scaling"
VIEWS = "crop_scale, interpolation, jitter, grayscale, blur, flip, affine"
ATTACKS = ", ".join(SHIPPED["attacks"])
OVER_RADII = {"attacks": ["linf_pgd20"], "eighths": [8]}

WRONG_VALUES = [  # key, value, as it is shown, what is allowed
    ("profile", "papr", '"papr"', "demo, small, paper"),
    ("profile", None, "null", "demo, small, paper"),
    ("profile", ["demo"], '["demo"]', "demo, small, paper"),
    (
        "profiles.demo",
        None,
        "null",
        "a mapping with the keys data, model, epsilon, engine, scale, pretrain, recipes, early_stopping, attacks",
    ),
    ("profiles.demo.data.source", "cifar100", '"cifar100"', "digits or cifar"),
    ("profiles.demo.data.train", 0, "0", f"{FROM_1}, or null"),
    ("profiles.demo.data.test", "all", '"all"', f"{FROM_1}, or null"),
    ("profiles.demo.model.width", 15, "15", "an even number from 2 up"),
    ("profiles.demo.model.width", 16.0, "16.0", "an even number from 2 up"),
    ("profiles.demo.model.architecture", "vgg16", '"vgg16"', "a ResNet of timm, such as resnet18"),
    ("profiles.demo.epsilon", 0.1, "0.1", "a mapping"),
    ("profiles.demo.epsilon.linf", 8, "8", RADIUS),
    ("profiles.demo.epsilon.linf", "8/0", '"8/0"', RADIUS),
    ("profiles.demo.epsilon.linf", "255/8", '"255/8"', RADIUS),
    ("profiles.demo.epsilon.linf", "eight", '"eight"', RADIUS),
    ("profiles.demo.epsilon.linf", 0, "0", RADIUS),
    ("profiles.demo.epsilon.linf", float("nan"), "NaN", RADIUS),
    ("profiles.demo.epsilon.l1", -12, "-12", ABOVE_0),
    ("profiles.demo.epsilon.l1", float("inf"), "Infinity", ABOVE_0),
    ("profiles.demo.epsilon.l1", "1e400", '"1e400"', ABOVE_0),
    ("profiles.demo.epsilon.l2", None, "null", ABOVE_0),
    ("profiles.demo.engine.device", "gpu", '"gpu"', "auto, cpu or cuda"),
    ("profiles.demo.engine.precision", 16, "16", "float32 or bfloat16"),
    ("profiles.demo.engine.compile", "true", '"true"', "true, false, encoders or step"),
    ("profiles.demo.engine.compile", 1, "1", "true, false, encoders or step"),
    ("profiles.demo.engine.threads", -1, "-1", "a whole number from 0 up"),
    ("profiles.demo.scale.short", "forty", '"forty"', FROM_1),
    ("profiles.demo.scale.batch_size", 0, "0", ABOVE_0),
    ("profiles.demo.pretrain", None, "null", "a mapping"),
    ("profiles.demo.pretrain.every", None, "null", "a mapping"),
    ("profiles.demo.pretrain.acl", 3, "3", "a mapping"),
    ("profiles.demo.pretrain.every.views.jitter.hue", 0.7, "0.7", "a number from 0 to 0.5"),
    (
        "profiles.demo.pretrain.every.views.affine.scale",
        [1.2, 0.8],
        "[1.2, 0.8]",
        "two numbers above 0, the smaller one first",
    ),
    ("profiles.demo.pretrain.every.views.affine.degrees", 181, "181", "a number from 0 to 180"),
    ("profiles.demo.recipes.stdev", None, "null", "a mapping"),
    ("profiles.demo.recipes.every", [1], "[1]", "a mapping"),
    ("profiles.demo.recipes.stdev.epochs", "ten", '"ten"', FROM_1),
    ("profiles.demo.recipes.stdev.epochs", 0, "0", FROM_1),
    ("profiles.demo.attacks.l2_cw", None, "null", "a mapping"),
    ("profiles.demo.attacks.l2_cw.steps", 1.5, "1.5", FROM_1),
    ("profiles.demo.early_stopping.images", 0, "0", FROM_1),
    ("pretrain", None, "null", "a mapping with the keys amoc, amoc_cheaper, acl"),
    ("pretrain.amoc.variant", "abc", '"abc"', VARIANT),
    ("pretrain.amoc.variant", ["aca"], '["aca"]', VARIANT),
    ("pretrain.amoc.branch", "dirty", '"dirty"', "auto, clean or adv"),
    ("pretrain.amoc.epochs", "shrt", '"shrt"', "short, long or a whole number from 1 up"),
    ("pretrain.amoc.epochs", 0, "0", "short, long or a whole number from 1 up"),
    ("pretrain.amoc.batch_size", 8.0, "8.0", FROM_2),
    ("pretrain.amoc.batch_size", "256", '"256"', FROM_2),
    ("pretrain.amoc.batch_size", True, "true", FROM_2),
    ("pretrain.amoc.batch_size", -256, "-256", FROM_2),
    ("pretrain.amoc.bank_length", None, "null", FROM_1),
    ("pretrain.amoc.temperature", 0, "0", ABOVE_0),
    ("pretrain.amoc.temperature", "warm", '"warm"', ABOVE_0),
    ("pretrain.amoc.temperature", True, "true", ABOVE_0),
    ("pretrain.amoc.lambda", 1.5, "1.5", TO_1),
    ("pretrain.amoc.key_momentum", -0.1, "-0.1", TO_1),
    ("pretrain.amoc.bank_adv", "still", '"still"', "moving or frozen"),
    ("pretrain.amoc.enqueue", "later", '"later"', "after or before"),
    ("pretrain.amoc.seed", -1, "-1", SEED),
    ("pretrain.amoc.seed", 2**31, "2147483648", SEED),
    ("pretrain.amoc.attack", None, "null", "a mapping with the keys steps, relative_step, random_start"),
    ("pretrain.amoc.attack.steps", 0, "0", FROM_1),
    ("pretrain.amoc.attack.random_start", "true", '"true"', "true or false"),
    ("pretrain.amoc.optimizer.lr", -0.1, "-0.1", ABOVE_0),
    ("pretrain.amoc.optimizer.lr", None, "null", ABOVE_0),
    ("pretrain.amoc.optimizer.momentum", 1, "1", "a number from 0 to below 1"),
    ("pretrain.amoc.optimizer.weight_decay", -1e-4, "-0.0001", "a number from 0 up"),
    ("pretrain.amoc.projector", 128, "128", "a mapping with the keys hidden, output"),
    ("pretrain.amoc.views", None, "null", f"a mapping with the keys {VIEWS}"),
    ("pretrain.amoc.views.crop_scale", [0.2], "[0.2]", CROP),
    ("pretrain.amoc.views.crop_scale", 0.2, "0.2", CROP),
    ("pretrain.amoc.views.crop_scale", [1.0, 0.2], "[1.0, 0.2]", CROP),
    ("pretrain.amoc.views.crop_scale", [0.2, 1.2], "[0.2, 1.2]", CROP),
    ("pretrain.amoc.views.crop_scale", [0, 1, 2], "[0, 1, 2]", CROP),
    (
        "pretrain.amoc.views.jitter",
        True,
        "true",
        "a mapping with the keys probability, brightness, contrast, saturation, hue, or null",
    ),
    ("pretrain.amoc.views.flip", "yes", '"yes"', TO_1),
    ("pretrain.acl.form", "s2s", '"s2s"', "ds, a2s or a2a"),
    ("pretrain.acl.form", ["ds"], '["ds"]', "ds, a2s or a2a"),
    ("pretrain.acl.branch", "auto", '"auto"', "clean or adv"),
    ("pretrain.acl.normalisation", "cifar", '"cifar"', "dataset or imagenet"),
    ("pretrain.acl.normalisation", None, "null", "dataset or imagenet"),
    ("pretrain.acl.temperature", 0, "0", ABOVE_0),
    ("pretrain.acl.batch_size", 512.0, "512.0", FROM_2),
    ("pretrain.acl.optimizer", None, "null", f"a mapping with the keys {LARS}"),
    ("pretrain.acl.optimizer.lr", 0, "0", ABOVE_0),
    ("pretrain.acl.optimizer.trust", 0, "0", ABOVE_0),
    ("pretrain.acl.optimizer.final_lr", -1e-6, "-1e-06", "a number from 0 up"),
    ("pretrain.acl.optimizer.layerwise", "matrices", '"matrices"', "weights or all"),
    ("pretrain.acl.optimizer.lr_scaling", True, "true", "linear or none"),
    ("pretrain.acl.projector", None, "null", "a mapping with the keys hidden, output, layers"),
    ("pretrain.acl.projector.layers", 1, "1", FROM_2),
    ("runs", [], "[]", "a mapping"),
    ("runs.cifar10", None, "null", "a mapping"),
    ("runs.cifar10.amoc", None, "null", "a mapping"),
    ("runs.cifar10.amoc", "amoc", '"amoc"', "a mapping"),
    ("runs.cifar10.amoc.method", "mocov3", '"mocov3"', "amoc, amoc_cheaper, acl"),
    ("runs.cifar10.amoc.method", ["amoc"], '["amoc"]', "amoc, amoc_cheaper, acl"),
    ("runs.cifar10.amoc.variant", "acx", '"acx"', VARIANT),
    ("recipes.stdev.objective", "cross_entropy", '"cross_entropy"', "standard, pgd_at, alp or trades"),
    ("recipes.stdev.epochs", 0, "0", FROM_1),
    ("recipes.stdev.milestones", 15, "15", "a list of whole numbers"),
    ("recipes.stdev.milestones", ["a"], '["a"]', "a list of whole numbers"),
    ("recipes.stdev.milestones", [15, None], "[15, null]", "a list of whole numbers"),
    ("recipes.stdev.batch_size", 1, "1", FROM_2),
    ("recipes.stdev.shift.pad", -1, "-1", "a whole number from 0 up"),
    ("probes", "stdev", '"stdev"', f"a list of some of {HEADS}"),
    ("protocols", [], "[]", "a mapping"),
    ("probes", [], "[]", f"a list of some of {HEADS}"),
    ("protocols.peers", [], "[]", f"a list of some of {', '.join(SHIPPED['recipes'])}"),
    ("protocols.peers", "slf", '"slf"', f"a list of some of {', '.join(SHIPPED['recipes'])}"),
    ("attacked_probe", "robust", '"robust"', PROBES),
    ("attacked_probe", "finetune", '"finetune"', PROBES),
    ("attacked_probe", ["adev"], '["adev"]', PROBES),
    ("classifiers.cifar10", [], "[]", "a mapping"),
    ("classifiers.cifar10.trades", "trades", '"trades"', "a mapping"),
    ("classifiers.cifar10.trades.recipe", "tradse", '"tradse"', WHOLE),
    ("classifiers.cifar10.trades.recipe", "stdev", '"stdev"', WHOLE),
    ("classifiers.cifar10.trades.recipe", ["trades"], '["trades"]', WHOLE),
    ("classifiers.cifar10.trades.encoder", "aclo", '"aclo"', ", ".join(SHIPPED["runs"]["cifar10"])),
    ("classifiers.cifar10.trades.seed", "1", '"1"', SEED),
    ("early_stopping.every", 0, "0", FROM_1),
    ("attacks.linf_pgd20", None, "null", "a mapping"),
    ("attacks.linf_pgd20.kind", "fgsm", '"fgsm"', "pgd, slide, deepfool, carlini_wagner, autoattack"),
    ("attacks.linf_pgd20.kind", ["pgd"], '["pgd"]', "pgd, slide, deepfool, carlini_wagner, autoattack"),
    ("attacks.linf_pgd20.norm", "l0", '"l0"', "linf, l1, l2"),
    ("attacks.l1_slide.norm", "l2", '"l2"', "l1"),
    ("attacks.linf_pgd20.steps", "20", '"20"', FROM_1),
    ("attacks.l2_cw.images", 0, "0", f"{FROM_1}, or null"),
    ("suites", None, "null", "a mapping"),
    ("suites.table5", "linf_pgd20", '"linf_pgd20"', f"a list of some of {ATTACKS}"),
    ("suites.probe", [], "[]", f"a list of some of {ATTACKS}"),
    ("suites.single", [], "[]", f"a list of some of {ATTACKS}"),
    *(
        (f"suites.{name}", OVER_RADII, '{"attacks": ["linf_pgd20"], "eighths": [8]}', f"a list of some of {ATTACKS}")
        for name in ("probe", "table5", "early_stopped", "peers")
    ),
    ("evaluate", None, "null", "a mapping"),
    ("evaluate.batch_size", 0, "0", FROM_1),
    ("embedding", None, "null", "a mapping"),
    ("embedding.perplexity", 0, "0", ABOVE_0),
    ("embedding.images", 1, "1", FROM_2),
    ("embedding.seed", 1.0, "1.0", SEED),
    ("embedding.neighbours", 0, "0", FROM_1),
]


@pytest.mark.parametrize(
    ("key", "value", "shown", "allowed"), WRONG_VALUES, ids=[f"{row[0]} {row[2]}" for row in WRONG_VALUES]
)
def test_a_wrong_value_is_refused(key, value, shown, allowed):
    assert refusal(changed((key, value))) == f"{key} is {shown}, allowed is {allowed}"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("probes", ["stdev", "selfie"], f'probes[1] is "selfie", allowed is {HEADS}'),
        ("protocols.peers", ["selfie"], f'protocols.peers[0] is "selfie", allowed is {", ".join(SHIPPED["recipes"])}'),
        ("protocols.mine", ["slf"], f"suites has no mine, it has {', '.join(SHIPPED['suites'])}"),
        ("protocols.probes", [], 'a name in protocols is "probes", allowed is any but this: the key probes has those'),
        ("recipes.slf.extends", "selfie", f'recipes.slf.extends is "selfie", allowed is {BEFORE_SLF}'),
        ("recipes.slf.extends", "slf", f'recipes.slf.extends is "slf", allowed is {BEFORE_SLF}'),
        ("recipes.slf.extends", "aff", f'recipes.slf.extends is "aff", allowed is {BEFORE_SLF}'),
        ("probes", ["finetune"], f'probes[0] is "finetune", allowed is {HEADS}'),
        ("probes", [["stdev"]], f'probes[0] is ["stdev"], allowed is {HEADS}'),
        ("suites.table5", ["linf_pgd20", "linf_pgd2"], f'suites.table5[1] is "linf_pgd2", allowed is {ATTACKS}'),
        ("runs.cifar10.amoc", {}, "runs.cifar10.amoc.method is null, allowed is amoc, amoc_cheaper, acl"),
        ("runs.cifar10.amoc.optimizer", {"lr": 0}, f"runs.cifar10.amoc.optimizer.lr is 0, allowed is {ABOVE_0}"),
        ("profiles.small.pretrain.amoc", {"lr": 1, "optimizer": {"lr": "fast"}},
         "unknown key profiles.small.pretrain.amoc.lr, allowed are method, epochs, batch_size, temperature, "
         "seed, attack, optimizer, projector, views, zero_init_last, variant, branch, bank_length, lambda, "
         "key_momentum, bank_adv, enqueue, attack_key, attack_mode"),
        ("profiles.small.pretrain.acl", {"variant": "aca"},
         "unknown key profiles.small.pretrain.acl.variant, allowed are method, epochs, batch_size, "
         "temperature, seed, attack, optimizer, projector, views, zero_init_last, form, branch, normalisation"),
        ("profiles.small.pretrain.every.optimizer", {"lr": []},
         f"profiles.small.pretrain.every.optimizer.lr is [], allowed is {ABOVE_0}"),
        ("profiles.demo.pretrain.acl", {"optimizer": {"final_lr": "low"}},
         'profiles.demo.pretrain.acl.optimizer.final_lr is "low", allowed is a number from 0 up'),
        ("profiles.small.recipes.every", {"lr": -1}, f"profiles.small.recipes.every.lr is -1, allowed is {ABOVE_0}"),
        ("pretrain.amoc.projector", 100 * "x",
         f'pretrain.amoc.projector is "{56 * "x"}..., allowed is a mapping with the keys hidden, output'),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_where_it_was_written(key, value, sentence):
    assert refusal(changed((key, value))) == sentence


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("profil", ", ".join(SHIPPED)),
        ("profiles.tiny", "demo, small, paper"),
        ("profiles.demo.modle", "data, model, epsilon, engine, scale, pretrain, recipes, early_stopping, attacks"),
        ("profiles.demo.data.tain", "source, train, test"),
        ("profiles.demo.scale.epochs", "short, long, batch_size, bank_length"),
        ("profiles.demo.pretrain.every.views.jiter", VIEWS),
        ("profiles.demo.pretrain.moco", "every, amoc, amoc_cheaper, acl"),
        ("profiles.demo.recipes.stdv", f"every, {', '.join(SHIPPED['recipes'])}"),
        ("profiles.demo.recipes.every.batchsize",
         "objective, train, epochs, milestones, batch_size, lr, momentum, weight_decay, shift, beta, attack"),
        ("profiles.demo.attacks.l2_cww", ATTACKS),
        ("profiles.demo.attacks.l2_cw.step", "norm, images, kind, steps, lr, binary_search_steps, initial_const"),
        ("profiles.demo.early_stopping.image", "images, every, steps, relative_step"),
        ("pretrain.moco", "amoc, amoc_cheaper, acl"),
        ("pretrain.acl.optimizer.kind", LARS),
        ("pretrain.amoc.views.jiter", VIEWS),
        ("pretrain.amoc.views.jitter.bright", "probability, brightness, contrast, saturation, hue"),
        ("pretrain.amoc.optimizer.nesterov", "lr, momentum, weight_decay, warmup_epochs"),
        ("runs.mnist", "cifar10, cifar100"),
        ("recipes.stdev.shift.crop", "pad, flip"),
        ("classifiers.mnist", "cifar10, cifar100"),
        ("classifiers.cifar10.trades.lr", "recipe, encoder, seed"),
        ("early_stopping.image", "images, every, steps, relative_step"),
        ("attacks.linf_pgd20.overshoot", "norm, images, kind, steps, relative_step"),
        ("evaluate.batchsize", "batch_size, seed"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_at_every_level(key, allowed):
    assert refusal(changed((key, 1))) == f"unknown key {key}, allowed are {allowed}"


@pytest.mark.parametrize(
    "key",
    [
        "pretrain.amoc.lamda",
        "pretrain.amoc.lambda_",
        "profiles.demo.pretrain.amoc.key_momentun",
        "runs.cifar10.amoc.batchsize",
    ],
)
def test_an_unknown_setting_of_a_run_is_refused(key):
    """lambda_ is what Python calls it; in the file it would be a second lambda, without effect."""
    sentence = refusal(changed((key, 0.5)))
    assert re.fullmatch(rf"unknown key {re.escape(key)}, allowed are method, .*, variant, .*, lambda, .*", sentence)


def test_a_misspelt_key_is_named_rather_than_the_one_that_is_missing():
    assert (
        refusal(changed(("evaluate.batch_size", ABSENT), ("evaluate.batchsize", 250)))
        == "unknown key evaluate.batchsize, allowed are batch_size, seed"
    )


def test_a_key_that_is_a_number_is_unknown():
    raw = changed()
    raw["evaluate"][250] = 1
    assert refusal(raw) == "unknown key evaluate.250, allowed are batch_size, seed"


@pytest.mark.parametrize(
    "key",
    [
        "profile", "evaluate", "embedding", "embedding.neighbours",
        "profiles.small", "profiles.demo.scale", "profiles.demo.data.test",
        "profiles.demo.model.width", "pretrain.amoc.seed", "pretrain.amoc.views.blur.sigma", "recipes.stdev.attack",
        "pretrain.acl.optimizer.layerwise", "pretrain.acl.normalisation",
        "classifiers.cifar10.trades.encoder", "early_stopping.images", "attacks.linf_pgd20.relative_step",
    ],
)  # fmt: skip
def test_a_missing_key_is_refused(key):
    assert refusal(changed((key, ABSENT))) == f"the key {key} is missing"


def test_a_key_missing_from_what_a_profile_brings_in_is_missing_there():
    raw = changed(("profiles.small.pretrain.every.views", {"affine": {"degrees": 5.0}}))
    assert refusal(raw) == "the key profiles.small.pretrain.every.views.affine.translate is missing"


def test_a_scaled_bank_is_never_shorter_than_one_and_a_half_batches():
    """Figure 6's shortest, 4 batches of the paper, would be half a batch of a small profile."""
    params = Params(changed(("profiles.demo.scale.bank_length", 0.002), ("profiles.demo.scale.batch_size", 0.5)))
    assert params.pretraining("demo", "cifar10", "amoc").bank_length == 192
    shipped = Params.load(FILE)
    runs = ("amoc_k1024", "amoc_k4096", "amoc_k16384", "amoc", "amoc_k65536")
    lengths = {p: [shipped.pretraining(p, "cifar10", run).bank_length for run in runs] for p in ("small", "paper")}
    assert lengths == {"small": [96, 128, 512, 1024, 2048], "paper": [1024, 4096, 16384, 32768, 65536]}


def test_a_suite_over_radii_has_each_attack_at_each_eighth_of_epsilon():
    raw = changed(("suites.radii", {"attacks": ["linf_pgd20", "l1_slide"], "eighths": [2, 24]}))
    suite = Params(raw).suite("demo", "radii")
    assert {name: (attack.kind, attack.epsilon) for name, attack in suite.items()} == {
        "linf_pgd20_eps_2": ("pgd", pytest.approx(0.15 / 4)), "linf_pgd20_eps_24": ("pgd", pytest.approx(0.45)),
        "l1_slide_eps_2": ("slide", 1.0), "l1_slide_eps_24": ("slide", 12.0),
    }  # fmt: skip
    assert Params(raw).suite_radii("radii") == [2, 24]
    assert not Params(raw).over_radii("table5")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"attacks": ["linf_pgd20"], "eighths": [0]}, "suites.radii.eighths is [0], allowed is a list of whole "),
        ({"attacks": ["linf_pgd20"], "eighths": 8}, "suites.radii.eighths is 8, allowed is a list of whole numbers"),
        ({"attacks": ["linf_pgd20"], "eighths": []}, "suites.radii.eighths is [], allowed is a list of whole numbers"),
        ({"attacks": ["linf_pgd20"], "eighths": [8, 8]}, "suites.radii.eighths is [8, 8], allowed is each number once"),
        ({"attacks": [], "eighths": [8]}, "suites.radii.attacks is [], allowed is a list of some of linf_pgd20, "),
        ({"attacks": ["fgsm"], "eighths": [8]}, 'suites.radii.attacks[0] is "fgsm", allowed is linf_pgd20, '),
        ({"attacks": ["linf_pgd20"]}, "the key suites.radii.eighths is missing"),
        ({"attacks": [], "eighths": [8], "steps": 3}, "unknown key suites.radii.steps, allowed are attacks, eighths"),
    ],
)
def test_a_suite_over_radii_that_cannot_be_is_refused(value, sentence):
    assert refusal(changed(("suites.radii", value))).startswith(sentence)


def test_a_missing_suite_is_refused():
    others = ", ".join(name for name in SHIPPED["suites"] if name != "probe")
    assert refusal(changed(("suites.probe", ABSENT))) == f"suites has no probe, it has {others}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("amoc.b64", '"amoc.b64"'),
        ("Amoc", '"Amoc"'),
        ("amoc-b64", '"amoc-b64"'),
        ("64b", '"64b"'),
        ("", '""'),
        (64, "64"),
        (None, "null"),
        (True, "true"),
    ],
)
@pytest.mark.parametrize("where", ["runs.cifar10", "classifiers.cifar10", "recipes", "attacks", "protocols"])
def test_a_name_that_dvc_cannot_take_is_refused(name, shown, where):
    raw = changed()
    section = raw
    for key in where.split("."):
        section = section[key]
    section[name] = {}
    assert refusal(raw) == f"a name in {where} is {shown}, allowed is {NAME}"


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_name_of_an_encoder_and_a_network_is_refused(dataset):
    """Their files would be the same one."""
    raw = changed((f"classifiers.{dataset}.amoc", {"recipe": "standard", "encoder": None, "seed": 1}))
    sentence = f'a name in classifiers.{dataset} is "amoc", allowed is none that runs.{dataset} has'
    assert refusal(raw) == sentence
    assert refusal(changed((f"runs.{dataset}.trades", {"method": "amoc"}))) == sentence.replace("amoc", "trades")


TOGETHER = [
    ({"pretrain.amoc.bank_length": 128},
     "runs.cifar10.amoc in profile paper: bank_length 128 must be larger than batch_size 256"),
    ({"runs.cifar10.moco.bank_length": 256},
     "runs.cifar10.moco in profile paper: bank_length 256 must be larger than batch_size 256"),
    ({"profiles.demo.scale.batch_size": 0.001},
     "runs.cifar10.amoc in profile demo: batch_size 256 times scale.batch_size 0.001 is 0, "
     "allowed is a whole number from 2 up"),
    ({"pretrain.amoc.optimizer.warmup_epochs": 200},
     "runs.cifar10.amoc in profile paper: optimizer.warmup_epochs 200 must be smaller than epochs 200"),
    ({"pretrain.acl.optimizer.warmup_epochs": 200},
     "runs.cifar10.acl in profile paper: optimizer.warmup_epochs 200 must be smaller than epochs 200"),
    ({"pretrain.acl.optimizer.final_lr": 6},
     "runs.cifar10.acl in profile paper: optimizer.final_lr 6 must be at most optimizer.lr 5"),
    ({"runs.cifar10.acl.form": "a2a", "runs.cifar10.acl.branch": "clean"},
     "runs.cifar10.acl in profile paper: branch clean is not trained by form a2a, it must be adv"),
    ({"runs.cifar10.moco.branch": "adv"},
     "runs.cifar10.moco in profile paper: branch adv is not trained by variant ccc, it must be clean"),
    ({"runs.cifar10.cac.branch": "adv"},
     "runs.cifar10.cac in profile paper: branch adv is not trained by variant cac, it must be clean"),
    ({"profiles.demo.scale.batch_size": 0.003},
     "runs.cifar10.amoc in profile demo: batch_size 256 times scale.batch_size 0.003 is 1, "
     "allowed is a whole number from 2 up"),
    ({"pretrain.acl.batch_size": "many", "runs.cifar10.acl.batch_size": 64},
     'pretrain.acl.batch_size is "many", allowed is a whole number from 2 up'),
    ({"recipes.trades.milestones": [9, 5]}, "recipes.trades: milestones [9, 5] must grow from 1 to at most epochs 76"),
    ({"recipes.trades.milestones": [77]}, "recipes.trades: milestones [77] must grow from 1 to at most epochs 76"),
    ({"recipes.trades.milestones": [0, 9]}, "recipes.trades: milestones [0, 9] must grow from 1 to at most epochs 76"),
    ({"profiles.demo.recipes.stdev": {"epochs": 10, "milestones": [15]}},
     "recipes.stdev in profile demo: milestones [15] must grow from 1 to at most epochs 10"),
    ({"recipes.adev.attack": None}, "recipes.adev: attack must be given, not null, for the objective trades"),
    ({"recipes.stdev.attack": {"steps": 1, "relative_step": 1, "random_start": True}},
     "recipes.stdev: attack must be null for the objective standard"),
    ({"recipes.alp.beta": None}, "recipes.alp: beta must be given, not null, for the objective alp"),
    ({"recipes.robev.beta": 6}, "recipes.robev: beta must be null for the objective pgd_at"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), TOGETHER)
def test_values_that_do_not_go_together_are_refused(changes, sentence):
    assert refusal(changed(*changes.items())) == sentence


BEYOND = [
    ({"profiles.demo.data.train": 1438},
     "profiles.demo.data.train is 1438, allowed is at most 1437, all that digits has, or null"),
    ({"profiles.demo.data.test": 361},
     "profiles.demo.data.test is 361, allowed is at most 360, all that digits has, or null"),
    ({"profiles.paper.data.train": 50001},
     "profiles.paper.data.train is 50001, allowed is at most 50000, all that cifar has, or null"),
    ({"profiles.small.data.test": 10001},
     "profiles.small.data.test is 10001, allowed is at most 10000, all that cifar has, or null"),
    ({"profiles.demo.early_stopping.images": 1437},
     "profiles.demo.early_stopping.images is 1437, allowed is at most 1436 of 1437 training images in profile demo"),
    ({"profiles.small.early_stopping": {}, "early_stopping.images": 5000},
     "early_stopping.images is 5000, allowed is at most 4999 of 5000 training images in profile small"),
    ({"embedding.neighbours": 1438},
     "embedding.neighbours is 1438, allowed is at most 1437, the training images of profile demo"),
    ({"embedding.perplexity": 360, "embedding.images": 500},
     "embedding.perplexity is 360, allowed is less than the 360 images drawn in profile demo"),
    ({"embedding.perplexity": 30.0, "embedding.images": 30},
     "embedding.perplexity is 30.0, allowed is less than the 30 images drawn in profile paper"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), BEYOND)
def test_more_images_than_there_are_are_refused(changes, sentence):
    assert refusal(changed(*changes.items())) == sentence


def test_all_images_that_there_are_are_accepted():
    raw = changed(
        ("profiles.demo.data", {"source": "digits", "train": 1437, "test": 360}),
        ("profiles.demo.early_stopping.images", 1436), ("embedding.neighbours", 1437), ("embedding.perplexity", 359.5),
    )  # fmt: skip
    Params(raw).check()


@pytest.mark.parametrize("key", ["batch_size", "bank_length", "epochs"])
@pytest.mark.parametrize("of", ["every", "amoc", "acl"])
def test_a_profile_changes_sizes_through_its_scale_alone(key, of):
    raw = changed((f"profiles.demo.pretrain.{of}.{key}", 64))
    assert refusal(raw) == f"profiles.demo.pretrain.{of}.{key} is not allowed: profiles.demo.scale changes it"


@pytest.mark.parametrize(
    "where",
    [
        "pretrain.amoc",
        "runs.cifar10.amoc",
        "recipes.stdev",
        "attacks.linf_pgd20",
        "pretrain.acl",
        "profiles.demo.pretrain.every",
        "profiles.demo.pretrain.acl",
        "profiles.demo.attacks.l2_cw",
    ],
)
def test_epsilon_is_the_profiles_alone(where):
    """Elsewhere it would be without effect."""
    assert (
        refusal(changed((f"{where}.epsilon", 0.1)))
        == f"{where}.epsilon is not allowed: profiles.<profile>.epsilon sets it"
    )


@pytest.mark.parametrize(("raw", "shown"), [(None, "null"), ([], "[]"), ("demo", '"demo"')])
def test_a_file_of_another_kind_is_refused(raw, shown):
    assert refusal(raw) == f"the file is {shown}, allowed is a mapping with the keys {', '.join(SHIPPED)}"


# ---------------------------------------------------------------- asked for what is not there


def test_what_is_not_in_the_file_is_refused_when_it_is_asked_for():
    params = Params.load(FILE)
    runs, networks = ", ".join(SHIPPED["runs"]["cifar10"]), ", ".join(SHIPPED["classifiers"]["cifar10"])
    for ask, sentence in (
        (lambda: params.pretraining("demo", "cifar10", "amok"), f"runs.cifar10 has no amok, it has {runs}"),
        (lambda: params.pretraining("demo", "svhn", "amoc"), "runs has no svhn, it has cifar10, cifar100"),
        (lambda: params.classifying("demo", "cifar10", "amoc"), f"classifiers.cifar10 has no amoc, it has {networks}"),
        (lambda: params.protocols("demo", "mine"), "protocols has no mine, it has peers"),
        (lambda: params.recipe("demo", "selfie"), f"recipes has no selfie, it has {', '.join(SHIPPED['recipes'])}"),
        (lambda: params.attack("demo", "fgsm"), f"attacks has no fgsm, it has {ATTACKS}"),
        (lambda: params.suite("demo", "table9"), f"suites has no table9, it has {', '.join(SHIPPED['suites'])}"),
        (lambda: params.data("large"), "profiles has no large, it has demo, small, paper"),
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert str(refused.value) == f"{FILE}: {sentence}"


# ---------------------------------------------------------------- files


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"params\.yaml is missing: run the command in the folder that holds it"):
        Params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("profile: demo", "profile: [demo", r"line \d+ is not valid YAML: "),
        ("profile: demo", "profile: demo\nprofile: small", r"line \d+ is not valid YAML: found duplicate key"),
        ("profile: demo", "profile: de\x07mo", "is not valid YAML: "),
        ("profile: demo", "profile: *demo", r"line \d+ is not valid YAML: "),
    ],
)
def test_a_file_that_is_not_yaml_is_refused(tmp_path, old, new, sentence):
    with pytest.raises(Refusal, match=rf"params\.yaml ?{sentence}") as refused:
        Params.load(written(tmp_path, (old, new)))
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("profile: démo".encode("latin-1"))
    for path in (tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(Refusal, match=f"{re.escape(str(path))} cannot be read: "):
            Params.load(path)


def test_a_wrong_value_in_a_file_is_refused_with_its_path(tmp_path):
    path = written(tmp_path, ("lr: 0.1, momentum", "lr: fast, momentum"))
    with pytest.raises(
        Refusal, match=rf'{re.escape(str(path))}: pretrain\.amoc\.optimizer\.lr is "fast", allowed is a number above 0'
    ):
        Params.load(path)
