"""An encoder whose trunk never learns, and whose linear head is fitted to the training classes in closed form."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from twofold.errors import RecipeError
from twofold.nn.heads import Encoder

__all__ = ["FittedHead"]

AT_ONCE = 32
"""Pictures whose features are made together while the head is fitted."""


class FittedHead(Encoder):
    """A trunk that stays as it is, and a linear map that `solved` finds before the first step.

    Attributes:
        prepared_by_class: `prepare` is given the class of each picture.
        name: what a recipe calls the encoder. instead: what to give or take where pictures have no
            classes.
        most: pictures that the head is fitted to at most; None: all.
    """

    prepared_by_class = True
    name: ClassVar[str]
    instead: ClassVar[str]
    most: ClassVar[int | None] = None
    fitted: Tensor

    def __init__(
        self, trunk: nn.Module, *, features: int, dim: int, channels: int, unit_norm: bool
    ) -> None:
        head, picture = nn.Linear(features, dim), (channels, None, None)
        super().__init__(trunk, head, dim=dim, picture=picture, unit_norm=unit_norm)
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def prepare(
        self, batches: Iterable[Tensor], labels: Int[np.ndarray, "n"] | None = None
    ) -> None:
        """Fit the head to training pictures (or, while `on_features` is set, to their features), one in a batch.

        Raises:
            RecipeError: nobody knows the classes of the pictures, as in tables of pairs.
        """
        if bool(self.fitted):
            return
        if labels is None:
            raise RecipeError(
                f"{self.name} learns from labelled items, and cannot train on pairs: {self.instead}"
            )
        with torch.no_grad():
            found = torch.cat(list(self._featured(islice(batches, self.most))))
            weight, bias = self.solved(found, torch.from_numpy(np.asarray(labels[: len(found)])))
            head = self.head
            assert isinstance(head, nn.Linear)
            head.weight.copy_(weight)
            head.bias.copy_(bias)
            self.fitted.fill_(True)

    def solved(
        self, features: Float[Tensor, "n features"], labels: Int[Tensor, "n"]
    ) -> tuple[Float[Tensor, "dim features"], Float[Tensor, "dim"]]:
        """Weight and bias of the head, from the features and classes of the training pictures."""
        raise NotImplementedError

    def _featured(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        batches = iter(batches)
        while some := list(islice(batches, AT_ONCE)):
            together = torch.cat(some)
            yield together if self.on_features else self.features(together)
