"""Raw thing -> tensor: one file a modality. `Input` is what every input type can do."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from twofold.inputs.audio import Audio
from twofold.inputs.dna import Dna
from twofold.inputs.face import Face
from twofold.inputs.image import Image
from twofold.inputs.raster import Raster
from twofold.inputs.series import Series
from twofold.inputs.signature import Signature
from twofold.inputs.text import Text
from twofold.inputs.vector import Vector
from twofold.inputs.video import Video

__all__ = [
    "Audio",
    "Dna",
    "Face",
    "Image",
    "Raster",
    "Series",
    "Signature",
    "Text",
    "Vector",
    "Video",
]


@runtime_checkable
class Augmentation(Protocol):
    """Changes a batch in training; what happens to an item depends only on its own key.

    Attributes:
        variants: how many label-changing variants of an item it makes (4 when quarter turns are new
            classes).
    """

    @property
    def variants(self) -> int: ...

    def __call__(self, batch: Any, keys: Int[np.ndarray, "batch 4"]) -> Any:
        """`batch` changed; a key is (seed, epoch, item, variant)."""
        ...


@runtime_checkable
class Input(Protocol):
    """How one kind of raw thing becomes a batch; a frozen dataclass whose fields are its whole state.

    An input type may have `left_out`: what a bundle's description that lacks a field, since it is
    older, means by it; and the methods that `inputs.optional` asks for: `show`, `quality`,
    `traits`, `identifier`, `argument`, `data`.
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

    def arguments(self) -> dict[str, Any]:
        """Flat arguments that rebuild it."""
        ...

    def augmentation(self, **settings: Any) -> Augmentation:
        """Its training-time augmentation, every setting off by default."""
        ...
