"""Changes to DNA in training: errors of sequencing, fragments, and the other strand."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from twofold.errors import RecipeError, nearest
from twofold.inputs.padded import Padded, changed_each

__all__ = ["DnaAugment", "dna_augmentation"]

BASES = 4
"""A, C, G, T have the codes 1 to 4; 5 is an unknown base."""


@dataclass(frozen=True, kw_only=True)
class DnaAugment:
    """How a sequence changes, in this order; it keeps at least one base.

    Attributes:
        substitute: up to this share of the bases become others; the share of a sequence is drawn
            evenly from 0 on.
        unknown: up to this share of the bases become unknown, likewise.
        fragment: a sequence is cut down to a part of it, of a length that is drawn between this
            share and the whole; 0 leaves it whole.
        reverse: probability of the reverse complement.
    """

    substitute: float = 0.0
    unknown: float = 0.0
    fragment: float = 0.0
    reverse: float = 0.0

    variants: ClassVar[int] = 1

    def __call__(self, batch: Padded, keys: Int[np.ndarray, "batch 4"]) -> Padded:
        """The batch changed; what happens to an item depends on its key (seed, epoch, item, variant) alone."""
        return changed_each(batch, keys, self._changed)

    def _changed(self, bases: np.ndarray, random: np.random.Generator) -> np.ndarray:
        bases = bases.copy()
        wrong = (random.random(len(bases)) < random.uniform(0, self.substitute)) & (bases <= BASES)
        # another base: one to three steps further around the four
        steps = random.integers(1, BASES, len(bases))
        bases[wrong] = (bases[wrong] - 1 + steps[wrong]) % BASES + 1
        bases[random.random(len(bases)) < random.uniform(0, self.unknown)] = BASES + 1
        if self.fragment:
            kept = max(round(len(bases) * random.uniform(self.fragment, 1.0)), 1)
            start = int(random.integers(len(bases) - kept + 1))
            bases = bases[start : start + kept]
        if random.random() < self.reverse:
            bases = np.where(bases <= BASES, BASES + 1 - bases, bases)[::-1]
        return bases


def dna_augmentation(settings: Mapping[str, Any]) -> DnaAugment:
    """`DnaAugment` of these settings.

    Raises:
        RecipeError: an unknown setting, or one that is not a share.
    """
    known = [field.name for field in fields(DnaAugment)]
    for name, value in settings.items():
        if name not in known:
            raise RecipeError(f"augment.{name} is not a change of DNA: {nearest(name, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise RecipeError(f"augment.{name} = {value!r}: a share from 0 to 1 belongs there")
    return DnaAugment(**settings)
