"""Where each stage reads and writes, below the project's root: <room>/<profile>/<dataset>/<name>."""

from __future__ import annotations

from pathlib import Path

from amoc.engine.files import digest
from amoc.params import PROBES
from amoc.refusal import Refusal

PROJECT = Path()  # below which all paths here are: commands run in the project's root


def data(profile: str, dataset: str) -> Path:
    """The images."""
    return Path("data", profile, f"{dataset}.safetensors")


def encoder(profile: str, dataset: str, run: str) -> Path:
    """A pre-trained encoder."""
    return Path("models", profile, dataset, f"{run}.safetensors")


def heads(profile: str, dataset: str, run: str) -> Path:
    """The linear heads of an encoder, one per protocol."""
    return Path("models", profile, dataset, f"{run}.heads.safetensors")


def by(run: str, protocols: str, source: str | None = None) -> str:
    """What files about an encoder are called: under other protocols than the probes moco.peers, of an encoder of the
    data set `source`, on another one, moco.from_cifar10."""
    return run + (f".from_{source}" if source else "") + ("" if protocols == PROBES else f".{protocols}")


def classifier(profile: str, dataset: str, model: str, twin: bool = False) -> Path:
    """A whole network after its last epoch, or its early-stopped twin."""
    return Path("models", profile, dataset, f"{model}{'.early_stopped' if twin else ''}.safetensors")


def curve(stage: str, profile: str, dataset: str, name: str) -> Path:
    """A row per epoch."""
    return Path("results", profile, dataset, stage, f"{name}.csv")


def clock(stage: str, profile: str, dataset: str, name: str) -> Path:
    """Seconds and machine; the only files that hold times."""
    return Path("results", profile, dataset, stage, f"{name}.clock.json")


def result(stage: str, profile: str, dataset: str, name: str) -> Path:
    """What was measured."""
    return Path("results", profile, dataset, stage, f"{name}.json")


def settings(profile: str, *keys: str) -> Path:
    """What a long stage uses, resolved, such as ("cifar10", "amoc") or ("suites", "table5"); no keys: the folder."""
    folder = Path("results", profile, "settings")
    return Path(folder, *keys).with_suffix(".json") if keys else folder


def fingerprint(name: str) -> Path:
    """What a behaviour computes on formula-made inputs."""
    return Path("results", "fingerprints", f"{name}.json")


def fingerprints(*names: str) -> dict[str, str]:
    """md5 of fingerprint files by name, as DVC records them. Raises Refusal if one is missing."""
    for name in names:
        if not fingerprint(name).exists():
            raise Refusal(f"{fingerprint(name)} is missing: `python -m stages.fingerprint {name}` makes it")
    return {name: digest(fingerprint(name)) for name in names}
