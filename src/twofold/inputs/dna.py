"""DNA: the input type that reads a sequence of bases and cuts it into overlapping pieces (k-mers)."""

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Int

from twofold.errors import RecipeError, UnreadableInput, nearest
from twofold.inputs.dna_augment import DnaAugment, dna_augmentation
from twofold.inputs.padded import Padded, padded
from twofold.places import file_at

__all__ = ["Dna"]

LONGEST_PIECE = 8
"""Bases of a piece at most: there are 4^8 = 65,536 of these, and each has a vector of its own."""

UNITS = ("kmers", "bases")

UNKNOWN = 5
"""A base that is not known for certain: N, and the other letters of IUPAC for several bases."""

CODES = np.full(256, -1, np.int8)
"""Of a letter, as a byte: 1 to 4 for A, C, G, T (U), 5 for what is not certain, 0 for a gap, -1 for all else."""
CODES[[ord(letter) for letter in "ACGTacgt"]] = [1, 2, 3, 4] * 2
CODES[[ord(letter) for letter in "Uu"]] = 4
CODES[[ord(letter) for letter in "NRYSWKMBDHVnryswkmbdhv?"]] = UNKNOWN
CODES[[ord(letter) for letter in "-. \t\r\n"]] = 0

LETTERS = "-ACGTN"
"""What codes are shown as."""

LARGEST_SEQUENCE = 10_000_000
"""Letters of one sequence: longer ones are genomes, which a bundle for barcodes and genes has no use for."""

SHOWN = 60
"""Bases of a sequence that a page shows from each end."""


@dataclass(frozen=True, kw_only=True)
class Dna:
    """Sequences of bases. Every choice that turns a sequence into what the encoder sees stands here.

    Gaps of an alignment are left out, U counts as T, and letters that stand for several bases
    (IUPAC) count as unknown ones.

    Attributes:
        unit: "kmers": all overlapping pieces of `k` bases, without those that hold an unknown base;
            or "bases": single ones, the unknown among them.
        k: bases of a piece, at most 8.
        longest: a sequence of more bases is cut there.
        strands: "given": the sequences are all of one strand, as barcodes are; "both": a piece and
            its reverse complement are one symbol, so that the strand does not matter (of k-mers).

    Raises:
        RecipeError: a field that does not fit.
    """

    unit: Literal["kmers", "bases"] = "kmers"
    k: int = 8
    longest: int = 2000
    strands: Literal["given", "both"] = "given"

    name: ClassVar[str] = "Dna"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise RecipeError(f"unit = {self.unit!r} does not cut DNA: {nearest(self.unit, UNITS)}")
        if not 1 <= self.k <= LONGEST_PIECE:
            raise RecipeError(f"k = {self.k}: pieces have 1 to {LONGEST_PIECE} bases")
        if self.strands not in ("given", "both"):
            raise RecipeError(f"strands = {self.strands!r}: given or both")
        if self.strands == "both" and self.unit == "bases":
            raise RecipeError("strands = 'both' is for unit = 'kmers': a base has no strand")
        if self.longest < 1:
            raise RecipeError(f"longest = {self.longest} must be positive")

    def read(self, value: object) -> Int[np.ndarray, "length"]:
        """One sequence as codes of its bases: 1 to 4 for A, C, G, T, and 5 for an unknown one.

        Args:
            value: the letters, or the path of a FASTA file of one record (a `pathlib.Path`).

        Returns:
            int8, at most `longest` of them.

        Raises:
            UnreadableInput: not a sequence of bases, too long, or nothing of it is known.
        """
        codes = _codes(_letters(value))
        codes = codes[codes > 0][: self.longest]
        if not (codes < UNKNOWN).any():
            raise UnreadableInput("the sequence holds no base that is known: leave it out")
        return codes

    def stack(self, arrays: Sequence[np.ndarray]) -> Padded:
        """Arrays of `read` as one batch."""
        return padded(arrays)

    def normalise(self, batch: Padded) -> Padded:
        """Bases as the symbols that an encoder takes.

        Pieces are numbered from 1 on. A sequence without a single piece of known bases has one
        symbol, that of an unknown piece.
        """
        if self.unit == "bases":
            return batch
        bases, lengths = batch.values, batch.lengths
        if bases.shape[1] < self.k:
            bases = torch.nn.functional.pad(bases, (0, self.k - bases.shape[1]))
        windows = bases.unfold(1, self.k, 1)
        places = torch.arange(windows.shape[1], device=bases.device)
        known = (windows < UNKNOWN).all(dim=2) & (places < (lengths - self.k + 1)[:, None])
        digits = (windows - 1).clamp(0, 3)
        powers = 4 ** torch.arange(self.k - 1, -1, -1, device=bases.device)
        symbols = (digits * powers).sum(dim=2)
        if self.strands == "both":
            turned = ((3 - digits) * powers.flip(0)).sum(dim=2)
            symbols = torch.minimum(symbols, turned)
        symbols = torch.where(known, symbols + 1, self._unknown)
        # known pieces first, in their order
        order = torch.argsort((~known).to(torch.int8), dim=1, stable=True)
        counts = known.sum(dim=1).clamp(min=1)
        return Padded(symbols.gather(1, order), counts)[:]

    @property
    def _unknown(self) -> int:
        return 4**self.k + 1

    def example(self) -> Int[np.ndarray, "1"]:
        """The shortest sequence."""
        return np.ones(1, np.int8)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        symbols = UNKNOWN + 1 if self.unit == "bases" else self._unknown + 1
        return {"kind": "symbols", "symbols": symbols}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type."""
        return asdict(self)

    def argument(self, word: str) -> object:
        """A word of the command line as a sequence: the letters, a FASTA file of one record, or standard input for `-`.

        Raises:
            UnreadableInput: neither letters of bases nor a file.
        """
        if word == "-":
            return sys.stdin.read(LARGEST_SEQUENCE + 1)
        path = Path(word.removeprefix("@"))
        if word.startswith("@") or file_at(path):
            return path
        if path.suffix or "/" in word:
            raise UnreadableInput(f"there is no file {word}, and it is not a sequence of bases")
        _codes(word)
        return word

    def show(self, value: object, *, side: int | None = None) -> str | None:
        """The letters, of a long sequence both ends; None where it cannot be read (any more)."""
        try:
            codes = self.read(value)
        except UnreadableInput:
            return None
        letters = "".join(LETTERS[code] for code in codes)
        if len(letters) <= 2 * SHOWN:
            return letters
        return f"{letters[:SHOWN]} … {letters[-SHOWN:]} ({len(letters):,} bases)"

    def quality(self, array: Int[np.ndarray, "length"]) -> dict[str, float]:
        """length: bases; known: the share of them that is certain."""
        return {"length": float(len(array)), "known": float(np.mean(array < UNKNOWN))}

    def traits(
        self, value: object, array: Int[np.ndarray, "length"]
    ) -> dict[str, tuple[float, ...]]:
        """Length and unknown bases: what says how something was sequenced, and not what."""
        return {
            "length of the sequence": (float(np.log1p(len(array))),),
            "share of unknown bases": (float(np.mean(array == UNKNOWN)),),
        }

    def identifier(self, value: object, *, key: str) -> str:
        """The name of a file; of letters a keyed digest, 12 hexadecimal digits."""
        if isinstance(value, Path):
            return value.name
        content = self.read(value).tobytes()
        return hashlib.blake2b(content, digest_size=6, key=key.encode()[:64]).hexdigest()

    def augmentation(self, **settings: Any) -> DnaAugment:
        """This type's training-time augmentation; the settings are the fields of `DnaAugment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return dna_augmentation(settings)


