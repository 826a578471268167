"""What an encoder has otherwise than its method in params.yaml, where what it is called does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from amoc.params import Params
from amoc.reporting.evidence.records import Network, Result

# keys of an encoder's settings that a row tells by its name, its notes or its seeds
TOLD = ("method", "variant", "form", "bank_adv", "branch", "epochs", "batch_size", "seed")


def departures(
    params: Params, profile: str, dataset: str, run: str, settings: Mapping[str, Any], told: str = ""
) -> str:  # fmt: skip
    """'unlike its method in `params.yaml`: lambda 0.7 instead of 0.5'; nothing where there is nothing to say.

    Args:
        settings: plain, that the encoder was made with.
        told: one more key that the row tells.
    """
    apart = {*TOLD, told}
    plain = params.pretraining(profile, dataset, run, apart).plain()
    used = {key: value for key, value in settings.items() if key not in apart}
    found = ", ".join(_differing(used, plain))
    return f"unlike its method in `params.yaml`: {found}" if found else ""


def departures_of(params: Params, result: Result) -> str:
    """The same of a result's encoder, or of the one that a network was fine-tuned from: 'its encoder is unlike ...'."""
    if not isinstance(result.settings, Network):
        return departures(params, result.profile, result.dataset, result.name, result.settings.model_dump())
    run = result.settings.encoder
    if result.encoder is None or run not in params.runs(result.dataset):
        return ""
    said = departures(params, result.profile, result.dataset, run, result.encoder.settings.model_dump())
    return f"its encoder is {said}" if said else ""


def _differing(used: Mapping[str, Any], plain: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for key, value in used.items():
        other = plain.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            yield from _differing(value, other, f"{within}{key}.")
        elif value != other:
            yield f"{within}{key} {value} instead of {other}"
