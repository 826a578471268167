"""Table 2: every attack, in training and on the test images, from the settings in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from amoc.params import Params
from amoc.reporting import words
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown
from amoc.settings import CheaperAMOCPretraining, Pretraining, TrainingAttack

DATASET = "cifar10"
COLUMNS = (
    Column("attack", "Attack"),
    Column("norm", "Norm"),
    Column("epsilon", "Epsilon"),
    Column("iterations", "Iterations", digits=0),
    Column("step", "Step", "as a fraction of epsilon"),
    Column("images", "Images"),
    Column("other", "Other settings"),
)
RECIPES = words.OBJECTIVES | words.RECIPES | {"finetune": "fine-tuning", "finetune_v1": "the preprint's fine-tuning"}
START, NO_START = "uniform random start", "no random start"
READING = """\
A row called test describes the attack on test images that has the column of that name in the tables of accuracies.
Runs have their names from `params.yaml`; those that only repeat another run with a different seed are left out.
"""
NAMED = 8  # so many runs are named at most

Way = tuple[TrainingAttack, float, str]  # to attack in training: epsilon, and what the columns have no place for


@dataclass(frozen=True)
class AttackTable:
    """A table of attacks as they are set. With a selection, it has what that reads of params.yaml; else everything."""

    name: str
    title: str
    suite: str  # whose attacks on the test images it lists
    runs: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    probes: tuple[str, ...] | None = None
    caption: str = ""

    def build(self, params: Params, profile: str) -> Report:
        """The attacks of the pre-training runs, of the classifiers and their early stopping, and of the suite."""
        table = Table("Used in", COLUMNS, (*_training(params, profile, self), *_testing(params, profile, self)))
        told = READING + self.caption
        text = page(
            words.stands_in(params, profile, DATASET, networks=self.networks),
            f"# {self.title}",
            to_markdown(table),
            told,
        )
        return Report(self.name, profile, text, to_csv(table), metrics(table))


TABLE = AttackTable(
    "table2", "Table 2: attacks", "table5",
    caption="""\