def _letters(value: object) -> str:
    """The letters of one sequence, however it is given."""
    if isinstance(value, Path):
        try:
            with value.open(encoding="ascii") as file:
                text = file.read(LARGEST_SEQUENCE + 1)
        except UnicodeDecodeError:
            packed = value.suffix == ".gz"
            remedy = ": it is compressed, so unpack it first (gunzip)" if packed else ""
            raise UnreadableInput(f"{value.name} is not a text of ASCII letters{remedy}") from None
        except OSError as error:
            raise UnreadableInput(f"{value} cannot be read: {error.strerror}") from None
        value = text
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    if not isinstance(value, str):
        raise UnreadableInput(
            f"a {type(value).__name__} is not a sequence: give its letters, or a pathlib.Path of a "
            "FASTA file"
        )
    if len(value) > LARGEST_SEQUENCE:
        raise UnreadableInput(f"a sequence of more than {LARGEST_SEQUENCE:,} letters is too long")
    header, text = re.match(r"\s*(>[^\n]*\n)?(.*)", value, re.DOTALL).groups()  # type: ignore[union-attr]
    if header is not None and ">" in text:
        raise UnreadableInput(
            "the file holds several records: give them as DATA (twofold index, dedup), or one record"
        )
    return text.rstrip()


def _codes(text: str) -> Int[np.ndarray, "letters"]:
    """The code of every letter.

    Raises:
        UnreadableInput: a letter that stands for no base; names it and its place.
    """
    codes = CODES[np.frombuffer(text.encode("ascii", errors="replace"), np.uint8)]
    # the replacement of a letter beyond ASCII is a question mark, which would count as unknown
    wrong = np.flatnonzero(codes < 0) if text.isascii() else _beyond(text)
    if len(wrong):
        place = int(wrong[0])
        raise UnreadableInput(
            f"{text[place]!r} at place {place + 1} is not a letter of DNA (A, C, G, T, N and the "
            f"others of IUPAC): {len(wrong):,} of {len(text):,} letters are not"
        )
    return codes


def _beyond(text: str) -> Int[np.ndarray, "wrong"]:
    known = [not letter.isascii() or CODES[ord(letter)] < 0 for letter in text]
    return np.flatnonzero(known)
