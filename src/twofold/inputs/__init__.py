"""Raw thing -> tensor: one file a modality. `Input` is what every input type can do."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from twofold.inputs.image import Image
from twofold.inputs.text import Text

__all__ = ["Image", "Shown", "Text"]

Shown = np.ndarray | str | None
"""What can be shown of a thing: a picture (uint8), a text, or nothing."""


@runtime_checkable
class Augmentation(Protocol):
    """Changes a batch in training; what happens to an item depends only on its own key.

    Attributes:
        variants: how many label-changing variants of an item it makes (4 when quarter turns are new classes).
    """

    @property
    def variants(self) -> int: ...

    def __call__(self, batch: Any, keys: Int[np.ndarray, "batch 4"]) -> Any:
        """`batch` changed; a key is (seed, epoch, item, variant)."""
        ...


@runtime_checkable
class Input(Protocol):
    """How one kind of raw thing becomes a batch; a frozen dataclass whose fields are its whole state.

    An input type may have `left_out`: what a bundle's description that lacks a field, since it is older, means by it.
    """

    name: ClassVar[str]

    @property
    def version(self) -> int:
        """Changes with every change of what `read` returns; part of a bundle's fingerprint."""
        ...

    def read(self, value: Any) -> np.ndarray:
        """One raw thing as an array; the same bytes always give the same array."""
        ...

    def stack(self, arrays: Sequence[np.ndarray]) -> Any:
        """What `read` returned, as one batch with `len`, slicing and `.to(device)`: a tensor, or `Padded`."""
        ...

    def normalise(self, batch: Any) -> Any:
        """A batch as the encoder wants it."""
        ...

    def example(self) -> np.ndarray:
        """A blank array, as `read` would return it."""
        ...

    def facts(self) -> dict[str, Any]:
        """What an encoder's builder may want to know: `{"kind": "pictures", "channels": 1, "size": (35, 35)}`."""
        ...

    def argument(self, word: str) -> Any:
        """What a word of the command line stands for: a path, or a text itself."""
        ...

    def arguments(self) -> dict[str, Any]:
        """Flat arguments that rebuild it."""
        ...

    def show(self, value: Any, *, side: int | None = None) -> Shown:
        """What a page may show of a raw thing: a picture or a text; None where there is nothing to see (any more).

        Args:
            side: of a picture, in pixels, as it is; None: what the encoder sees.
        """
        ...

    def quality(self, array: np.ndarray) -> dict[str, float]:
        """What can be measured of something that was read, which a gate may ask for: sharpness, length, ..."""
        ...

    def traits(self, value: Any, array: np.ndarray) -> dict[str, tuple[float, ...]]:
        """What should not tell genuine from impostor pairs, and may: brightness, the size of a file, length, ..."""
        ...

    def identifier(self, value: Any, *, key: str) -> str:
        """A name for one of an identity's things, which an index may keep; a digest is keyed by `key`.

        Raises:
            UsageError: it has none; the caller must give an id.
        """
        ...

    def augmentation(self, **settings: Any) -> Augmentation:
        """Its training-time augmentation, every setting off by default."""
        ...
