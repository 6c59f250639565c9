"""Counts in sentences: "1 file is", "2 files are"."""

__all__ = ["counted"]

_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do"}


def counted(number: int, noun: str, verb: str = "", *, plural: str = "") -> str:
    """The number with its noun and, if one is given, its verb, both in the form that fits.

    Args:
        noun: in the singular: "identity", "class".
        verb: of one thing: "is", "has", "stays".
        plural: of the noun, where its end does not tell: "folders or links".
    """
    if number == 1:
        return f"1 {noun} {verb}".rstrip()
    return (
        f"{number:,} {plural or _plural(noun)} {_VERBS.get(verb, verb.removesuffix('s'))}".rstrip()
    )


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    hissing = noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("epoch")  # its ch is a k
    return f"{noun}es" if hissing else f"{noun}s"
