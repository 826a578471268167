"""What stages.corrupt counted: JSON -> checked records, and accuracies from them."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field, model_validator

from amoc.params import Params
from amoc.reporting.evidence import checked, records
from amoc.reporting.evidence.checked import RESULTS
from amoc.reporting.evidence.corruption_names import CORRUPTIONS
from amoc.reporting.evidence.records import Result

SEVERITIES = 5
FROST, PROCEDURAL = "frost", "frost_procedural"
REGENERATED = tuple(PROCEDURAL if name == FROST else name for name in CORRUPTIONS)
Images = Literal["official", "regenerated"]
NAMES: dict[str, tuple[str, ...]] = {"official": CORRUPTIONS, "regenerated": REGENERATED}


class CorruptionRecord(Result):
    """Of one encoder, under each of its linear heads, or of one network, whose head is called last."""

    kind: Literal["corrupt"]
    images: Images
    right: dict[str, dict[str, list[Annotated[int, Field(ge=0)]]]]  # head -> corruption -> images right, by severity

    @model_validator(mode="after")
    def _check(self) -> CorruptionRecord:
        expected = {"clean": 1} | dict.fromkeys(NAMES[self.images], SEVERITIES)
        for head, counts in self.right.items():
            if {name: len(numbers) for name, numbers in counts.items()} != expected:
                raise ValueError(f"right.{head} must have one number for clean, five for each corruption, no others")
            if max(map(max, counts.values())) > self.test_images:
                raise ValueError(f"right.{head} counts more than the {self.test_images} test images")
        return self

    @property
    def how(self) -> list[tuple[str, object]]:
        images = (self.images, self.source, self.test_images, self.evaluate.seed, self.fingerprints.get("corrupt"))
        return [("images", images), *super().how]

    def severities(self, head: str, corruption: str) -> list[float] | None:
        """Percent right at each severity; None if it was not measured."""
        numbers = self.right.get(head, {}).get(corruption)
        return None if numbers is None else [100 * number / self.test_images for number in numbers]

    def accuracy(self, head: str, corruption: str) -> float | None:
        """Percent right, in the mean over the severities, or of the clean images."""
        percents = self.severities(head, corruption)
        return None if percents is None else fmean(percents)


def find(
    params: Params, profile: str, dataset: str, name: str, results: Path = RESULTS
) -> CorruptionRecord | None:  # fmt: skip
    """The record of an encoder or a network; None if there is none in a profile whose runs take hours or days.

    Raises:
        Refusal: see `records.find`.
    """
    said = {"kind": "corrupt", "profile": profile, "dataset": dataset, "name": name}
    path, command = records.path(**said, results=results), records.command(**said)
    return checked.find(CorruptionRecord, path, profile, command, said | {"source": params.data(profile).source})
