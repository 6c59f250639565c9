"""Learned matches on the feature maps of two pictures: places are compared, not only embeddings (law 1)."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from twofold import distances
from twofold.errors import UsageError

__all__ = ["CrossAttention", "OnMaps", "Relation"]

Rows = Float[Tensor, "n row"]
Places = Float[Tensor, "n channels height width"]

NUMBERS = 1 << 22
"""Numbers of pairs of maps that stand beside each other in a block: 16 MB of float32."""

WIDEST = 1024
"""Channels of a kept map, and hidden numbers: more would outweigh the encoder they compare for."""

SHARPNESS = 10.0
"""By what cosines of places are multiplied before the softmax, at first; the factor is learned."""


@runtime_checkable
class OnMaps(Protocol):
    """A comparison of rows: an embedding, and behind it the numbers of a map.

    Attributes:
        dim: numbers of a row. embedding_dim: of its embedding, which is what an index keeps.
    """

    dim: int
    embedding_dim: int

    def rows(self, embeddings: Tensor, maps: Tensor) -> Tensor:
        """Rows to be compared, of what an encoder's `with_maps` returned."""
        ...


class MapRows(nn.Module):
    """Rows of an embedding and a map: the encoder's map, projected to a few channels of length 1 at each place.

    Args:
        dim: length of an embedding.
        maps, height, width: shape of the encoder's map.
        channels: that are kept of each place.

    Raises:
        UsageError: numbers that do not fit.
    """

    def __init__(self, dim: int, *, maps: int, height: int, width: int, channels: int):
        super().__init__()
        self.embedding_dim, self.shape = dim, (channels, height, width)
        self.dim = dim + channels * height * width
        self.project = nn.Conv2d(maps, channels, 1)

    def join(self, embeddings: Float[Tensor, "n dim"], maps: Places) -> Rows:
        """Rows of what an encoder made of pictures; at least float32 also under autocast."""
        kind = torch.promote_types(embeddings.dtype, torch.float32)
        local = functional.normalize(self.project(maps).to(kind), dim=1)
        return torch.cat([embeddings.to(kind), local.flatten(1)], dim=1)

    def split(self, rows: Rows) -> tuple[Float[Tensor, "n dim"], Places]:
        """Embeddings and maps; a mean of maps gets length 1 at each place again."""
        embeddings, local = rows[:, : self.embedding_dim], rows[:, self.embedding_dim :]
        return embeddings, functional.normalize(local.unflatten(1, self.shape), dim=1)


