"""Changes to texts in training: units that are dropped, swapped, doubled or replaced, as people mistype."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from twofold.errors import RecipeError, nearest
from twofold.inputs.padded import Padded, changed_each

__all__ = ["BLANK", "TextAugment", "text_augmentation"]

BLANK = 1 + ord(" ")
"""The symbol of a blank, of bytes, of characters and between the pieces of words alike."""


@dataclass(frozen=True, kw_only=True)
class TextAugment:
    """Each unit of a text changes with these probabilities, in this order; a text keeps at least one unit.

    Attributes:
        word_dropout: a word (between blanks) is left out.
        drop: a unit is left out.
        double: a unit stands twice.
        swap: a unit changes places with the next one.
        replace: a unit becomes another one of the same text.
        symbols: how many symbols there are.
        marks: how many symbols at the start and at the end are marks, which stay.
    """

    word_dropout: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    swap: float = 0.0
    replace: float = 0.0
    symbols: int
    marks: tuple[int, int] = (0, 0)

    variants: ClassVar[int] = 1

    def __call__(self, batch: Padded, keys: Int[np.ndarray, "batch 4"]) -> Padded:
        """The batch changed; what happens to an item depends on its key (seed, epoch, item, variant) alone."""
        return changed_each(batch, keys, self._changed)

    def _changed(self, text: np.ndarray, random: np.random.Generator) -> np.ndarray:
        start, end = self.marks[0], len(text) - self.marks[1]
        if end <= start:
            return text
        return np.concatenate([text[:start], self._within(text[start:end], random), text[end:]])

    def _within(self, text: np.ndarray, random: np.random.Generator) -> np.ndarray:
        text = self._without_words(text, random)
        text = _kept(text, random.random(len(text)) >= self.drop)
        text = np.repeat(text, 1 + (random.random(len(text)) < self.double))
        places = np.arange(len(text))
        for place in np.flatnonzero(random.random(len(text) - 1) < self.swap):
            places[[place, place + 1]] = places[[place + 1, place]]
        text = text[places]
        other = random.random(len(text)) < self.replace
        return np.where(other, random.choice(text, len(text)), text)

    def _without_words(self, text: np.ndarray, random: np.random.Generator) -> np.ndarray:
        word = np.cumsum(text == BLANK)
        left_out = random.random(word[-1] + 1) < self.word_dropout
        return _kept(text, ~left_out[word])


def _kept(text: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return text[keep] if keep.any() else text


def text_augmentation(
    settings: Mapping[str, Any], *, symbols: int, marks: tuple[int, int]
) -> TextAugment:
    """`TextAugment` of these settings.

    Raises:
        RecipeError: an unknown setting, or one that is not a probability.
    """
    known = [field.name for field in fields(TextAugment) if field.name not in ("symbols", "marks")]
    for name, value in settings.items():
        if name not in known:
            raise RecipeError(f"augment.{name} is not a change of texts: {nearest(name, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise RecipeError(
                f"augment.{name} = {value!r}: a probability from 0 to less than 1 belongs there"
            )
    return TextAugment(**settings, symbols=symbols, marks=marks)
