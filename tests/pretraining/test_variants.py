"""The table of the eight variants (journal, Table 7)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from amoc.pretraining.variants import VARIANTS

TABLE = {  # query, key and bank of the second term; branch that the encoder is evaluated with
    "ccc": ("clean", "clean", "clean", "clean"),
    "cca": ("clean", "clean", "adv", "clean"),
    "cac": ("clean", "adv", "clean", "clean"),
    "caa": ("clean", "adv", "adv", "clean"),
    "acc": ("adv", "clean", "clean", "adv"),
    "aca": ("adv", "clean", "adv", "adv"),
    "aac": ("adv", "adv", "clean", "adv"),
    "aaa": ("adv", "adv", "adv", "adv"),
}


def test_there_are_eight():
    assert sorted(VARIANTS) == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_letters_say_query_key_and_bank(name):
    variant = VARIANTS[name]
    assert (variant.query, variant.key, variant.bank, variant.branch) == TABLE[name]


def test_settings_and_reports_read_the_table_without_torch():
    program = "import sys, amoc.pretraining.variants, amoc.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
