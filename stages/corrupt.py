"""python -m stages.corrupt PROFILE DATASET MODEL: corrupted images -> results/<profile>/<dataset>/corrupt/..."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from amoc import datasets
from amoc.augment import to_float
from amoc.corruptions.catalogue import SEVERITIES
from amoc.corruptions.counting import count
from amoc.corruptions.source import Source, find
from amoc.engine.clock import Clock, settled_now
from amoc.engine.cost import announce, seconds_per_pass
from amoc.engine.device import describe, device
from amoc.engine.files import digest, write_json
from amoc.engine.interruption import interruptible
from amoc.engine.progress import say
from amoc.models.classifier import Classifier
from amoc.params import Params
from stages import command, paths, pretrained, resumable
from stages.results import preamble, worst
from stages.settings import agree


def main(
    profile: command.ProfileArgument, dataset: command.DatasetArgument,
    model: Annotated[str, typer.Argument(help="A whole network or an encoder: a key of `classifiers` or of `runs`.")],
    output: command.OutputOption = paths.PROJECT, anyway: command.AnywayOption = False,
) -> None:  # fmt: skip
    """Count what a whole network, or an encoder under each of its linear heads, gets right of corrupted images.

    The images are the published ones where AMOC_DATA_DIR has them, else they are made from the test images here.
    """
    params = Params.load()
    whole = pretrained.is_network(params, profile, dataset, model)
    agree(params, profile, ("corrupt",))
    engine = params.engine(profile)
    data_path = paths.data(profile, dataset)
    data = datasets.read(data_path)
    source = find(data, datasets.archives(), params.evaluate.seed)
    subject = (whole_network if whole else probed_encoder)(params, profile, dataset, model)
    about = subject.about | {"fingerprints": subject.about["fingerprints"] | paths.fingerprints("corrupt")}
    identity = {
        "data": digest(data_path), "files": [digest(path) for path in subject.files], "images": source.kind,
        "evaluate": params.evaluate.plain(), "fingerprints": about["fingerprints"],
    }  # fmt: skip

    chosen = device(engine)
    batch_size, classifier = params.evaluate.batch_size, subject.classifier.to(chosen)
    heads = {name: head.to(chosen) for name, head in subject.heads.items()}
    clock, title = Clock(), f"corrupt {profile} {dataset} {model}"
    first = range(min(batch_size, len(data.test.labels)))
    test = to_float(torch.from_numpy(data.test.pixels[first.start : first.stop])).to(chosen)
    cost = seconds_per_pass(classifier, test) + seconds_per_image(source, first)
    announce(title, (1 + len(source.names) * len(SEVERITIES)) * len(data.test.labels), cost, chosen, anyway)

    with resumable.checkpoint(title, identity, chosen) as checkpoint, interruptible() as stop:
        reached, save = resumable.resumed(checkpoint, clock, stop)
        with clock.phase("total"):
            right = count(
                classifier.features, heads, data.test.pixels, data.test.labels, source, batch_size=batch_size,
                device=chosen, saved=reached or {}, save=save,
            )  # fmt: skip
        broken = [f"{name}: NaN or infinite logits" for name in heads if name not in right]
        status = worst(about["status"], "nan" if broken else "ok")
        top = preamble("corrupt", params, profile, model, data, about)
        result = {**top, "status": status, "note": "; ".join(broken), "images": source.kind, "right": right}
        write_json(output / paths.result("corrupt", profile, dataset, model), result)
        write_json(output / paths.clock("corrupt", profile, dataset, model), {**clock.plain(), **describe(chosen)})
        checkpoint.finish()
    for head, counts in right.items():
        corruptions = [sum(counts[name]) / len(SEVERITIES) for name in source.names]
        mean = sum(corruptions) / len(corruptions) / len(data.test.labels)
        clean = counts["clean"][0] / len(data.test.labels)
        say(f"{title} {head}: clean {clean:.2%}, {source.kind} corruptions {mean:.2%}")
    for doubt in broken:
        print(f"{title} {doubt}")


@dataclass(frozen=True)
class Subject:
    """What is measured: a network, the heads that take its features, the files read and what they tell."""

    classifier: Classifier
    heads: dict[str, nn.Linear]
    files: list[Path]
    about: dict[str, Any]


def whole_network(params: Params, profile: str, dataset: str, model: str) -> Subject:
    """After its last epoch."""
    path = paths.classifier(profile, dataset, model)
    classifier, about = pretrained.load_network(params, profile, dataset, model)
    return Subject(classifier, {"last": classifier.head}, [path], about)


def probed_encoder(params: Params, profile: str, dataset: str, run: str) -> Subject:
    """With a linear head of each protocol in `probes`."""
    files = [paths.encoder(profile, dataset, run), paths.heads(profile, dataset, run)]
    encoder, heads, about = pretrained.load_probed(params, profile, dataset, run, params.probes)
    classifier = Classifier(encoder, next(iter(heads.values())), about["branch"]).eval()
    return Subject(classifier, heads, files, about)


def seconds_per_image(source: Source, numbers: range) -> float:
    """That it takes to make or read one corrupted image: of each corruption a few."""
    few = range(numbers.start, min(numbers.stop, numbers.start + 16))
    begun = settled_now()
    for name in source.names:
        source.images(name, 3, few)
    return (settled_now() - begun) / len(source.names) / len(few)


if __name__ == "__main__":
    command.run(main)
