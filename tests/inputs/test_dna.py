"""DNA: letters become bases and pieces of bases; what is no base is refused by name."""

import gzip

import numpy as np
import pytest
import torch

from twofold import build
from twofold.config import Recipe
from twofold.errors import RecipeError, UnreadableInput
from twofold.inputs import Dna
from twofold.inputs.padded import padded


def symbols(dna: Dna, *texts: str) -> list[list[int]]:
    batch = dna.normalise(dna.stack([dna.read(text) for text in texts]))
    return [batch.values[row, : batch.lengths[row]].tolist() for row in range(len(batch))]


def test_bases_are_read_without_gaps_and_case_and_u_is_t():
    assert Dna().read("ACgu-T.\nN?R ").tolist() == [1, 2, 3, 4, 4, 5, 5, 5]
    assert Dna().read(b"acgt").tolist() == [1, 2, 3, 4]
    assert Dna(longest=2).read("ACGT").tolist() == [1, 2]
    assert Dna().read("ACGT").dtype == np.int8


@pytest.mark.parametrize("k", [1, 2, 3])
def test_pieces_are_numbered_and_those_with_unknown_bases_left_out(k):
    text = "ACGTNACCA"
    wanted = []
    for start in range(len(text) - k + 1):
        piece = text[start : start + k]
        if "N" not in piece:
            wanted.append(1 + sum("ACGT".index(base) * 4**n for n, base in enumerate(piece[::-1])))
    assert symbols(Dna(k=k), text) == [wanted]


def test_a_sequence_depends_on_nothing_else_in_its_batch():
    texts = ["ACGTACGTAC", "AC", "NNNNNACG", "ACNGTNACNNG"]
    for dna in (Dna(k=3), Dna(unit="bases"), Dna(k=3, strands="both")):
        alone = [symbols(dna, text)[0] for text in texts]
        assert symbols(dna, *texts) == alone
        assert symbols(dna, *texts[::-1]) == alone[::-1]
    assert symbols(Dna(k=3), "AC", "ACNGT") == [[65], [65]], "no piece is known: one symbol says so"


def test_both_strands_give_the_same_pieces():
    turned = str.maketrans("ACGT", "TGCA")
    generator = np.random.default_rng(0)
    text = "".join(generator.choice(list("ACGT"), 50))
    other = text.translate(turned)[::-1]
    both, given = Dna(k=4, strands="both"), Dna(k=4)
    assert sorted(symbols(both, text)[0]) == sorted(symbols(both, other)[0])
    assert sorted(symbols(given, text)[0]) != sorted(symbols(given, other)[0])


def test_every_symbol_has_a_place_in_the_table_of_an_encoder():
    for dna in (Dna(k=2), Dna(unit="bases"), Dna(k=2, strands="both")):
        highest = max(max(symbols(dna, text)[0]) for text in ("TTTT", "NNNA", "ACGTTGCA"))
        assert highest < dna.facts()["symbols"]


@pytest.mark.parametrize("encoder", ["bag", "lstm", "text_cnn", "transformer"])
def test_encoders_of_symbols_take_it(encoder):
    recipe = Recipe(input={"name": "Dna", "k": 3}, encoder={"name": encoder, "dim": 16})
    twin = build.twin(recipe, seed=0).eval()
    batch = twin.input.stack([twin.input.read(text) for text in ("ACGTACGT", "ACG")])
    with torch.inference_mode():
        found = twin.encoder(twin.input.normalise(batch))
    assert found.shape == (2, 16) and torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "no base that is known"),
        ("NNN---", "no base that is known"),
        ("ACGX", r"'X' at place 4 is not a letter of DNA .* 1 of 4 letters"),
        ("ACGÄ", r"'Ä' at place 4 is not a letter of DNA"),
        ("MKVLAAGIL", r"'L' at place 4 is not a letter of DNA"),
        (3, "a int is not a sequence"),
        (b"\xff\xfeA", "is not a letter of DNA"),
    ],
)
def test_what_is_not_dna_is_refused(value, said):
    with pytest.raises(UnreadableInput, match=said):
        Dna().read(value)


