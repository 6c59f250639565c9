"""Places of a recording in words."""

from collections.abc import Sequence

from twofold.printable import with_printable_data
from twofold.results import Spotted, Spotting

__all__ = ["spotted"]


@with_printable_data
def spotted(found: Spotting, examples: Sequence[str]) -> str:
    """Where something is heard, and what the threshold means over a whole recording."""
    lines = [_place(each, examples) for each in found.places]
    if found.far is None:
        said = "most alike; the bundle has no threshold that would say whether it is the same"
    else:
        false = found.far * found.comparisons
        said = (
            f"threshold {found.threshold:.4f}; of {found.comparisons:,} comparisons about "
            f"{false:.1f} would reach it by chance (false-accept rate {found.far:g} each, "
            f"{found.standing})"
        )
    return "\n".join([*lines, said])


def _place(place: Spotted, examples: Sequence[str]) -> str:
    words = {"same": "heard", "unsure": "unsure", "different": "not like it", None: ""}
    of = f"  {examples[place.example]}" if len(examples) > 1 else ""
    return (
        f"{_time(place.start)} to {_time(place.end)}  {place.score:.4f}  "
        f"{words[place.decision]}{of}".rstrip()
    )


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:05.2f}"
