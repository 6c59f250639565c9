"""Footage: pictures and sequences that a tracker learns from, as references; nothing is decoded here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from twofold.config import Split
from twofold.data.hashes import content_hash
from twofold.data.listing import natural
from twofold.data.sequences import PICTURES, TrackedSequence, read_sequences
from twofold.data.splits import PARTS
from twofold.errors import DataError, NotEnoughData
from twofold.plurals import counted

__all__ = ["Footage"]

LAYOUTS = (
    "pictures in folders of any depth, of which those with transparency are taken for cut-outs of "
    "objects; or sequences in OTB's or GOT-10k's layout, or films beside tables of boxes"
)


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Single pictures and sequences with boxes; each is kept whole when parts are made.

    Attributes:
        pictures: files of single pictures. sequences: those with a box in each frame.
        root: the folder that names are told relative to.
    """

    pictures: tuple[Path, ...]
    sequences: tuple[TrackedSequence, ...] = ()
    root: Path

    def __len__(self) -> int:
        return len(self.pictures) + len(self.sequences)

    @property
    def identities(self) -> list[str]:
        """A name for each picture, then for each sequence."""
        names = [path.relative_to(self.root).as_posix() for path in self.pictures]
        return names + [f"sequence {each.name}" for each in self.sequences]

    @property
    def identity(self) -> Int[np.ndarray, "files"]:
        """Which of `identities` each file of `content_hashes` belongs to."""
        return np.repeat(np.arange(len(self)), [len(each) for each in self._files])

    def content_hashes(self) -> list[str]:
        """SHA-256 of each file, in the order of `identity`."""
        return [content_hash(path) for files in self._files for path in files]

    @property
    def _files(self) -> list[tuple[Path, ...]]:
        films = [
            (each.frames,) if isinstance(each.frames, Path) else each.frames
            for each in self.sequences
        ]
        return [(path,) for path in self.pictures] + films

    def take(self, places: Sequence[int]) -> "Footage":
        """The pictures and sequences at these places of `identities`."""
        count = len(self.pictures)
        return replace(
            self,
            pictures=tuple(self.pictures[place] for place in places if place < count),
            sequences=tuple(self.sequences[place - count] for place in places if place >= count),
        )

    def split(self, shares: Split, *, seed: int) -> dict[str, "Footage"]:
        """Parts by chance: train, valid, calibrate and test; every part that has a share gets two or more.

        Raises:
            NotEnoughData: not enough for two parts.
        """
        wanted = {name: getattr(shares, name) for name in PARTS if getattr(shares, name)}
        if len(self) < FEWEST * len(wanted):
            raise NotEnoughData(
                f"{counted(len(self), 'picture or sequence', plural='pictures and sequences')} "
                f"cannot be split into {', '.join(wanted)}: give {FEWEST * len(wanted)} or more"
            )
        order = np.random.default_rng((seed, len(self))).permutation(len(self))
        total, start, parts = sum(wanted.values()), 0, {}
        # the largest part last, so that rounding does not shorten it
        for name in sorted(wanted, key=lambda each: wanted[each]):
            count = max(FEWEST, round(len(self) * wanted[name] / total))
            chosen = (
                order[start:]
                if name == max(wanted, key=lambda each: wanted[each])
                else (order[start : start + count])
            )
            parts[name] = self.take(np.sort(chosen).tolist())
            start += count
        return parts

    @classmethod
    def open(cls, data: str | Path) -> "Footage":
        """The sequences of a folder, or else its pictures.

        Raises:
            DataError: no folder, or nothing of that kind in it.
        """
        path = Path(data)
        if not path.is_dir():
            raise DataError(f"{path} is not a folder: DATA holds {LAYOUTS}")
        try:
            return cls(pictures=(), sequences=tuple(read_sequences(path)), root=path)
        except NotEnoughData:
            pass
        found = [each for each in path.rglob("*") if each.suffix.lower() in PICTURES]
        found = sorted(found, key=lambda each: natural(each.as_posix()))
        if not found:
            raise DataError(f"{path} holds no pictures and no sequences: give {LAYOUTS}")
        return cls(pictures=tuple(found), root=path)


FEWEST = 2
"""Pictures of a part: one with the object, and one without it."""
