"""The quality gate: what a thing must reach to be enrolled, since a poor template causes errors for years."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.bundle import Bundle
from twofold.embedding import embed_read, read_all
from twofold.errors import PoorQuality, UsageError
from twofold.inputs.optional import quality as input_quality

__all__ = ["Gate", "Quality", "measure"]

MEASURED = ("sharpness", "contrast", "brightness", "length")
"""What an input type may measure (`Input.quality`)."""

UNIT_TOLERANCE = 1e-3
"""How far the length of a vector may be from 1 through rounding."""

LIGHTEST = 255  # grey value of white
EXAMPLES = "sharpness=40, contrast=10, length=5, norm=5 and brightness=[40,220]"

LEAST = ("sharpness", "contrast", "length", "norm")
"""What a gate bounds from below."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measurements of one thing, as the encoder sees it; None: not measured for such things.

    Attributes:
        sharpness, contrast, brightness: of a picture (see `Image.quality`).
        length: units of a text.
        norm: length of the embedding before it is brought to 1; None where the encoder does that
            itself.
    """

    sharpness: float | None
    contrast: float | None
    brightness: float | None
    length: float | None = None
    norm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a thing must reach to be enrolled. Usual values depend on the data: look at `measure` of good things first.

    Attributes:
        sharpness, contrast, length, norm: the smallest that will do; None: any. By default only a
            picture of one grey, on which nothing can be seen, is refused.
        brightness: the smallest and the largest that will do.
        judge: your own: takes the thing as given and as read, and says what is wrong with it, or
            None.
    """

    sharpness: float | None = None
    contrast: float | None = 1.0
    brightness: tuple[float, float] | None = None
    length: float | None = None
    norm: float | None = None
    judge: Callable[[Any, np.ndarray], str | None] | None = None

    def __post_init__(self) -> None:
        for key in LEAST:
            value = getattr(self, key)
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(
                    f"gate {key}={value!r}: give a number of 0 or more, as in {EXAMPLES}"
                )
        if (
            self.brightness is not None
            and not 0 <= self.brightness[0] <= self.brightness[1] <= LIGHTEST
        ):
            raise UsageError(
                f"gate brightness={list(self.brightness)}: the smallest and the largest belong "
                f"there, from 0 to {LIGHTEST}, as in brightness=[40,220]"
            )

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Gate":
        """A gate of settings, as a command line gives them.

        Raises:
            UsageError: an unknown one, or a value that does not fit.
        """
        known = [field.name for field in fields(cls) if field.name != "judge"]
        for key, value in settings.items():
            pair = (
                isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value))
            )
            if key not in known or not (pair if key == "brightness" else is_number(value)):
                raise UsageError(f"gate {key}={value!r}: there are {EXAMPLES}")
        fitting: dict[str, Any] = {
            key: tuple(map(float, value)) if key == "brightness" else float(value)
            for key, value in settings.items()
        }
        return cls(**fitting)

    def check(self, name: str, value: Any, array: np.ndarray, found: Quality) -> None:
        """Let a thing pass, or raise.

        Raises:
            PoorQuality: names the thing, what is wrong with it, and the values.
        """
        for key in LEAST:
            measured, wanted = getattr(found, key), getattr(self, key)
            if wanted is not None and measured is not None and measured < wanted:
                raise PoorQuality(
                    f"{name}: its {key} is {measured:.3g}, at least {wanted:g} is asked: give a "
                    f"better one, or ask for less ({key}=...)"
                )
        if self.brightness is not None and found.brightness is not None:
            low, high = self.brightness
            if not low <= found.brightness <= high:
                raise PoorQuality(
                    f"{name}: its brightness is {found.brightness:.3g}, between {low:g} and "
                    f"{high:g} is asked: it is too "
                    f"{'dark' if found.brightness < low else 'bright'}"
                )
        if self.judge is not None and (reason := self.judge(value, array)) is not None:
            raise PoorQuality(f"{name}: {reason}")

    def refuse_useless(self, bundle: Bundle, *, unit: bool) -> None:
        """Raise UsageError for what cannot be measured with this bundle."""
        asked = [
            key
            for key in MEASURED
            if getattr(self, key) not in (None, type(self).__dataclass_fields__[key].default)
        ]
        told = input_quality(bundle.twin.input, bundle.twin.input.example())
        if useless := [key for key in asked if key not in told]:
            raise UsageError(
                f"{useless[0]} is not measured of what this bundle reads "
                f"({bundle.twin.input.name}): there is {' and '.join(told) or 'nothing'}"
            )
        if self.norm is not None and unit:
            raise UsageError(
                "the encoder gives vectors of length 1, so their norm says nothing: leave norm out"
            )


def measure(bundle: Bundle, values: Sequence[Any]) -> list[Quality]:
    """What a gate would measure of each thing.

    Raises:
        UnreadableInput: names what cannot be decoded.
    """
    arrays = list(read_all(bundle.twin.input, values))
    return [found for found, _ in measured(bundle, arrays, embed_read(bundle, arrays))]


def measured(
    bundle: Bundle, arrays: Sequence[np.ndarray], vectors: Float[np.ndarray, "n dim"]
) -> list[tuple[Quality, bool]]:
    """Quality of things that were read and embedded."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    unit = bool(np.all(np.abs(norms - 1) < UNIT_TOLERANCE))
    found = []
    for array, norm in zip(arrays, norms, strict=True):
        told = input_quality(bundle.twin.input, array)
        known = {name: told.get(name) for name in MEASURED}
        found.append((Quality(**known, norm=None if unit else float(norm)), unit))
    return found


def is_number(value: Any) -> bool:
    """Whether a setting is a number; True is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool)
