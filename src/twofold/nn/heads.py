"""What stands on a trunk of convolutions: pooling, projection, unit norm. `Encoder` joins the two."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.nn.attention import AttentionPool

__all__ = [
    "POOLS",
    "AveragePool",
    "Encoder",
    "GeneralisedMeanPool",
    "MaxPool",
    "check_pictures",
    "encoder_for",
    "initialise",
    "map_shape",
]

POOLS = ("average", "max", "generalised_mean", "attention", "flatten")
"""How a feature map becomes a vector."""


class Encoder(nn.Module):
    """A trunk and its head: normalised pictures -> embeddings.

    Attributes:
        dim: length of an embedding.
        picture: the (channels, height, width) that it takes; height and width are None where any
            will do.
        order: of the numbers of a batch in memory; None: what is safe with several threads, see
            `_order`.
        on_features: `forward` is given what `features` returned.
    """

    order: torch.memory_format | None = None
    on_features = False

    def __init__(
        self,
        trunk: nn.Module,
        head: nn.Module,
        *,
        dim: int,
        picture: tuple[int, int | None, int | None],
        unit_norm: bool = True,
    ):
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.dim = dim
        self.picture = picture
        self.unit_norm = unit_norm

    def forward(self, batch: Float[Tensor, "batch *picture"]) -> Float[Tensor, "batch dim"]:
        """Embeds pictures; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: pictures of another size or number of channels than the encoder was built
                for.
        """
        if self.on_features:
            head = self.head[1:] if self._pooling else self.head  # type: ignore[index]
            return self._finished(head(batch))
        return self._finished(self.head(self._maps(batch)))

    def with_maps(
        self, batch: Float[Tensor, "batch *picture"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch maps rows columns"]]:
        """The embeddings of pictures, and the maps of the trunk that they were made of; errors as `forward`."""
        maps = self._maps(batch)
        return self._finished(self.head(maps)), maps

    def features(self, batch: object) -> Float[Tensor, "batch *features"]:
        """What the trunk makes of pictures; pooled, where the pool has nothing to learn."""
        maps = self._maps(batch)
        return self.head[0](maps) if self._pooling else maps  # type: ignore[index]

    def _maps(self, batch: object) -> Float[Tensor, "batch *maps"]:
        assert isinstance(batch, Tensor)
        check_pictures(batch, self.picture)
        return self.trunk(batch.clone(memory_format=self.order or _order(batch)))

    def _finished(self, embedding: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        if embedding.dtype in (torch.bfloat16, torch.float16):
            embedding = embedding.float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    @property
    def _pooling(self) -> bool:
        """Whether the head begins with a pool without weights, which then belongs to the features."""
        return isinstance(self.head, nn.Sequential) and isinstance(self.head[0], PLAIN_POOLS)


def check_pictures(batch: Tensor, picture: tuple[int, int | None, int | None]) -> None:
    """Raise UsageError where pictures are not of the (channels, height, width) that an encoder takes; None: any."""
    given = tuple(batch.shape[1:])
    if any(want is not None and want != have for want, have in zip(picture, given, strict=True)):
        asked = " x ".join("any" if side is None else str(side) for side in picture)
        raise UsageError(
            f"this encoder takes pictures of {asked} (channels x height x width), and was given "
            f"{' x '.join(map(str, given))}: build it with the size and channels of the input "
            f"type, or set those"
        )


def _order(batch: Tensor) -> torch.memory_format:
    """Channels beside each other under half-precision autocast, which is a third faster; else the plain order.

    Set also where one channel makes the two look alike: torch 2.13's float32 convolutions of
    channels-last batches of odd size write past their buffers with two threads (docs/LOG.md); those
    of bfloat16 do not.
    """
    kind = batch.device.type
    halved = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) in (
        torch.bfloat16,
        torch.float16,
    )
    return torch.channels_last if halved else torch.contiguous_format


class AveragePool(nn.Module):
    """The mean over all places: (batch, channels, height, width) -> (batch, channels)."""

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        return features.mean(dim=(2, 3))


class MaxPool(nn.Module):
    """The maximum over all places: (batch, channels, height, width) -> (batch, channels)."""

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        return features.amax(dim=(2, 3))


PLAIN_POOLS = (AveragePool, MaxPool, nn.Flatten)
"""Pools without weights."""


class GeneralisedMeanPool(nn.Module):
    """(mean of x^p)^(1/p) over all places with one learned p, at first 3 (Radenovic et al. 2018, eq. 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        # In float32 and away from 0, where the power's gradient has no bound.
        positive = features.float().clamp(min=1e-6)
        return positive.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


def encoder_for(
    trunk: nn.Module,
    *,
    dim: int,
    channels: int,
    size: int | tuple[int, int],
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
    project: bool = True,
) -> Encoder:
    """Puts pooling, dropout and a linear projection to `dim` on a trunk of convolutions.

    Args:
        trunk: (batch, channels, height, width) -> feature map.
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture; only "flatten" is bound to it, the others take any
            size.
        pool: one of `POOLS`.
        dropout: fraction of pooled features that is dropped in training.
        unit_norm: whether embeddings have length 1.
        project: False takes the pooled features themselves for embeddings, if there are `dim` of
            them.

    Raises:
        RecipeError: an unknown pooling, or pictures too small for the trunk.
    """
    height, width = (size, size) if isinstance(size, int) else size
    maps, rows, columns = map_shape(trunk, channels, (height, width))
    features = maps * rows * columns if pool == "flatten" else maps
    last = nn.Linear(features, dim) if project or features != dim else nn.Identity()
    head = nn.Sequential(_pool(pool, maps), nn.Dropout(dropout) if dropout else nn.Identity(), last)
    picture = (channels, height, width) if pool == "flatten" else (channels, None, None)
    return Encoder(trunk, head, dim=dim, picture=picture, unit_norm=unit_norm)


def _pool(name: str, channels: int) -> nn.Module:
    if name not in POOLS:
        raise RecipeError(f"pool = {name!r} is not a pooling: {nearest(name, POOLS)}")
    if name == "attention":
        return AttentionPool(channels)
    return {
        "average": AveragePool,
        "max": MaxPool,
        "generalised_mean": GeneralisedMeanPool,
        "flatten": nn.Flatten,
    }[name]()


def map_shape(trunk: nn.Module, channels: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """(maps, height, width) of what a trunk makes of a picture, found by sending one through.

    Raises:
        RecipeError: the picture is too small for the trunk.
    """
    training = trunk.training
    # in training the blank picture would move the running means of batch normalisation
    trunk.eval()
    try:
        with torch.no_grad():
            _, maps, rows, columns = trunk(torch.zeros(1, channels, *size)).shape
    except RuntimeError as error:
        raise RecipeError(
            f"size = {size[0]} x {size[1]} is too small for this network, which shrinks it until "
            f"nothing is left: "
            "take larger pictures, or a network with fewer stages"
        ) from error
    finally:
        trunk.train(training)
    return maps, rows, columns


def initialise(trunk: nn.Module) -> nn.Module:
    """Sets convolutions as He et al. 2015 (eq. 10; normal, fan out) and leaves batch normalisation at 1 and 0."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return trunk
