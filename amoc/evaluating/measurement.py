"""One network under a suite of attacks, with what is to be said against the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from amoc.evaluating.checks import NotFinite, masked_gradients, void_attacks
from amoc.evaluating.suite import State, run_suite
from amoc.models.norm import frozen
from amoc.settings import Attack


@dataclass(frozen=True)
class Measurement:
    """What a result file holds of one network.

    Attributes:
        outcomes: "clean", then the attacks in their order, as JSON; empty if the logits are NaN or infinite.
        doubts: sentences, none where nothing speaks against the numbers.
        status: "nan" if the logits are NaN or infinite.
    """

    outcomes: dict[str, dict[str, Any]]
    doubts: list[str]
    status: Literal["ok", "nan"] = "ok"

    def __str__(self) -> str:
        shown = (f"{name} {outcome['accuracy']:.2f} %" for name, outcome in self.outcomes.items())
        return ", ".join(shown) or self.status


def measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    suite: Mapping[str, Attack],
    *,
    batch_size: int,
    seed: int,
    undefended: bool = False,
    saved: State | None = None,
    save: Callable[[State], object] | None = None,
    processes: int = 1,
) -> Measurement:
    """Run a suite and ask whether its numbers mean anything; a model without finite logits is a result, not an error.

    Args:
        undefended: the network was trained without attacks: one that leaves it standing is mistuned, which is a doubt.

    The other arguments, and what is raised, are those of `run_suite`.
    """
    try:
        outcomes = run_suite(
            model, images, labels, suite, batch_size=batch_size, seed=seed, saved=saved, save=save, processes=processes
        )
    except NotFinite as failure:
        return Measurement({}, [str(failure)], "nan")
    doubts = [f"{name}: {warning}" for name, outcome in outcomes.items() for warning in outcome.warnings]
    with frozen(model):
        doubts += masked_gradients(model, images[:batch_size], labels[:batch_size])
    if undefended:
        doubts += [f"{name} leaves more than half of an undefended model's images" for name in void_attacks(outcomes)]
    return Measurement({name: outcome.plain() for name, outcome in outcomes.items()}, doubts)
