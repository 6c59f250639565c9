"""Hits in words."""

from twofold.printable import with_printable_data
from twofold.results import Found, Hit

__all__ = ["found"]


@with_printable_data
def found(result: Found) -> str:
    """What is most like a query, and whether anything is like it at all."""
    if result.unreadable is not None:
        return f"! {result.unreadable}"
    if result.threshold is None:
        said = "what is most like it; the bundle has no threshold that would say whether it is the same"
    else:
        words = {"same": "found", "unsure": "unsure", "different": "nothing like it"}
        said = (
            f"{words[result.decision or 'different']}, threshold {result.threshold:.4f}, "
            f"false-accept rate {result.far:g} per comparison ({result.standing})"
        )
    return "\n".join([f"{result.query}: {said}", *(_hit(hit, result) for hit in result.hits)])


def _hit(hit: Hit, result: Found) -> str:
    known = result.probability_of(hit)
    sure = "" if hit.probability is None else f"  {'-':5}" if known is None else f"  {known:.3f}"
    return f"  {hit.score:.4f}{sure}  {hit.label}" + (f"  {hit.id}" if hit.id != hit.label else "")
