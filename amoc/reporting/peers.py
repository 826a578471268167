"""Our encoders by the peers' protocols, beside what the peers published of theirs."""

from __future__ import annotations

from pathlib import Path

from amoc.params import Params
from amoc.reporting import encoders, words
from amoc.reporting.encoders import EncoderTable, Line
from amoc.reporting.evidence import published, records
from amoc.reporting.reports import Report, page
from amoc.reporting.tables import Cell, Column, Row, Table, metrics, to_csv, to_markdown

NAME = "peers"
PUBLISHED = "published_peers"  # the table of their numbers
PROTOCOLS, ATTACKS = ("slf", "alf", "aff"), ("clean", "pgd20_peers", "autoattack")

TABLE = EncoderTable(
    NAME,
    "Encoders by the peers' protocols, accuracy (%)",
    tuple(map(Line, ("moco", "moco_long", "acl", "acl_long", "amoc", "amoc_long"))),
    measures=tuple(f"{protocol}_{attack}" for protocol in PROTOCOLS for attack in ATTACKS),
    protocols=NAME,
)
PROTOCOL = """\
SLF is standard training of a linear layer on the frozen encoder, and ALF is adversarial training of one; AFF trains the
whole network with TRADES. Within a protocol all encoders have the same settings, and the last epoch counts.
"""
SETTINGS = "SLF has the settings of the papers' StdEv; ALF and AFF have those of DynACL's code.\n"
SHORTENED = "The protocols are shortened here: nothing above is comparable with what the peers published (below).\n"
REDUCED = """\
- Scale: theirs is all of CIFAR-10 and a network of width 64; ours is given at the top of this page. No row is
  comparable.
"""
COMPARING = """\
All numbers are for a ResNet-18, trained with the labels of CIFAR-10 and tested on its 10000 test images under attacks
of Linf 8/255, AutoAttack in its standard version; a dash means not published. None of them was measured here, and none
is ranked against ours. Besides the notes on the rows, this stands in the way of a comparison:

"""
AGAINST = """\
- Epochs: most of theirs have 1000 epochs of pre-training. Only our encoders with as many are comparable.
- Settings: the leaderboard sets learning rate, batch size and epochs per protocol and method, with no held-out images
  to choose them on. Its SLF mostly has batches of 512 at a learning rate of 0.01; ours has 128 at 0.1.
- Norms: in DynACL's code AFF sends clean images through the clean norms; ours sends clean and attacked images through
  the branch that the encoder is evaluated with.
- Labels: methods with pseudo-labels or a teacher use more than pre-training alone.
"""


def build(params: Params, profile: str, results: Path = records.RESULTS) -> Report:
    """Read results/<profile>/<dataset>/evaluate/<run>.peers.json of the encoders, those that params.yaml has.

    Raises:
        Refusal: a result is missing in the demo, is broken, or was measured unlike the others.
    """
    found = encoders.find(params, profile, TABLE.dataset, TABLE.runs, results, TABLE.protocols)
    table = encoders.tabulate(params, profile, TABLE, found)
    settings, reduced = (SETTINGS, "") if profile == "paper" else (SHORTENED, REDUCED)
    text = page(
        words.stands_in(params, profile, TABLE.dataset, networks=()),
        f"# {TABLE.title}",
        to_markdown(table),
        encoders.READING + PROTOCOL + settings,
        "## What the peers published",
        to_markdown(printed()),
        COMPARING + reduced + AGAINST,
    )
    return Report(NAME, profile, text, to_csv(table), metrics(table))


def printed() -> Table:
    """A row per system and source, with the columns of ours; notes say where it was and how it differs."""
    told, numbers = published.words(PUBLISHED), published.numbers(PUBLISHED)
    training = Column("pretraining", "Pre-training")
    columns = tuple(Column(measure, words.measure(measure)) for measure in TABLE.measures)
    rows = []
    for key, row in told.items():
        cells = {measure: Cell(numbers[key].get(measure), missing="-") for measure in TABLE.measures}
        cells["pretraining"] = Cell(row["pretraining"])
        differs = tuple(filter(None, row["differs"].split("; ")))
        rows.append(Row(key, row["model"], cells, ranked=False, notes=(f"from {row['source']}", *differs)))
    return Table("Published", (training, *columns), tuple(rows))
