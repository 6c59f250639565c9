"""What a model remembers of the data it was made from: keyed hashes of identities and contents, part by part (law 2).

No name and no content is kept. Whoever holds a bundle can still test a guess ("was Anna in it?"),
because the key lies beside the hashes; precomputed tables and comparisons between two bundles are
what the key prevents.
"""

import hmac
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Int, UInt8

from twofold.data.footage import Footage
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.data.scenes import Scenes
from twofold.errors import DamagedBundle

__all__ = ["ASIDE", "HASH_BYTES", "TRAINED", "Familiarity", "Part", "Provenance"]

HASH_BYTES = 16
"""Bytes of each keyed hash: among 10^9 of them two are equal by chance with a probability of 10^-21."""

TRAINED = ("train", "valid", "ancestor")
"""Parts that the weights have learned from, were chosen on, or inherited from the model that a training began with."""

ASIDE = ("calibrate", "test")
"""Parts that training kept aside."""

NOBODY = -1
"""Owner of a content whose identity was not recorded (bundles of format 1)."""

Hashes = UInt8[np.ndarray, "_ 16"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part: its identities, and the contents of their items.

    Attributes:
        names: keyed hash of each identity's name, sorted. contents: of each item's content, sorted.
        owners: of each content the row of `names` it belongs to; -1 where that was not recorded.
    """

    names: Hashes
    contents: Hashes
    owners: Int[np.ndarray, "_"]

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("names", "contents", "owners")
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] - arrays have no hash

    @classmethod
    def made(cls, names: Hashes, contents: Hashes, owners: Int[np.ndarray, "_"]) -> "Part":
        """A part of hashes in any order, with names that stand twice taken for one."""
        kept, place = np.unique(_keys(names), return_inverse=True)
        owners = np.where(owners < 0, NOBODY, place.reshape(-1)[owners]) if len(names) else owners
        order = np.lexsort((owners, _keys(contents)))
        keys, owners = _keys(contents)[order], owners[order]
        fresh = np.ones(len(keys), bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
        return cls(
            names=_rows(kept), contents=_rows(keys[fresh]), owners=owners[fresh].astype(np.int64)
        )

    def holding(self, contents: Hashes) -> Bool[np.ndarray, " n"]:
        """Which contents of the part are among these."""
        return np.isin(_keys(self.contents), _keys(contents))

    def missing(self, names: Hashes, contents: Hashes) -> int:
        """How many identities have neither their name among these names nor a content among these contents."""
        there = np.isin(_keys(self.names), _keys(names))
        owners = self.owners[self.holding(contents)]
        there[owners[owners >= 0]] = True
        return int((~there).sum())

    def joined(self, other: "Part") -> "Part":
        """Both parts as one."""
        shifted = np.where(other.owners < 0, NOBODY, other.owners + len(self.names))
        return Part.made(
            np.concatenate([self.names, other.names]),
            np.concatenate([self.contents, other.contents]),
            np.concatenate([self.owners, shifted]),
        )

    def without(self, names: Hashes, contents: Hashes) -> "Part":
        """The part without these identities and all their contents, and without these contents."""
        gone = np.isin(_keys(self.names), _keys(names))
        kept = ~np.isin(_keys(self.contents), _keys(contents))
        kept &= (self.owners < 0) | ~np.append(gone, False)[self.owners]
        place = np.cumsum(~gone) - 1
        owners = np.where(
            self.owners[kept] < 0, NOBODY, np.append(place, NOBODY)[self.owners[kept]]
        )
        return Part.made(self.names[~gone], self.contents[kept], owners)


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """What is known of each identity of some items.

    Attributes:
        items: which items have a content that stands in a part, for each part.
        contents: which identities have such an item. names: which identities are called as one of
            the part.
    """

    items: Mapping[str, Bool[np.ndarray, " n"]]
    contents: Mapping[str, Bool[np.ndarray, " identities"]]
    names: Mapping[str, Bool[np.ndarray, " identities"]]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Keyed hashes of the data that a model was trained on, chosen on, and that was kept aside for its judgement.

    Attributes:
        salt: the key of all hashes, drawn by chance.
        parts: "train", "valid" (trained on), "calibrate", "test" (kept aside), "ancestor" (what the
            model that this training began with had been trained on), "calibrated", "cohort" (what
            the threshold was found on).
    """

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(HASH_BYTES))
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many identities each part has."""
        return {name: len(part) for name, part in self.parts.items()}

    @classmethod
    def of_format_1(
        cls, names: Mapping[str, Sequence[str]], contents: Sequence[str]
    ) -> "Provenance":
        """The records of bundles that held names and SHA-256 of trained contents in plain text."""
        known = cls()
        parts = {
            part: Part.made(known.hashed_names(each), _none(), _nobody(0))
            for part, each in names.items()
        }
        if contents:
            hashed = known.hashed_contents(contents)
            train = parts.get("train", Part.made(_none(), _none(), _nobody(0)))
            parts["train"] = train.joined(Part.made(_none(), hashed, _nobody(len(hashed))))
        return replace(known, parts=parts)

    def hashed_names(self, names: Sequence[str]) -> Hashes:
        """Keyed hashes of identities' names; how Unicode writes a letter does not matter."""
        return self._hashed(
            b"name\0" + unicodedata.normalize("NFC", name).encode() for name in names
        )

    def hashed_contents(self, contents: Sequence[str]) -> Hashes:
        """Keyed hashes of contents, each given by its SHA-256 in hexadecimal digits."""
        return self._hashed(b"content\0" + bytes.fromhex(content) for content in contents)

    def _hashed(self, messages: Iterable[bytes]) -> Hashes:
        digests = b"".join(
            hmac.digest(self.salt, message, "sha256")[:HASH_BYTES] for message in messages
        )
        return np.frombuffer(digests, np.uint8).reshape(-1, HASH_BYTES)

    def with_part(self, name: str, items: Items | Pairs | Scenes | Footage) -> "Provenance":
        """With these items as the whole of a part."""
        contents = self.hashed_contents(items.content_hashes())
        if items.identity is None:
            part = Part.made(_none(), contents, _nobody(len(contents)))
        else:
            codes, owners = np.unique(items.identity, return_inverse=True)
            names = self.hashed_names([items.identities[code] for code in codes])
            part = Part.made(names, contents, owners.reshape(-1))
        return replace(self, parts={**self.parts, name: part})

    def extended(self, name: str, items: Items | Pairs | Scenes) -> "Provenance":
        """With these items added to a part."""
        before = self.parts.get(name)
        known = self.with_part(name, items)
        return known if before is None else known.joined(name, before)

    def without(self, *names: str) -> "Provenance":
        """Without these parts."""
        return replace(
            self, parts={name: part for name, part in self.parts.items() if name not in names}
        )

    def joined(self, name: str, *parts: Part) -> "Provenance":
        """With further parts, hashed with the same key, added to one; no part where nothing is in it."""
        known = self.parts.get(name)
        for part in parts:
            known = part if known is None else known.joined(part)
        if known is None or not len(known.names) + len(known.contents):
            return self
        return replace(self, parts={**self.parts, name: known})

    def forgotten(self, names: Sequence[str], contents: Sequence[str] = ()) -> "Provenance":
        """Without these identities (and their contents) and without these contents, in any part."""
        hashes = self.hashed_names(names), self.hashed_contents(contents)
        return replace(
            self, parts={name: part.without(*hashes) for name, part in self.parts.items()}
        )

    @property
    def items(self) -> int:
        """How many contents are recorded, in all parts."""
        return sum(len(part.contents) for part in self.parts.values())

    def parts_of(self, name: str) -> list[str]:
        """The parts in which an identity of this name stands."""
        hashed = _keys(self.hashed_names([name]))
        return [part for part, known in self.parts.items() if _among(hashed, known.names).any()]

    def familiarity(self, items: Items | Scenes) -> Familiarity:
        """Where each identity of `items` stands, by its contents and by its name."""
        contents = _keys(self.hashed_contents(items.content_hashes()))
        names = _keys(self.hashed_names(items.identities))
        known = {name: _among(contents, part.contents) for name, part in self.parts.items()}
        told = {}
        for name, items_known in known.items():
            told[name] = np.zeros(len(items.identities), bool)
            told[name][items.identity[items_known]] = True
        return Familiarity(
            items=known,
            contents=told,
            names={name: _among(names, part.names) for name, part in self.parts.items()},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """As flat arrays, for safetensors."""
        told: dict[str, np.ndarray] = {"salt": np.frombuffer(self.salt, np.uint8)}
        for name, part in self.parts.items():
            told |= {
                f"{name}.names": part.names,
                f"{name}.contents": part.contents,
                f"{name}.owners": part.owners,
            }
        return told

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Provenance":
        """What `arrays` told.

        Raises:
            DamagedBundle: an array is missing, or is not what belongs there.
        """
        names = dict.fromkeys(name.rpartition(".")[0] for name in arrays if name != "salt")
        parts = {}
        try:
            for name in names:
                part = Part(
                    **{
                        key: np.array(arrays[f"{name}.{key}"])
                        for key in ("names", "contents", "owners")
                    }
                )
                _check(part)
                parts[name] = part
            return cls(salt=np.asarray(arrays["salt"], np.uint8).tobytes(), parts=parts)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBundle(
                f"the records of trained identities are damaged ({error!r})"
            ) from None


def _check(part: Part) -> None:
    for hashes in (part.names, part.contents):
        if hashes.dtype != np.uint8 or hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES:
            raise ValueError(f"hashes of shape {hashes.shape}, {hashes.dtype}")
        high, low = np.ascontiguousarray(hashes).view(">u8").T
        if ((high[1:] < high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] < low[:-1]))).any():
            raise ValueError("hashes that are not sorted")
    if part.owners.dtype != np.int64 or part.owners.shape != (len(part.contents),):
        raise ValueError(f"owners of shape {part.owners.shape}, {part.owners.dtype}")
    if len(part.owners) and not NOBODY <= part.owners.min() <= part.owners.max() < max(
        len(part.names), 1
    ):
        raise ValueError(f"owners up to {part.owners.max()} of {len(part.names)} identities")


def _keys(hashes: Hashes) -> np.ndarray:
    """Hashes as single values that numpy can sort and compare."""
    return np.ascontiguousarray(hashes).view(f"V{HASH_BYTES}").reshape(-1)


def _rows(keys: np.ndarray) -> Hashes:
    return np.ascontiguousarray(keys).view(np.uint8).reshape(-1, HASH_BYTES)


def _among(keys: np.ndarray, known: Hashes) -> Bool[np.ndarray, " n"]:
    """Which of `keys` stand in sorted hashes."""
    if not len(known):
        return np.zeros(len(keys), bool)
    table = _keys(known)
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return table[place] == keys


def _none() -> Hashes:
    return np.zeros((0, HASH_BYTES), np.uint8)


def _nobody(count: int) -> Int[np.ndarray, " n"]:
    return np.full(count, NOBODY, np.int64)
