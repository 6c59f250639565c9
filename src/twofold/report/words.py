"""Which words of a text another text lacks."""

from collections import Counter
from collections.abc import Callable

__all__ = ["differing", "marked"]


def differing(
    text: str, other: str, *, plain: Callable[[str], str] = str.casefold
) -> list[tuple[str, bool]]:
    """The words of a text, each with whether the other text lacks it; a repeated word must be repeated there.

    Args:
        plain: how words are compared, so that case, say, makes no difference.
    """
    left = Counter(map(plain, other.split()))
    found = []
    for word in text.split():
        name = plain(word)
        found.append((word, left[name] < 1))
        left[name] -= 1
    return found


def marked(text: str, other: str, *, plain: Callable[[str], str] = str.casefold) -> str:
    """The text with the words that the other one lacks in brackets: "Anna [Smyth] Berlin"."""
    return " ".join(
        f"[{word}]" if differs else word for word, differs in differing(text, other, plain=plain)
    )
