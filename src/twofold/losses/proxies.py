"""Losses with weights: one proxy a training class, trained beside the encoder and thrown away after."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from twofold import distances
from twofold.comparison import Comparison
from twofold.errors import BatchError, UsageError
from twofold.losses.arguments import COLDEST, check_number
from twofold.losses.pairing import References, check

__all__ = ["ArcFace", "ProxyAnchor"]


class ArcFace(nn.Module):
    """Softmax over the classes by angle, with an angle added to the right one (Deng et al. 2019, eq. 3).

    mean of -log( e^(s cos(a_y + m)) / (e^(s cos(a_y + m)) + sum over j != y of e^(s cos a_j)) ),
    a_j the angle to the proxy of class j. Beyond a_y = pi - m, where cos(a_y + m) would rise again,
    it is cos a_y - m sin m.

    Args:
        dim: length of an embedding.
        classes: number of training classes; labels are 0 to classes - 1.
        scale: s.
        margin: m, in radians.
    """

    def __init__(self, dim: int, classes: int, *, scale: float = 64.0, margin: float = 0.5) -> None:
        super().__init__()
        _check_numbers(dim, classes, scale)
        check_number("margin", margin, 0, math.pi)
        self.scale, self.margin = scale, margin
        self.proxies = nn.Parameter(torch.randn(classes, dim) / math.sqrt(dim))

    def forward(
        self,
        embeddings: Float[Tensor, "n dim"],
        labels: Int[Tensor, "n"],
        *,
        comparison: Comparison | None = None,
        references: References = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch.

        Raises:
            BatchError: a label beyond the classes, or a batch that is not fit (see
                `pairing.check`).
            UsageError: a learned comparison, which would learn nothing, or references.
        """
        _check(self.proxies, embeddings, labels)
        _check_use("ArcFace", comparison, references)
        with torch.autocast(embeddings.device.type, enabled=False):
            cosine = 1 - distances.block("cosine", embeddings, self.proxies.to(embeddings.device))
            right = cosine.gather(1, labels[:, None])
            # The root's slope is infinite where the angle is 0; there the gradient is left to the
            # cosine alone.
            sine = (1 - right.square()).clamp(min=torch.finfo(right.dtype).eps).sqrt()
            moved = right * math.cos(self.margin) - sine * math.sin(self.margin)
            past = right < -math.cos(self.margin)
            moved = torch.where(past, right - self.margin * math.sin(self.margin), moved)
            return functional.cross_entropy(
                self.scale * cosine.scatter(1, labels[:, None], moved), labels
            )


class ProxyAnchor(nn.Module):
    """Each class's proxy pulls its items and pushes the others, the hardest most (Kim et al. 2020, eq. 4).

    mean over proxies with items in the batch of log(1 + sum over its items of e^(-s (c - m))) +
    mean over all proxies of log(1 + sum over other items of e^(s (c + m))), c the cosine of item
    and proxy.

    Args:
        dim: length of an embedding.
        classes: number of training classes; labels are 0 to classes - 1.
        scale: s (the paper's alpha).
        margin: m, a cosine (the paper's delta).
    """

    def __init__(self, dim: int, classes: int, *, scale: float = 32.0, margin: float = 0.1) -> None:
        super().__init__()
        _check_numbers(dim, classes, scale)
        check_number("margin", margin, 0, 1)
        self.scale, self.margin = scale, margin
        self.proxies = nn.Parameter(torch.randn(classes, dim) / math.sqrt(dim))

    def forward(
        self,
        embeddings: Float[Tensor, "n dim"],
        labels: Int[Tensor, "n"],
        *,
        comparison: Comparison | None = None,
        references: References = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch.

        Raises:
            BatchError: a label beyond the classes, or a batch that is not fit (see
                `pairing.check`).
            UsageError: a learned comparison, which would learn nothing, or references.
        """
        _check(self.proxies, embeddings, labels)
        _check_use("ProxyAnchor", comparison, references)
        with torch.autocast(embeddings.device.type, enabled=False):
            cosine = 1 - distances.block("cosine", self.proxies.to(embeddings.device), embeddings)
            mine = labels == torch.arange(len(cosine), device=labels.device)[:, None]
            pull = _log_one_plus(self.scale * (self.margin - cosine), mine)
            push = _log_one_plus(self.scale * (self.margin + cosine), ~mine)
            return pull.sum() / mine.any(1).sum() + push.mean()


def _log_one_plus(exponent: Tensor, kept: Tensor) -> Tensor:
    """log(1 + sum of e^z over the kept of each row)."""
    masked = exponent.masked_fill(~kept, -torch.inf)
    return torch.cat([masked.new_zeros(len(masked), 1), masked], 1).logsumexp(1)


def _check_numbers(dim: int, classes: int, scale: float) -> None:
    for name, value in (("dim", dim), ("classes", classes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} must be a whole number from 1 on, not {value!r}")
    check_number("scale", scale, 1e-3, 1 / COLDEST)


def _check(proxies: Tensor, embeddings: Tensor, labels: Tensor) -> None:
    check(embeddings, labels)
    if embeddings.shape[1] != proxies.shape[1]:
        raise BatchError(
            f"embeddings have {embeddings.shape[1]} numbers each, but the proxies "
            f"{proxies.shape[1]}"
        )
    wrong = (labels < 0) | (labels >= len(proxies))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise BatchError(
            f"row {row} has label {int(labels[row])}, but there are proxies for the classes 0 to "
            f"{len(proxies) - 1}: "
            "build the loss with the number of training classes"
        )


def _check_use(name: str, comparison: Comparison | None, references: References) -> None:
    if comparison is not None and comparison.name not in distances.__all__:
        raise UsageError(
            f"{name} compares with its proxies by angle, so the weights of {comparison.name} "
            f"would learn nothing: "
            "take a plain distance such as cosine"
        )
    if references is not None:
        raise UsageError(f"{name} compares with its proxies, not with references: leave them out")
