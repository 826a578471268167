"""Table 2 against the settings it is generated from."""

from __future__ import annotations

import csv

import pytest

from amoc.reporting import table2


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
            step = next((plain[key] for key in ("relative_step", "overshoot", "lr") if key in plain), None)
            epsilon = round(plain["epsilon"], 4)
            assert numbers[name] == {"epsilon": epsilon, "iterations": plain.get("steps"), "step": step}


def test_markdown_to_the_letter(params):
    demo = params.raw["profiles"]["demo"]
    demo["attacks"] = {
        "linf_autoattack": {"images": 100},
        "l2_cw": {"images": 100, "steps": 100, "lr": 0.05, "binary_search_steps": 5, "initial_const": 0.1},
    }
    demo["epsilon"] = {"linf": 0.15, "l1": 4.0, "l2": 0.8}
    demo["early_stopping"] = {"images": 200}
    params.raw["suites"]["table5"] = ["linf_pgd20", "linf_deepfool", "linf_autoattack", "l1_slide", "l2_cw"]
    first, _, rest = table2.build(params, "demo").markdown.rstrip("\n").partition("\n\n")
    assert first.startswith("> **demo**: ")
    assert rest == """\
# Table 2: attacks

| Used            | Attack         | Norm | Epsilon | Iterations |     Step | Images       |
|-----------------|----------------|------|--------:|-----------:|---------:|--------------|
| pretraining [1] | PGD5           | Linf |    0.15 |          5 | 0.25 [2] | training     |
| classifying [3] | PGD10          | Linf |    0.15 |         10 | 0.25 [2] | training     |
| early stopping  | PGD10          | Linf |    0.15 |         10 | 0.25 [2] | 200 held out |
| linf_pgd20      | PGD20          | Linf |    0.15 |         20 |  0.1 [2] | all          |
| linf_deepfool   | DeepFool       | Linf |    0.15 |         50 | 0.02 [4] | all          |
| linf_autoattack | AutoAttack [5] | Linf |    0.15 |          - |        - | first 100    |
| l1_slide        | SLIDE          | L1   |       4 |         50 | 0.05 [2] | all          |
| l2_cw           | C&W [6]        | L2   |     0.8 |        100 | 0.05 [7] | first 100    |

- [1] amoc; a uniform random start
- [2] the step is a share of epsilon
- [3] trades, finetune, adev; a uniform random start
- [4] DeepFool: the step is its overshoot
- [5] version standard (APGD-CE, APGD-T, FAB-T, Square), 5000 queries of Square
- [6] 5 binary search steps, first constant 0.1
- [7] C&W: the step is its learning rate"""


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
    assert "amoc, amoc_seed2, acl; a uniform random start" in report.markdown
    assert "amoc_fgsm; no random start" in report.markdown
