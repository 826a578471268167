"""params.yaml: a wrong value is refused in one sentence that says what is allowed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from amoc.params import DATASETS, Params
from amoc.refusal import Refusal
from amoc.settings import METHODS
from tests.shipped import ABSENT, FILE, changed, settings, written

SHIPPED = settings()


def refusal(raw: Any) -> str:
    """The sentence with which the whole file is refused."""
    with pytest.raises(Refusal) as refused:
        Params(raw).check()
    sentence = str(refused.value)
    assert sentence.startswith("params.yaml: ")
    assert "\n" not in sentence
    assert refused.value.__cause__ is None
    return sentence.removeprefix("params.yaml: ")


FROM_1, FROM_2, ABOVE_0, TO_1 = (
    "a whole number from 1 up",
    "a whole number from 2 up",
    "a number above 0",
    "a number from 0 to 1",
)
STEP = "a number above 0 and up to 2, of epsilon: 2 crosses the ball"
RESNETS = "a plain ResNet of timm, such as"
RADIUS = "a number above 0 and up to 1, such as 8/255, in pixel units"
NAME = "a letter a-z, then any of a-z, 0-9 and _"
SEED = "a whole number from 0 to 2147483647"
CROP = "two shares of the area, above 0 and up to 1, the smaller one first, or null"
METHOD = ", ".join(METHODS)
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
    ("profiles.demo.model.architecture", "vgg16", '"vgg16"', f"{RESNETS} resnet18, resnet34 or resnet50"),
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
    ("pretrain", None, "null", f"a mapping with the keys {METHOD}"),
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
    ("runs.cifar10.amoc.method", "mocov3", '"mocov3"', METHOD),
    ("runs.cifar10.amoc.method", ["amoc"], '["amoc"]', METHOD),
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
        (
            "runs.cifar10.amoc_zero_init.zero_init_last",
            "yes",
            'runs.cifar10.amoc_zero_init.zero_init_last is "yes", allowed is true or false',
        ),
        ("protocols.peers", ["selfie"], f'protocols.peers[0] is "selfie", allowed is {", ".join(SHIPPED["recipes"])}'),
        ("protocols.mine", ["slf"], f"suites has no mine, it has {', '.join(SHIPPED['suites'])}"),
        ("protocols.probes", [], 'a name in protocols is "probes", allowed is any but this: the key probes has those'),
        ("recipes.slf.extends", "selfie", f'recipes.slf.extends is "selfie", allowed is {BEFORE_SLF}'),
        ("recipes.slf.extends", "slf", f'recipes.slf.extends is "slf", allowed is {BEFORE_SLF}'),
        ("recipes.slf.extends", "aff", f'recipes.slf.extends is "aff", allowed is {BEFORE_SLF}'),
        ("probes", ["finetune"], f'probes[0] is "finetune", allowed is {HEADS}'),
        ("probes", [["stdev"]], f'probes[0] is ["stdev"], allowed is {HEADS}'),
        ("suites.table5", ["linf_pgd20", "linf_pgd2"], f'suites.table5[1] is "linf_pgd2", allowed is {ATTACKS}'),
        ("runs.cifar10.amoc", {}, f"the key runs.cifar10.amoc.method is missing, allowed is {METHOD}"),
        ("runs.cifar10.amoc.method", None, f"runs.cifar10.amoc.method is null, allowed is {METHOD}"),
        ("pretrain.amoc.method", "acl", "pretrain.amoc.method is not allowed: each of runs says its own"),
        ("profiles.small.pretrain.every.method", "amoc",
         "profiles.small.pretrain.every.method is not allowed: each of runs says its own"),
        ("probes", ["stdev", "adev", "adev"], 'probes is ["stdev", "adev", "adev"], allowed is each name once'),
        ("suites.single", 2 * ["linf_one_step"],
         'suites.single is ["linf_one_step", "linf_one_step"], allowed is each name once'),
        ("attacks.l1_slide.relative_step", 2.5, f"attacks.l1_slide.relative_step is 2.5, allowed is {STEP}"),
        ("pretrain.acl.attack.relative_step", 25, f"pretrain.acl.attack.relative_step is 25, allowed is {STEP}"),
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
        ("profiles.demo.pretrain.moco", f"every, {METHOD}"),
        ("profiles.demo.recipes.stdv", f"every, {', '.join(SHIPPED['recipes'])}"),
        ("profiles.demo.recipes.every.batchsize",
         "objective, train, epochs, milestones, batch_size, lr, momentum, weight_decay, shift, beta, pairing, attack"),
        ("profiles.demo.attacks.l2_cww", ATTACKS),
        ("profiles.demo.attacks.l2_cw.step", "norm, images, kind, steps, lr, binary_search_steps, initial_const"),
        ("profiles.demo.early_stopping.image", "images, every, steps, relative_step"),
        ("pretrain.moco", METHOD),
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
    ({"recipes.alp.pairing": None}, "recipes.alp: pairing must be given, not null, for the objective alp"),
    ({"recipes.trades.pairing": "norm"}, "recipes.trades: pairing must be null for the objective trades"),
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
