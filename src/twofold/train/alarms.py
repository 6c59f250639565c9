"""Signs that a training only looks fine, each with its cause and its remedy; looked for in every training.

An alarm is a `TrainingError` raised after the loss is known and before the weights change. `fit`
answers the first one with the last good state and half of the learning rate; a second one ends the
training.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from twofold.errors import TrainingError

__all__ = ["Alarms", "effective_rank", "spread"]

EVERY = 10
"""Steps between two looks at the embeddings of a batch."""

PATIENCE = 4
"""Looks in a row that must say the same: new weights may stand still for a moment."""

LEAST_SPREAD = 1e-3
"""Spread below which all embeddings are one point (see `spread`)."""

LEAST_RANK = 1.2
"""Effective rank below which the embeddings lie on a line (see `effective_rank`)."""

LEAST_CLASSES = 4
"""Classes of a batch that is looked at: so few items of two or three may well lie on a line."""

BLOWN_UP = 5.0
"""A loss this many times that of the first steps is worse than knowing nothing."""

FIRST_STEPS = 20
"""Steps whose mean loss is compared with that of the last ones: single losses of a batch jump about."""


class Alarms:
    """Watches the embeddings, losses and gradients of one training."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.collapsed = 0

    def embeddings(self, embeddings: Float[Tensor, "batch dim"], labels: Any, *, step: int) -> None:
        """What the encoder made of a batch, before its loss is asked for.

        Raises:
            TrainingError: a number that is not finite, or embeddings that have been all alike for a
                while.
        """
        finite = embeddings.isfinite().all(1)
        if not bool(finite.all()):
            raise TrainingError(
                f"{int((~finite).sum())} of {len(finite)} embeddings hold NaN or infinity, that "
                f"of item "
                f"{int((~finite).nonzero()[0])} of the batch first: check that input. {_SLOWER}, "
                f"or train in float32"
            )
        if (
            step % EVERY == 0
            and isinstance(labels, Tensor)
            and len(torch.unique(labels)) >= LEAST_CLASSES
        ):
            self._collapsed(embeddings)

    def loss(self, value: float, *, comparable: bool = True) -> None:
        """The loss of a step.

        Args:
            comparable: with the losses of other steps; False while its margin grows, which raises it.

        Raises:
            TrainingError: it is not finite, or far above that of the first steps.
        """
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value}: {_SLOWER}, or set clip_norm = 1.0")
        if not comparable:
            return
        if len(self.losses) == 2 * FIRST_STEPS:  # the first steps stay, of the others the last
            self.losses.pop(FIRST_STEPS)
        self.losses.append(value)
        if len(self.losses) < 2 * FIRST_STEPS:
            return
        first, last = (
            sum(self.losses[:FIRST_STEPS]) / FIRST_STEPS,
            sum(self.losses[FIRST_STEPS:]) / FIRST_STEPS,
        )
        if last > BLOWN_UP * first > 0:
            raise TrainingError(
                f"the loss was {first:.3g} at first and is {last:.3g} over the last {FIRST_STEPS} "
                f"steps: it blows up. "
                f"{_SLOWER}, lengthen schedule.warmup, or set clip_norm = 1.0"
            )

    def gradient(self, norm: float) -> None:
        """The length of the whole gradient.

        Raises:
            TrainingError: it is not finite.
        """
        if not math.isfinite(norm):
            raise TrainingError(
                f"the gradient's length is {norm} while the loss is finite: {_SLOWER}"
            )

    def _collapsed(self, embeddings: Float[Tensor, "batch dim"]) -> None:
        apart, rank = spread(embeddings), effective_rank(embeddings)
        self.collapsed = self.collapsed + 1 if apart < LEAST_SPREAD or rank < LEAST_RANK else 0
        if self.collapsed >= PATIENCE:
            raise TrainingError(
                f"the embeddings have collapsed: their spread is {apart:.1e} of their length and "
                f"their effective rank "
                f"{rank:.2f} of {embeddings.shape[1]}, so that nothing can be told apart. "
                f"{_SLOWER}, take a loss with "
                "all negatives (supcon) or semi-hard mining instead of the hardest, or look "
                "whether labels are shuffled"
            )


_SLOWER = "Lower optimiser.learning_rate"


@torch.no_grad()
def spread(embeddings: Float[Tensor, "n dim"]) -> float:
    """Mean squared distance to the mean over mean squared length: 0 = one point, 1 = all directions alike."""
    vectors = embeddings.double()
    away = (vectors - vectors.mean(0)).square().sum(1).mean()
    return float(away / vectors.square().sum(1).mean().clamp(min=1e-30))


@torch.no_grad()
def effective_rank(embeddings: Float[Tensor, "n dim"]) -> float:
    """e to the entropy of the normalised singular values of the centred embeddings (Roy & Vetterli 2007, eq. 3 and 4).

    Between 1 (a line) and the dimension; as good as 1 where all embeddings are the same.
    """
    vectors = embeddings.double() - embeddings.double().mean(0)
    # the singular values are the roots of the eigenvalues of a matrix that does not grow with the
    # batch
    values = torch.linalg.eigvalsh(vectors.T @ vectors).clamp(min=0).sqrt()
    share = values / values.sum().clamp(min=1e-30)
    return float(torch.exp(-(share * share.clamp(min=1e-30).log()).sum()))
