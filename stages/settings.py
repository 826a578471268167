"""python -m stages.settings: params.yaml resolved, as stages use it -> results/<profile>/settings/ of each profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from amoc.engine.files import as_json, read_json, write_json
from amoc.params import DATASETS, PROBES, PROFILES, Params
from amoc.refusal import Refusal
from amoc.settings import Settings
from stages import command, paths

SECTIONS = {  # as written, for reports: file -> what is in it
    **{name: (name,) for name in ("pretrain", "runs", "probes", "attacks", "suites")},
    "networks": ("classifiers", "recipes", "early_stopping"),
}


def main(output: command.OutputOption = paths.PROJECT) -> None:
    """Resolve the settings of every profile, a file for each thing that a stage uses: a run, a suite of attacks, ...

    A stage depends on its files instead of keys of params.yaml, so it runs again if what it uses is another, in
    whichever section that was written; and DVC need not read params.yaml for each stage.
    """
    params = Params.load()
    for profile in PROFILES:
        written = {output / path: settings for path, settings in resolved(params, profile)}
        for path, settings in written.items():
            write_json(path, settings)
        folder = output / paths.settings(profile)
        for path in {path for path in folder.rglob("*") if path.is_file()} - written.keys():  # of a run that is no more
            path.unlink()
        print(f"{folder}: {len(written)} files")


def agree(params: Params, profile: str, *keys: tuple[str, ...]) -> None:
    """Refuse to compute with other settings than a file of these says, on which the stage depends, if it is there.

    DVC would record the result under the file's: params.yaml was edited after the stage `settings` ran.

    Raises:
        Refusal: it names the file.
    """
    files = {paths.settings(profile, *key) for key in keys}
    for path, settings in resolved(params, profile):
        if path in files and path.exists() and read_json(path) != settings:
            raise Refusal(f"{path} is not what {params.path} says now: run `dvc repro settings`, and this again")


def resolved(params: Params, profile: str) -> Iterator[tuple[Path, Any]]:
    """The files and what is in them: all that a long stage reads; for reports, which run in seconds, whole sections."""
    path, engine, evaluate = partial(paths.settings, profile), params.engine(profile).plain(), params.evaluate.plain()
    yield path("data"), params.data(profile).plain()
    for dataset in DATASETS:
        for run in params.runs(dataset):
            own, settings = params.engine(profile, dataset, run), params.pretraining(profile, dataset, run)
            yield path(dataset, run), {"engine": own.plain(), "settings": settings.plain()}
        for network in params.networks(dataset):
            settings = params.classifying(profile, dataset, network)
            yield path(dataset, network), {"engine": engine, "settings": settings.plain()}
    for name in (PROBES, *params.protocol_lists):
        recipes, attacks = params.protocols(profile, name)
        settings = {"recipes": plain(recipes), "attacks": plain(attacks), "evaluate": evaluate}
        yield path("protocols", name), settings
    for name in params.suites:
        settings = {"attacks": plain(params.suite(profile, name)), "evaluate": evaluate, "engine": engine}
        yield path("suites", name), {**settings, "twin": plain(params.twin_suite(profile, name))}
        yield path("probed_suites", name), {**settings, "probe": params.attacked_probe}
    yield path("embedding"), {"embedding": params.embedding.plain(), "evaluate": evaluate}
    yield path("corrupt"), {"evaluate": evaluate, "engine": engine}
    yield path("sheet"), evaluate
    for name, keys in SECTIONS.items():
        yield path("sections", name), {key: params.raw[key] for key in keys}
    amoc = [dataset for dataset in DATASETS if "amoc" in params.runs(dataset)]
    papers = {dataset: params.pretraining("paper", dataset, "amoc").plain() for dataset in amoc}
    profiles = {name: params.raw["profiles"][name] for name in (profile, "paper")}
    yield path("sections", "stands_in"), {"profiles": profiles, "amoc": papers}  # what a page's first line tells


def foreseen(params: Params, profile: str) -> dict[Path, str]:
    """The md5 that each file would have if it were written now."""
    return {
        path: hashlib.md5(as_json(settings).encode(), usedforsecurity=False).hexdigest()
        for path, settings in resolved(params, profile)
    }


def plain(named: dict[str, Settings]) -> list[list[Any]]:
    """In their order, which JSON's objects would lose: attacks run in it."""
    return [[name, settings.plain()] for name, settings in named.items()]


if __name__ == "__main__":
    command.run(main)
