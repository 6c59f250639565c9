"""Networks of change: each name here is a builder that a recipe may call, `encoder = "change_unet"`.

A network runs once per date (`maps`), and compares what it made of both (`compare`). Whatever
mixes the dates is symmetric: |a - b|, a + b, the smaller and the larger of a and b.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from twofold.nn.change_unet import change_metric, change_unet
from twofold.nn.fc_siam import fc_siam_conc, fc_siam_diff

__all__ = ["ChangeNetwork", "change_metric", "change_unet", "fc_siam_conc", "fc_siam_diff"]


@runtime_checkable
class ChangeNetwork(Protocol):
    """What `ChangeTwin` asks of a network.

    Attributes:
        bands: of a picture.
        stride: the sides of a picture must be multiples of it.
        margin: pixels around a pixel, on every side, beyond which nothing moves the probability
            that is said of it by a thousandth. It may be less than half of the receptive field,
            whose outer part hardly weighs (Luo et al. 2016).
    """

    bands: int
    stride: int
    margin: int

    def maps(self, batch: Float[Tensor, "batch bands height width"]) -> Sequence[Tensor]:
        """The maps of one date, finest first."""
        ...

    def compare(self, before: Sequence[Tensor], after: Sequence[Tensor]) -> Sequence[Tensor]:
        """Logits (batch, height, width) of change, the final ones first; further ones only guide training."""
        ...
