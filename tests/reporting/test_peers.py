"""Our encoders by the peers' protocols, from hand-made results, and what the peers published."""

from __future__ import annotations

import pytest

from amoc.refusal import Refusal
from amoc.reporting import peers
from amoc.reporting.evidence import published

PEERS_STEP = {
    "kind": "pgd", "norm": "linf", "epsilon": 0.15, "images": None, "steps": 20, "relative_step": 0.25
}  # fmt: skip
RECIPES = {"slf": ("standard", "head", 10), "alf": ("pgd_at", "head", 6), "aff": ("trades", "all", 7)}


@pytest.fixture
def measured(made, save, tmp_path):
    """Write what `stages.evaluate --protocols peers` would write of an encoder; percents of 100 images, of each
    protocol: clean, PGD20, and AutoAttack on the first four as bits."""

    def write(name: str, numbers: dict[str, tuple[int, int, str]], profile: str = "demo", **changes: object):
        measurements = {
            protocol: {
                "clean": made.outcome(made.percent(clean)),
                "linf_pgd20_peers": made.outcome(made.percent(pgd20), PEERS_STEP),
                "linf_autoattack": made.outcome(autoattack, made.attacks["linf_autoattack"]),
            }
            for protocol, (clean, pgd20, autoattack) in numbers.items()
        }
        recipes = {
            key: {"objective": objective, "train": train, "epochs": epochs, "batch_size": 64}
            for key, (objective, train, epochs) in RECIPES.items()
        }
        settings = made.encoder() | {"branch": "adv"}
        content = made.result(name, "evaluate", settings, measurements, profile=profile, test_images=100)
        path = save(content | {"protocols": "peers", "recipes": recipes} | changes)
        path.rename(path.with_suffix(".peers.json"))
        return tmp_path / "results"

    return write


NUMBERS = {"slf": (90, 30, "1100"), "alf": (80, 40, "1000"), "aff": (70, 50, "1110")}


