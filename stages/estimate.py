"""What a stage will cost, from its command: the counts that it announces itself when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from torch import nn

from amoc.classifying import loop as classifying
from amoc.evaluating import cost as attacking
from amoc.models.encoder import Encoder
from amoc.models.heads import linear_head
from amoc.params import PROBES, Params
from amoc.pretraining import passes as pretraining
from amoc.reporting.evidence.corruption_names import CORRUPTIONS
from amoc.reporting.evidence.corruption_records import SEVERITIES
from amoc.settings import SOURCES, Precision
from stages import attack, evaluate, numerics


@dataclass(frozen=True)
class Work:
    """Forward passes of one image through the encoder, and in which precision the stage times one."""

    passes: float
    precision: Precision


@dataclass(frozen=True)
class Sizes:
    """Of a data set as a profile uses it."""

    train: int
    test: int
    side: int
    classes: int


def ours(command: str) -> bool:
    """Whether it is `python -m stages.<name> ...`."""
    return command.startswith("python -m stages.")


def sizes(params: Params, profile: str, dataset: str) -> Sizes:
    """Without reading the images, which may not be there yet."""
    data = params.data(profile)
    there = SOURCES[data.source]
    return Sizes(data.train or there.train, data.test or there.test, there.side, there.classes[dataset])


def work(params: Params, command: str) -> Work | None:
    """What a stage's command costs; None for one that neither trains nor attacks, or is not ours.

    Raises:
        Refusal: the command names what params.yaml does not have.
    """
    name, given = _parsed(command) if ours(command) else ("", {})
    if name not in ("pretrain", "numerics", "evaluate", "classify", "attack", "corrupt", "embed"):
        return None
    profile, dataset = given["profile"], given["dataset"]
    there = sizes(params, profile, given.get("on") or dataset)
    match name:
        case "pretrain":
            settings = params.pretraining(profile, dataset, given["run"])
            precision = params.engine(profile, dataset, given["run"]).precision
            return Work(settings.epochs * there.train * pretraining.passes(settings), precision)
        case "numerics":
            return Work(numerics.needed(params.pretraining(profile, dataset, given["run"])), "float32")
        case "evaluate":
            recipes, suite = params.protocols(profile, given["protocols"])
            return Work(evaluate.needed(recipes, suite, there.train, there.test, there.classes), "float32")
        case "corrupt":  # without making the images, which is little beside a network on a CPU
            return Work((1 + len(CORRUPTIONS) * SEVERITIES) * there.test, "float32")
        case "embed":
            return Work(there.train + there.test, "float32")
        case "classify":
            own = params.classifying(profile, dataset, given["model"])
            needed = classifying.passes(own.recipe, there.train, own.early_stopping)
            return Work(needed, params.engine(profile).precision)
        case _:
            chosen = attack.suites(params, profile, dataset, given["model"], given["suite"]).values()
            return Work(sum(attacking.passes(suite, there.test, there.classes) for suite in chosen), "float32")


def size(params: Params, command: str, output: str) -> int:
    """Bytes of a stage's output if it is images or weights; 0 for the small results that git keeps."""
    if not (ours(command) and output.startswith(("data/", "models/"))):
        return 0
    _, given = _parsed(command)
    profile = given["profile"]
    there = sizes(params, profile, given.get("on") or given["dataset"])
    if output.startswith("data/"):
        return (there.train + there.test) * (3 * there.side**2 + 8)  # pixels in bytes, an int64 label
    model = params.model(profile)
    encoder = Encoder(model.architecture, model.width, (0.0,) * 3, (1.0,) * 3)
    head = linear_head(encoder.features, there.classes)
    if output.endswith(".heads.safetensors"):
        recipes, _ = params.protocols(profile, given.get("protocols", PROBES))
        heads = sum(recipe.train == "head" for recipe in recipes.values())
        return 4 * heads * sum(parameter.numel() for parameter in head.parameters())  # in float32
    return _stored(encoder.backbone) + (_stored(head) if "model" in given or "protocols" in given else 0)


def _stored(module: nn.Module) -> int:
    """Bytes in a file of weights: matrices in float16, the rest as it is."""
    tensors = module.state_dict().values()
    return sum(tensor.numel() * (2 if tensor.ndim > 1 else tensor.element_size()) for tensor in tensors)


def _parsed(command: str) -> tuple[str, dict[str, Any]]:
    """'python -m stages.pretrain demo cifar10 amoc' -> 'pretrain' and its arguments, as its own parser reads them."""
    _, _, module, *arguments = command.split()
    app = typer.Typer(add_completion=False)
    app.command()(import_module(module).main)
    return module.removeprefix("stages."), typer.main.get_command(app).make_context(module, arguments).params
