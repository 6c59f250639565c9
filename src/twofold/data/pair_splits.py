"""Pairs into parts: what hangs together stays together, so that no thing and nobody stands on two sides (law 2)."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from twofold.data.components import components
from twofold.data.pairs import Pairs
from twofold.data.splits import shuffled_names
from twofold.errors import NotEnoughData
from twofold.plurals import counted

__all__ = ["pair_components", "split_pairs"]


def pair_components(pairs: Pairs) -> Int[np.ndarray, " pairs"]:
    """The component of each pair: two pairs that share a thing, a content or an identity are in one."""
    first, second = pairs.index_a.tolist(), pairs.index_b.tolist()
    owners = [pairs.content_hashes()]
    owners += [] if pairs.identity is None else [tuple(map(str, pairs.identity))]
    for names in owners:
        leader: dict[str, int] = {}
        for thing, name in enumerate(names):
            first.append(leader.setdefault(name, thing))
            second.append(thing)
    return components(len(pairs.ids), first, second)[pairs.index_a]


def split_pairs(pairs: Pairs, shares: Mapping[str, float], *, seed: int = 0) -> dict[str, Pairs]:
    """The pairs of each part, in whole components; `shares` are those of the pairs.

    A part gets whole components until it has its share, the largest components first. Parts whose
    share is 0 are left out.

    Raises:
        NotEnoughData: too few components, or one so large that a part gets no genuine or no
            impostor pair.
    """
    asked = {part: share for part, share in shares.items() if share > 0}
    if len(asked) == 1:
        return dict.fromkeys(asked, pairs)
    component = pair_components(pairs)
    roots, sizes = np.unique(component, return_counts=True)
    place = {
        name: at
        for at, name in enumerate(shuffled_names([pairs.ids[root] for root in roots], seed))
    }
    order = sorted(range(len(roots)), key=lambda at: (-sizes[at], place[pairs.ids[roots[at]]]))
    total, given = sum(asked.values()), dict.fromkeys(asked, 0)
    chosen = np.zeros(len(pairs), dtype=np.int64)
    names = list(asked)
    for at in order:
        part = max(names, key=lambda name: asked[name] / total * len(pairs) - given[name])
        chosen[component == roots[at]] = names.index(part)
        given[part] += int(sizes[at])
    parts = {
        name: pairs.take(np.flatnonzero(chosen == at)).alone() for at, name in enumerate(names)
    }
    for name, part in parts.items():
        if not _useful(part, pairs):
            kinds = "" if pairs.graded or pairs.positive else ", not of both kinds"
            told = f"the part {name!r} ({asked[name] / total:.0%}) gets {counted(len(part), 'pair')}{kinds}"
            raise NotEnoughData(_hanging(told, pairs, sizes))
    return parts


def _useful(part: Pairs, pairs: Pairs) -> bool:
    """Whether a part has pairs of every kind that there is, or any where they are graded."""
    return len(part) > 0 and (
        pairs.graded or len(np.unique(part.targets)) == len(np.unique(pairs.targets))
    )


def _hanging(told: str, pairs: Pairs, sizes: Int[np.ndarray, " components"]) -> str:
    """Why the pairs cannot be split, and the way out."""
    return (
        f"the pairs hang together too much to be split: the largest of {len(sizes)} groups that "
        f"share {pairs.noun}s or "
        f"people has {int(sizes.max())} of {len(pairs)} pairs, and {told}. Train on all of them "
        "(--set split.train=1 --set split.valid=0 --set split.calibrate=0 --set split.test=0), "
        "and calibrate and "
        "evaluate on tables of other people; or take out the pairs that link the groups"
    )
