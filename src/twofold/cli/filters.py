"""The conditions of --where."""

import math
from typing import TYPE_CHECKING, Any

from twofold.errors import UsageError

if TYPE_CHECKING:
    pass

__all__ = ["bounds_of", "filters", "number"]


def filters(given: tuple[str, ...]) -> dict[str, Any] | None:
    """The conditions of --where: key=value, or key=low..high; a key that stands twice takes either value."""
    wanted: dict[str, Any] = {}
    for text in given:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key:
            raise UsageError(f"--where {text}: write it as key=value, or key=low..high")
        if (bounds := bounds_of(text, value)) is not None:
            if key in wanted:
                raise UsageError(
                    f"--where {text}: {key} is given twice, and a range allows no second condition"
                )
            wanted[key] = bounds
            continue
        if isinstance(wanted.setdefault(key, []), dict):
            raise UsageError(
                f"--where {text}: {key} is given twice, and a range allows no second condition"
            )
        # a number may have been kept as one, or as a text
        wanted[key] += [value] if number(value) is None else [value, number(value)]
    return wanted or None


def bounds_of(text: str, value: str) -> dict[str, Any] | None:
    """The bounds of `low..high`, numbers or texts, either of which may be missing; None: no range."""
    low, dots, high = (part.strip() for part in value.partition(".."))
    given = {name: part for name, part in (("min", low), ("max", high)) if part}
    if not dots or not given:
        return None
    numbers = {name: number(part) for name, part in given.items()}
    known = [each for each in numbers.values() if each is not None]
    if known and len(known) < len(given):
        wrong = next(part for name, part in given.items() if numbers[name] is None)
        raise UsageError(
            f"--where {text}: {wrong} is not a number, and the other end is: write low..high, as "
            f"in 2..5"
        )
    bounds: dict[str, Any] = numbers if known else given
    if len(bounds) == 2 and bounds["min"] > bounds["max"]:
        raise UsageError(
            f"--where {text}: nothing lies in that range: the smaller end comes first, "
            f"{high}..{low}"
        )
    return bounds


def number(text: str) -> int | float | None:
    """A text as the number that it is, or None."""
    try:
        return (
            int(text)
            if text.lstrip("-").isdigit()
            else float(text)
            if math.isfinite(float(text))
            else None
        )
    except ValueError:
        return None
