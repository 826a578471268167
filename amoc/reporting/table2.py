"""Table 2: every attack, in training and on the test images, from the settings in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amoc.params import Params
from amoc.reporting import words
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown
from amoc.settings import TrainingAttack

DATASET = "cifar10"
COLUMNS = (
    Column("attack", "Attack"),
    Column("norm", "Norm"),
    Column("epsilon", "Epsilon"),
    Column("iterations", "Iterations", digits=0),
    Column("step", "Step"),
    Column("images", "Images"),
)
RELATIVE = "the step is a share of epsilon"


@dataclass(frozen=True)
class Configured:
    """A table of attacks as they are set."""

    name: str
    title: str
    suite: str  # whose attacks on the test images it lists

    def build(self, params: Params, profile: str) -> Report:
        """The attacks of the pre-training runs, of the classifiers and their early stopping, and of the suite."""
        table = Table("Used", COLUMNS, (*_training(params, profile), *_testing(params, profile, self.suite)))
        text = page(words.stands_in(params, profile, DATASET), f"# {self.title}", to_markdown(table))
        return Report(self.name, profile, text, to_csv(table), metrics(table))


TABLE = Configured("table2", "Table 2: attacks", "table5")

build = TABLE.build


def _training(params: Params, profile: str) -> list[Row]:
    """One row for each way in which training attacks, and who uses it."""
    runs = {run: params.pretraining(profile, DATASET, run) for run in params.runs(DATASET)}
    networks = {name: params.classifying(profile, DATASET, name) for name in params.networks(DATASET)}
    recipes = {network.recipe_name: network.recipe for network in networks.values()}
    recipes |= {probe: params.recipe(profile, probe) for probe in params.probes}
    stopping = params.early_stopping(profile)
    held_out = TrainingAttack(steps=stopping.steps, relative_step=stopping.relative_step, random_start=True)
    linf = params.epsilon(profile).linf
    return [
        *_grouped("pretraining", {n: (r.attack, r.epsilon) for n, r in runs.items() if r.attacks}, "training"),
        *_grouped("classifying", {n: (r.attack, r.epsilon) for n, r in recipes.items() if r.attack}, "training"),
        *_grouped("early_stopping", {"early stopping": (held_out, linf)}, f"{stopping.images} held out"),
    ]


def _grouped(key: str, users: dict[str, tuple[TrainingAttack, float]], images: str) -> list[Row]:
    """Equal attacks share a row; where there are several, their keys are numbered."""
    groups: dict[tuple[TrainingAttack, float], list[str]] = {}
    for user, attack in users.items():
        groups.setdefault(attack, []).append(user)
    rows = []
    for number, ((attack, epsilon), names) in enumerate(groups.items(), start=1):
        start = "a uniform" if attack.random_start else "no"
        cells = {
            "attack": Cell(f"PGD{attack.steps}"),
            "norm": Cell("Linf"),
            "epsilon": Cell(epsilon, shown=words.radius(epsilon)),
            "iterations": Cell(attack.steps),
            "step": Cell(attack.relative_step, shown=f"{attack.relative_step:g}", notes=(RELATIVE,)),
            "images": Cell(images),
        }
        label = key.replace("_", " ")
        note = () if names == [label] else (f"{', '.join(names)}; {start} random start",)
        rows.append(Row(key if len(groups) == 1 else f"{key}{number}", label, cells, notes=note))
    return rows


def _testing(params: Params, profile: str, suite: str) -> list[Row]:
    """One row per attack of the suite."""
    test = params.data(profile).test
    everything = f"all {test}" if test else "all"
    return [
        Row(name, name, _cells(attack.plain(), everything)) for name, attack in params.suite(profile, suite).items()
    ]


def _cells(attack: dict[str, Any], everything: str) -> dict[str, Cell]:
    kind, steps = attack["kind"], attack.get("steps")
    name = words.ATTACKS[kind] + (str(steps) if kind == "pgd" else "")
    images = f"first {attack['images']}" if attack["images"] else everything
    return {
        "attack": Cell(name, notes=_particulars(attack)),
        "norm": Cell(words.NORMS[attack["norm"]]),
        "epsilon": Cell(attack["epsilon"], shown=words.radius(attack["epsilon"])),
        "iterations": Cell(steps, missing="-"),
        "step": _step(attack),
        "images": Cell(images),
    }


def _step(attack: dict[str, Any]) -> Cell:
    """What the papers' column "step size" means for each attack."""
    meanings = {
        "relative_step": RELATIVE,
        "overshoot": "DeepFool: the step is its overshoot",
        "lr": "C&W: the step is its learning rate",
    }
    for key, meaning in meanings.items():
        if key in attack:
            return Cell(attack[key], shown=f"{attack[key]:g}", notes=(meaning,))
    return Cell(missing="-")


def _particulars(attack: dict[str, Any]) -> tuple[str, ...]:
    """What the columns have no place for."""
    if attack["kind"] == "carlini_wagner":
        return (f"{attack['binary_search_steps']} binary search steps, first constant {attack['initial_const']:g}",)
    if attack["kind"] == "autoattack":
        return (f"version standard (APGD-CE, APGD-T, FAB-T, Square), {attack['square_queries']} queries of Square",)
    return ()
