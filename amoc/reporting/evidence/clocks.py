"""Clock files as stages wrote them: how long a run took, and on what. Times are in no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from amoc.reporting.evidence import checked
from amoc.reporting.evidence.checked import RESULTS

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0)]


class Clock(BaseModel):
    """Of one pre-training. What older files do not hold is None."""

    model_config = ConfigDict(frozen=True, extra="allow")

    seconds: dict[str, NotNegative]  # by phase: "total", and within it "train"
    counts: dict[str, Whole]  # "images": how many went through a training step, an image once per epoch
    epochs: Whole  # that the seconds are of: the finished ones, and one that was no longer finite
    device: str
    threads: int
    torch: str
    python: str
    stages_at_once: int | None = None  # how many shared the machine, by stages.parallel
    precision: str | None = None
    flops_per_image: Positive | None = None  # of a training step
    matmul_flops_per_second: Positive | None = None  # of the device in that precision, when the run began

    @model_validator(mode="after")
    def _check(self) -> Clock:
        for where, key in (("seconds", "total"), ("seconds", "train"), ("counts", "images")):
            if key not in getattr(self, where):
                raise ValueError(f"{where} has no {key}")
        return self

    @property
    def total_hours(self) -> float:
        return self.seconds["total"] / 3600

    @property
    def seconds_per_epoch(self) -> float | None:
        """Of training alone: without the looks at the features between epochs."""
        return self.seconds["train"] / self.epochs if self.epochs else None

    @property
    def images_per_second(self) -> float | None:
        return self.counts["images"] / self.seconds["train"] if self.seconds["train"] else None

    @property
    def fraction_of_peak(self) -> float | None:
        """Operations that the training steps needed per second, as a share of those of a matrix product."""
        if None in (self.flops_per_image, self.matmul_flops_per_second, self.images_per_second):
            return None
        return self.images_per_second * self.flops_per_image / self.matmul_flops_per_second


def path(profile: str, dataset: str, run: str, results: Path = RESULTS) -> Path:
    """Where stages.pretrain writes the clock of a run."""
    return results / profile / dataset / "pretrain" / f"{run}.clock.json"


def find(profile: str, dataset: str, run: str, results: Path = RESULTS) -> Clock | None:
    """The clock of a run; None if there is none in a profile whose runs take hours or days.

    Raises:
        Refusal: see `checked.find`.
    """
    command = f"python -m stages.pretrain {profile} {dataset} {run}"
    return checked.find(Clock, path(profile, dataset, run, results), profile, command)
