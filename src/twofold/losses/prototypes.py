"""The loss of few-shot episodes: every item is told from the means of the classes of its batch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from twofold.comparison import Comparison
from twofold.losses.arguments import COLDEST, check_number, is_plain
from twofold.losses.pairing import References, pair_up

__all__ = ["prototypical"]

AT_ONCE = 1 << 20
"""Distances to prototypes that are held at a time: 4 MB of float32."""


def prototypical(
    embeddings: Float[Tensor, "n dim"],
    labels: Int[Tensor, "n"],
    *,
    comparison: Comparison,
    references: References = None,
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Each item is the query of an episode among the classes of the batch, told from their prototypes.

    mean over items i that have others of their class of -log( e^(-d(i, c_y)/t) / sum over classes k
    of e^(-d(i, c_k)/t) ) (Snell et al. 2017, eq. 2). The prototype c_k is the mean embedding of a
    class (eq. 1); that of i's own class y is the mean of its other items. So a P x K batch is
    P K episodes of P ways and K - 1 shots. The paper draws support and queries apart, and has t = 1
    and squared Euclidean distances.

    Args:
        references: further members of classes, with their labels. They are not queries.
        temperature: t, in units of the distance.

    Raises:
        BatchError: no genuine or no impostor pairs, or a batch that is not fit (see
            `pairing.pair_up`).
        UsageError: a number out of its range.
    """
    check_number("temperature", temperature, COLDEST)
    is_plain(comparison)  # refuses what is not a comparison
    pairing = pair_up(embeddings, labels, references)
    if references is not None:
        labels = torch.cat([labels, references[1].to(labels)])
    _, codes, sizes = labels.unique(return_inverse=True, return_counts=True)
    with torch.autocast(embeddings.device.type, enabled=False):
        columns = pairing.columns
        columns = columns.to(torch.promote_types(columns.dtype, torch.float32))
        sums = columns.new_zeros(len(sizes), columns.shape[1]).index_add(0, codes, columns)
        prototypes = sums / sizes[:, None]
        mine, count = pairing.share, int((pairing.size > 1).sum())
        asked = (pairing.size > 1).nonzero()[mine.rank :: mine.processes, 0]

        def errors(some: Int[Tensor, "some"]) -> Float[Tensor, ""]:
            queries, right = columns[some], codes[some]
            own = (sums[right] - queries) / (sizes[right] - 1)[:, None]
            apart = comparison.block(queries, prototypes)
            apart = apart.scatter(1, right[:, None], comparison.pairs(queries, own)[:, None])
            return functional.cross_entropy(apart / -temperature, right, reduction="sum")

        # a block's distances are found again for its gradient, so that one block is held at a time
        blocks = asked.split(max(1, AT_ONCE // len(sizes)))
        parts = [checkpoint(errors, some, use_reentrant=False) for some in blocks]
        return torch.stack(parts).sum() / count if parts else columns.sum() * 0
