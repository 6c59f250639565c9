"""Fields of tables as answers and numbers: one parser for pairs, scores and production."""

import math

from twofold.errors import DataError

__all__ = ["number", "truth"]

TRUE = frozenset({"true", "yes", "same", "t", "y"})
FALSE = frozenset({"false", "no", "different", "f", "n"})


def truth(field: str, place: str) -> bool:
    """Whether a pair is the same: 1 or 0 (also 1.0), true or false, yes or no, same or different, in any case.

    Raises:
        DataError: none of these; names the line.
    """
    word = field.strip().lower()
    if word in TRUE or word in FALSE:
        return word in TRUE
    value = _float(word)
    if value not in (0.0, 1.0):
        raise DataError(
            f"{place}: same={field[:40]!r} is neither 1 nor 0 (or true, false, yes, no, same, "
            f"different); for grades "
            "between, call the column score"
        )
    return value == 1.0


def number(field: str, place: str, column: str = "score") -> float:
    """A finite number.

    Raises:
        DataError: not a number, infinite or NaN; names the line.
    """
    value = _float(field)
    if not math.isfinite(value):
        comma = (
            " (write the decimal point as a point)"
            if math.isfinite(_float(field.replace(",", ".")))
            else ""
        )
        raise DataError(f"{place}: {column}={field[:40]!r} is not a finite number{comma}")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
