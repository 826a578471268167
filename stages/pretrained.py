"""The encoder that a command is to measure: of a run in params.yaml, or one that `stages.adopt` wrote."""

from __future__ import annotations

from typing import Any

from amoc.models.encoder import Encoder
from amoc.models.files import load_encoder
from amoc.params import Params
from amoc.refusal import Refusal
from stages import paths

ADOPTED = "adopted"  # the method that the settings of an adopted encoder name


def load(params: Params, profile: str, dataset: str, name: str) -> tuple[Encoder, dict[str, Any], int]:
    """An encoder in eval mode, what its file says about it, and the seed of what is trained on it.

    A run's settings are those of params.yaml, an adopted encoder's are in its file. What the profile says of
    architecture and width holds for both, and neither passes for the other.

    Raises:
        Refusal: there is no such run or adopted encoder, its file is missing or damaged, or holds something else.
    """
    path = paths.encoder(profile, dataset, name)
    if name in params.runs(dataset) or not path.exists():
        settings = params.pretraining(profile, dataset, name)  # refuses what is neither
        method, model, seed = settings.method, settings.model, settings.seed
    else:
        method, model, seed = ADOPTED, params.model(profile), None
    encoder, about = load_encoder(path, expected=model.plain())
    found = about.get("settings", {}).get("method")
    if found != method:
        kind = "not a run of params.yaml, and the file was not adopted" if seed is None else f"a run of {method}"
        raise Refusal(f"{path} holds an encoder of the method {found}, but {name} is {kind}")
    return encoder, about, about["settings"]["seed"] if seed is None else seed
