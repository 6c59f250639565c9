"""Which triplets of a batch to learn from: labels and distance blocks in, indices out, no gradient (law 4: row blocks).

`__all__` lists the miners by the names that a recipe can say. All triplets at once need no list:
that is `losses.triplet` with mining="all".
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from twofold.comparison import Comparison
from twofold.errors import BatchError, UsageError
from twofold.losses.distance_blocks import FAR, Rows, distance_rows, hardest
from twofold.losses.pairing import References, pair_up

__all__ = ["batch_hard", "distance_weighted", "semi_hard"]


class Triplets(NamedTuple):
    """Indices (int64) of anchors in the batch, positives and negatives in the batch with the references behind it."""

    anchor: Int[Tensor, "t"]
    positive: Int[Tensor, "t"]
    negative: Int[Tensor, "t"]


def batch_hard(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
) -> Triplets:
    """Each anchor with its farthest positive and its nearest negative (Hermans et al. 2017, eq. 5).

    Anchors alone in their class are left out.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
    """
    return Triplets(*hardest(pair_up(embeddings, labels, references), comparison))


def semi_hard(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
) -> Triplets:
    """Each genuine pair with the nearest negative that is farther than the positive (Schroff et al. 2015, section 3.2).

    A pair whose negatives are all nearer takes the farthest of them. So no pair is left out, and
    whether a triplet still teaches something is for the loss's margin to say. `losses.triplet` with
    mining="semi_hard" takes all negatives between the positive and the margin instead of the
    nearest one.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
    """
    pairing = pair_up(embeddings, labels, references)
    found = []
    for rows, seen in distance_rows(pairing, comparison):
        negative = _nearest_beyond(seen)
        anchor, place = (seen.valid & (seen.negative.amin(1, keepdim=True) < FAR)).nonzero(
            as_tuple=True
        )
        found.append((anchor + rows.start, seen.partner[anchor, place], negative[anchor, place]))
    return _joined(found)


def distance_weighted(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    cutoff: float = 0.5,
    largest: float = 1.4,
    generator: torch.Generator | None = None,
) -> Triplets:
    """Each genuine pair with a negative drawn so that all distances are met equally often (Wu et al. 2017, section 4).

    On the unit sphere distances crowd around sqrt(2): q(d) ~ d^(dim-2) (1 - d^2/4)^((dim-3)/2). A
    negative is drawn with a weight of 1 / q(max(d, cutoff)), among those nearer than `largest`; an
    anchor without any draws from all.

    Args:
        comparison: cosine, or Euclidean or squared Euclidean on unit vectors: a distance on the
            sphere.
        cutoff: Euclidean distance below which weights do not grow further, against noise in the
            nearest negatives.
        largest: Euclidean distance from which on a negative teaches nothing.
        generator: where the randomness comes from; None = torch's own, which `fit` seeds at each
            step.

    Raises:
        BatchError: no genuine or no impostor pairs, vectors that are not on the unit sphere, or a
            batch that is not fit (see `pairing.pair_up`).
        UsageError: a comparison that has no place on the sphere.
    """
    if comparison.name not in _CHORD:
        raise UsageError(
            f"distance_weighted knows distances on the sphere ({', '.join(_CHORD)}), not "
            f"{comparison.name!r}"
        )
    if comparison.name != "cosine":
        _check_unit(embeddings)
    pairing = pair_up(embeddings, labels, references)
    found = []
    for rows, seen in distance_rows(pairing, comparison):
        chord = _CHORD[comparison.name](seen.negative.clamp(max=4)).clamp_(min=cutoff)
        weight = _inverse_density(chord, embeddings.shape[1]).masked_fill_(chord >= largest, 0)
        weight += weight.sum(1, keepdim=True) == 0
        weight.masked_fill_(seen.negative == FAR, 0)
        some = seen.valid & (weight.sum(1, keepdim=True) > 0)
        anchor, place = some.nonzero(as_tuple=True)
        negative = _draw(weight, some.sum(1), anchor, generator)
        found.append((anchor + rows.start, seen.partner[anchor, place], negative))
    return _joined(found)


def _nearest_beyond(seen: Rows) -> Tensor:
    """For each positive of a row the nearest negative that is farther; the farthest where all are nearer."""
    index = torch.empty_like(seen.partner)
    farthest = seen.negative.masked_fill(seen.negative == FAR, -FAR).argmax(1)
    for place in range(seen.partner.shape[1]):
        nearer = seen.negative <= seen.positive[:, place, None] + seen.tie
        nearest, column = seen.negative.masked_fill(nearer, FAR).min(1)
        index[:, place] = torch.where(nearest < FAR, column, farthest)
    return index


def _inverse_density(chord: Tensor, dim: int) -> Tensor:
    """1 / q(d) of each row, up to a factor of the row."""
    squared = chord.square()
    log = (2.0 - dim) * chord.log() - (dim - 3) / 2 * (1 - squared / 4).clamp_(min=1e-6).log()
    return (log - log.amax(1, keepdim=True)).exp_()


def _draw(
    weight: Tensor, times: Tensor, anchor: Tensor, generator: torch.Generator | None
) -> Tensor:
    """One column for each entry of `anchor`, by its row's weights: a uniform number looked up in the running sum."""
    total = weight.double().cumsum(1)
    level = torch.rand(len(anchor), generator=generator, dtype=torch.float64, device=weight.device)
    level *= total[anchor, -1]
    first = times.cumsum(0) - times
    table = level.new_zeros(len(weight), int(times.max()) if len(times) else 0)
    place = torch.arange(len(anchor), device=anchor.device) - first[anchor]
    table[anchor, place] = level
    return torch.searchsorted(total, table, right=True)[anchor, place].clamp_(
        max=weight.shape[1] - 1
    )


def _joined(found: list[tuple[Tensor, Tensor, Tensor]]) -> Triplets:
    return Triplets(*(torch.cat(some) for some in zip(*found, strict=True)))


def _check_unit(embeddings: Tensor) -> None:
    norm = torch.linalg.vector_norm(embeddings.float(), dim=1)
    row = int((norm - 1).abs().argmax())
    if abs(float(norm[row]) - 1) > 1e-2:
        raise BatchError(
            f"row {row} has length {float(norm[row]):.3g}, but distance_weighted needs unit "
            f"vectors: "
            "switch unit_norm on in the encoder, or compare with cosine"
        )


_CHORD = {
    "cosine": lambda distance: (2 * distance).sqrt_(),
    "euclidean": lambda distance: distance,
    "squared_euclidean": lambda distance: distance.sqrt(),
}
"""How long the chord between two unit vectors is, from each distance."""
