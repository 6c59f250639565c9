"""Arrays of files that were decoded already, handed on with the items that they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from twofold.data.items import Items

__all__ = ["DecodingOnce", "decoded"]

KEPT_BYTES = 1 << 30
"""Bytes of arrays that are handed on; of larger data every file is decoded again."""


@runtime_checkable
class Decoder(Protocol):
    """An input type, as far as it matters here."""

    name: ClassVar[str]

    def arguments(self) -> dict[str, Any]:
        """Its settings."""
        ...

    def read(self, value: Any) -> np.ndarray:
        """One raw thing as an array."""
        ...


@dataclass(frozen=True)
class _Known:
    """Arrays by file, and the input type that made them."""

    made_by: tuple[str, dict[str, Any]]
    arrays: Mapping[Path, np.ndarray]


class DecodingOnce:
    """Reads as an input type does and keeps the arrays of files, as long as all of them together fit into memory."""

    def __init__(self, input: Decoder, *, most: int = KEPT_BYTES) -> None:
        self.input = input
        self.left = most
        self.arrays: dict[Path, np.ndarray] = {}

    def read(self, value: Any) -> np.ndarray:
        """One raw thing as an array."""
        array = self.input.read(value)
        if isinstance(value, Path) and self.left >= 0:
            self.left -= array.nbytes
            self.arrays[value] = array
            if self.left < 0:
                self.arrays = {}
        return array

    def hand_on(self, items: Items) -> None:
        """Let whoever decodes these items, or some of them, take the arrays."""
        if self.arrays:
            items.__dict__["_decoded"] = _Known(
                (self.input.name, self.input.arguments()), self.arrays
            )


def decoded(items: Any, input: Decoder) -> Mapping[Any, np.ndarray]:
    """The arrays of files of these items that this input type has made already."""
    known = items.__dict__.get("_decoded")
    return (
        known.arrays
        if known is not None and known.made_by == (input.name, input.arguments())
        else {}
    )
