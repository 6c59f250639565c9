"""What a loss's own arguments may be: refused by name, with the value and the range (law 6)."""

from numbers import Real
from typing import Any

from twofold import distances
from twofold.comparison import Comparison
from twofold.errors import UsageError

__all__ = ["COLDEST", "LARGEST", "check_flag", "check_number", "is_plain"]

LARGEST = 1e6
"""No margin or temperature is larger: nothing would be learned, and float32 has no digits left for the distances."""

COLDEST = 1e-4
"""The least temperature: at a lower one float32 distances differ by more than one temperature through rounding."""


def check_number(name: str, value: Any, low: float, high: float = LARGEST) -> None:
    """Refuses what is not a number from `low` to `high`.

    Raises:
        UsageError: with the argument's name, its value and the range.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
        raise UsageError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Refuses what is neither True nor False.

    Raises:
        UsageError: with the argument's name and its value.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, not {value!r}")


def is_plain(comparison: Any) -> bool:
    """Whether it is a distance without weights, which is never negative.

    Raises:
        UsageError: it is not a comparison.
    """
    if not isinstance(comparison, Comparison):
        raise UsageError(
            f"comparison must be one of twofold.comparison, such as Plain('cosine'), not "
            f"{comparison!r}"
        )
    return comparison.name in distances.__all__
