"""Texts: the input type that normalises a text and turns it into symbols.

Bytes and characters are their own numbers, and words are hashed (feature hashing; Weinberger et al.
2009): a bundle holds no vocabulary of them, and so no words of its training data. Subwords have a
vocabulary of somebody else's making, which a bundle keeps as data.
"""

import functools
import hashlib
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from twofold import records
from twofold.errors import RecipeError, UnreadableInput, nearest
from twofold.inputs import vocabulary
from twofold.inputs.padded import Padded, padded
from twofold.inputs.text_augment import BLANK, TextAugment, text_augmentation
from twofold.inputs.windows import windows
from twofold.places import file_at

__all__ = ["Text"]

UNITS = {"bytes": 257, "characters": 8192, "words": 32_768, "ngrams": 32_768, "subwords": 0}
"""What a text is cut into, and how many symbols there are by default. 8,192 keep all alphabets
apart (Unicode up to U+1FFE); some Chinese, Japanese and Korean characters share a symbol. The
vocabulary says how many subwords there are."""

FEWEST = {"bytes": 257, "characters": 2, "words": 2000, "ngrams": 2000}
"""Symbols that there must be; with fewer, too many words share one."""

NGRAMS = (2, 3, 4)
"""Letters of a piece of a word, whose ends count as letters."""

FIRST_HASHED = 258
"""Symbols below are those of bytes, a blank among them; words are hashed to the others."""

EMPTY = "the text is empty: leave it out, or give some words"
EMPTY_RECORD = "all fields of the record are empty: leave it out, or fill one in"

FORMS = ("NFC", "NFKC", "none")

