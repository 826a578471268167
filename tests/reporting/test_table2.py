"""Table 2 against the settings it is generated from."""

from __future__ import annotations

import csv

import pytest

from amoc.reporting import table2, words
from tests import shipped


@pytest.fixture
def rows(params) -> dict[str, dict[str, str]]:
    report = table2.build(params, "paper")
    return {row["key"]: row for row in csv.DictReader(report.csv.splitlines())}


def test_the_papers_settings(rows):
    """Journal, Table 2 and section 4.1."""
    # 8/255 = 0.0314 to four decimals
    assert {column: rows["pretraining"][column] for column in ("attack", "norm", "epsilon", "iterations", "step")} == {
        "attack": "PGD5",
        "norm": "Linf",
        "epsilon": "0.0314",
        "iterations": "5",
        "step": "0.25",
    }
    short = {key: [row[column] for column in ("attack", "iterations", "step")] for key, row in rows.items()}
    assert short["classifying"] == ["PGD10", "10", "0.25"]
    assert short["linf_pgd20"] == ["PGD20", "20", "0.1"]
    assert short["linf_autoattack"] == ["AutoAttack", "", ""]


def test_every_attack_of_the_suite_has_a_row_with_its_numbers(params):
    params.raw["suites"]["table5"] = list(params.raw["attacks"])
    for profile in ("demo", "small", "paper"):
        numbers = table2.build(params, profile).metrics
        for name, attack in params.suite(profile, "table5").items():
            plain = attack.plain()
            assert numbers[name] == {
                "epsilon": round(plain["epsilon"], 4),
                "iterations": plain.get("steps"),
                "step": plain.get("relative_step"),  # of DeepFool and C&W neither overshoot nor learning rate is one
            }


def test_attacks_are_called_as_the_columns_of_the_tables_of_accuracies(params):
    params.raw["suites"]["table5"] = [name for name in words.HEADINGS if name != "clean"]
    report = table2.build(params, "paper")
    labels = {row["key"]: row["label"] for row in csv.DictReader(report.csv.splitlines())}
    assert labels["linf_pgd20_peers"] == "test: PGD20p" and labels["l2_autoattack"] == "test: AA-L2"
    assert labels["l2_pgd50"] == "test: L2-PGD" and labels["l2_pgd50_v1"] == "test: L2-PGD, the preprint's"
    assert "linf_" not in report.markdown and "l2_" not in report.markdown


def test_a_search_in_another_precision_is_told(params):
    params.raw["profiles"]["paper"]["attacks"] = {"linf_autoattack": {"search_precision": "bfloat16"}}
    assert "Square), search in bfloat16\n" in table2.build(params, "paper").markdown


def test_markdown_to_the_letter(params):
    demo = params.raw["profiles"]["demo"]
    demo["attacks"] = {
        "linf_autoattack": {"images": 100},
        "l2_cw": {"images": 100, "steps": 100, "lr": 0.05, "binary_search_steps": 5, "initial_const": 0.1},
    }
    demo["epsilon"] = {"linf": 0.15, "l1": 4.0, "l2": 0.8}
    demo["early_stopping"] = {"images": 200}
    params.raw["suites"]["table5"] = ["linf_pgd20", "linf_deepfool", "linf_autoattack", "l1_slide", "l2_cw"]
    first, _, rest = table2.build(params, "demo").markdown.partition("\n\n")
    assert first.startswith("> **demo**: ")
    assert rest == """\
# Table 2: attacks

| Used in                  | Attack     | Norm | Epsilon | Iterations | Step | Images       | Other settings           |
|--------------------------|------------|------|--------:|-----------:|-----:|--------------|--------------------------|
| pre-training [1]         | PGD5       | Linf |    0.15 |          5 | 0.25 | training     | uniform random start     |
| training with labels [2] | PGD10      | Linf |    0.15 |         10 | 0.25 | training     | uniform random start     |
| early stopping           | PGD10      | Linf |    0.15 |         10 | 0.25 | 200 held out | uniform random start     |
| test: PGD20              | PGD20      | Linf |    0.15 |         20 |  0.1 | all          | uniform random start     |
| test: DeepFool           | DeepFool   | Linf |    0.15 |         50 |    - | all          | overshoot 0.02           |
| test: AA                 | AutoAttack | Linf |    0.15 |          - |    - | first 100    | Square: 5000 queries [3] |
| test: SLIDE              | SLIDE      | L1   |       4 |         50 | 0.05 | all          | no random start          |
| test: C&W                | C&W        | L2   |     0.8 |        100 |    - | first 100    | learning rate 0.05 [4]   |

- Step: as a fraction of epsilon
- [1] amoc
- [2] TRADES, fine-tuning, AdEv
- [3] standard version (APGD-CE, APGD-T, FAB-T, Square)
- [4] 5 binary search steps, initial constant 0.1

A row called test describes the attack on test images that has the column of that name in the tables of accuracies.
Runs have their names from `params.yaml`; those that only repeat another run with a different seed are left out.
Attacks on test images are from foolbox, as in the papers, and from pyautoattack. Two of them decide per image what
foolbox decides for a whole batch: SLIDE projects only the images that have left the ball, and C&W stops with each
image as soon as it is broken within epsilon, and otherwise takes all its steps.
"""


def test_training_attacks_that_differ_get_a_row_each(params):
    params.raw["runs"]["cifar10"] = {
        "amoc": {"method": "amoc"},
        "amoc_seed2": {"method": "amoc", "seed": 2},
        "moco": {"method": "amoc", "variant": "ccc"},  # attacks nothing
        "acl": {"method": "acl"},
        "amoc_fgsm": {"method": "amoc", "attack": {"steps": 1, "relative_step": 1.0, "random_start": False}},
    }
    report = table2.build(params, "demo")
    assert report.metrics["pretraining1"]["iterations"] == 5
    assert (report.metrics["pretraining2"]["iterations"], report.metrics["pretraining2"]["step"]) == (1, 1.0)
    assert "- [1] amoc, acl\n" in report.markdown and "- [2] amoc_fgsm\n" in report.markdown
    other = {row["key"]: row["other"] for row in csv.DictReader(report.csv.splitlines())}
    assert (other["pretraining1"], other["pretraining2"]) == ("uniform random start", "no random start")


def test_who_trains_alike_is_a_rule_where_it_would_be_a_long_list():
    """Of the project's own runs, most attack as AMOC does; other seeds are not told apart."""
    text = table2.build(shipped.params(), "demo").markdown
    assert "- [1] all runs that use an attack, except those of the other rows\n" in text
    assert "- [2] amoc_fast, amoc_free\n" in text
    ways = "amoc_warm\n", "amoc_half\n"
    assert all(way in text for way in ways)
    assert "starts from the last epoch's perturbation " in text
    for way in ("of 50% of each batch", "4 updates with each batch, each a step"):
        assert f"uniform random start, {way} " in text
    assert "_seed" not in text
    assert max(len(line) for line in text.splitlines() if line.startswith("- [")) < 120


def test_where_all_attack_alike_no_other_rows_are_named(params):
    params.raw["runs"]["cifar10"] |= {f"amoc_k{n}": {"method": "amoc", "bank_length": 1024 * n} for n in range(1, 11)}
    assert "- [1] all runs that use an attack\n" in table2.build(params, "paper").markdown
