"""Groups around the file that is kept, against which every copy was judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twofold.copies.candidates import Pair
from twofold.copies.clusters import Star
from twofold.copies.judge import Verdict

__all__ = ["Found", "stars_of"]

TOGETHER = 64
"""Pairs that are judged at once; fixed, so that the result does not depend on the number of
threads."""

Judging = Callable[[Sequence[tuple[int, int]]], list[Verdict]]
Rank = Callable[[Sequence[int]], list[int]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Groups of copies; and doubtful pairs that a person should look at: (kept, other, score)."""

    stars: list[Star]
    doubts: list[tuple[int, int, float]]


def stars_of(
    pairs: Sequence[Pair],
    *,
    contents: Sequence[str],
    judging: Judging,
    preferred: Rank,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Judge pairs until connected groups are known; then judge all of a group against its preferred member.

    What is not a copy of the preferred one stands for itself, or for its own copies among the rest:
    nothing goes for being like something that goes.

    Args:
        pairs: that may be copies, the most alike first. contents: equal ones are copies.
        preferred: places in the order in which they should stay.
    """
    together, doubts, told = _together(pairs, contents, judging=judging, progress=progress)
    stars: list[Star] = []
    stands = list(range(len(contents)))
    for members in together:
        left = preferred(members)
        while len(left) > 1:
            kept, others = left[0], left[1:]
            found = _against(kept, others, told, judging)
            near = [
                (place, each.score)
                for place, each in zip(others, found, strict=True)
                if each.says == "copy"
            ]
            doubts += [
                (kept, place, each.score)
                for place, each in zip(others, found, strict=True)
                if each.says == "perhaps"
            ]
            near.sort(key=lambda each: -each[1])
            if near:
                stars.append(
                    Star(
                        kept=kept,
                        others=tuple(place for place, _ in near),
                        scores=tuple(score for _, score in near),
                    )
                )
            for place, _ in near:
                stands[place] = kept
            gone = {place for place, _ in near}
            left = [place for place in others if place not in gone]
    return Found(stars=sorted(stars, key=lambda star: star.kept), doubts=_doubts(doubts, stands))


def _together(
    pairs: Sequence[Pair],
    contents: Sequence[str],
    *,
    judging: Judging,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[list[int]], list[tuple[int, int, float]], dict[tuple[int, int], Verdict]]:
    """Groups of two or more that copies connect; doubtful pairs; and all verdicts."""
    count = len(contents)
    root = list(range(count))

    def top(place: int) -> int:
        while root[place] != place:
            root[place] = place = root[root[place]]
        return place

    first_of: dict[str, int] = {}
    for place, content in enumerate(contents):
        root[top(place)] = top(first_of.setdefault(content, place))
    doubts: list[tuple[int, int, float]] = []
    told: dict[tuple[int, int], Verdict] = {}
    for start in range(0, len(pairs), TOGETHER):
        part = [(pair.first, pair.second) for pair in pairs[start : start + TOGETHER]]
        asked = [pair for pair in part if top(pair[0]) != top(pair[1])]
        for pair, found in zip(asked, judging(asked), strict=True):
            told[pair] = found
            if found.says == "copy":
                root[top(pair[0])] = top(pair[1])
            elif found.says == "perhaps":
                doubts.append((*pair, found.score))
        if progress:
            progress(min(start + TOGETHER, len(pairs)), len(pairs))
    lists: dict[int, list[int]] = {}
    for place in range(count):
        lists.setdefault(top(place), []).append(place)
    return [members for members in lists.values() if len(members) > 1], doubts, told


def _against(
    kept: int, others: Sequence[int], told: dict[tuple[int, int], Verdict], judging: Judging
) -> list[Verdict]:
    pairs = [(min(kept, place), max(kept, place)) for place in others]
    new = [pair for pair in pairs if pair not in told]
    for start in range(0, len(new), TOGETHER):
        part = new[start : start + TOGETHER]
        told.update(zip(part, judging(part), strict=True))
    return [told[pair] for pair in pairs]


def _doubts(pairs: list[tuple[int, int, float]], stands: list[int]) -> list[tuple[int, int, float]]:
    """Doubtful pairs of files that stay, each once, the likeliest first."""
    best: dict[tuple[int, int], float] = {}
    for first, second, score in pairs:
        one, other = sorted((stands[first], stands[second]))
        if one != other:
            best[one, other] = max(best.get((one, other), 0.0), score)
    return sorted(
        ((one, other, score) for (one, other), score in best.items()),
        key=lambda each: (-each[2], each[:2]),
    )
