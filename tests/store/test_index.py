"""What an index promises, on a folder of its own; and each of its errors, with its text."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import CannotWrite, FingerprintMismatch, StoreError, UnknownLabel, UnknownName
from twofold.results import Embeddings
from twofold.store import Index

Make = Callable[..., Embeddings]
PEOPLE = ["anna/1", "anna/2", "anna/3", "bert/1", "bert/2", "carl/1"]


@pytest.fixture
def index(tmp_path: Path, contract: Contract) -> Iterator[Index]:
    with Index.create(tmp_path / "store", contract) as index:
        yield index


def content(index: Index) -> dict[str, tuple[str, bytes]]:
    found = index.get(index.ids)
    return {
        name: (label, vector.tobytes())
        for name, label, vector in zip(found.ids, found.labels, found.vectors, strict=True)
    }


def test_what_was_added_comes_back_bit_for_bit(index: Index, make: Make) -> None:
    given = make(PEOPLE)
    assert index.add(given) == 6
    index.close()
    with Index.open(index.path) as again:
        assert (again.ids, again.labels, len(again)) == (given.ids, ("anna", "bert", "carl"), 6)
        found = again.get(["carl/1", "anna/1"])
        assert (found.ids, found.labels, found.fingerprint) == (
            ("carl/1", "anna/1"),
            ("carl", "anna"),
            given.fingerprint,
        )
        np.testing.assert_array_equal(found.vectors, given.vectors[[5, 0]])
        assert again.contract == index.contract
        assert "anna/1" in again
        assert "anna/9" not in again


def test_adding_again_changes_nothing_and_a_new_vector_replaces(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    before = (index.path / "truth.sqlite-wal").read_bytes()
    assert index.add(make(PEOPLE)) == 0
    assert (index.path / "truth.sqlite-wal").read_bytes() == before
    other = make(["bert/1", "dora/1"], ["berta", "dora"], seed=1)
    assert index.add(other) == 2
    assert index.ids == (*(name for name in PEOPLE if name != "bert/1"), "bert/1", "dora/1")
    assert index.labels == ("anna", "bert", "berta", "carl", "dora")
    memory = content(index)
    index.close()
    with Index.open(index.path) as again:
        assert content(again) == memory


def test_a_closed_index_is_one_file(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    index.close()
    index.close()
    assert [entry.name for entry in index.path.iterdir()] == ["truth.sqlite"]


def test_remove_takes_items_and_nothing_else(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    index.remove(["anna/2", "carl/1"])
    assert index.ids == ("anna/1", "anna/3", "bert/1", "bert/2")
    with pytest.raises(
        StoreError, match=r"holds no item 'carl/1': see index.ids for those it holds"
    ):
        index.remove(["anna/1", "carl/1"])
    assert "anna/1" in index


def test_search_finds_best_items_and_best_identities(index: Index, make: Make) -> None:
    given = make(PEOPLE)
    index.add(given)
    similar = given.vectors.astype(np.float64) @ given.vectors[0].astype(np.float64)
    (hits,) = index.search(given.vectors[:1], 4)
    assert [hit.id for hit in hits] == [PEOPLE[place] for place in np.argsort(-similar)[:4]]
    assert [hit.score for hit in hits] == pytest.approx(np.sort(similar)[::-1][:4], abs=1e-6)
    (hits,) = index.search(given.vectors[:1], 99)
    assert len(hits) == 6
    (best,) = index.search_identities(given.vectors[:1], 99)
    assert {hit.label for hit in best} == {"anna", "bert", "carl"}
    for hit in best:
        assert hit.score == max(other.score for other in hits if other.label == hit.label)
    assert [hit.score for hit in best] == sorted((hit.score for hit in best), reverse=True)


def test_an_identity_with_many_items_does_not_hide_the_others(index: Index, make: Make) -> None:
    crowd = make([f"crowd/{number}" for number in range(100)])
    index.add(replace(crowd, vectors=np.repeat(crowd.vectors[:1], 100, axis=0)))
    index.add(make(["lone/1"], seed=5))
    (best,) = index.search_identities(crowd.vectors[:1], 2)
    assert [hit.label for hit in best] == ["crowd", "lone"]


def test_blocks_give_every_item_once(index: Index, make: Make) -> None:
    assert list(index.blocks()) == []
    given = make(PEOPLE)
    index.add(given)
    blocks = list(index.blocks(rows=4))
    assert [len(block.ids) for block in blocks] == [4, 2]
    np.testing.assert_array_equal(
        np.concatenate([block.vectors for block in blocks]), given.vectors
    )


def test_two_open_at_once_see_each_other(index: Index, make: Make) -> None:
    with Index.open(index.path) as other:
        index.add(make(PEOPLE))
        assert other.ids == index.ids
        other.remove(["bert/1"])
        other.add(make(["dora/1"]))
        index.add(make(["emil/1"]))
        assert content(index) == content(other)
        assert other.search(make(PEOPLE).vectors, 3) == index.search(make(PEOPLE).vectors, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ids": ("a", "b", "a")},
            r"the id 'a' appears twice in one call \(1 such ids\): give each item its own",
        ),
        ({"ids": ("a", "b")}, r"2 ids, 3 labels and 3 vectors: give one of each"),
        ({"ids": ("a", "", "c")}, r"'' is not a valid id or label: give a text that is not empty"),
        ({"labels": ("a", "b", "\udcff")}, r"'\\udcff' is not a valid id or label"),
        (
            {"vectors": np.zeros((3, 5), np.float32)},
            r"vectors of shape \(3, 5\): this index takes \(n, 16\)",
        ),
        (
            {"vectors": np.full((3, 16), np.nan)},
            r"the vector of 'a' has NaN, infinity or more than 1e\+15 in it",
        ),
        ({"vectors": np.full((3, 16), np.inf)}, r"the vector of 'a' has NaN, infinity"),
        ({"vectors": np.zeros((3, 16))}, r"the vector of 'a' is all zeros"),
        (
            {"vectors": np.ones((3, 16))},
            r"the vector of 'a' has length 4: an index for the cosine keeps unit vectors",
        ),
    ],
)
def test_what_does_not_fit_is_refused_whole(
    index: Index, make: Make, change: dict, message: str
) -> None:
    index.add(make(PEOPLE))
    before = content(index)
    with pytest.raises(StoreError, match=message):
        index.add(replace(make(["a", "b", "c"]), **change))
    assert content(index) == before


def test_a_row_is_named(index: Index, make: Make) -> None:
    given = make(["a", "b", "c"])
    given.vectors[1, 3] = np.nan
    with pytest.raises(StoreError, match="the vector of 'b' has NaN"):
        index.add(given)


def test_vectors_of_another_model_are_refused(index: Index, make: Make) -> None:
    with pytest.raises(
        FingerprintMismatch,
        match=r"holds vectors of model 111111111111, these are of 222222222222: use",
    ):
        index.add(replace(make(PEOPLE), fingerprint="2" * 64))
    assert len(index) == 0


def test_odd_queries_are_refused(index: Index, make: Make) -> None:
    with pytest.raises(StoreError, match="store is empty: add or enrol somebody first"):
        index.search(make(["q"]).vectors)
    index.add(make(PEOPLE))
    with pytest.raises(StoreError, match="the vector of query 1 has NaN"):
        index.search(np.array([np.ones(16), np.full(16, np.nan)]))
    with pytest.raises(StoreError, match=r"vectors of shape \(1, 4\)"):
        index.search(np.ones((1, 4)))
    with pytest.raises(StoreError, match="k is 0: ask for at least 1 neighbour"):
        index.search(make(["q"]).vectors, 0)
    assert index.search(np.zeros((0, 16)) + 1.0, 3) == []


def test_a_learned_comparison_needs_the_bundle(
    tmp_path: Path, contract: Contract, make: Make
) -> None:
    with Index.create(tmp_path / "learned", replace(contract, distance="WeightedL1")) as index:
        index.add(replace(make(["a"]), vectors=np.full((1, 16), 3.0)))
        with pytest.raises(
            StoreError,
            match=r"WeightedL1 is a learned comparison.*twofold.apps.search.search\(bundle, index",
        ):
            index.search(make(["q"]).vectors)


def test_forgetting_nobody_names_the_nearest(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    with pytest.raises(UnknownLabel, match=r"nobody called 'ana' is in .*did you mean 'anna'\?"):
        index.forget("ana")
    receipt = index.forget("anna")
    assert (receipt.labels, receipt.ids) == (("anna",), ("anna/1", "anna/2", "anna/3"))
    assert index.labels == ("bert", "carl")


def test_an_index_is_never_written_over(index: Index, contract: Contract, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="store is an index already: open it, or choose another place"
    ):
        Index.create(index.path, contract)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(CannotWrite, match=r"letters exists and holds no truth.sqlite"):
        Index.create(tmp_path / "letters", contract)


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"nothing is not an index: it holds no truth.sqlite; `twofold index`"
    ):
        Index.open(tmp_path / "nothing")
    assert not Index.found(tmp_path)


def test_an_index_is_found_by_looking(index: Index) -> None:
    assert Index.found(index.path)


def test_an_unknown_distance_says_so_when_it_scores(contract: Contract) -> None:
    with pytest.raises(UnknownName, match="'WeightedL1' is not a plain distance"):
        replace(contract, distance="WeightedL1").scores(np.ones((1, 16)), np.ones((1, 16)))


@pytest.mark.skipif(
    not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs root to become somebody else"
)
def test_a_read_only_place_reads_and_says_that_it_cannot_write(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    index.close()
    for folder in (index.path, *index.path.parents):
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o005:
            folder.chmod(0o755)
    (index.path / "truth.sqlite").chmod(0o644)
    os.seteuid(65534)
    try:
        with Index.open(index.path) as reader:
            assert len(reader.search(make(["q"]).vectors, 3)[0]) == 3
            for write in (lambda: reader.add(make(["x"])), lambda: reader.remove(["anna/1"])):
                with pytest.raises(StoreError, match="read-only; nothing was changed"):
                    write()
            with pytest.raises(StoreError, match="read-only"):
                reader.forget("anna")
            assert len(reader) == 6
    finally:
        os.seteuid(0)
