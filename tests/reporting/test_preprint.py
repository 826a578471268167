"""The preprint's tables, and Table 6: whose numbers stand in which row, and what they are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.text import Text

from amoc.params import Params
from amoc.refusal import Refusal
from amoc.reporting import table5, table6, v1_figure2, v1_table2, v1_table3, v1_table4, v1_table5, v1_table6
from amoc.reporting.evidence import published
from tests import shipped

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings() -> Params:
    """The project's, with the demo's scale held fast, and how many images its slow attacks get."""
    project = shipped.params()
    project.raw["profiles"]["demo"]["scale"] = {"short": 40, "long": 80, "batch_size": 0.25, "bank_length": 0.03125}
    for attack in project.raw["profiles"]["demo"]["attacks"].values():
        attack["images"] = 100
    return project


@pytest.fixture
def attacked(settings, made, save, tmp_path):
    """So many of 100 images right, told by the place of the network and of the attack: 10 * place + attack."""

    def write(dataset: str, models: list[str], suite: str, profile: str = "demo"):
        for at, model in enumerate(models):
            outcomes = {"clean": made.outcome(made.percent(10 * at + 9))}
            for number, (name, attack) in enumerate(settings.suite(profile, suite).items()):
                plain = attack.plain()
                images = plain["images"] or 100
                outcomes[name] = made.outcome("1" * (10 * at + number) + "0" * (images - 10 * at - number), plain)
            whole = model in settings.networks(dataset)
            ask = settings.classifying if whole else settings.pretraining
            content = made.result(model, "attack", ask(profile, dataset, model).plain(), {"last": outcomes})
            if whole and (run := settings.classifying(profile, dataset, model).encoder):
                content["encoder"]["settings"] = settings.pretraining(profile, dataset, run).plain()
            save(content | {"profile": profile, "dataset": dataset, "test_images": 100})
        return tmp_path / "results"

    return write


def test_rows_are_those_that_were_published():
    assert list(v1_table3.TABLE.models) == list(published.numbers("v1_table3"))
    assert [line.key for line in v1_table4.TABLE.lines] == list(published.numbers("v1_table4"))
    assert list(v1_table5.TABLE.models) == list(published.numbers("v1_table5"))
    assert [line.key for line in v1_table6.TABLE.lines] == list(published.numbers("v1_table6"))
    assert {key.removesuffix("_early_stopped") for key in table6.TABLE.models} == set(published.numbers("table6"))


def test_columns_are_those_that_were_published():
    row = published.numbers("v1_table3")["trades"]
    assert [column.removesuffix("_v1") for column in v1_table3.TABLE.columns] == list(row)
    for table in (v1_table4, v1_table6):
        row = published.numbers(table.TABLE.name)["acc"]
        assert [column for column in row if column != "epochs"] == list(table.TABLE.measures)
    row = published.numbers("v1_table5")["acc_finetuned"]
    assert tuple(column for column in row if column != "epochs") == v1_table5.TABLE.columns[:2]


def test_encoders_are_as_long_as_the_preprints(settings):
    def length(run: str) -> int:
        return settings.pretraining("paper", "cifar10", run).epochs

    assert [length(line.run) for line in v1_table4.TABLE.lines] == [1000] * 3
    assert [length(line.run) for line in v1_table6.TABLE.lines] == [200] * 5
    for key, name in v1_table5.TABLE.models.items():
        network = settings.classifying("paper", "cifar10", name)
        assert length(network.encoder) == published.number("v1_table5", key, "epochs")
        assert network.recipe_name == "finetune_v1"
        batch = {"acl_finetuned": 256, "acl_finetuned_long": 512}.get(key, 256)
        assert settings.pretraining("paper", "cifar10", network.encoder).batch_size == batch


def test_frozen_means_the_preprints_bank(settings):
    for run in ("aca_frozen", "aca_frozen_long"):
        assert settings.pretraining("paper", "cifar10", run).bank_adv == "frozen"


def test_table3_of_the_preprint_has_its_own_step(settings, attacked):
    models = list(v1_table3.TABLE.models.values())
    report = v1_table3.build(settings, "demo", attacked("cifar10", models, "v1"))
    assert list(report.metrics) == [key for name in v1_table3.TABLE.models for key in (name, f"{name}_early_stopped")]
    assert report.metrics["aca_frozen_finetuned"] == {
        "clean": 39.0, "linf_pgd20": 30.0, "linf_deepfool": 31.0, "linf_autoattack": 32.0, "l1_pgd50": 33.0,
        "l2_pgd50_v1": 34.0,
    }  # fmt: skip
    assert "- L2-PGD: PGD, L2 0.8, 50 steps of 0.05 epsilon\n" in report.markdown
    assert "AMOC-ACA frozen bank fine-tuned (80 + 12 ep PGD-AT, b64 + b64)" in report.markdown
    assert settings.attack("paper", "l2_pgd50_v1").relative_step == 0.05
    assert report.draw() is not None


def test_the_preprints_step_stays_out_of_table5(settings, attacked):
    report = table5.build(settings, "demo", attacked("cifar10", list(table5.MODELS), "table5"))
    assert "l2_pgd50_v1" in settings.suite("demo", "table5")
    assert tuple(report.metrics["trades"]) == table5.COLUMNS


def test_table6_is_of_cifar100(settings, attacked):
    report = table6.build(settings, "demo", attacked("cifar100", list(table5.MODELS), "table5"))
    assert report.markdown.startswith("> **demo**: scikit-learn digits, upright or turned, stand in for CIFAR-100.")
    assert "# Table 6: accuracy (%) under attack" in report.markdown
    assert report.metrics["amoc_finetuned"]["clean"] == 59.0
    with pytest.raises(Refusal, match=r"demo/cifar100/attack/standard.json is missing"):
        table6.build(settings, "demo", ROOT / "nowhere")


def test_table5_of_the_preprint_tells_short_from_long(settings, attacked):
    report = v1_table5.build(settings, "demo", attacked("cifar10", list(v1_table5.TABLE.models.values()), "v1"))
    assert (report.metrics["acl_finetuned"]["clean"], report.metrics["acl_finetuned_long"]["clean"]) == (9.0, 19.0)
    assert report.metrics["aca_frozen_finetuned_long"]["linf_pgd20"] == 50.0
    assert "| ACL fine-tuned (40 + 12 ep PGD-AT, b64 + b64) " in report.markdown
    assert "| ACL fine-tuned (80 + 12 ep PGD-AT, b128 + b64) " in report.markdown
    assert "AMOC of 200 epochs, fine-tuned, beats ACL of 1000" in report.markdown
    shown = [text.get_text() for text in report.draw().findobj(Text)]
    assert shown.count("40 + 12 epochs") == shown.count("80 + 12 epochs") == 3


def test_published_numbers_are_for_the_paper_profile_alone(settings, attacked, tmp_path):
    for build, table in (
        (lambda profile: v1_table5.build(settings, profile, tmp_path), "v1_table5"),
        (lambda profile: v1_table3.build(settings, profile, tmp_path), "v1_table3"),
        (lambda profile: v1_table4.build(settings, profile, tmp_path), "v1_table4"),
    ):
        rows = published.numbers(table).values()
        numbers = [number for row in rows for name, number in row.items() if name != "epochs"]
        assert all(f" {number:.2f} " in build("paper").markdown for number in numbers), table
        assert not any(f" {number:.2f} " in build("small").markdown for number in numbers), table


def test_a_network_that_went_wrong_is_named(settings, attacked, made, save, tmp_path):
    results = attacked("cifar10", list(v1_table5.TABLE.models.values()), "v1")
    own = settings.classifying("demo", "cifar10", "acc_finetuned_v1").plain()
    content = made.result("acc_finetuned_v1", "attack", own, {}, status="nan", note="diverged", test_images=100)
    content["encoder"]["settings"] = settings.pretraining("demo", "cifar10", "acc").plain()
    save(content)
    report = v1_table5.build(settings, "demo", results)
    assert report.metrics["acc_finetuned"]["clean"] is None
    assert "| AMOC-ACC fine-tuned (40 + 12 ep PGD-AT, b64 + b64), nan " in report.markdown
    assert "diverged" in report.markdown


def test_table2_of_the_preprint_lists_its_suite(settings):
    report = v1_table2.build(settings, "paper")
    assert report.name == "v1_table2" and report.markdown.count("# Preprint, Table 2: attacks") == 1
    assert {"linf_deepfool", "l2_pgd50_v1"} <= report.metrics.keys() and "l2_cw" not in report.metrics
    assert report.metrics["l2_pgd50_v1"]["step"] == 0.05
    assert "| test: L2-PGD " in report.markdown  # there is no other


def test_table2_of_the_preprint_has_the_runs_and_networks_that_its_reports_read(settings):
    read = {*v1_table3.TABLE.models.values(), *v1_table5.TABLE.models.values()}
    read |= {line.name for line in v1_figure2.FIGURE.lines}
    encoders = {settings.classifying("paper", "cifar10", name).encoder for name in read} - {None}
    probed = {line.run for table in (v1_table4, v1_table6) for line in table.TABLE.lines}
    probes = {measure.partition("_")[0] for table in (v1_table4, v1_table6) for measure in table.TABLE.measures}
    assert set(v1_table2.TABLE.networks) == read
    assert set(v1_table2.TABLE.runs) == encoders | probed
    assert set(v1_table2.TABLE.probes) == probes
    text = v1_table2.build(settings, "paper").markdown
    assert "amoc_free" not in text and "ALP" not in text and "AdEv" not in text


@pytest.mark.parametrize(
    ("report", "key"), [(v1_table3, "aca_frozen_finetuned"), (v1_table5, "aca_frozen_finetuned_long")]
)
def test_a_network_whose_encoder_collapsed_says_so(settings, attacked, made, save, report, key):
    """Its own training may have ended well."""
    results = attacked("cifar10", list(report.TABLE.models.values()), "v1")
    sound = report.build(settings, "demo", results)
    assert "its encoder" not in sound.markdown and "doubtful" not in sound.metrics[key]
    save(made.probed("aca_frozen_long", (50,) * 4) | {"status": "collapsed"})
    told = report.build(settings, "demo", results)
    assert "its encoder collapsed: after pre-training its features were almost a point or a line, " in told.markdown
    assert told.metrics[key]["doubtful"] == 1 and "doubtful" not in told.metrics["acc_finetuned"]
    assert told.metrics[key] == sound.metrics[key] | {"doubtful": 1}
