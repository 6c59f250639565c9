"""Attacked pictures among others, different pictures of one look, and triples: what the rule for copies says."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from attacks import attacked
from copies_negatives import CHOSEN, Kind, drawn
from copies_real import Shown, real_kinds
from last_line import row
from twofold import Items
from twofold.apps.dedup import dedup
from twofold.bundle import Bundle
from twofold.copies.candidates import candidates
from twofold.copies.comparing import Judge
from twofold.copies.judge import Verdict
from twofold.copies.reading import Collection, picture_seen
from twofold.embedding import embed_read
from twofold.inputs.image import Image

__all__ = [
    "drawn_kinds",
    "found_at",
    "found_kinds",
    "invented",
    "pictures",
    "pictures_of",
    "third_copies",
    "three_sizes",
]

HASHES = ("phash", "dhash", "average_hash", "whash")
NAMES = {"average_hash": "ahash"}
PRECISION = 0.99
TOGETHER = 64


def pictures_of(folders: Sequence[Path], most: int) -> list[PIL.Image.Image]:
    """Pictures of the folders by turns, drawn by chance; without folders invented ones."""
    if not folders:
        return [invented(seed) for seed in range(most)]
    drawn: list[list[Path]] = []
    for folder in folders:
        items = Items.from_folder(folder, levels=0, suffixes=frozenset({".jpg", ".jpeg", ".png"}))
        order = np.random.default_rng(11).permutation(len(items))
        drawn.append([items.values[place] for place in order])
    deepest = max(map(len, drawn))
    chosen = [paths[place] for place in range(deepest) for paths in drawn if place < len(paths)]
    return [PIL.Image.open(path).convert("RGB") for path in chosen[:most]]


def invented(seed: int) -> PIL.Image.Image:
    """Squares of many sizes: a spectrum like a photograph's."""
    generator, side = np.random.default_rng((9, seed)), 160
    picture = np.zeros((side, side, 3))
    for width in (80, 40, 20, 10, 5):
        small = generator.standard_normal((side // width, side // width, 3)) * width
        picture += np.kron(small, np.ones((width, width, 1)))
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return PIL.Image.fromarray(picture.astype(np.uint8))


class Looked:
    """Pictures as `dedup` reads them, in one collection: attacked ones, then what they are compared with."""

    def __init__(
        self,
        queries: Sequence[PIL.Image.Image],
        shown: Sequence[PIL.Image.Image],
        *,
        mirrored: bool,
        bundle: Bundle | None = None,
    ) -> None:
        values = tuple(np.asarray(picture.convert("RGB")) for picture in (*queries, *shown))
        seen = tuple(
            picture_seen(value, str(place), Image(size=128)) for place, value in enumerate(values)
        )
        known = Collection(ids=tuple(map(str, range(len(values)))), values=values, seen=seen)
        vectors = None
        if bundle is not None:
            read = [bundle.twin.input.read(value) for value in values]
            vectors = np.concatenate(
                [
                    embed_read(bundle, read[start : start + TOGETHER])
                    for start in range(0, len(read), TOGETHER)
                ]
            )
        self.queries, self.judge = len(queries), Judge(collection=known, mirrored=mirrored)
        self.pairs = [
            (pair.first, pair.second) for pair in candidates(seen, vectors, mirrored=mirrored)
        ]

    def judged(self, pairs: Sequence[tuple[int, int]]) -> list[Verdict]:
        """Some pairs at once, as the product does."""
        return [
            each
            for start in range(0, len(pairs), TOGETHER)
            for each in self.judge(pairs[start : start + TOGETHER])
        ]

    def scores(self, count: int) -> np.ndarray:
        """(query, other): the judge's score of the candidates, -1 for all else; copies score 0.9 and more."""
        found = np.full((self.queries, count), -1.0)
        asked = [pair for pair in self.pairs if pair[0] < self.queries <= pair[1]]
        for (query, other), verdict in zip(asked, self.judged(asked), strict=True):
            if verdict.says != "different":
                found[query, other - self.queries] = verdict.score
        return found


def pictures(
    folders: Sequence[Path], originals: int, distractors: int, families: Sequence[str]
) -> list[dict]:
    """Every family: what the rule finds, and imagehash's four at their own precision of .99, on the same mixed set."""
    mixed = [
        picture
        for kind in CHOSEN.values()
        for picture in drawn(kind, max(distractors // 40, 2), seed=2)
    ]
    shown = [*pictures_of(folders, originals + distractors), *mixed]
    hashes = {name: hashed(name, shown) for name in HASHES}
    where = ", ".join(folder.name for folder in folders) or "invented pictures"
    results = []
    for family in families:
        queries = attacked(family, shown[:originals], seed=1)
        ours = Looked(queries, shown, mirrored=family == "mirror").scores(len(shown))
        own = ours[np.arange(originals), np.arange(originals)]
        wrong = ours.copy()
        wrong[np.arange(originals), np.arange(originals)] = -1
        theirs = {}
        for name in HASHES:
            distance = (hashed(name, queries)[:, None] ^ hashes[name][None]).view(np.uint8)
            bits = np.unpackbits(distance.reshape(originals, len(shown), -1), axis=2).sum(axis=2)
            theirs[NAMES.get(name, name)] = found_at(-bits.astype(np.float64))
        anchor = f"{originals} attacked, {len(shown)} to compare with, of {where} and drawn pages, cards, codes"
        best = max(theirs.values())
        told = {
            f"{family}_recall": float((own > 0).mean()),
            f"{family}_copy_recall": float((own >= 0.9).mean()),
            f"{family}_wrong_copies": int((wrong >= 0.9).sum()),
            f"{family}_wrong_perhaps": int((wrong > 0).sum() - (wrong >= 0.9).sum()),
        }
        goals = {f"{family}_recall": best, f"{family}_wrong_copies": 0}
        results += [
            row(name, value, goal=goals.get(name), anchor=anchor, seed=1)
            for name, value in told.items()
        ]
        results += [
            row(f"{family}_recall_{name}_imagehash", value, anchor=anchor, seed=1)
            for name, value in theirs.items()
        ]
        print(
            family,
            {name: round(value, 3) for name, value in {**told, **theirs}.items()},
            flush=True,
        )
    return results


def drawn_kinds(kinds: dict[str, Kind], count: int, *, role: str) -> list[dict]:
    """False copies among pairs of different pictures, by kind: all pairs that the candidates bring are judged."""
    results = []
    for name, kind in kinds.items():
        unlike = list(
            {picture.tobytes(): picture for picture in drawn(kind, count, seed=4)}.values()
        )
        shown = Shown(pictures=unlike, labels=list(map(str, range(len(unlike)))))
        results += wrong_ones(name, shown, role=role)
    return results


def found_kinds(
    data: Path | None, names: Sequence[str], count: int, network: str | None
) -> list[dict]:
    """The same of real kinds; with a bundle also with the further candidates that its vectors bring."""
    bundle = Bundle.load(network) if network else None
    found, results = real_kinds(data, count) if data else {}, []
    for name in (name for name in names if name in found):
        results += wrong_ones(name, found[name], role="real pictures")
        if bundle is not None:
            results += wrong_ones(
                f"{name}_with_network", found[name], role="real pictures", bundle=bundle
            )
    return results


def wrong_ones(name: str, shown: Shown, *, role: str, bundle: Bundle | None = None) -> list[dict]:
    """Pairs of one kind that are called copies, and that are called perhaps."""
    looked = Looked(shown.pictures, [], mirrored=False, bundle=bundle)
    asked = [
        pair
        for pair in looked.pairs
        if not (shown.apart and len({shown.labels[place] for place in pair}) == 1)
    ]
    told = looked.judged(asked)
    count = len(shown.pictures)
    pairs = count * (count - 1) // 2
    if shown.apart:
        pairs -= sum(of * (of - 1) // 2 for of in Counter(shown.labels).values())
    anchor = (
        f"{count} different pictures, {pairs:,} pairs, of which {len(asked):,} were judged; {role}"
    )
    results = []
    for what, says, goal in (("copies", "copy", 0), ("perhaps", "perhaps", None)):
        wrong = [pair for pair, each in zip(asked, told, strict=True) if each.says == says]
        results.append(
            row(f"false_{what}_{name}", len(wrong), unit="pairs", goal=goal, anchor=anchor, seed=4)
        )
        named = ", ".join("=".join(shown.labels[place] for place in pair) for pair in wrong[:5])
        print(name, what, len(wrong), named, anchor, flush=True)
    return results


def third_copies(folders: Sequence[Path], count: int) -> list[dict]:
    """Triples with a quarter turn: is a copy of the kept one missed that is found where there is no third?"""
    missed = doubted = 0
    shown = pictures_of(folders, count)
    for number, picture in enumerate(shown):
        values = three_sizes(picture, number)
        found = dedup(Items.from_arrays(values, [0, 1, 2]))
        if sum(len(group.copies) for group in found.groups) == 2:
            continue
        kept = max(range(3), key=lambda place: values[place].size)
        pairs = [[values[kept], values[place]] for place in range(3) if place != kept]
        alone = [dedup(Items.from_arrays(pair, [0, 1])).groups for pair in pairs]
        missed, doubted = missed + int(all(alone)), doubted + int(not all(alone))
    anchor = f"{len(shown)} triples: a picture and two of its turns, of three sizes by chance"
    never = f"{anchor}; those in which a pair alone is no copy either"
    return [
        row("third_copy_missed", missed, unit="triples", goal=0, anchor=anchor, seed=3),
        row("third_copy_doubted", doubted, unit="triples", goal=0, anchor=never, seed=3),
    ]


def three_sizes(picture: PIL.Image.Image, number: int) -> list[np.ndarray]:
    """The picture and two of its turns, one of them whole, one at .9 and one at .8 of its side."""
    three = [
        picture,
        *(picture.transpose(PIL.Image.Transpose(2 + (number + turn) % 3)) for turn in (0, 1)),
    ]
    sizes = np.random.default_rng((3, number)).permutation([1.0, 0.9, 0.8])
    return [
        np.asarray(
            each.resize(
                (round(each.width * size), round(each.height * size)), PIL.Image.Resampling.BICUBIC
            )
        )
        for each, size in zip(three, sizes, strict=True)
    ]


def hashed(name: str, shown: Sequence[PIL.Image.Image]) -> np.ndarray:
    """imagehash's 64 bits of each picture, as one number."""
    import imagehash

    hasher: Callable[[PIL.Image.Image], imagehash.ImageHash] = getattr(imagehash, name)
    bits = np.stack([hasher(picture).hash.ravel() for picture in shown])
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def found_at(scores: np.ndarray, precision: float = PRECISION) -> float:
    """Share of rows whose own column stands above the score from which on so many pairs are right; ties all count."""
    truth = np.eye(*scores.shape, dtype=bool).ravel()
    values = scores.ravel()
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(values[order]) != 0, True) & (
        values[order] > -1 if values.min() == -1 else True
    )
    good = last & (hits >= precision * np.arange(1, len(order) + 1))
    return float(hits[good][-1] / len(scores)) if good.any() else 0.0
