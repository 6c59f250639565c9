"""Encoders of clips: one network of pictures for every frame, then an LSTM over time, or the mean of the frames."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.nn import efficientnet, resnet
from twofold.nn.builder import builder

__all__ = ["ClipEncoder", "clip_average", "clip_lstm"]

TRUNKS = {"resnet_small": 256, "efficientnet_lite0": efficientnet.FEATURES}
"""Networks of one frame, and how many numbers each makes of it."""


class ClipEncoder(nn.Module):
    """Clips -> embeddings: a trunk on every frame alone, and a head over the frames in their order.

    Attributes:
        dim: length of an embedding.
        on_features: `forward` is given what `features` returned.
    """

    on_features = False

    def __init__(self, trunk: nn.Module, head: nn.Module, *, dim: int, unit_norm: bool = True):
        super().__init__()
        self.trunk, self.head = trunk, head
        self.dim, self.unit_norm = dim, unit_norm

    def forward(self, batch: Float[Tensor, "batch *clip"]) -> Float[Tensor, "batch dim"]:
        """Embeds clips; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of clips.
        """
        frames = batch if self.on_features else self.features(batch)
        embedding = self.head(frames).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    def features(self, batch: object) -> Float[Tensor, "batch frames features"]:
        """What the trunk makes of each frame."""
        if not isinstance(batch, Tensor) or batch.ndim != 5:
            raise UsageError(
                "this encoder takes clips (batch, frames, channels, height, width): use the input "
                "type Video"
            )
        return self.trunk(batch.flatten(0, 1)).unflatten(0, batch.shape[:2])


class Average(nn.Module):
    """The mean of the frames, and its projection."""

    def __init__(self, features: int, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.project = _projection(features, dim, dropout)

    def forward(self, frames: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch dim"]:
        return self.project(frames.mean(dim=1))


class OverTime(nn.Module):
    """A bidirectional LSTM over the frames, whose states are averaged, beside the mean of the frames themselves.

    The LSTM runs in float32 also under autocast: torch's recurrent layers have no bfloat16 on a
    processor.
    """

    def __init__(self, features: int, dim: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.cells = nn.LSTM(features, width, batch_first=True, bidirectional=True)
        self.project = _projection(2 * width + features, dim, dropout)

    def forward(self, frames: Float[Tensor, "batch frames features"]) -> Float[Tensor, "batch dim"]:
        with torch.autocast(frames.device.type, enabled=False):
            states = self.cells(frames.float())[0]
        return self.project(torch.cat([states.mean(dim=1), frames.mean(dim=1)], dim=1))


@builder(kinds=("clips",))
def clip_lstm(
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    dim: int = 128,
    trunk: str = "resnet_small",
    weights: str | None = None,
    width: int = 128,
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> ClipEncoder:
    """CNN + LSTM: a network of pictures on each frame, a bidirectional LSTM over time (Donahue et al. 2015).

    Args:
        channels, size: of a frame.
        dim: length of an embedding.
        trunk: "resnet_small" or "efficientnet_lite0", the network of a frame.
        weights: "imagenet" for efficientnet_lite0 (extra `weights`); None: drawn.
        width: numbers of the LSTM's state in each direction.
        dropout: fraction of what is projected that is dropped in training.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: an unknown trunk or weights. MissingExtra: the weights are not installed.
    """
    frame = _frame_network(trunk, weights, channels=channels, size=size)
    head = OverTime(TRUNKS[trunk], dim, width=width, dropout=dropout)
    return ClipEncoder(frame, head, dim=dim, unit_norm=unit_norm)


@builder(kinds=("clips",))
def clip_average(
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 112,
    dim: int = 128,
    trunk: str = "resnet_small",
    weights: str | None = None,
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> ClipEncoder:
    """A network of pictures on each frame, and the mean of the frames: their order counts for nothing.

    Arguments as `clip_lstm`.
    """
    frame = _frame_network(trunk, weights, channels=channels, size=size)
    head = Average(TRUNKS[trunk], dim, dropout=dropout)
    return ClipEncoder(frame, head, dim=dim, unit_norm=unit_norm)


def _frame_network(
    trunk: str, weights: str | None, *, channels: int, size: int | tuple[int, int]
) -> nn.Module:
    if trunk not in TRUNKS:
        raise RecipeError(f"trunk = {trunk!r} is not a network of frames: {nearest(trunk, TRUNKS)}")
    settings = {"channels": channels, "size": size, "unit_norm": False}
    if trunk == "efficientnet_lite0":
        return efficientnet.efficientnet_lite0(weights=weights, **settings)
    if weights is not None:
        raise RecipeError(
            f"weights = {weights!r} are for trunk = 'efficientnet_lite0': leave weights out"
        )
    # flattened, a frame's numbers say where something is: without that no motion can be seen
    return resnet.resnet_small(dim=TRUNKS[trunk], stem_stride=2, **settings)


def _projection(features: int, dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(features), nn.Dropout(dropout), nn.Linear(features, dim))
