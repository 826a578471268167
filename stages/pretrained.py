"""What a command is to measure: the encoder of a run or one that `stages.adopt` wrote, or a whole network."""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from torch import nn

from amoc.layers import listed
from amoc.models.classifier import Classifier
from amoc.models.encoder import Encoder
from amoc.models.files import load_classifier, load_encoder, load_heads
from amoc.params import Params
from amoc.refusal import Refusal
from stages import paths

ADOPTED = "adopted"  # the method that the settings of an adopted encoder name


def is_network(params: Params, profile: str, dataset: str, name: str) -> bool:
    """Whether a name is of a whole network, and not of an encoder. Raises Refusal if it is of neither."""
    networks, runs = params.networks(dataset), params.runs(dataset)
    if name in networks or name in runs or paths.encoder(profile, dataset, name).exists():
        return name in networks
    meant = "".join(f" ({near}?)" for near in get_close_matches(name, (*networks, *runs), n=1))
    sections = f"classifiers.{dataset} has {listed(networks)}; runs.{dataset} has {listed(runs)}"
    raise Refusal(f"{params.path}: no network or encoder is called {name}{meant}: {sections}")


def load(params: Params, profile: str, dataset: str, name: str) -> tuple[Encoder, dict[str, Any], int]:
    """An encoder in eval mode, what its file says about it, and the seed of what is trained on it.

    A run's settings are those of params.yaml, an adopted encoder's are in its file. What the profile says of
    architecture and width holds for both, and neither passes for the other.

    Raises:
        Refusal: there is no such run or adopted encoder, its file is missing or damaged, or holds something else: a
            run of another name or of other settings, or one that was not trained to its end.
    """
    path = paths.encoder(profile, dataset, name)
    if name in params.runs(dataset) or not path.exists():
        settings = params.pretraining(profile, dataset, name)  # refuses what is neither
        method, model, seed = settings.method, settings.model, settings.seed
    else:
        settings, method, model, seed = None, ADOPTED, params.model(profile), None
    encoder, about = load_encoder(path, expected=model.plain())
    found = about.get("settings", {}).get("method")
    if found != method:
        kind = "not a run of params.yaml, and the file was not adopted" if seed is None else f"a run of {method}"
        raise Refusal(f"{path} holds an encoder of the method {found}, but {name} is {kind}")
    if settings is None:
        return encoder, about, about["settings"]["seed"]
    epochs = about["epoch"] if about["status"] == "nan" else settings.epochs  # a run that diverged ends before
    asked = {
        "profile": profile, "dataset": dataset, "run": name, "settings": settings.plain(), "epoch": epochs,
        "steps_per_epoch": None,
    }  # fmt: skip
    if other := _difference({key: about.get(key) for key in asked}, asked):
        command = f"`python -m stages.pretrain {profile} {dataset} {name}` makes it"
        raise Refusal(f"{path} holds an encoder with {other}: {command}")
    return encoder, about, seed


def load_probed(
    params: Params, profile: str, dataset: str, name: str, probes: Collection[str]
) -> tuple[Encoder, dict[str, nn.Linear], dict[str, Any]]:  # fmt: skip
    """An encoder, linear heads by protocol, and what its file says about it, with the heads' recipes and fingerprints.

    Raises:
        Refusal: as of `load`; and the file of heads lacks one of these protocols, is of another encoder's name, or was
            trained by other recipes.
    """
    encoder, about, _ = load(params, profile, dataset, name)
    path = paths.heads(profile, dataset, name)
    heads, told = load_heads(path)
    command = f"`python -m stages.evaluate {profile} {dataset} {name}` makes it"
    for probe in probes:
        if probe not in heads:
            raise Refusal(f"{path} has no head of {probe}, only of {', '.join(heads)}: {command}")
    trained = {probe: recipe for probe, recipe in told["recipes"].items() if probe in probes}
    recipes = {probe: params.recipe(profile, probe).plain() for probe in probes}
    asked = {"profile": profile, "dataset": dataset, "run": name, "recipes": recipes}
    if other := _difference({**{key: told.get(key) for key in asked}, "recipes": trained}, asked):
        raise Refusal(f"{path} holds heads with {other}: {command}")
    about = about | {"recipes": trained, "fingerprints": told["fingerprints"]}
    return encoder, {probe: head for probe, head in heads.items() if probe in probes}, about


def load_network(
    params: Params, profile: str, dataset: str, name: str, twin: bool = False
) -> tuple[Classifier, dict[str, Any]]:  # fmt: skip
    """A whole network, or its early-stopped twin, in eval mode, and what its file says about it.

    Raises:
        Refusal: its file is missing or damaged, or holds one of another name or of other settings.
    """
    path = paths.classifier(profile, dataset, name, twin=twin)
    network, about = load_classifier(path)
    settings = params.classifying(profile, dataset, name).plain()
    asked = {"profile": profile, "dataset": dataset, "run": name, "settings": settings}
    if other := _difference({key: about.get(key) for key in asked}, asked):
        command = f"`python -m stages.classify {profile} {dataset} {name}` makes it"
        raise Refusal(f"{path} holds a network with {other}: {command}")
    return network, about


def _difference(found: Any, asked: Any, *keys: str) -> str | None:
    """The first place where the two differ, with both values; what is not there is null."""
    if isinstance(found, dict) and isinstance(asked, dict):
        places = (_difference(found.get(key), asked.get(key), *keys, key) for key in {**asked, **found})
        return next(filter(None, places), None)
    if found == asked:
        return None
    return f"{'.'.join(keys)} {json.dumps(found)}, asked for is {json.dumps(asked)}"