class MapMatching(nn.Module):
    """What matches on maps share: cosine distance of embeddings, less what a network says of two maps.

    Args: as of `Relation`.

    Raises:
        UsageError: a number that is not a whole one in range.
    """

    def __init__(
        self,
        dim: int,
        *,
        maps: int,
        height: int,
        width: int,
        channels: int = 32,
        hidden: int = 32,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, hidden=hidden)
        self.layout = MapRows(dim, maps=maps, height=height, width=width, channels=channels)
        self.dim, self.embedding_dim, self.hidden = self.layout.dim, dim, hidden
        self._add_layers(channels, hidden)
        self.last = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def rows(self, embeddings: Float[Tensor, "n dim"], maps: Places) -> Rows:
        """Rows to be compared, of what an encoder's `with_maps` returned."""
        return self.layout.join(embeddings, maps)

    def pairs(self, a: Rows, b: Rows) -> Float[Tensor, "n"]:
        """Distance between a[i] and b[i]."""
        with torch.autocast(a.device.type, enabled=False):
            (first, m), (second, n) = self._split(a), self._split(b)
            size = self._pairs_at_once()
            found = [
                self._learned(*parts) for parts in zip(m.split(size), n.split(size), strict=True)
            ]
            return distances.pairs("cosine", first, second) - torch.cat(found)

    def block(
        self, a: Float[Tensor, "rows row"], b: Float[Tensor, "cols row"]
    ) -> Float[Tensor, "rows cols"]:
        """Distance between every a[i] and every b[j], some rows at a time: no cube."""
        with torch.autocast(a.device.type, enabled=False):
            (first, m), (second, n) = self._split(a), self._split(b)
            plain = distances.block("cosine", first, second)
            if not plain.numel():
                return plain
            found = []
            for some in m.split(max(1, self._pairs_at_once() // len(n))):
                both = (
                    some[:, None].expand(-1, len(n), -1, -1, -1).flatten(0, 1),
                    n[None].expand(len(some), -1, -1, -1, -1).flatten(0, 1),
                )
                found.append(self._learned(*both).view(len(some), len(n)))
            return plain - torch.cat(found)

    def arguments(self) -> dict[str, Any]:
        """Shape of the encoder's map, channels that are kept, hidden numbers: the length of an embedding apart."""
        channels, height, width = self.layout.shape
        return {
            "maps": self.layout.project.in_channels,
            "height": height,
            "width": width,
            "channels": channels,
            "hidden": self.hidden,
        }

    def _add_layers(self, channels: int, hidden: int) -> None:
        """What `_learned` has below its last layer."""
        raise NotImplementedError

    def _learned(self, m: Places, n: Places) -> Float[Tensor, "n"]:
        """What is taken from the cosine distance of pairs whose maps are m and n."""
        raise NotImplementedError

    def _split(self, rows: Rows) -> tuple[Float[Tensor, "n dim"], Places]:
        return self.layout.split(rows.to(self.layout.project.weight.dtype))

    def _pairs_at_once(self) -> int:
        """Pairs whose maps, both of them, have some `NUMBERS` numbers together."""
        return max(1, NUMBERS // (2 * (self.dim - self.embedding_dim)))


class Relation(MapMatching):
    """A learned match of places (Sung et al. 2018): convolutions on how two maps differ and what they share.

    distance = 1 - cosine(a, b) - v . mean over places of relu(K relu(W [|m - n|, m * n])), where m
    and n are the maps of a and b, W a 1x1 and K a 3x3 convolution. Before training v is 0, so the
    match is the cosine of the embeddings. The paper concatenates m and n and has no cosine; this
    is symmetric.

    Args:
        dim: length of an embedding.
        maps, height, width: shape of the encoder's map; they follow from the encoder.
        channels: that are kept of each place of the map.
        hidden: maps of the convolutions.

    Raises:
        UsageError: a number that is not a whole one in range.
    """

    name = "Relation"

    def _add_layers(self, channels: int, hidden: int) -> None:
        self.differ = nn.Conv2d(2 * channels, hidden, 1)
        self.around = nn.Conv2d(hidden, hidden, 3, padding=1)

    def _learned(self, m: Places, n: Places) -> Float[Tensor, "n"]:
        found = torch.relu(self.differ(torch.cat([(m - n).abs(), m * n], dim=1)))
        return self.last(torch.relu(self.around(found)).mean(dim=(2, 3)))[:, 0]


class CrossAttention(MapMatching):
    """A learned match of places that look for each other: parts may have moved between two pictures.

    Each place m_i of a looks among the places n_j of b by weights softmax_j(s m_i . n_j) and finds
    n'_i = sum_j w_ij n_j (Doersch et al. 2020, eq. 2). distance = 1 - cosine(a, b) - v . mean over
    places and both directions of relu(W [|m_i - n'_i|, m_i * n'_i]). Before training v is 0, so the
    match is the cosine of the embeddings. It is symmetric. The paper sums squared differences.

    Args:
        dim, maps, height, width, channels: as of `Relation`.
        hidden: numbers of the hidden layer.

    Raises:
        UsageError: a number that is not a whole one in range.
    """

    name = "CrossAttention"

    def _add_layers(self, channels: int, hidden: int) -> None:
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.differ = nn.Linear(2 * channels, hidden)

    def _learned(self, m: Places, n: Places) -> Float[Tensor, "n"]:
        one, other = m.flatten(2).mT, n.flatten(2).mT
        alike = self.sharpness * (one @ other.mT)
        return (
            self._found(one, alike.softmax(dim=2) @ other)
            + self._found(other, alike.mT.softmax(dim=2) @ one)
        ) / 2

    def _found(
        self, own: Float[Tensor, "n places channels"], seen: Float[Tensor, "n places channels"]
    ) -> Float[Tensor, "n"]:
        hidden = torch.relu(self.differ(torch.cat([(own - seen).abs(), own * seen], dim=2)))
        return self.last(hidden.mean(dim=1))[:, 0]


def check_sizes(**sizes: Any) -> None:
    """Refuse channels and hidden numbers that are not whole or out of range."""
    for name, value in sizes.items():
        if type(value) is not int or not 1 <= value <= WIDEST:
            raise UsageError(f"comparison.{name} = {value!r}: a whole number from 1 to {WIDEST:,}")
