"""A file that a stage wrote, read and checked; or a sentence with the command that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from amoc.engine.files import read_json
from amoc.refusal import Refusal

RESULTS = Path("results")


class Checked(BaseModel):
    """A file, or a part of one, with exactly these keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def find(
    model: type[Model], file: Path, profile: str, command: str, expected: Mapping[str, object] | None = None
) -> Model | None:
    """What a file holds; None if there is none in a profile whose runs take hours or days.

    Args:
        command: what makes it.
        expected: what it must say of itself, by key.

    Raises:
        Refusal: it is not there in the demo, whose runs take minutes, or `read` refuses it, or it is of something else;
            the sentence names the command.
    """
    if not file.exists():
        if profile == "demo":
            raise Refusal(f"{file} is missing: run `dvc repro`, or only `{command}` if all that it needs is there")
        return None
    found = read(model, file, f"make it again with `{command}`")
    for key, right in (expected or {}).items():
        if (value := getattr(found, key)) != right:
            raise Refusal(f"{file} says that its {key} is {value!r}, not {right!r}: make it again with `{command}`")
    return found


def read(model: type[Model], file: Path, remedy: str = "remove it and run its stage again") -> Model:
    """What a file holds.

    Raises:
        Refusal: it is missing, is not JSON, or is not what the model says.
    """
    content = read_json(file)
    try:
        return model.model_validate(content)
    except ValidationError as failure:
        raise Refusal(f"{file} is broken: {_sentence(failure)}; {remedy}") from None


def _sentence(failure: ValidationError) -> str:
    """The first error: which key, what is wrong with it."""
    error: Any = failure.errors()[0]
    # pydantic puts a union's tag into an error's place; a reader looks for keys of the file, which have no spaces
    key = ".".join(str(part) for part in error["loc"] if " " not in str(part))
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    return f"{key}: {message[0].lower()}{message[1:]}" if key else message
