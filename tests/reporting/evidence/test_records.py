"""Result files: what is read from a good one, and the sentence for each way of being broken."""

from __future__ import annotations

import base64
import copy
import json

import numpy as np
import pytest

from amoc.refusal import Refusal
from amoc.reporting.evidence import checked, records

RECIPE = {"objective": "trades", "train": "head", "epochs": 10, "batch_size": 64, "lr": 0.01}


@pytest.fixture
def good(made) -> dict:
    measurements = {"last": made.measurement("11111100", linf_pgd20="10100000", linf_autoattack="1000")}
    return made.result("trades", "attack", made.network(), measurements)


def test_a_record_holds_the_outcome_of_each_image(good, save):
    record = checked.read(records.Record, save(good))
    outcome = record.outcome("last", "linf_pgd20")
    assert outcome.images.tolist() == [True, False, True] + [False] * 5
    assert (outcome.n, outcome.right, outcome.exact) == (8, 2, 25.0)
    assert outcome.attack.model_dump()["steps"] == 20
    assert record.outcome("last", "l2_cw") is None
    assert record.outcome("early_stopped", "clean") is None
    assert (record.settings.recipe_name, record.settings.recipe.epochs) == ("trades", 12)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 360])
def test_any_number_of_images_is_unpacked(made, n):
    bits = np.random.default_rng(n).integers(0, 2, n)
    outcome = records.Outcome.model_validate(made.outcome("".join(map(str, bits))))
    assert outcome.images.dtype == bool
    assert outcome.images.tolist() == [bool(bit) for bit in bits]
    assert outcome.exact == pytest.approx(100 * bits.sum() / n)


def test_accuracy_is_counted_not_copied(made):
    outcome = records.Outcome.model_validate(made.outcome("110"))
    assert outcome.accuracy == 66.67
    assert outcome.exact == pytest.approx(200 / 3, rel=1e-12)


def test_an_encoder_is_read_with_its_recipes(made, save):
    measurements = {"stdev": made.measurement("1110"), "adev": made.measurement("1010")}
    record = checked.read(records.Record, save(made.result("amoc", "evaluate", made.encoder(), measurements)))
    assert (record.settings.method, record.settings.epochs, record.recipes["adev"].epochs) == ("amoc", 60, 10)
    assert record.settings.model_dump()["lambda"] == 0.5  # what no report needs is kept


def _broken(change):
    def apply(content: dict) -> dict:
        content = copy.deepcopy(content)
        change(content)
        return content

    return apply


def _pgd(content: dict) -> dict:
    return content["measurements"]["last"]["linf_pgd20"]


