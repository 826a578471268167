"""Table 7: what each variant perturbs and where its negatives come from, from the variant table of the code."""

from __future__ import annotations

from amoc.params import Params
from amoc.pretraining.variants import VARIANTS, Variant
from amoc.reporting import words
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "table7"
DATASET = "cifar10"
ORDER = ("aca", "acc", "aaa", "aac", "caa", "cac", "cca", "ccc")  # the journal's six, the preprint's, MoCo

COLUMNS = (
    Column("query_perturbed", "Query", "whether it is perturbed; if so, it goes through the adversarial norm branch"),
    Column("key_perturbed", "Key", "whether it is perturbed; if so, it goes through the adversarial norm branch"),
    Column("bank", "Bank", "which memory bank supplies the negatives of the second term"),
    Column("filled", "Adversarial bank filled with", "f_k is the key encoder; c and c' make the query and key views"),
    Column("evaluated", "Evaluated with", "norm branch of the frozen encoder"),
)
FROZEN = "preprint: the bank stays as it was initialised"
CRAFTED = "delta is computed as for ACA, but only to fill the bank: the loss sees clean inputs"


def build(params: Params, profile: str) -> Report:
    """Every variant that the code knows, and ACA as in the preprint."""
    rows = []
    for name in ORDER:
        variant = VARIANTS[name]
        notes = {"cca": (CRAFTED,), "ccc": ("MoCo",)}.get(name, ())
        rows.append(Row(name, name.upper(), _cells(variant, filling(variant)), notes=notes))
        if name == "aca":
            rows.append(Row("aca_frozen", "ACA, frozen", _cells(variant, "unit Gaussian noise"), notes=(FROZEN,)))
    table = Table("Variant", COLUMNS, tuple(rows))
    loss = (
        "Loss: lambda NCE(q(c), k(c'), clean bank) + (1 - lambda) NCE(query, key, bank), "
        "where the variant's letters define the second term."
    )
    text = page(words.stands_in(params, profile, DATASET, networks=()), "# Table 7: variants", loss, to_markdown(table))
    return Report(NAME, profile, text, to_csv(table), metrics(table))


def filling(variant: Variant) -> str:
    """The keys that enter the adversarial bank at each step, where the variant reads that bank.

    The perturbed key if there is one; otherwise the perturbed query view, sent through the key encoder.
    """
    if variant.bank == "clean":
        return "not read"
    return "f_k(c'(x) + delta'; adv)" if variant.key == "adv" else "f_k(c(x) + delta; adv)"


def _cells(variant: Variant, filled: str) -> dict[str, Cell]:
    return {
        "query_perturbed": Cell(variant.query == "adv"),
        "key_perturbed": Cell(variant.key == "adv"),
        "bank": Cell(variant.bank),
        "filled": Cell(filled),
        "evaluated": Cell(variant.branch),
    }
