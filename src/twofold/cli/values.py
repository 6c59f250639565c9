"""Types of options whose values have bounds: a value outside is refused before anything is read."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from twofold.places import check_file_place, check_folder_place
from twofold.printable import utf8_name

__all__ = [
    "SETTINGS",
    "Label",
    "Labels",
    "Levels",
    "Looked",
    "MaybeCount",
    "MaybeLabel",
    "MaybeRate",
    "OutFile",
    "OutFolder",
    "PositiveCount",
    "Rate",
    "Seconds",
    "Seed",
    "Several",
    "Threshold",
]

LARGEST_SEED = 2**63 - 1
"""What torch takes for a seed."""

SMALLEST_RATE = 1e-9
"""No data set can show a smaller rate: it would take billions of impostor pairs of independent people."""


def whole_number(low: int, high: int) -> Callable[[Any, Any], None]:
    """A validator for whole numbers from `low` to `high`."""

    def validate(_: Any, value: Any) -> None:
        if value is not None and type(value) is not int:
            raise ValueError("It must be a whole number")
        if value is not None and not low <= value <= high:
            bounds = (
                f"a whole number of at least {low}"
                if value < low
                else f"a whole number of at most {high}"
            )
            raise ValueError(f"It must be {bounds}")

    return validate


def exact(_: Any, tokens: Sequence[Any]) -> int:
    """A converter that takes a whole number only; without it 1.5 would be taken for 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f'"{tokens[0].value}" is not a whole number') from None


def real_number(low: float, high: float, *, means: str) -> Callable[[Any, Any], None]:
    """A validator for numbers strictly between two bounds; NaN and infinity never pass."""

    def validate(_: Any, value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and low < value < high):
            raise ValueError(f"It must be {means}")

    return validate


def writable(check: Callable[[Path], None]) -> Callable[[Any, Any], None]:
    """A validator for the place of an output: seen before the work, not after it."""

    def validate(_: Any, value: Path | None) -> None:
        if value is not None:
            check(value)

    return validate


def as_text(_: Any, tokens: Sequence[Any]) -> str:
    r"""A converter for labels: a byte that is not UTF-8 is written as \xNN, as for names of folders."""
    return utf8_name(tokens[0].value)


_levels = Parameter(converter=exact, validator=whole_number(0, 2))
_rate = Parameter(
    validator=real_number(
        SMALLEST_RATE * 0.999, 1.0, means=f"at least {SMALLEST_RATE:g} and below 1"
    )
)
_file = Parameter(validator=writable(check_file_place))

Levels = Annotated[int, Parameter(converter=exact, validator=whole_number(1, 2))]
"""Of labelled items: without labels nothing is learned or measured."""
Looked = Annotated[int | None, _levels]
"""Levels that are found by looking where they are not given."""
Seed = Annotated[int, Parameter(converter=exact, validator=whole_number(0, LARGEST_SEED))]
MaybeCount = Annotated[int | None, Parameter(converter=exact, validator=whole_number(1, 2**16))]
PositiveCount = Annotated[int, Parameter(converter=exact, validator=whole_number(1, 2**31))]
Several = Annotated[int, Parameter(converter=exact, validator=whole_number(2, 2**20))]
"""Of identities in a batch, or of items of each: one makes no pair."""
Rate = Annotated[float, _rate]
MaybeRate = Annotated[float | None, _rate]
Seconds = Annotated[
    float | None,
    Parameter(validator=real_number(0.0, math.inf, means="a positive number of seconds")),
]
Label = Annotated[str, Parameter(converter=as_text)]
MaybeLabel = Annotated[str | None, Parameter(converter=as_text)]
Labels = Annotated[
    list[str], Parameter(converter=lambda _, tokens: [utf8_name(token.value) for token in tokens])
]
Threshold = Annotated[
    float | None, Parameter(validator=real_number(-math.inf, math.inf, means="a finite number"))
]
OutFile = Annotated[Path | None, _file]
OutFolder = Annotated[Path, Parameter(validator=writable(check_folder_place))]

_share = real_number(0.0, 1.0, means="between 0 and 1, both excluded")
_size = whole_number(0, 2**31)
_positive = whole_number(1, 2**31)
SETTINGS = {
    "confidence": _share,
    "prior": _share,
    "fpir": _share,
    "genuine": _share,
    "seed": whole_number(0, LARGEST_SEED),
    "gallery": _size,
    "cohort": _size,
    "enrolled": _positive,
    "looks": _positive,
}
"""What bounds the numbers that --set knows outside a recipe."""
