"""Results as stages wrote them: JSON -> checked records. An accuracy is counted from the outcome of each image."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from amoc.params import PROBES, PROFILES, Params
from amoc.refusal import Refusal
from amoc.reporting.evidence import checked
from amoc.reporting.evidence.checked import RESULTS, Checked
from amoc.settings import SOURCES

Count = Annotated[int, Field(ge=1)]
ImageSource = Literal[tuple(SOURCES)]
Kind = Literal["evaluate", "attack", "radii"]

ROUNDING = 0.005  # stored accuracies have two decimals
STATUSES = {
    "ok": "",
    "collapsed": "collapsed: after pre-training its features were almost a point or a line, or its projections a point",
    "nan": "nan: its loss, features or logits were no longer finite",
}


class _Used(BaseModel):
    """Settings that a result was measured with: what the reports print of them; the rest is kept as it is.

    Not `amoc.params`: a key that is new there must not make the results of last year unreadable.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class UsedAttack(_Used):
    kind: str
    norm: Literal["linf", "l1", "l2"]
    epsilon: float


class UsedRecipe(_Used):
    objective: str
    train: Literal["head", "all"]
    epochs: Count
    batch_size: Count


class Network(_Used):
    """A whole network: from scratch, or fine-tuned from the encoder named."""

    recipe_name: str
    recipe: UsedRecipe
    encoder: str | None
    seed: int


class Encoder(_Used):
    """A pre-trained encoder."""

    method: str
    epochs: Count
    batch_size: Count
    seed: int


_TAGS = ("a network", "an encoder")  # with a space, see checked.py


def _tag(settings: Any) -> str:
    return _TAGS[0] if isinstance(settings, dict) and "recipe_name" in settings else _TAGS[1]


Settings = Annotated[Annotated[Network, Tag(_TAGS[0])] | Annotated[Encoder, Tag(_TAGS[1])], Discriminator(_tag)]


class Pretrained(Checked):
    """How the encoder of a fine-tuned network was made.

    engine: None of an adopted one, whose file does not tell. epoch: how many the encoder was trained for.
    """

    settings: Encoder
    engine: dict[str, Any] | None
    epoch: Annotated[int, Field(ge=0)]