def table(markdown: str, corner: str) -> list[list[str]]:
    every = markdown.splitlines()
    start = next(number for number, line in enumerate(every) if line.startswith(f"| {corner} "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in every[start : every.index("", start)]]


def test_a_training_of_the_whole_network_that_failed_says_so(params, measured):
    """Where it ends below half of what a linear layer gets from the same features; a weak encoder is no failure."""
    failed = "this training of the whole network failed"
    for aff, slf, expected in ((44, 90, True), (46, 90, False), (20, 30, False)):
        numbers = NUMBERS | {"aff": (aff, 1, "0000"), "slf": (slf, 1, "0000"), "alf": (slf - 5, 1, "0000")}
        measured("moco", NUMBERS)
        report = peers.build(params, "demo", measured("amoc", numbers))
        assert (failed in report.markdown) == expected
        moco, amoc = (line for line in report.markdown.splitlines() if line.startswith("| AMOC (60 ep, b64)"))
        assert (moco.count("[1]"), amoc.count("[1]")) == (0, 3 * expected)


def test_where_nothing_but_whole_networks_is_trained_none_is_called_failed(params, measured):
    """Because there is no linear layer to compare with."""
    params.raw["protocols"]["peers"] = ["aff"]
    measured("moco", {"aff": (1, 1, "0000")})
    report = peers.build(params, "demo", measured("amoc", {"aff": (1, 1, "0000")}))
    assert "this training of the whole network failed" not in report.markdown


def test_a_row_has_each_protocol_under_each_attack(params, measured):
    measured("moco", {name: (60, 0, "0000") for name in NUMBERS})
    report = peers.build(params, "demo", measured("amoc", NUMBERS))
    heading, _, moco, *_, amoc, amoc_long = table(report.markdown, "Encoder")
    assert heading[1:4] == ["SLF clean", "SLF PGD20p", "SLF AA n=4"]
    assert moco == ["AMOC (60 ep, b64)", *["_60_", "_0_", "_0_"] * 3]
    assert amoc[1:] == ["**90**", "**30**", "**50**", "**80**", "**40**", "**25**", "**70**",
                        "**50**", "**75**"]  # fmt: skip
    assert amoc_long[0] == "amoc_long (not in params.yaml)" and set(amoc_long[1:]) == {"n/m"}
    assert report.metrics["amoc"]["aff_autoattack"] == 75.0
    assert report.metrics["acl_long"]["slf_clean"] is None
    assert "- SLF clean: a linear layer on the frozen encoder, Standard training, 10 epochs\n" in report.markdown
    assert "- ALF clean: a linear layer on the frozen encoder, PGD-AT training, 6 epochs\n" in report.markdown
    assert "- AFF clean: the whole network, TRADES training, 7 epochs\n" in report.markdown
    assert "- AFF PGD20p: PGD, Linf 0.15, 20 steps of 0.25 epsilon\n" in report.markdown


def test_what_was_not_measured_says_so(params, tmp_path):
    report = peers.build(params, "paper", tmp_path / "results")
    assert table(report.markdown, "Encoder")[2][0] == "MoCo (200 ep, b256, not measured)"
    assert set(table(report.markdown, "Encoder")[2][1:]) == {"n/m"}
    assert all(number is None for row in report.metrics.values() for number in row.values())


def test_a_missing_result_of_the_demo_is_refused(params, measured):
    with pytest.raises(Refusal, match=r"moco\.peers\.json is missing: .* moco --protocols peers`"):
        peers.build(params, "demo", measured("amoc", NUMBERS))


def test_encoders_judged_in_different_ways_are_not_put_beside_each_other(params, measured):
    measured("moco", NUMBERS)
    longer = {"objective": "standard", "train": "head", "epochs": 11, "batch_size": 64}
    results = measured("amoc", {"slf": NUMBERS["slf"]}, recipes={"slf": longer})
    with pytest.raises(Refusal, match=r"amoc was measured with other settings of slf .* amoc --protocols peers`"):
        peers.build(params, "demo", results)


def test_a_result_of_other_protocols_is_refused(params, measured):
    measured("moco", NUMBERS)
    results = measured("amoc", NUMBERS, protocols="probes")
    with pytest.raises(Refusal, match="its protocols is 'probes', not 'peers'"):
        peers.build(params, "demo", results)


# ---------------------------------------------------------------- what the peers published


@pytest.mark.parametrize("profile", ["demo", "small"])
def test_a_reduced_profile_says_that_nothing_compares_with_what_the_peers_published(params, measured, profile):
    measured("moco", NUMBERS, profile=profile)
    text = peers.build(params, profile, measured("amoc", NUMBERS, profile=profile)).markdown
    ours, theirs = text.split("## What the peers published")
    assert "nothing above is comparable with what the peers published" in ours
    assert "- Scale: theirs is all of CIFAR-10 and a network of width 64" in theirs
    assert "No row is\n  comparable." in theirs
    assert not any(f" {number:.2f} |" in ours for row in published.numbers(peers.PUBLISHED).values()
                   for number in row.values() if number % 1)  # fmt: skip
    complete = peers.build(params, "paper", measured("amoc", NUMBERS, profile="paper")).markdown
    assert table(text, "Published") == table(complete, "Published")
    assert "No row is" not in complete and "nothing above is comparable" not in complete


def test_the_paper_profile_shows_every_number_its_source_and_what_stands_against_it(params, tmp_path):
    report = peers.build(params, "paper", tmp_path / "results")
    heading, _, *rows = table(report.markdown, "Published")
    assert heading[2:] == table(report.markdown, "Encoder")[0][1:]  # the same columns
    told, numbers = published.words(peers.PUBLISHED), published.numbers(peers.PUBLISHED)
    assert len(rows) == len(told) >= 12
    for row, (key, words) in zip(rows, told.items(), strict=True):
        assert row[0].startswith(f"{words['model']} [") and row[1] == words["pretraining"]
        shown = [f"{numbers[key][m]:.2f}" if m in numbers[key] else "-" for m in peers.TABLE.measures]
        assert row[2:] == shown
        assert words["source"] and f"from {words['source']}\n" in report.markdown
        assert all(f"] {note}\n" in report.markdown for note in words["differs"].split("; ") if note)


def test_published_numbers_are_not_among_the_measured_ones(params, measured):
    measured("moco", {name: (40, 0, "0000") for name in NUMBERS}, profile="paper")
    report = peers.build(params, "paper", measured("amoc", NUMBERS, profile="paper"))
    assert list(report.metrics) == [line.key for line in peers.TABLE.lines]
    assert "46.99" not in report.csv
    amoc = table(report.markdown, "Encoder")[2 + 4]
    assert amoc[3] == "**50**"  # the best of ours, whatever others published
    assert not any("*" in cell or "_" in cell for row in table(report.markdown, "Published") for cell in row)