BROKEN = {
    "a key is missing": (lambda c: c.pop("fingerprints"), r"fingerprints: field required"),
    "an unknown key": (lambda c: c.update(seconds=3), r"seconds: extra inputs are not permitted"),
    "another status": (lambda c: c.update(status="fine"), r"status: input should be 'ok', 'collapsed' or 'nan'"),
    "a setting is missing": (lambda c: c["settings"]["recipe"].pop("epochs"), r"settings\.recipe\.epochs: field req"),
    "encoder is no name": (lambda c: c["settings"].update(encoder=3), r"settings\.encoder: input should be a valid"),
    "no images": (lambda c: _pgd(c).update(n=0), r"linf_pgd20\.n: input should be greater than or equal to 1"),
    "accuracy of other bits": (lambda c: _pgd(c).update(accuracy=37.5), r"is 37\.5, but 2 of 8 images are 25\.00"),
    "accuracy one digit off": (lambda c: _pgd(c).update(accuracy=25.01), r"is 25\.01, but 2 of 8 images are 25\.00"),
    "not base64": (lambda c: _pgd(c).update(correct="?!"), r"correct is not base64"),
    "too few bits": (lambda c: _pgd(c).update(n=9), r"correct holds 1 bytes, but n = 9 images need 2"),
    "bits beyond n": (lambda c: _pgd(c).update(n=2, accuracy=50.0), r"bits set beyond its n = 2 images"),
    "more images than there are": (lambda c: c.update(test_images=7), r"n is 8, but there are 7 test images"),
    "no attack": (lambda c: _pgd(c).update(attack=None), r"linf_pgd20: attack must be its settings"),
    "a clean attack": (lambda c: c["measurements"]["last"]["clean"].update(attack=_pgd(c)["attack"]), r"must be null"),
    "another measurement": (
        lambda c: c["measurements"].update(best=c["measurements"]["last"]),
        r"measurements\.best is none of last, early_stopped",
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_file_is_refused_with_its_name_and_the_key(good, save, way):
    change, sentence = BROKEN[way]
    path = save(_broken(change)(good))
    with pytest.raises(Refusal, match=sentence) as refusal:
        checked.read(records.Record, path)
    assert str(refusal.value).startswith(f"{path} is broken: ")


def test_a_recipe_that_was_not_recorded_is_refused(made, save):
    content = made.result("amoc", "evaluate", made.encoder(), {"robev": made.measurement("10")})
    with pytest.raises(Refusal, match=r"measurements\.robev is none of stdev, adev"):
        checked.read(records.Record, save(content))


def test_half_a_file_is_refused(good, save):
    path = save(good)
    path.write_text(json.dumps(good)[:100])
    with pytest.raises(Refusal, match=r"trades\.json .*; remove it and run its stage again"):
        checked.read(records.Record, path)


def test_one_bit_more_or_less_is_noticed(good, save):
    """A flipped bit changes the count, so the stored accuracy no longer fits."""
    packed = bytearray(base64.b64decode(_pgd(good)["correct"]))
    for bit in range(8):
        flipped = bytes([packed[0] ^ (1 << bit)])
        _pgd(good)["correct"] = base64.b64encode(flipped).decode()
        with pytest.raises(Refusal, match="accuracy is"):
            checked.read(records.Record, save(good))


def test_rows_are_alike_whatever_only_one_of_them_has(good, made):
    twin = {**good, "name": "alp", "measurements": {"last": {"clean": good["measurements"]["last"]["clean"]}}}
    encoder = made.result("amoc", "attack", made.encoder(), {"last": made.measurement("10000000")})
    records.compare_alike(map(records.Record.model_validate, (good, twin, encoder)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: _pgd(c)["attack"].update(steps=10), "other settings or images of linf_pgd20 "),
        (lambda c: c["measurements"]["last"].update(c["fewer"]), "other settings or images of clean "),
        (lambda c: c["evaluate"].update(seed=c["evaluate"]["seed"] + 1), "other batches or seed "),
        (lambda c: c.update(recipes={"adev": RECIPE | {"lr": 0.1}}), "other settings of adev "),
        (lambda c: c.update(source="cifar"), "other images "),
        (lambda c: c.update(train_images=c["train_images"] - 1), "other images "),
    ],
)
def test_rows_that_were_measured_otherwise_are_refused(good, made, change, sentence):
    first = {**good, "recipes": {"adev": RECIPE}}
    other = copy.deepcopy(first) | {"name": "alp", "fewer": {"clean": made.outcome("1111")}}
    change(other)
    del other["fewer"]
    with pytest.raises(Refusal, match=rf"alp was measured with {sentence}than trades: .*-m stages\.attack demo ci"):
        records.compare_alike(map(records.Record.model_validate, (first, other)))


def test_a_missing_result_is_refused_with_the_command_that_makes_it(params, tmp_path):
    with pytest.raises(Refusal, match=r"attack/alp\.json is missing: .*`python -m stages\.attack demo cifar10 alp`"):
        records.find(params, "attack", "demo", "cifar10", "alp", tmp_path)


def test_a_missing_result_of_the_paper_profile_is_none(params, tmp_path):
    assert records.find(params, "attack", "paper", "cifar10", "alp", tmp_path) is None


@pytest.mark.parametrize(
    ("key", "other"),
    [("kind", "evaluate"), ("profile", "small"), ("dataset", "cifar100"), ("name", "alp"), ("source", "cifar")],
)
def test_a_result_of_something_else_is_refused(params, made, tmp_path, key, other):
    content = made.result("trades", "attack", made.network(), {}) | {key: other}
    path = records.path("attack", "demo", "cifar10", "trades", tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    with pytest.raises(Refusal, match=rf"says that its {key} is '{other}', not "):
        records.find(params, "attack", "demo", "cifar10", "trades", tmp_path)