LARGEST_TEXT = 1_000_000
"""Characters of a text; what is longer is a book or a broken file, not an example."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """Texts as sequences of symbols, by choices that decide what the encoder sees.

    Attributes:
        unit: "characters", "bytes" (UTF-8), "words" (divided at blanks), or "ngrams": all pieces of
            two to four letters of each word with its ends, and a blank between words; what is spelt
            alike shares most of them. Or "subwords", as a vocabulary cuts them (extra `text`).
        longest: a text of more units is cut there, or divided into windows.
        windows: at most so many windows of `longest` units; a text's vector is the mean of the
            vectors of its windows. 1: what is longer is cut. Training reads the first window.
        form: Unicode normalisation, "NFKC" (full-width letters, ligatures and the like become plain
            ones), "NFC" or "none".
        lower: whether upper and lower case are the same (Unicode case folding).
        symbols: how many symbols there are; more characters or words than that share symbols. 0: by
            `unit`.
        vocabulary: of subwords: "minilm", "wordllama", or the path of a tokenizer's JSON; kept as
            its SHA-256.
        fields: the columns of a table that make up a record, such as ("name", "street", "city").
            The same word in two fields is two symbols, so a missing field shifts no other. Empty:
            texts, not records.

    Raises:
        RecipeError: a field that does not fit.
        MissingExtra: subwords without the extra `text`, or without the package that carries the
            vocabulary.
    """

    unit: str = "characters"
    longest: int = 128
    form: str = "NFKC"
    lower: bool = True
    symbols: int = 0
    vocabulary: str = ""
    fields: tuple[str, ...] = ()
    windows: int = 1

    name: ClassVar[str] = "Text"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "fields", records.checked_fields(self.fields) if self.fields else ()
        )
        if self.unit not in UNITS:
            raise RecipeError(
                f"unit = {self.unit!r} does not divide a text: {nearest(self.unit, list(UNITS))}"
            )
        if self.form not in FORMS:
            raise RecipeError(
                f"form = {self.form!r} is not a Unicode form: {nearest(self.form, FORMS)}"
            )
        for name in ("longest", "windows"):
            if (value := getattr(self, name)) < 1:
                raise RecipeError(f"{name} = {value} must be positive")
        fewest = {**FEWEST, "subwords": self._subwords()}[self.unit]
        default = UNITS[self.unit] or fewest
        if self.symbols == 0:
            object.__setattr__(self, "symbols", default)
        if self.symbols < fewest:
            raise RecipeError(
                f"symbols = {self.symbols} is too few for {self.unit}: {default} is the default"
            )

    def _subwords(self) -> int:
        """How many subwords there are; 0 for other units. Finds the vocabulary, kept as its hash.

        Raises:
            RecipeError: subwords without a vocabulary, a vocabulary without subwords, or one that
                cannot be used.
        """
        if self.unit != "subwords":
            if self.vocabulary:
                raise RecipeError(
                    f"a vocabulary is for unit = 'subwords', not {self.unit!r}: drop one of the two"
                )
            return 0
        if not self.vocabulary:
            known = " or ".join(map(repr, vocabulary.PACKAGED))
            raise RecipeError(
                f"unit = 'subwords' needs a vocabulary: input.vocabulary = {known}, or the path "
                f"of a tokenizer.json"
            )
        object.__setattr__(self, "vocabulary", vocabulary.found(self.vocabulary))
        vocabulary.tokenizer_of(self.vocabulary, self.longest)
        return vocabulary.size_of(self.vocabulary)

    def read(self, value: object) -> Int[np.ndarray, "length"]:
        """One text as symbols: from 1 on, or those of its vocabulary.

        Args:
            value: a text, or its UTF-8 bytes; or the path of a text file (a `pathlib.Path`). With
                `fields`, a record: the values by their names, or as `records.joined` joins them.

        Returns:
            int32, at most `longest` x `windows` of them.

        Raises:
            UnreadableInput: not a text, not UTF-8, too large, nothing in it, or not a record of
                these fields.
        """
        text = self.plain(self._given(value))
        if not text.strip(records.MARK):
            raise UnreadableInput(EMPTY_RECORD if self.fields else EMPTY)
        if self.unit == "subwords":
            return self._cut(self._named(text))
        if self.unit in ("words", "ngrams"):
            parts = [part.split() for part in text.split(records.MARK)]
            salted = [
                (f"{place}{records.MARK}" if self.fields else "", word)
                for place, words in enumerate(parts)
                for word in words
            ][: self._most]
            found = self._hashes(salted)
        elif self.unit == "bytes":
            found = [1 + byte for byte in text.encode()[: self._most]]
        else:
            found = [1 + ord(letter) % (self.symbols - 1) for letter in text[: self._most]]
        return np.array(found[: self._most], np.int32)

    @property
    def _most(self) -> int:
        """Units that are read of a text."""
        return self.longest * self.windows

    def _given(self, value: object) -> str:
        """The text or the record itself, however it is given."""
        if self.fields and isinstance(value, Mapping):
            return records.of_mapping(value, self.fields)
        return _decoded(value)

    def _hashes(self, words: Sequence[tuple[str, str]]) -> list[int]:
        """Words, or their pieces with a blank between words; each salted with its field."""
        if self.unit == "words":
            return [_hashed(salt + word, self.symbols) for salt, word in words]
        pieces = [_pieces(word, self.symbols, salt) for salt, word in words]
        return [symbol for word in pieces for symbol in (*word, BLANK)][:-1]

    def _named(self, text: str) -> str:
        """A record in words, for a vocabulary made by others: "name: anna berg; city: lindau"."""
        values = zip(self.fields, text.split(records.MARK), strict=False)
        return "; ".join(f"{name}: {value}" for name, value in values if value) or text

    def _cut(self, text: str) -> Int[np.ndarray, "length"]:
        """A text in its normal form as subwords, with the vocabulary's own marks."""
        found = vocabulary.tokenizer_of(self.vocabulary, self._most).encode(text).ids
        if not found:
            raise UnreadableInput(
                "nothing of the text is in the vocabulary: leave it out, or give some words"
            )
        return np.array(found, np.int32)

    def plain(self, text: str) -> str:
        """A text in its normal form: Unicode form, case, and single blanks; of a record each field.

        Raises:
            UnreadableInput: a record of another number of fields.
        """
        if not self.fields:
            return self._plain(text)
        return records.joined([self._plain(each) for each in records.divided(text, self.fields)])

    def _plain(self, text: str) -> str:
        if self.form != "none":
            text = unicodedata.normalize(self.form, text)  # type: ignore[arg-type]
        return " ".join((text.casefold() if self.lower else text).split())

    def stack(self, arrays: Sequence[np.ndarray]) -> Padded:
        """Arrays of `read` as one batch, each cut to its first window."""
        return padded([self.windows_of(array)[0] for array in arrays])

    def windows_of(self, array: Int[np.ndarray, "length"]) -> list[np.ndarray]:
        """What `read` returned in parts of at most `longest` units, each with all marks."""
        return windows(array, self.longest, marks=self._marks)

    @property
    def _marks(self) -> tuple[int, int]:
        return vocabulary.end_marks(self.vocabulary) if self.vocabulary else (0, 0)

    def normalise(self, batch: Padded) -> Padded:
        """Symbols are what an encoder wants."""
        return batch

    def example(self) -> Int[np.ndarray, "1"]:
        """The shortest text."""
        return np.ones(1, np.int32)

    def facts(self) -> dict[str, Any]:
        """What a builder of encoders may want to know."""
        return {"kind": "symbols", "symbols": self.symbols}

    def arguments(self) -> dict[str, Any]:
        """Flat values that rebuild this type; a vocabulary as its hash."""
        told = asdict(self)
        # older bundles have a fingerprint without these
        later = {"vocabulary": "", "fields": (), "windows": 1}
        return {name: told[name] for name in told if told[name] != later.get(name)}

    def data(self) -> dict[str, bytes]:
        """Files that a bundle keeps beside these values: the JSON of the vocabulary."""
        return {"vocabulary": vocabulary.content_of(self.vocabulary)} if self.vocabulary else {}

    def argument(self, word: str) -> str:
        """A word of the command line as a text: itself, the content of `@FILE`, or standard input.

        `-` stands for standard input. Of a record the fields stand between bars: "Anna Berg | |
        Lindau".

        Raises:
            UnreadableInput: the file cannot be read, or is not UTF-8; or the word is the name of a
                file, or a record of another number of fields.
        """
        text = self._typed(word)
        return records.of_words(text, self.fields) if self.fields else text

    def _typed(self, word: str) -> str:
        if word == "-":
            return _decoded(sys.stdin.buffer.read(LARGEST_TEXT * 4 + 1))
        if word.startswith("@"):
            return _decoded(Path(word[1:]))
        if file_at(Path(word)):
            raise UnreadableInput(
                f"{word} is a file, and this bundle compares texts: write @{word} for what it holds"
            )
        return word

    def thing(self, value: object) -> object:
        """A record by its names as the text that a table has of it; anything else as it is."""
        return self._given(value) if isinstance(value, Mapping) else value

    def show(self, value: object, *, side: int | None = None) -> str | None:
        """The text as it was written; None where it cannot be read (any more)."""
        try:
            text = self._given(value)
        except UnreadableInput:
            return None
        return records.shown(text) if self.fields else text

    def quality(self, array: Int[np.ndarray, "length"]) -> dict[str, float]:
        """length: how many units were read."""
        return {"length": float(len(array))}

    def traits(
        self, value: object, array: Int[np.ndarray, "length"]
    ) -> dict[str, tuple[float, ...]]:
        """Length, capitals, digits: what says how something was written, and not what."""
        text = self._given(value)
        share = 1 / len(text)
        return {
            "length of the text": (float(np.log1p(len(text))),),
            "share of capital letters": (sum(map(str.isupper, text)) * share,),
            "share of digits": (sum(map(str.isdigit, text)) * share,),
        }

    def identifier(self, value: object, *, key: str) -> str:
        """A keyed digest of the text in its normal form, 12 hexadecimal digits.

        It gives away no more than the embedding beside it: only who has the bundle can try guesses.
        """
        text = self.plain(self._given(value)).encode()
        return hashlib.blake2b(text, digest_size=6, key=key.encode()[:64]).hexdigest()

    def augmentation(self, **settings: Any) -> TextAugment:
        """This type's training-time augmentation; the settings are the fields of `TextAugment`.

        Raises:
            RecipeError: an unknown setting, or a value that does not fit.
        """
        return text_augmentation(settings, symbols=self.symbols, marks=self._marks)


