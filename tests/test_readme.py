"""What README.md and the other guides tell people to type, to open and to expect is so.

Commands go through the parsers that will read them (make's, DVC's, the stages' own) and are not run; Python is run, on
a tiny network; settings are merged into params.yaml and checked; numbers are compared with the settings.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shlex
import subprocess
from fnmatch import fnmatch
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from pkgutil import resolve_name
from statistics import mean, stdev
from typing import Any

import pytest
from ruamel.yaml import YAML
from scipy.stats import binomtest

from amoc import datasets
from amoc.layers import merge
from amoc.params import PROFILES, Params
from amoc.refusal import Refusal
from amoc.reporting.evidence import records
from amoc.reporting.evidence.records import RESULTS
from amoc.reporting.judgement.paper_claims import CLAIMS
from amoc.reporting.table5 import MODELS
from amoc.reporting.words import radius
from tests import shipped

# what foolbox 3.3.4 says of itself when it is imported, which the commands' modules do
pytestmark = pytest.mark.filterwarnings("ignore:Please import .gaussian_filter.:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[1]
GUIDES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "results/README.md")
}
README, SPEED = GUIDES["README.md"], GUIDES["benchmarks/README.md"]
TEXT = "".join(GUIDES.values())

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = sorted({" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", TEXT))})
PROGRAMS = ("make", "dvc", "python", "git")
PATH = re.compile(r"[\w.*<>-]*(/[\w.*<>-]*)+|[\w.*<>-]+\.(py|md|yaml|toml|in|txt|json|csv|lock|safetensors)")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [code for name, code in FENCE.findall(TEXT) if name == language]


def written(code: str) -> list[str]:
    """A line of a shell block or an inline command as the shell splits it, without its comment."""
    return shlex.split(code, comments=True)


LINES = [line for block in blocks("sh") for line in block.splitlines() if written(line)]
MENTIONED = [code for code in INLINE if code.split()[0] in PROGRAMS and " " in code]
ADOPTED = {written(line)[5] for line in LINES if line.startswith("python -m stages.adopt")}  # names of encoders
COMMANDS = list(dict.fromkeys(LINES + MENTIONED))
PATHS = [code for code in INLINE if PATH.fullmatch(code) and not re.fullmatch(r"[\d/]+", code)]
NAMES = [code for code in INLINE if re.fullmatch(r"(amoc|stages)(\.\w+)+", code)]
KEYS = [code for code in INLINE if re.fullmatch(r"(pretrain|runs|recipes|profiles|attacks|suites)(\.[\w<>]+)+", code)]
LINKS = [  # from the top, wherever they are written
    link if link.startswith("https://") else os.path.normpath(Path(name).parent / link)
    for name, text in GUIDES.items()
    for link in re.findall(r"\]\(([^)]+)\)", text)
]


def settings() -> dict[str, Any]:
    """params.yaml, to be changed at will."""
    return shipped.settings()


def table(heading: str, text: str = README) -> list[list[str]]:
    """The rows of the table in a section, its headings first."""
    (section,) = (part for part in re.split("\n##+ ", text) if part.startswith(f"{heading}\n"))
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]
    assert len({len(row) for row in rows[1:]}) == 1
    return rows


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """What `dvc repro` takes, and all files that stages write, in every profile, as DVC itself reads dvc.yaml."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("pipeline")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (folder / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    targets, outputs = set(), set()
    for profile in PROFILES:
        chosen, count = re.subn(r"^profile: *\w+", f"profile: {profile}", params, flags=re.MULTILINE)
        assert count == 1
        (folder / "params.yaml").write_text(chosen, encoding="utf-8")
        with Repo(str(folder)) as repo:
            for stage in repo.index.stages:
                targets |= {stage.name, stage.name.partition("@")[0]}
                outputs |= {Path(out.fs_path).relative_to(folder).as_posix() for out in stage.outs}
    return targets, outputs


