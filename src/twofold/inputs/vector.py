"""Vectors: the input type of what another embedder, or somebody's own measuring, has made of things already."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twofold.errors import RecipeError, UnreadableInput
from twofold.places import file_at

__all__ = ["Vector"]

LONGEST = 2**16
"""Numbers of a vector, at most: the widest layer that an encoder may have (see `build.WIDEST`)."""


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A vector of a fixed number of finite numbers, taken as it is.

    Attributes:
        size: how many numbers a vector has. The commands and `fit_recipe` take it from the data.

    Raises:
        RecipeError: the size is not a positive number.
    """

    size: int

    name: ClassVar[str] = "Vector"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LONGEST:
            raise RecipeError(
                f"size = {self.size} must be from 1 to {LONGEST:,}: the numbers of one vector"
            )

    def read(self, value: object) -> Float[np.ndarray, "size"]:
        """One vector, float32.

        Args:
            value: an array or a list of numbers, or the path of a .npy file that holds one vector.

        Raises:
            UnreadableInput: not a vector, one of another size, or NaN or infinity in it.
        """
        array = _loaded(value) if isinstance(value, Path) else _numbers(value)
        if array.shape != (self.size,):
            raise UnreadableInput(
                f"{_shaped(array)}, and vectors of {self.size} numbers are wanted: give vectors "
                f"of the model that made the others"
            )
        with np.errstate(over="ignore"):
            found = array.astype(np.float32)
        if not np.isfinite(found).all():
            place = int(np.flatnonzero(~np.isfinite(found))[0])
            raise UnreadableInput(
                f"number {place + 1} of the vector is {array[place]}: each must be finite (and "
                f"fit into float32); remove the vector, or make it again"
            )
        return found

    def stack(self, arrays: Sequence[np.ndarray]) -> Float[Tensor, "batch size"]:
        """Arrays of `read` as one batch."""
        return torch.from_numpy(np.stack(arrays))

    def normalise(self, batch: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        """Vectors are taken as they are: scaling is learned by an encoder."""
        return batch

    def example(self) -> Float[np.ndarray, "size"]:
        """A vector of ones: one of zeros has no direction."""
        return np.ones(self.size, np.float32)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return {"kind": "vectors", "size": self.size}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return asdict(self)

    def argument(self, word: str) -> Any:
        """A word of the command line as a vector: a JSON list, or a .npy file with one vector.

        Raises:
            UnreadableInput: neither of them.
        """
        if word.lstrip().startswith("["):
            try:
                return _numbers(json.loads(word))
            except (ValueError, RecursionError):
                raise UnreadableInput(
                    f"{word[:40]} is not a list of numbers, such as [0.1, -2.5]"
                ) from None
        if Path(word).suffix.lower() == ".npy":
            return Path(word)
        said = "is a file, but not a vector" if file_at(Path(word)) else "is not a vector"
        raise UnreadableInput(
            f"{word} {said}: write [0.1, -2.5, ...], the name of a .npy file with one vector, or "
            f"TABLE#ID for a row of a table. A picture or text is embedded first, by the model "
            f"that made the other vectors"
        )

    def identifier(self, value: object, *, key: str) -> str:
        """A keyed digest of the vector, 12 hexadecimal digits; of a file its name."""
        if isinstance(value, Path):
            return value.name
        content = self.read(value).tobytes()
        return hashlib.blake2b(content, digest_size=6, key=key.encode()[:64]).hexdigest()

    def augmentation(self, **settings: Any) -> Any:
        """Vectors have none.

        Raises:
            RecipeError: always.
        """
        raise RecipeError(
            f"vectors are not augmented, and augment has {', '.join(settings)}: drop it; "
            f"encoder.dropout keeps a small head from learning by heart"
        )


def _loaded(path: Path) -> np.ndarray:
    """The one vector of a .npy file."""
    if path.suffix.lower() != ".npy":
        raise UnreadableInput(
            f"{path} is not a vector: embed files first (twofold embed BUNDLE DATA OUT), and give "
            f"what that writes"
        )
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableInput(f"{path} cannot be read as a NumPy array: {error}") from None
    return _numbers(array[0] if array.ndim == 2 and len(array) == 1 else array)


def _numbers(value: object) -> np.ndarray:
    """Numbers as float64, or as they are; whatever shape they have."""
    if isinstance(value, list | tuple) and not any(isinstance(each, str | bool) for each in value):
        try:
            value = np.array(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            raise UnreadableInput("a vector is one list of numbers, and this one is not") from None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise UnreadableInput(
            f"a {type(value).__name__} is not a vector: give an array or a list of numbers"
        )
    return value


def _shaped(array: np.ndarray) -> str:
    if array.ndim == 1:
        return f"the vector has {len(array)} numbers"
    return f"an array of shape {array.shape} is not one vector"
