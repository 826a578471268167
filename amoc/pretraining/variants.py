"""The eight variants as values (journal, Table 7; preprint, Table 1). No torch: settings and reports read this too."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Branch = Literal["clean", "adv"]


@dataclass(frozen=True)
class Variant:
    """Three letters: is the query perturbed, is the key, and which bank gives the negatives of the second term."""

    query: Branch
    key: Branch
    bank: Branch

    @property
    def branch(self) -> Branch:
        """The norm branch to evaluate the encoder with: the one its queries of the second term go through."""
        return self.query


_LETTER: dict[str, Branch] = {"c": "clean", "a": "adv"}
VARIANTS = {"".join(letters): Variant(*(_LETTER[letter] for letter in letters)) for letters in product("ca", repeat=3)}
