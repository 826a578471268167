"""Table 8: the variants of AMOC under the linear protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amoc.reporting import words
from amoc.reporting.encoders import EncoderTable, Line


def letters(settings: Mapping[str, Any]) -> str:
    """'ACA'; a bank that the variant reads and that keeps its initial noise is named."""
    variant = settings.get("variant")
    if variant is None:
        return words.encoder(settings)
    frozen = settings.get("bank_adv") == "frozen" and variant[2] == "a"
    return f"{variant.upper()}{', frozen bank' if frozen else ''}"


TABLE = EncoderTable(
    "table8",
    "Table 8: variants of AMOC under the linear protocols, accuracy (%)",
    (
        Line("amoc", row="aca"),
        Line("acc"),
        Line("aac"),
        Line("aaa"),
        Line("cac"),
        Line("caa"),
        Line("cca"),
        Line("moco", row="ccc"),
        Line("aca_frozen"),
    ),
    caption=(
        "The letters say whether the query and the key are perturbed (A) or clean (C), and which bank supplies the\n"
        "negatives: see the report table7. ACA is AMOC and CCC is MoCo; the preprint's ACA has the frozen bank.\n"
    ),
    call=letters,
    clocked=True,
)

build = TABLE.build
