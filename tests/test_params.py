"""params.yaml: what is accepted, and how settings are merged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from amoc import datasets
from amoc.layers import merge
from amoc.params import DATASETS, PROFILES, Params
from amoc.settings import METHODS, AutoAttack, lineage
from tests.shipped import FILE, changed, settings, written

SHIPPED = settings()

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
    assert acl.optimizer.plain() == {  # but that norms and biases are scaled and decay too, as in ACL's own code
        "lr": 5.0, "momentum": 0.9, "weight_decay": 1e-6, "warmup_epochs": 10, "final_lr": 1e-6, "trust": 0.001,
        "layerwise": "all", "lr_scaling": "linear",
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
    assert {name: r.pairing for name, r in recipes.items() if r.pairing} == {"alp": "norm"}
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
        ({"runs.cifar10.acl.optimizer": {"lr": 2.0}}, 2.0),  # a run says its own rate
        ({"profiles.demo.pretrain.acl": {"optimizer": {"lr": 3.0}}}, 3.0 / 4),  # a profile the method's
        ({"profiles.demo.pretrain.acl": {"optimizer": {"lr": 3.0}}, "runs.cifar10.acl.batch_size": 64}, 3.0 / 32),
        ({"profiles.demo.pretrain.acl": {"optimizer": {"lr": 3.0, "lr_scaling": "none"}}}, 3.0),
        ({"profiles.demo.pretrain.every.optimizer": {"lr": 3.0}}, 3.0 / 4),
    ],
)
def test_the_rate_of_acl_is_linear_in_the_batch(changes, rate):
    as_the_paper = ("profiles.demo.pretrain.acl", {}), ("profiles.demo.pretrain.amoc", {"key_momentum": 0.99})
    raw = changed(("profiles.demo.scale.batch_size", 0.25), *as_the_paper, *changes.items())
    acl = Params(raw).pretraining("demo", "cifar10", "acl")
    assert acl.optimizer.lr == pytest.approx(rate, rel=1e-12)
    if "profiles.demo.pretrain.every.optimizer" not in changes:
        assert Params(raw).pretraining("demo", "cifar10", "amoc").optimizer.lr == 0.1


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [(25, (15, 20)), (50, (30, 40)), (10, (6, 8)), (5, (3, 4)), (4, (2, 3)), (3, (1, 2)), (2, (1,)), (1, ())],
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
        "l2_autoattack": 0.8,
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