class Outcome(Checked):
    """One attack (or none: clean) on the first n test images."""

    n: Count
    accuracy: Annotated[float, Field(ge=0, le=100)]  # as stored; `exact` is what is printed
    correct: str
    attack: UsedAttack | None

    @property
    def images(self) -> np.ndarray:
        """Per image, whether it is classified right, after the attack if there was one: bool, (n,)."""
        return np.unpackbits(np.frombuffer(base64.b64decode(self.correct), dtype=np.uint8))[: self.n].astype(bool)

    @property
    def right(self) -> int:
        return int(self.images.sum())

    @property
    def exact(self) -> float:
        """Percent of the n images."""
        return 100 * self.right / self.n

    @model_validator(mode="after")
    def _check(self) -> Outcome:
        try:
            packed = base64.b64decode(self.correct, validate=True)
        except binascii.Error as error:
            raise ValueError(f"correct is not base64: {error}") from None
        if len(packed) != -(-self.n // 8):
            raise ValueError(f"correct holds {len(packed)} bytes, but n = {self.n} images need {-(-self.n // 8)}")
        if np.unpackbits(np.frombuffer(packed, dtype=np.uint8))[self.n :].any():
            raise ValueError(f"correct has bits set beyond its n = {self.n} images")
        if abs(self.accuracy - self.exact) > ROUNDING + 1e-9:
            raise ValueError(f"accuracy is {self.accuracy}, but {self.right} of {self.n} images are {self.exact:.2f}")
        return self


class Evaluate(Checked):
    batch_size: Count
    seed: int


class Result(Checked):
    """What was measured of one encoder or network, by which settings; and how it ended.

    engine: the setting of where its training was computed, and in which precision; unknown of an adopted encoder.
    epoch: how many its training finished.
    encoder: that a network was fine-tuned from.
    """

    kind: str  # the stage that measures it
    profile: Literal[PROFILES]
    dataset: str
    name: str
    source: ImageSource
    test_images: Count
    train_images: Count
    settings: Settings
    engine: dict[str, Any] | None
    epoch: Annotated[int, Field(ge=0)]
    encoder: Pretrained | None
    recipes: dict[str, UsedRecipe]  # protocols, of an encoder
    evaluate: Evaluate
    fingerprints: dict[str, str]
    status: Literal["ok", "collapsed", "nan"]
    note: str

    @property
    def caveat(self) -> str:
        """What is to be said of one that did not end well: its note, or else what its status means."""
        return self.note or STATUSES[self.status]

    @property
    def command(self) -> str:
        """What makes it."""
        return command(self.kind, self.profile, self.dataset, self.name)

    @property
    def how(self) -> list[tuple[str, object]]:
        """Words for what must be the same in all that is compared, and how it was here."""
        recipes = [(f"settings of {recipe}", used.model_dump()) for recipe, used in self.recipes.items()]
        return [*recipes, ("batches or seed", self.evaluate.model_dump())]


class Record(Result):
    """One result file: what was measured of one encoder (kind evaluate) or one model (attack; radii, for Figure 5).

    protocols: which list of params.yaml `recipes` are, of an encoder.
    pretrained_on: of an encoder that was measured on another data set than its own, that one.
    early_stopped_epoch: of a network's twin, counted from 1.
    """

    kind: Kind
    protocols: str = PROBES
    pretrained_on: str | None = None
    early_stopped_epoch: Annotated[int, Field(ge=0)] | None = None
    measurements: dict[str, dict[str, Outcome]]

    @model_validator(mode="after")
    def _check(self) -> Record:
        if "early_stopped" in self.measurements and self.early_stopped_epoch is None:
            raise ValueError("early_stopped_epoch is missing, but measurements.early_stopped is there")
        allowed = self.recipes if self.kind == "evaluate" else ("last", "early_stopped")
        for name, outcomes in self.measurements.items():
            if name not in allowed:
                raise ValueError(f"measurements.{name} is none of {', '.join(allowed)}")
            for attack, outcome in outcomes.items():
                where = f"measurements.{name}.{attack}"
                if outcome.n > self.test_images:
                    raise ValueError(f"{where}: n is {outcome.n}, but there are {self.test_images} test images")
                if (outcome.attack is None) != (attack == "clean"):
                    raise ValueError(f"{where}: attack must be {'null' if attack == 'clean' else 'its settings'}")
        return self

    @property
    def outcomes(self) -> list[tuple[str, Outcome]]:
        """Every attack (or "clean") of every measurement."""
        return [item for outcomes in self.measurements.values() for item in outcomes.items()]

    @property
    def command(self) -> str:
        return command(self.kind, self.profile, self.dataset, self.name, self.protocols, self.pretrained_on)

    @property
    def how(self) -> list[tuple[str, object]]:
        attacks = ((name, (each.n, each.attack and each.attack.model_dump())) for name, each in self.outcomes)
        images = (self.source, self.train_images, self.test_images)
        return [*((f"settings or images of {name}", how) for name, how in attacks), ("images", images), *super().how]

    def outcome(self, measurement: str, attack: str) -> Outcome | None:
        """The outcome of an attack (or "clean") in one of the measurements, None if it was not measured."""
        return self.measurements.get(measurement, {}).get(attack)


def path(
    kind: str, profile: str, dataset: str, name: str, results: Path = RESULTS, protocols: str = PROBES,
    pretrained_on: str | None = None,
) -> Path:  # fmt: skip
    """Where a stage writes the result of an encoder or a model."""
    origin = f".from_{pretrained_on}" if pretrained_on else ""
    by = "" if protocols == PROBES else f".{protocols}"
    return results / profile / dataset / kind / f"{name}{origin}{by}.json"


def command(
    kind: str, profile: str, dataset: str, name: str, protocols: str = PROBES, pretrained_on: str | None = None
) -> str:  # fmt: skip
    """What makes it."""
    if kind == "radii":
        return f"python -m stages.attack {profile} {dataset} {name} --suite radii"
    options = "" if protocols == PROBES else f" --protocols {protocols}"
    options += f" --on {dataset}" if pretrained_on else ""
    return f"python -m stages.{kind} {profile} {pretrained_on or dataset} {name}{options}"


def find(
    params: Params, kind: Kind, profile: str, dataset: str, name: str, results: Path = RESULTS,
    protocols: str = PROBES, pretrained_on: str | None = None,
) -> Record | None:  # fmt: skip
    """The record of an encoder or a model; None if there is none in a profile whose runs take hours or days.

    dataset: whose images it was measured on; an encoder may have been `pretrained_on` another one.

    Raises:
        Refusal: see `checked.find`; or the images are not those that the profile has now.
    """
    said = {
        "kind": kind, "profile": profile, "dataset": dataset, "name": name, "protocols": protocols,
        "pretrained_on": pretrained_on,
    }  # fmt: skip
    expected = said | {"source": params.data(profile).source}
    return checked.find(Record, path(**said, results=results), profile, command(**said), expected)


class Comparable(Protocol):
    """A `Result`, or features."""

    name: str
    command: str
    how: list[tuple[str, object]]


def compare_alike(results: Iterable[Comparable]) -> None:
    """Only what was measured in the same way, on the same images, under the same protocols is compared.

    Raises:
        Refusal: two of them differ; the sentence names both, and the command that measures one again.
    """
    first: dict[str, tuple[str, object]] = {}
    for result in results:
        for what, how in result.how:
            other, before = first.setdefault(what, (result.name, how))
            if how != before:
                raise Refusal(
                    f"{result.name} was measured with other {what} than {other}: "
                    f"measure again with `{result.command}`, or the other one"
                )
