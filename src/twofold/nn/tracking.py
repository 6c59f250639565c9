"""Networks of tracking: each name here is a builder that a recipe may call, `encoder = "track_lite0"`.

A network sees the object once (`exemplar`) and every search window once (`features`), by the same
weights, and compares what it made of both (`compare`).
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from twofold.nn.siamfc import siamfc
from twofold.nn.track_lite0 import track_lite0

__all__ = ["TrackNetwork", "siamfc", "track_lite0"]


@runtime_checkable
class TrackNetwork(Protocol):
    """What `TrackTwin` asks of a network.

    Attributes:
        exemplar_side: pixels of the exemplar's crop.
        search_side: pixels of a search window.
        stride: pixels between two cells of a map.
        multiple: sides of windows must be multiples of it.
    """

    exemplar_side: int
    search_side: int
    stride: int
    multiple: int

    def exemplar(
        self, batch: Float[Tensor, "batch 3 side side"], sizes: Float[Tensor, "batch 2"]
    ) -> Sequence[Tensor]:
        """The template of an object in the middle of its crop; `sizes` are its width and height in pixels."""
        ...

    def features(self, batch: Float[Tensor, "batch 3 height width"]) -> Sequence[Tensor]:
        """The maps of search windows."""
        ...

    def compare(
        self, template: Sequence[Tensor], features: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "batch rows columns"], Float[Tensor, "batch 4 rows columns"]]:
        """Logits of "the object's middle is here", and distances in pixels from a cell's centre to the edges."""
        ...
