"""What stages.corrupt counted: JSON -> checked records, and accuracies from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from amoc.engine.files import read_json
from amoc.params import PROFILES
from amoc.refusal import Refusal
from amoc.reporting.paper_claims import CORRUPTIONS
from amoc.reporting.records import RESULTS, Checked, Count, Evaluate, Settings, UsedRecipe, absent, sentence

SEVERITIES = 5
FROST, PROCEDURAL = "frost", "frost_procedural"
REGENERATED = tuple(PROCEDURAL if name == FROST else name for name in CORRUPTIONS)
COMMON = 15  # the first so many of the 19; the other four are extra
Images = Literal["official", "regenerated"]
NAMES: dict[str, tuple[str, ...]] = {"official": CORRUPTIONS, "regenerated": REGENERATED}


class CorruptionRecord(Checked):
    """Of one encoder, under each of its linear heads, or of one network, whose head is called last."""

    kind: Literal["corrupt"]
    profile: Literal[PROFILES]
    dataset: str
    name: str
    source: Literal["digits", "cifar"]
    test_images: Count
    train_images: Count
    settings: Settings
    recipes: dict[str, UsedRecipe]
    evaluate: Evaluate
    fingerprints: dict[str, str]
    status: Literal["ok", "collapsed", "nan"]
    note: str
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

    def severities(self, head: str, corruption: str) -> list[float] | None:
        """Percent right at each severity; None if it was not measured."""
        numbers = self.right.get(head, {}).get(corruption)
        return None if numbers is None else [100 * number / self.test_images for number in numbers]

    def accuracy(self, head: str, corruption: str) -> float | None:
        """Percent right, in the mean over the severities, or of the clean images."""
        percents = self.severities(head, corruption)
        return None if percents is None else fmean(percents)


def path(profile: str, dataset: str, name: str, results: Path = RESULTS) -> Path:
    """Where stages.corrupt writes."""
    return results / profile / dataset / "corrupt" / f"{name}.json"


def find(profile: str, dataset: str, name: str, results: Path = RESULTS) -> CorruptionRecord | None:
    """The record of an encoder or a network; None if there is none in a profile whose runs take hours or days.

    Raises:
        Refusal: it is not there in the demo, or it is broken; the sentence names the command that makes it.
    """
    file, command = path(profile, dataset, name, results), f"python -m stages.corrupt {profile} {dataset} {name}"
    if not file.exists():
        return absent(file, profile, command)
    try:
        record = CorruptionRecord.model_validate(read_json(file))
    except ValidationError as failure:
        raise Refusal(f"{file} is broken: {sentence(failure)}; make it again with `{command}`") from None
    for key, expected in (("profile", profile), ("dataset", dataset), ("name", name)):
        if getattr(record, key) != expected:
            raise Refusal(
                f"{file} says that its {key} is {getattr(record, key)!r}, not {expected!r}: "
                f"make it again with `{command}`"
            )
    return record


def compare_alike(records: Iterable[CorruptionRecord]) -> None:
    """Only what was counted on the same images, under the same linear protocols, is compared.

    Raises:
        Refusal: two of them differ; the sentence names both, and the command that counts one again.
    """
    first: dict[str, tuple[CorruptionRecord, object]] = {}
    for record in records:
        fingerprint = record.fingerprints.get("corrupt")
        hows = {"images": (record.images, record.source, record.test_images, record.evaluate.seed, fingerprint)}
        hows |= {f"linear protocol {name}": used.model_dump() for name, used in record.recipes.items()}
        for what, how in hows.items():
            other, before = first.setdefault(what, (record, how))
            if how != before:
                command = f"python -m stages.corrupt {record.profile} {record.dataset} {record.name}"
                raise Refusal(
                    f"{record.name} and {other.name} were measured with other {what}: "
                    f"count again with `{command}`, or the other one"
                )
