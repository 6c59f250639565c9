"""What an input type may say of its things beyond what training needs, and what counts where it says nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import UsageError

__all__ = [
    "Playable",
    "Shown",
    "argument",
    "columns",
    "data",
    "identifier",
    "parts",
    "quality",
    "show",
    "thing",
    "traits",
    "whole",
    "windows_of",
]


@dataclass(frozen=True, eq=False)
class Playable:
    """A sound that a page shows and plays: its picture (uint8), and a WAV file."""

    picture: np.ndarray
    sound: bytes


Shown = np.ndarray | Playable | str | None
"""What can be shown of a thing: a picture (uint8), a course (float, places x channels), a sound, a text, or nothing."""


def show(input: Any, value: Any, *, side: int | None = None) -> Shown:
    """What a page may show of a raw thing: by its method `show`; else nothing.

    Args:
        side: of a picture, in pixels, in its own shape; None: what the encoder sees.
    """
    method = getattr(input, "show", None)
    return None if method is None else method(value, side=side)


def quality(input: Any, array: np.ndarray) -> dict[str, float]:
    """What can be measured of something that was read, for a gate: by its method `quality`; else nothing."""
    method = getattr(input, "quality", None)
    return {} if method is None else method(array)


def traits(input: Any, value: Any, array: np.ndarray) -> dict[str, tuple[float, ...]]:
    """What should not tell genuine from impostor pairs, and may: by its method `traits`; else nothing."""
    method = getattr(input, "traits", None)
    return {} if method is None else method(value, array)


def identifier(input: Any, value: Any, *, key: str) -> str | None:
    """A name for one of an identity's things, which an index may keep: by its method `identifier`, else a file's name.

    Args:
        key: of a digest, where the thing itself must not be its name.

    Returns:
        None where it has none, so that the caller must give one.
    """
    method = getattr(input, "identifier", None)
    if method is not None:
        return method(value, key=key)
    return Path(value).name if isinstance(value, str | Path) else None


def argument(input: Any, word: str) -> Any:
    """What a word of the command line stands for: by its method `argument`, else a path."""
    method = getattr(input, "argument", None)
    return Path(word) if method is None else method(word)


def whole(input: Any, value: Any, array: np.ndarray) -> np.ndarray:
    """What copies and damage are looked for in, if only a part was read: by its method `whole`; else what was read."""
    method = getattr(input, "whole", None)
    return array if method is None else method(value, array)


def thing(input: Any, value: Any) -> Any:
    """A raw thing as it is hashed and kept: by `thing`, else a string of pictures is a path."""
    method = getattr(input, "thing", None)
    if method is not None:
        return method(value)
    pictures = input.facts().get("kind") == "pictures"
    return Path(value) if pictures and isinstance(value, str) else value


def parts(input: Any, value: Any) -> dict[str, Any]:
    """The things that one raw thing holds, such as the faces of a photograph, by name: by its method `parts`.

    Raises:
        UsageError: things of this type hold no others.
    """
    method = getattr(input, "parts", None)
    if method is None:
        raise UsageError(
            f"--all is for bundles of faces, which find several in a photograph; this one reads "
            f"{input.name}: leave it out"
        )
    return method(value)


def data(input: Any) -> dict[str, bytes]:
    """Files that a bundle keeps for it, by the argument that is their hash: by its method `data`; else none."""
    method = getattr(input, "data", None)
    return {} if method is None else method()


def columns(input: Any) -> tuple[str, ...]:
    """The columns of a table that make up one of its things: its `fields`; else none, and one column holds it."""
    return tuple(getattr(input, "fields", ()))


def windows_of(input: Any, array: np.ndarray) -> list[np.ndarray]:
    """The parts of what was read that are embedded and averaged: by `windows_of`; else one."""
    method = getattr(input, "windows_of", None)
    return [array] if method is None else method(array)