@functools.lru_cache(maxsize=65_536)
def _hashed(word: str, symbols: int) -> int:
    number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    return FIRST_HASHED + number % (symbols - FIRST_HASHED)


@functools.lru_cache(maxsize=65_536)
def _pieces(word: str, symbols: int, salt: str = "") -> tuple[int, ...]:
    """The pieces of one word, hashed: of "ab" its " a", "ab", "b ", " ab", "ab ", " ab "."""
    whole = f" {word} "
    spans = ((start, size) for size in NGRAMS for start in range(len(whole) - size + 1))
    return tuple(_hashed(salt + whole[start : start + size], symbols) for start, size in spans)


def _decoded(value: object) -> str:
    """The text itself, however it is given."""
    if isinstance(value, Path):
        try:
            value = value.read_bytes()
        except OSError as error:
            raise UnreadableInput(f"{value} cannot be read: {error.strerror}") from None
    if isinstance(value, bytes):
        value = _from_bytes(value)
    if not isinstance(value, str):
        raise UnreadableInput(
            f"a {type(value).__name__} is not a text: give a text, or a pathlib.Path of a text file"
        )
    if len(value) > LARGEST_TEXT:
        raise UnreadableInput(
            f"a text of {len(value):,} characters is too long: {LARGEST_TEXT:,} is the limit"
        )
    if "\0" in value:
        raise UnreadableInput(
            "the text holds NUL characters: it is a binary file, or UTF-16 read as something else"
        )
    return value


def _from_bytes(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableInput(
            "the text is UTF-16: convert it to UTF-8, as by `iconv -f UTF-16 -t UTF-8`"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            f"byte {error.start} of the text is not UTF-8: convert it, as by `iconv -f "
            f"WINDOWS-1252 -t UTF-8`"
        ) from None
