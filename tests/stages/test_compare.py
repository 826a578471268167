"""Encoders, or networks under attack, of any names side by side, from the results that are committed."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev

import pytest

from amoc.refusal import Refusal
from stages import compare

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = [(probe, attack) for probe in ("stdev", "adev", "robev") for attack in ("clean", "linf_pgd20")]


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def accuracies(run: str) -> list[float]:
    content = json.loads(Path(f"results/small/cifar10/evaluate/{run}.json").read_text(encoding="utf-8"))
    return [content["measurements"][probe][attack]["accuracy"] for probe, attack in COLUMNS]


def rows(printed: str) -> dict[str, list[str]]:
    lines = (line.strip("|").split("|") for line in printed.splitlines() if line.startswith("|"))
    return {title.strip(): [cell.strip(" *_") for cell in cells] for title, *cells in lines}


def test_each_run_has_a_row_and_the_mean_of_its_seeds_another(capsys):
    compare.main("small", "cifar10", ["amoc_lambda02", "acl"])
    printed = capsys.readouterr().out
    shown = rows(printed)
    assert "- [1] unlike its method in `params.yaml`: lambda 0.2 instead of 0.5\n" in printed
    assert shown["amoc_lambda02: AMOC (20 ep, b64) [1]"] == [f"{number:.1f}" for number in accuracies("amoc_lambda02")]
    assert shown["acl: ACL (20 ep, b128)"] == [f"{number:.1f}" for number in accuracies("acl")]
    repeated = [accuracies(run) for run in ("acl", *(f"acl_seed{seed}" for seed in range(2, 6)))]
    averaged = [f"{mean(numbers):.2f} ± {stdev(numbers):.2f}" for numbers in zip(*repeated, strict=True)]
    assert shown["- mean of 5 seeds"] == averaged
    assert shown["Encoder"] == ["StdEv clean", "StdEv PGD20", "AdEv clean", "AdEv PGD20", "RobEv clean", "RobEv PGD20"]
    assert len(shown) == 5  # with the rule


def test_what_was_not_evaluated_says_so(capsys):
    """A run of the paper profile; and no seed of it is asked for."""
    compare.main("paper", "cifar10", ["amoc_no_blur"])
    shown = rows(capsys.readouterr().out)
    assert shown["amoc_no_blur: AMOC (200 ep, b256, not measured)"] == ["n/m"] * 6 and len(shown) == 3


def test_a_run_that_was_edited_is_shown_without_the_seeds_of_before(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "small/cifar10/evaluate"
    folder.mkdir(parents=True)
    for run in ("acl", "acl_seed2"):
        content = json.loads(Path(f"results/small/cifar10/evaluate/{run}.json").read_text(encoding="utf-8"))
        content["settings"]["temperature"] = 0.1 if run == "acl" else content["settings"]["temperature"]
        (folder / f"{run}.json").write_text(json.dumps(content), encoding="utf-8")
    expected = [f"{number:.1f}" for number in accuracies("acl")]
    monkeypatch.setattr(compare.records, "RESULTS", tmp_path)
    compare.main("small", "cifar10", ["acl"])
    printed = capsys.readouterr().out
    shown = rows(printed)
    assert shown["acl: ACL (20 ep, b128) [1]"] == expected and len(shown) == 3
    assert "- [1] unlike its method in `params.yaml`: temperature 0.1 instead of 0.5\n" in printed


def test_networks_have_their_twins_below_them_and_a_column_per_attack(capsys):
    """An encoder among them is the one under its linear protocol; not every name was attacked with everything."""
    compare.main("small", "cifar10", ["amoc_finetuned", "acc_finetuned_v1", "amoc"])
    printed = capsys.readouterr().out
    shown, found = rows(printed), {}
    for name in ("amoc_finetuned", "acc_finetuned_v1", "amoc"):
        content = json.loads(Path(f"results/small/cifar10/attack/{name}.json").read_text(encoding="utf-8"))
        found[name] = {measured: outcomes for measured, outcomes in content["measurements"].items()}
    attacks = [
        *("clean", "linf_pgd20", "linf_pgd20_peers", "linf_deepfool", "linf_autoattack", "l1_pgd50", "l1_slide"),
        *("l2_pgd50", "l2_pgd50_v1", "l2_cw", "l2_autoattack"),
    ]
    assert shown["Model"] == [
        *("Clean", "PGD20", "PGD20p", "DeepFool", "AA n=200", "L1-PGD", "SLIDE"),
        *("L2-PGD", "L2-PGDv1", "C&W n=200", "AA-L2 n=200"),
    ]

    def expected(name: str, measured: str) -> list[str]:
        outcomes = found[name][measured]
        return [f"{outcomes[attack]['accuracy']:.1f}" if attack in outcomes else "n/m" for attack in attacks]

    titles = {
        "amoc_finetuned": "AMOC fine-tuned (20 + 20 ep TRADES, b64 + b128)",
        "acc_finetuned_v1": "AMOC-ACC fine-tuned (20 + 20 ep PGD-AT, b64 + b128)",
        "amoc": "AMOC, AdEv probe (20 + 3 ep, b64 + b128)",
    }
    for name, title in titles.items():
        assert shown[f"{name}: {title}"] == expected(name, "last")
    twins = [cells for title, cells in shown.items() if title.startswith("- early-stopped twin")]
    assert twins == [expected(name, "early_stopped") for name in ("amoc_finetuned", "acc_finetuned_v1")]
    assert "- L2-PGD: PGD, L2 0.5, 50 steps of 0.1 epsilon\n- L2-PGDv1: PGD, L2 0.5, 50 steps of 0.05" in printed


def test_networks_that_were_not_attacked_say_so(capsys):
    compare.main("paper", "cifar10", ["trades", "amoc"])
    shown = rows(capsys.readouterr().out)
    assert shown.pop("Model") == ["Clean"] and len(shown) == 4
    assert shown["trades: TRADES (76 ep, b128, not measured)"] == shown["- early-stopped twin"] == ["n/m"]


def test_another_name_is_refused():
    sentence = r"runs\.cifar10 has no amok, it has amoc.*; nor has classifiers\.cifar10, which has standard"
    with pytest.raises(Refusal, match=sentence):
        compare.main("small", "cifar10", ["amoc", "amok"])