Attacks on test images are from foolbox, as in the papers, and from pyautoattack. Two of them decide per image what
foolbox decides for a whole batch: SLIDE projects only the images that have left the ball, and C&W stops with each
image as soon as it is broken within epsilon, and otherwise takes all its steps.
""",
)  # fmt: skip

build = TABLE.build


def _training(params: Params, profile: str, configured: AttackTable) -> list[Row]:
    """One row for each way in which training attacks, and who uses it."""
    chosen = _chosen(params.runs(DATASET), configured.runs)
    runs = {run: params.pretraining(profile, DATASET, run) for run in chosen}
    networks = [
        params.classifying(profile, DATASET, name) for name in _chosen(params.networks(DATASET), configured.networks)
    ]
    recipes = {network.recipe_name: network.recipe for network in networks}
    recipes |= {probe: params.recipe(profile, probe) for probe in _chosen(params.probes, configured.probes)}
    stopping = params.early_stopping(profile)
    held_out = TrainingAttack(steps=stopping.steps, relative_step=stopping.relative_step, random_start=True)
    linf = params.epsilon(profile).linf
    pretrained = _grouped({name: (run.attack, run.epsilon, _how(run)) for name, run in runs.items() if run.attacks})
    attacking = {name: recipe for name, recipe in recipes.items() if recipe.attack}
    trained = _grouped({name: (one.attack, one.epsilon, _start(one.attack)) for name, one in attacking.items()})
    stopped = _grouped({"": (held_out, linf, _start(held_out))})
    return [
        *_rows("pretraining", "pre-training", pretrained, "training", partial(_runs, alone=len(pretrained) == 1)),
        *_rows("classifying", "training with labels", trained, "training", _recipes),
        *_rows("early_stopping", "early stopping", stopped, f"{stopping.images} held out", lambda names: ""),
    ]


def _chosen(known: Iterable[str], names: tuple[str, ...] | None) -> list[str]:
    return [name for name in known if names is None or name in names]


def _start(attack: TrainingAttack) -> str:
    return START if attack.random_start else NO_START


def _how(run: Pretraining) -> str:
    """Where the attack of a run starts, and in which other ways than by its steps it is cheaper."""
    if not isinstance(run, CheaperAMOCPretraining):
        return _start(run.attack)
    ways = {
        "starts from the last epoch's perturbation": run.start == "last",
        _start(run.attack): run.start == "random",
        f"of {run.share:.0%} of each batch": run.share < 1,
        f"{run.replays} updates with each batch, each a step": run.replays > 1,
    }
    return ", ".join(way for way, chosen in ways.items() if chosen)


def _grouped(attacks: Mapping[str, Way]) -> dict[Way, list[str]]:
    """Those who attack alike."""
    groups: dict[Way, list[str]] = {}
    for user, way in attacks.items():
        groups.setdefault(way, []).append(user)
    return groups


def _runs(names: Sequence[str], alone: bool) -> str:
    """alone: whether all runs that attack are of one group."""
    roles = list(dict.fromkeys(re.sub(r"_seed\d+$", "", name) for name in names))
    if len(roles) <= NAMED:
        return ", ".join(roles)
    return "all runs that use an attack" if alone else "all runs that use an attack, except those of the other rows"


def _recipes(names: Sequence[str]) -> str:
    return ", ".join(RECIPES.get(name, name) for name in names)


def _rows(
    key: str, label: str, groups: Mapping[Way, Sequence[str]], images: str, tell: Callable[[Sequence[str]], str]
) -> list[Row]:
    """A row for each group, with a note that tells who that is; where there are several, their keys are numbered."""
    rows = []
    for number, ((attack, epsilon, how), users) in enumerate(groups.items(), start=1):
        cells = {
            "attack": Cell(f"PGD{attack.steps}"),
            "norm": Cell("Linf"),
            "epsilon": Cell(epsilon, shown=words.radius(epsilon)),
            "iterations": Cell(attack.steps),
            "step": _step(attack.relative_step),
            "images": Cell(images),
            "other": Cell(how),
        }
        rows.append(Row(key if len(groups) == 1 else f"{key}{number}", label, cells, notes=(tell(users),)))
    return rows


def _testing(params: Params, profile: str, configured: AttackTable) -> list[Row]:
    """One row per attack of the suite."""
    test = params.data(profile).test
    everything = f"all {test}" if test else "all"
    suite = params.suite(profile, configured.suite)
    rows = []
    for name, attack in suite.items():
        whose = ", the preprint's" if name.removesuffix("_v1") in suite.keys() - {name} else ""
        rows.append(Row(name, f"test: {words.HEADINGS.get(name, name)}{whose}", _cells(attack.plain(), everything)))
    return rows


def _cells(attack: dict[str, Any], everything: str) -> dict[str, Cell]:
    kind, steps = attack["kind"], attack.get("steps")
    return {
        "attack": Cell(words.ATTACKS[kind] + (str(steps) if kind == "pgd" else "")),
        "norm": Cell(words.NORMS[attack["norm"]]),
        "epsilon": Cell(attack["epsilon"], shown=words.radius(attack["epsilon"])),
        "iterations": Cell(steps, missing="-"),
        "step": _step(attack.get("relative_step")),
        "images": Cell(f"first {attack['images']}" if attack["images"] else everything),
        "other": _other(attack),
    }


def _step(share: float | None) -> Cell:
    return Cell(share, shown=f"{share:g}" if share is not None else None, missing="-")


def _other(attack: dict[str, Any]) -> Cell:
    """What the columns have no place for."""
    kind = attack["kind"]
    if kind == "deepfool":
        return Cell(f"overshoot {attack['overshoot']:g}")
    if kind == "carlini_wagner":
        search = f"{attack['binary_search_steps']} binary search steps, initial constant {attack['initial_const']:g}"
        return Cell(f"learning rate {attack['lr']:g}", notes=(search,))
    if kind == "autoattack":
        precision = attack.get("search_precision", "float32")
        searching = "" if precision == "float32" else f", search in {precision}"
        members = f"standard version (APGD-CE, APGD-T, FAB-T, Square){searching}"
        return Cell(f"Square: {attack['square_queries']} queries", notes=(members,))
    return Cell(START if kind == "pgd" else NO_START)
