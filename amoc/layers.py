"""Settings that are written in layers: merged, validated by pydantic, refused by the key as it stands in the file."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import ValidationError

from amoc.refusal import Refusal
from amoc.settings import Settings

Keys = tuple[int | str, ...]  # of nested settings, from the outermost in
Kind = TypeVar("Kind", bound=Settings)


class Layer(NamedTuple):
    """A part of some settings and where in the file it stands."""

    where: str
    values: dict

    def without(self, key: str) -> Layer:
        """What the layer says besides this key."""
        return Layer(self.where, {name: value for name, value in self.values.items() if name != key})

    def has(self, keys: Keys) -> bool:
        """Whether it says something at these keys."""
        tree: Any = self.values
        for key in keys:
            if not isinstance(tree, dict) or key not in tree:
                return False
            tree = tree[key]
        return True


def merge(*layers: dict) -> dict:
    """Nested dictionaries, the later wins key by key; a null or a list replaces as a whole."""
    merged: dict = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def resolve(
    file: Path, kind: type[Kind], *layers: Layer,
    derived: dict | None = None, shared: dict | None = None, what: str | None = None,
) -> Kind:  # fmt: skip
    """The layers merged and validated.

    Args:
        derived: what has been worked out from the layers; it replaces their own values.
        shared: what the profile has for all settings of this kind; the layers must not hold it.
        what: is being resolved, for sentences about several of its values.

    Raises:
        Refusal: with the key as written in the file, in the last layer that holds it.
    """
    shared = shared or {}
    for layer in layers:
        for key in shared.keys() & layer.values.keys():
            raise Refusal(f"{file}: {layer.where}.{key} is not allowed: profiles.<profile>.{key} sets it")
    values = merge(*(layer.values for layer in layers), derived or {}, shared)
    try:
        return kind.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as failure:
        error = min(failure.errors(), key=_is_about_a_known_key)  # an unknown key explains a missing one
    keys = error["loc"]
    if not keys:  # a sentence about several values
        raise Refusal(f"{file}: {what or layers[0].where}: {error['ctx']['error']}")
    key = joined(origin(layers, keys), *keys)
    if not _is_about_a_known_key(error):
        allowed = [name for name in _names(_annotation(kind, keys[:-1])) if len(keys) > 1 or name not in shared]
        raise Refusal(f"{file}: unknown key {key}, allowed are {listed(allowed)}")
    if error["type"] == "missing":
        raise Refusal(f"{file}: the key {key} is missing")
    raise refused(file, key, error["input"], _what_is_allowed(error, _annotation(kind, keys)))


def origin(layers: Sequence[Layer], keys: Keys) -> str:
    """Where the value at these keys was written: in the last layer that has it, or most of the way to it."""
    for depth in range(len(keys), 0, -1):
        for layer in reversed(layers):
            if layer.has(keys[:depth]):
                return layer.where
    return layers[0].where


# ---------------------------------------------------------------- in words


def refused(file: Path, where: str, value: Any, allowed: str) -> Refusal:
    """The sentence about a value that is not allowed."""
    return Refusal(f"{file}: {where} is {_shown(value)}, allowed is {allowed}")


def joined(where: str, *keys: Any) -> str:
    """Keys as they are written in sentences, with dots between them; where may be empty, at the top of the file."""
    return ".".join(str(key) for key in (where, *keys) if key != "")


def listed(names: Collection[str]) -> str:
    """Names as they are written in sentences, with commas between them."""
    return ", ".join(map(str, names))


def _shown(value: Any) -> str:
    """As in the file, cut short."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---------------------------------------------------------------- what pydantic says


def _is_about_a_known_key(error: Any) -> bool:
    return error["type"] not in ("extra_forbidden", "invalid_key")


def _what_is_allowed(error: Any, annotation: Any) -> str:
    match error["type"]:
        case "value_error":  # our own words: amoc/settings.py, _allowed
            allowed = str(error["ctx"]["error"])
        case "literal_error":
            allowed = error["ctx"]["expected"].replace("'", "")
        case "bool_type":
            allowed = "true or false"
        case _:
            allowed = f"a mapping with the keys {listed(_names(annotation))}"
    return f"{allowed}, or null" if type(None) in get_args(annotation) else allowed


def _annotation(kind: type[Settings], keys: Keys) -> Any:
    """The type of the value at these keys of nested settings."""
    for key in keys:
        fields = {field.alias or name: field for name, field in _settings(kind).model_fields.items()}
        kind = fields[key].annotation
    return kind


def _settings(annotation: Any) -> type[Settings] | None:
    """The class of settings in a type, which may be that or None."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)


def _names(annotation: Any) -> list[str]:
    return [field.alias or name for name, field in _settings(annotation).model_fields.items()]