def test_a_file_holds_one_record(tmp_path):
    one, two = tmp_path / "one.fasta", tmp_path / "two.fasta"
    one.write_text(">a species\nACGT\nAC\n")
    two.write_text(">a\nACGT\n>b\nAC\n")
    assert Dna().read(one).tolist() == [1, 2, 3, 4, 1, 2]
    with pytest.raises(UnreadableInput, match="the file holds several records"):
        Dna().read(two)
    with pytest.raises(UnreadableInput, match="No such file"):
        Dna().read(tmp_path / "none.fasta")
    assert Dna().argument(str(one)) == one and Dna().argument("ACGT") == "ACGT"
    with pytest.raises(UnreadableInput, match=r"there is no file missing\.fasta"):
        Dna().argument("missing.fasta")
    one.write_text("ACGTX\n\n")
    with pytest.raises(UnreadableInput, match="1 of 5 letters"):
        Dna().read(one)
    packed = tmp_path / "one.fasta.gz"
    packed.write_bytes(gzip.compress(b">a\nACGT\n"))
    with pytest.raises(UnreadableInput, match="unpack it first"):
        Dna().read(packed)


def test_what_is_shown_and_measured():
    dna = Dna()
    assert dna.show("acn-t") == "ACNT" and dna.show("XX") is None
    long = dna.show("ACGT" * 100)
    assert long is not None and "(400 bases)" in long and len(long) < 160
    array = dna.read("ACNT")
    assert dna.quality(array) == {"length": 4.0, "known": 0.75}
    assert dna.traits("ACNT", array)["share of unknown bases"] == (0.25,)
    assert dna.identifier("ACGT", key="k") == dna.identifier("ac-gu", key="k")
    assert dna.identifier("ACGT", key="k") != dna.identifier("ACGT", key="other")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"unit": "genes"}, "does not cut DNA"),
        ({"k": 9}, "1 to 8 bases"),
        ({"strands": "one"}, "given or both"),
        ({"strands": "both", "unit": "bases"}, "a base has no strand"),
        ({"longest": 0}, "must be positive"),
    ],
)
def test_settings_that_do_not_fit(settings, said):
    with pytest.raises(RecipeError, match=said):
        Dna(**settings)


def changed(texts, **settings):
    dna = Dna()
    batch = padded([dna.read(text) for text in texts])
    keys = np.stack([np.array([0, 0, row, 0]) for row in range(len(texts))])
    found = dna.augmentation(**settings)(batch, keys)
    return [found.values[row, : found.lengths[row]].numpy() for row in range(len(texts))]


def test_augmentation_changes_what_it_says_and_depends_on_the_key_alone():
    texts = ["ACGT" * 50, "A", "ACGTN" * 30]
    plain = [Dna().read(text) for text in texts]
    assert all(map(np.array_equal, changed(texts), plain))
    wrong = changed(texts, substitute=0.5)
    share = np.mean(wrong[0] != plain[0])
    assert 0 < share < 0.5 and (wrong[0] <= 4).all()
    assert (wrong[2][plain[2] == 5] == 5).all(), "an unknown base stays unknown"
    parts = changed(texts, fragment=0.2)
    assert 40 <= len(parts[0]) < 200 and len(parts[1]) == 1
    assert "".join("-ACGTN"[code] for code in parts[0]) in texts[0]
    turned = changed(texts, reverse=1.0)
    assert np.array_equal(turned[0], plain[0]), "ACGT is its own reverse complement"
    assert turned[1].tolist() == [4] and turned[2][:6].tolist() == [5, 1, 2, 3, 4, 5]
    assert (changed(texts, unknown=0.9)[0] == 5).any()
    again = changed(texts[::-1], substitute=0.5)
    assert not np.array_equal(again[2], wrong[0]), "keys go by place here"
    with pytest.raises(RecipeError, match="is not a change of DNA"):
        Dna().augmentation(crop=0.1)
    with pytest.raises(RecipeError, match="a share from 0 to 1"):
        Dna().augmentation(reverse=2)