def test_enough_was_found() -> None:
    programs = [written(command)[0] for command in COMMANDS]
    assert len(LINES) >= 20
    assert all(programs.count(program) >= least for program, least in zip(PROGRAMS, (5, 18, 2, 2), strict=True))
    assert len(PATHS) >= 35 and len(NAMES) >= 3 and len(KEYS) >= 1 and len(LINKS) >= 2
    assert len(blocks("python")) == 3 and len(blocks("yaml")) == 1
    assert {name for name, _ in FENCE.findall(TEXT)} == {"sh", "python", "yaml"}  # no block that nothing checks


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize("name", GUIDES)
def test_blocks_of_code_begin_and_end_on_lines_of_their_own(name):
    """Else what follows is taken for code, and what is in it is looked at by no test."""
    fences = [line for line in GUIDES[name].splitlines() if "```" in line]
    assert len(fences) % 2 == 0
    assert all(re.fullmatch("```[a-z]+", line) for line in fences[::2])
    assert set(fences[1::2]) <= {"```"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_can_be_typed(command: str, pipeline: tuple[set[str], set[str]]) -> None:
    targets, outputs = pipeline
    match written(command):
        case ["make", *arguments]:
            make(arguments)
        case ["dvc", *arguments]:
            dvc(arguments, targets)
        case ["python", "-m", "pytest", file, "-k", part]:
            assert re.search(rf"^def test_\w*{part}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        case ["python", "-m", module, *arguments]:
            stage(module, arguments, targets)
        case ["git", "checkout" | "diff", *arguments]:
            assert all(argument == "--exit-code" or is_there(argument, outputs) for argument in arguments)
        case ["source", ".venv/bin/activate"] | [".venv/bin/uvx", "ruff", "check", "."]:
            assert "$(PYTHON) -m venv .venv\n\t.venv/bin/python -m pip install" in (ROOT / "Makefile").read_text()
        case [script] if script.startswith("."):
            assert os.access(ROOT / script, os.X_OK)
        case words:
            pytest.fail(f"nothing here knows how to check {words}")


def make(arguments: list[str]) -> None:
    quiet = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    targets = " ".join(re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)).split()
    assert [argument for argument in arguments if "=" not in argument] in [[target] for target in targets]
    dry = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr


def dvc(arguments: list[str], targets: set[str]) -> None:
    from dvc.cli.parser import get_main_parser

    asked = get_main_parser().parse_args(arguments)  # raises DvcParserError
    assert set(getattr(asked, "targets", None) or ()) <= targets | {"dvc.yaml"}  # which is what none means
    for override in getattr(asked, "set_param", None) or ():
        override_is_accepted(override)
    for pattern in getattr(asked, "drop", None) or ():
        dropped, kept = ("results/demo/x.json", "amoc.l2_cw"), ("amoc.linf_autoattack", "runs.cifar10.amoc.lambda")
        assert all(re.match(pattern, column) for column in dropped)
        assert not any(re.match(pattern, column) for column in kept)
    if arguments[:2] == ["exp", "apply"]:
        assert any(f"dvc exp run -n {asked.experiment} " in line for line in LINES)


def override_is_accepted(override: str) -> None:
    """`key=value` names a key that is there, `+key=value` one that is not yet, and the checks take the value."""
    raw = settings()
    path, value = override.removeprefix("+").split("=")
    *parents, key = path.split(".")
    section = raw
    for parent in parents:
        section = section[parent]
    assert (key in section) is not override.startswith("+")
    section[key] = YAML(typ="safe").load(value)
    Params(raw).check()


def stage(module: str, arguments: list[str], targets: set[str]) -> None:
    import typer

    assert module.startswith(("stages.", "benchmarks."))
    app = typer.Typer()
    app.command()(import_module(module).main)
    given = typer.main.get_command(app).make_context(module, arguments).params  # raises UsageError; runs nothing
    params = shipped.params()
    assert given.get("dataset", "cifar10") in datasets.NAMES  # reports take none
    if "run" in given:
        assert given["run"] in {*params.runs(given["dataset"]), *ADOPTED}
    if "model" in given:
        assert given["model"] in {*params.runs(given["dataset"]), *params.networks(given["dataset"]), *ADOPTED}
    if "protocols" in given:
        params.protocols("demo", given["protocols"])  # raises Refusal
    if module == "stages.plan":
        assert set(given["targets"] or ()) <= targets
    if module == "stages.adopt":
        assert given["name"] not in {*params.runs(given["dataset"]), *params.networks(given["dataset"])}


# ---------------------------------------------------------------- what they name


def is_output(path: str, outputs: set[str]) -> bool:
    """Whether stages write this file, or into this folder; <profile>, <run> and * stand for any name."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    if "/" not in pattern:
        return any(fnmatch(part, pattern) for output in outputs for part in output.split("/"))
    return any(fnmatch(str(place), pattern) for output in outputs for place in (Path(output), *Path(output).parents))


def is_there(path: str, outputs: set[str]) -> bool:
    return path == "dvc.lock" or (ROOT / path).exists() or is_output(path, outputs)


@pytest.mark.parametrize("path", PATHS)
def test_path_exists_or_is_written_by_a_stage(path: str, pipeline: tuple[set[str], set[str]]) -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()} - {"data", "models"}
    beside = {module.name for module in (ROOT / "amoc").rglob("*.py")}  # "beside it: infonce.py"
    assert path.split("/")[0] in ignored or path in beside or is_there(path, pipeline[1])


@pytest.mark.parametrize("link", LINKS)
def test_link_leads_somewhere(link: str, pipeline: tuple[set[str], set[str]]) -> None:
    assert link.startswith("https://") or is_there(link, pipeline[1])


@pytest.mark.parametrize("name", NAMES)
def test_python_name_exists(name: str) -> None:
    resolve_name(name)


@pytest.mark.parametrize("key", KEYS)
def test_key_is_in_params(key: str) -> None:
    section = settings()
    for part in key.split("."):
        section = section["demo" if part == "<p>" else part]


def test_sections_that_others_cite_exist() -> None:
    cited = re.findall(r'README, "([^"]+)"', TEXT + (ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    assert cited and all(f"\n## {title}\n" in README for title in cited)


# ---------------------------------------------------------------- settings and numbers


def test_runs_shown_are_accepted_and_new() -> None:
    (block,) = blocks("yaml")
    shown, raw = YAML(typ="safe").load(block), settings()
    for dataset, runs in shown["runs"].items():
        assert runs and not runs.keys() & raw["runs"][dataset].keys()
    Params(merge(raw, shown)).check()


def test_profiles_are_as_told() -> None:
    params = shipped.params()

    def images(profile: str) -> str:
        data = params.data(profile)
        title, train, test = {"digits": ("digits 8x8", 1437, 360), "cifar": ("CIFAR-10", 50000, 10000)}[data.source]
        return f"{title}: {data.train or train}, {data.test or test}"

    def epochs(profile: str, *recipes: str) -> str:
        return ", ".join(str(params.recipe(profile, recipe).epochs) for recipe in recipes)

    def subset(profile: str) -> str:
        counts = (params.attack(profile, name).images for name in ("linf_autoattack", "l2_cw"))
        return ", ".join(str(count or "all") for count in counts)

    def sizes(profile: str) -> str:
        return "{epochs}, {batch_size}, {bank_length}".format(**amoc[profile].plain())

    def network(profile: str) -> str:
        return "{architecture}, {width}".format(**params.model(profile).plain())

    amoc = {profile: params.pretraining(profile, "cifar10", "amoc") for profile in PROFILES}
    balls = {profile: params.epsilon(profile) for profile in PROFILES}
    told = {
        "images, training and test": images,
        "timm's network, channels of its first stage": network,
        "radius Linf, L1, L2": lambda p: f"{radius(balls[p].linf)}, {balls[p].l1:g}, {balls[p].l2:g}",
        "AMOC epochs, batch, keys in a bank": sizes,
        "AMOC key momentum": lambda p: f"{amoc[p].key_momentum:g}",
        "epochs of Standard, PGD-AT, ALP, TRADES": lambda p: epochs(p, "standard", "pgd_at", "alp", "trades"),
        "epochs of fine-tuning": lambda p: epochs(p, "finetune"),
        "images held out for early stopping": lambda p: str(params.early_stopping(p).images),
        "AutoAttack, C&W on the first test images": subset,
        "precision of training": lambda p: params.engine(p).precision,
    }
    heading, *rows = table("Profiles")
    assert heading[-len(PROFILES) :] == list(PROFILES)
    assert rows[:-1] == [[title, *map(tell, PROFILES)] for title, tell in told.items()]
    assert rows[-1][0] == "machine"


def test_defaults_and_switches_are_as_told() -> None:
    switches = 0
    for _, here, otherwise in table("Where the papers leave a choice")[1:]:
        for key, value in re.findall(r"`(\w+): (\w+)`", here):
            raw = settings()
            assert raw["pretrain"]["amoc"][key] == value
            raw["pretrain"]["amoc"][key] = re.match(r"`(\w+)`", otherwise)[1]
            if key == "enqueue":
                with pytest.raises(Refusal, match="replays 4 needs enqueue after, it is before"):
                    Params(raw).check()
                for run in raw["runs"]["cifar10"].values():
                    run |= {key: value} if "replays" in run else {}
            Params(raw).check()
            switches += 1
    assert switches == 4
    assert settings()["attacked_probe"] == "adev" and "robev" in settings()["probes"]


def test_numbers_of_the_small_profile_are_those_recorded() -> None:
    heading, _, *rows = README.split("<!-- small:begin -->")[1].split("<!-- small:end -->")[0].strip().splitlines()
    probes, attacks = ("StdEv", "AdEv", "RobEv"), ("clean", "PGD20")
    assert heading == f"| Encoder | {' | '.join(f'{probe} {attack}' for probe in probes for attack in attacks)} |"
    for row, run in zip(rows, ("moco", "acl", "amoc"), strict=True):
        seeds = [
            records.find(shipped.params(), "evaluate", "small", "cifar10", name, ROOT / RESULTS)
            for name in (run, *(f"{run}_seed{seed}" for seed in range(2, 6)))
        ]
        cells = []
        for probe in probes:
            for attack in ("clean", "linf_pgd20"):
                accuracies = [float(seed.outcome(probe.lower(), attack).exact) for seed in seeds]
                cells.append(f"{mean(accuracies):.1f} ± {stdev(accuracies):.1f}")
        title = {"moco": "MoCo", "acl": "ACL", "amoc": "AMOC"}[run]
        assert row == f"| {title} | {' | '.join(cells)} |"


def test_differences_from_trades_are_those_recorded() -> None:
    """McNemar's exact test: of the images that one network alone has right, are they as often the one's?"""
    _, rule, *rows = README.split("<!-- trades:begin -->")[1].split("<!-- trades:end -->")[0].strip().splitlines()
    pairs = {
        "seed 1": ("cifar10", "amoc_finetuned", "trades"),
        "seed 2": ("cifar10", "amoc_seed2_finetuned", "trades_seed2"),
        "CIFAR-100": ("cifar100", "amoc_finetuned", "trades"),
    }
    expected = []
    for name, (dataset, *models) in pairs.items():
        ours, theirs = (records.find(shipped.params(), "attack", "small", dataset, m, ROOT / RESULTS) for m in models)
        for which, title in (("last", "last epoch"), ("early_stopped", "early-stopped")):
            cells = []
            for attack in ("clean", "linf_pgd20", "linf_autoattack"):
                one, other = (record.outcome(which, attack).images for record in (ours, theirs))
                gained, lost = (int(only.sum()) for only in (one & ~other, other & ~one))
                p = binomtest(gained, gained + lost).pvalue
                cells.append(f"{100 * (gained - lost) / len(one):+.1f} (p = {p:.3f})")
            expected.append(f"| {name}, {title} | {' | '.join(cells)} |")
    assert rule.startswith("|---") and rows == expected


def recorded(path: str) -> list[str]:
    """Lines that git would commit now: on another machine, `make demo` writes slightly other numbers over them."""
    found = subprocess.run(["git", "show", f":{path}"], cwd=ROOT, capture_output=True, encoding="utf-8")
    if found.returncode:
        pytest.skip(f"git has no {path} to compare with")
    return found.stdout.splitlines()


@pytest.mark.parametrize(("block", "profile"), [("table5", "demo"), ("small_table5", "small")])
def test_table_shown_is_the_recorded_one(block: str, profile: str) -> None:
    shown = README.split(f"<!-- {block}:begin -->")[1].split(f"<!-- {block}:end -->")[0]
    lines = [line for line in shown.splitlines() if line.strip()]
    heading, rule, *rows = lines
    assert rule.startswith("|---") and len(rows) >= 6 and not any(row.startswith("|---") for row in rows)
    assert {line.count("|") for line in lines} == {heading.count("|")}
    assert set(lines) <= set(recorded(f"reports/table5/{profile}/table5.md"))


def verdicts(profile: str) -> dict[str, str]:
    """Claim -> 'does not hold (1 of 4)': of the parts that were measured so many hold, or are better than claimed."""
    verdict: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    for line in takewhile(lambda line: not line.startswith("## "), recorded(f"reports/claims/{profile}/claims.md")):
        what, said = ([cell.strip() for cell in line.split("|")] + ["", ""])[1:3]
        if what[:1].isdigit():
            claim, verdict[what], parts[what] = what, said, []
        elif what.startswith("- ") and line.startswith("| "):
            parts[claim].append(said)
    measured = {claim: [part for part in said if part != "not measured"] for claim, said in parts.items()}
    held = {claim: said.count("holds") for claim, said in measured.items()}
    more = {claim: said.count("better than claimed") for claim, said in measured.items()}
    better = {claim: f", {number} better than claimed" if number else "" for claim, number in more.items()}
    counted = {
        claim: f" ({held[claim]} of {len(said)}{better[claim]})" if said else "" for claim, said in measured.items()
    }
    return {claim: said + counted[claim] for claim, said in verdict.items()}


def test_verdicts_shown_are_the_recorded_ones() -> None:
    shown = README.split("<!-- claims:begin -->")[1].split("<!-- claims:end -->")[0].strip().splitlines()[2:]
    demo, small = verdicts("demo"), verdicts("small")
    assert shown == [f"| {claim} | {demo[claim]} | {small[claim]} |" for claim in demo]
    assert len(shown) == len(CLAIMS)


def test_the_first_lines_count_the_verdicts() -> None:
    first = " ".join(README.split("```sh")[0].split())

    def count(profile: str, answer: str) -> int:
        return sum(said.startswith(answer) for said in verdicts(profile).values())

    assert f"Of the papers' {len(CLAIMS)} claims {count('demo', 'holds')} hold in `demo`" in first
    fail, unknown = count("small", "does not hold"), count("small", "not measured")
    assert f"in `small` none does, {fail} do not and {unknown} {'is' if unknown == 1 else 'are'} not measured" in first
    assert count("small", "holds") == 0


def test_exp_show_leaves_settings_and_the_accuracies_that_are_told() -> None:
    """What the expression matches is dropped. A number that two reports have is called by the report too."""
    (command,) = re.findall(r"(?m)^dvc exp show .*--drop '(.*)'$", README)
    table = json.loads((ROOT / "reports/table5/demo/metrics.json").read_text(encoding="utf-8"))
    numbers = {f"{row}.{column}" for row, columns in table.items() for column in columns}
    kept = {name for name in numbers if not re.match(command, name)}
    assert kept == {f"{row}.{key}" for row in MODELS for key in ("clean", "linf_pgd20", "linf_autoattack")}
    shared = "reports/table5/demo/metrics.json:"
    assert {name for name in numbers if not re.match(command, shared + name)} == kept
    settings = ("attacks.linf_deepfool.steps", "profiles.demo.attacks.l2_cw.lr", "early_stopping.every", "profile")
    files = ("amoc/perturb.py", "models/demo/cifar10/amoc.safetensors", "reports/table5/demo/metrics.json")
    assert [name for name in (*settings, *files) if re.match(command, name)] == list(files)


def measured(benchmark: str) -> list[dict[str, Any]]:
    """The last lines of a benchmark's runs that are kept."""
    path = ROOT / "benchmarks" / "measured" / f"{benchmark}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def numbers(report: str, profile: str) -> dict[str, dict[str, float]]:
    """What a recorded report says, as numbers."""
    return json.loads((ROOT / "reports" / report / profile / "metrics.json").read_text(encoding="utf-8"))


def test_what_is_said_of_peers_and_transfer_is_what_their_reports_say() -> None:
    told = " ".join(README.split("\n## Real images without a GPU\n")[1].split("\n## ")[0].split())
    rows = numbers("peers", "small")
    columns = {key: [row[key] for row in rows.values()] for key in rows["acl"]}
    apart = {key: max(column) - min(column) for key, column in columns.items()}
    assert len(rows) == 6 and "any of six encoders" in told
    assert f"within {apart['aff_pgd20_peers']:.1f} points of PGD20 (with their step) and" in told
    assert f"and {apart['aff_clean']:.1f} of clean accuracy" in told
    ours = [row["aff_autoattack"] for run, row in rows.items() if "amoc" in run]
    others = [row["aff_autoattack"] for run, row in rows.items() if "amoc" not in run]
    assert f"by {min(ours) - max(others):g} to {max(ours) - min(others):g} points, two to seven of 200 images" in told
    assert [round(2 * points) for points in (min(ours) - max(others), max(ours) - min(others))] == [2, 7]
    transfer = numbers("transfer", "small")
    worse = {key: value for key, value in transfer["cifar10_difference"].items() if value <= 0}
    assert list(worse) == ["stdev_pgd20"] and f"but for {-worse['stdev_pgd20']} points of StdEv's PGD20" in told
    assert max(transfer["cifar100_difference"].values()) < 0 and "of CIFAR-10 does worse in every measure" in told


def test_speeds_shown_are_the_measured_ones() -> None:
    half, single = measured("step")
    assert (half["dtype"], single["dtype"]) == ("bfloat16", "float32")
    shown = {name: cells for name, *cells in table("A step of pre-training", SPEED)}
    assert shown["seconds per step"][:2] == [f"{one['step_seconds']:.2f}" for one in (half, single)]
    assert shown["speed-up"] == [f"{one['speedup']:.1f}" for one in (half, single)] + ["1"]
    share, memory = (next(row for name, row in shown.items() if name.startswith(it)) for it in ("of a matrix", "peak"))
    assert share[:2] == [f"{one['fraction_of_peak']:.2f}" for one in (half, single)]
    assert memory[:2] == [f"{one['peak_memory_bytes'] / 2**20:,.0f}" for one in (half, single)]


def test_waiting_shown_is_the_measured_one() -> None:
    (one,) = measured("waiting")
    _, *shown = table("How threads wait", SPEED)
    idle, busy = (one["step_seconds"][machine].values() for machine in ("idle", "busy"))
    assert [cells for _, *cells in shown] == [[f"{a:#.3g}", f"{b:#.3g}"] for a, b in zip(idle, busy, strict=True)]
    assert (one["profile"], one["busy"], one["blocks"]) == ("small", 2, 5)
    assert [name.split()[0] for name in one["step_seconds"]["idle"]] == ["one", "spin,", "sleep", "spin"]


def test_times_of_starts_shown_are_the_measured_ones() -> None:
    (one,) = measured("startup")
    reports = one["report_seconds"].values()
    told = " ".join(SPEED.split())
    assert f"a step and ended {one['train_seconds']:.1f} seconds after its start" in told
    assert f"a report in {min(reports):.1f} to {max(reports):.1f}" in told


def test_the_time_of_the_cheapest_way_is_the_measured_one() -> None:
    (one,) = measured("cheaper")
    told = " ".join(README.split("\n## Real images without a GPU\n")[1].split("\n## ")[0].split())
    free, whole = one["runs"]["amoc_free"], one["runs"]["amoc"]
    assert f"{free['passes'] / whole['passes']:.0%} of the passes".replace("%", " %") in told
    assert f"an epoch of it takes {free['ratio']:.2f} of AMOC's time" in told


def test_costs_of_attacks_shown_are_the_measured_ones() -> None:
    (one,) = measured("evaluation")
    told = " ".join(SPEED.split())
    pgd, ensemble = one["linf_pgd20"], one["linf_autoattack"]
    shown = {name: cells for name, *cells in table("Attacks on test images", SPEED)}
    for name, cost in (("PGD20", pgd), ("AutoAttack", ensemble)):
        standing = [cost[side] * cost["images"] / 100 for side in ("accuracy", "plain_accuracy")]
        assert shown[name] == [
            f"{cost['seconds']:.3g}", f"{cost['plain_seconds']:.3g}", f"{cost['ratio']:.2f}",
            ", ".join(f"{count:.4g}" for count in standing),
        ]  # fmt: skip
    assert f"which has {one['clean']:.0f} % of {ensemble['images']} test images right" in told
    attack = ensemble["attack"]
    assert f"with the standard {attack['square_queries']} queries of Square" in told
    assert (attack["square_queries"], attack["search_precision"]) == (5000, "bfloat16")
    assert "the same images standing on both sides" in told and ensemble["images_that_differ"] == 0
    assert "leaves all but two" in told and pgd["images_that_differ"] == 2
    of_one = 100 * pgd["ratio"] / one["clean"]
    assert f"one that is right takes {of_one:.2f} of its time in the plain call" in told
    assert f"83 % of the images right, as the papers', all would take {0.83 * of_one:.2f}" in told


def test_growth_told_is_the_measured_one() -> None:
    with (ROOT / "benchmarks" / "measured" / "growth.csv").open(encoding="utf-8", newline="") as file:
        seconds = {(row["axis"], row["value"]): float(row["step_seconds"]) for row in csv.DictReader(file)}
    told = " ".join(SPEED.split("\n## Growth\n")[1].split("\n## ")[0].split())
    one, banks = (seconds[a] / seconds[b] - 1 for a, b in (
        (("attack steps", "1"), ("attack steps", "5")), (("bank length", "65536"), ("bank length", "4096"))
    ))  # fmt: skip
    assert f"whose attack takes one step takes {1 + one:.0%} of the time of one with five".replace("%", " %") in told
    growth = json.loads((ROOT / "benchmarks" / "measured" / "growth.json").read_text(encoding="utf-8"))
    bank = growth["longer_bank"]
    low, ratio, high = (f"{100 * bank[name] - 100:.1f}" for name in ("low", "ratio", "high"))
    assert bank["lengths"] == [4096, 65536] and growth["width"] == 64
    assert f"A bank of 65536 keys took {ratio} % more than one of 4096 (quartiles {low} to {high})" in told
    assert f"by them it is {100 * banks:.1f} %" in told


def test_what_old_keys_do_is_the_measured_one() -> None:
    demo, *small = measured("staleness")
    heading = "What old keys do to AMOC's loss in `small`"
    _, *shown = table(heading, GUIDES["results/README.md"])
    assert len(shown) >= 6 and [one["run"] for one in small] == ["moco", "amoc", "amoc_seed2"]
    assert {(one["key_momentum"], one["bank_length"], one["dtype"]) for one in small} == {(0.99, 1024, "bfloat16")}
    for epoch, *cells in shown:
        looked = [next(each for each in one["epochs"] if each["epoch"] == int(epoch)) for one in small]
        losses = [[each[name] for name in ("loss", "new_keys", "other_image")] for each in looked]
        assert cells == [", ".join(f"{loss:.2f}" for loss in each) for each in losses]
    text = " ".join(GUIDES["results/README.md"].split(f"## {heading}\n")[1].split("\n## ")[0].split())
    moco, first, second, demos = (
        [each["other_image"] - each["new_keys"] for each in one["epochs"]] for one in (*small, demo)
    )
    assert f"up to the fifth ({max(first[1:5]):.2f} at most; the untrained network {first[0]:.2f})" in text
    assert second[1] < second[0] < second[2]  # begins to in the third
    assert f"at the end they tell {first[-1]:.2f} and {second[-1]:.2f}, MoCo {moco[-1]:.2f}" in text
    assert f"the demo does, which tells {demos[-1]:.2f} at the end" in text


# ---------------------------------------------------------------- Python


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an encoder and a network of width 4 under the names that the blocks open."""
    import torch

    from amoc.models.classifier import Classifier
    from amoc.models.encoder import Encoder
    from amoc.models.files import save_classifier, save_encoder
    from amoc.models.heads import linear_head
    from amoc.models.norm import branch

    encoder = Encoder("resnet18", 4, (0.3,) * 3, (0.4,) * 3).eval()
    for norm in (module for name, module in encoder.named_modules() if name.endswith(".adv")):
        norm.weight.data.uniform_(0.5, 1.5)  # or both branches would be one
    head = linear_head(encoder.features, 10)
    torch.nn.init.normal_(head.weight)
    monkeypatch.chdir(tmp_path)
    save_encoder(Path("models/demo/cifar10/amoc.safetensors"), encoder, {"branch": "adv"})
    save_classifier(Path("models/demo/cifar10/amoc_finetuned.safetensors"), Classifier(encoder, head, "adv"), {})

    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(ast.parse(block), "README.md", "exec"), names)

    with branch(encoder, "adv"):
        torch.testing.assert_close(names["features"], encoder(names["images"]), atol=1e-2, rtol=1e-2)  # float16 weights
    torch.testing.assert_close(names["same_features"], names["features"])
    assert names["fooled"].shape == (16,)
    moved = (names["adversarial"] - names["images"]).abs().max()
    assert 0 < moved <= shipped.params().epsilon("demo").linf + 1e-6
