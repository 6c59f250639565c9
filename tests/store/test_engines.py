"""One suite for every engine that keeps an index; the oracle is a dictionary and a comparison with everything in it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import FingerprintMismatch, StoreError, UnknownLabel
from twofold.results import Embeddings, Hit
from twofold.store import Index
from twofold.store.filters import conditions

Make = Callable[..., Embeddings]
Places = Callable[[str], str]
Rows = dict[str, tuple[str, bytes, str]]  # id -> label, vector, metadata
PEOPLE = ["anna/1", "anna/2", "anna/3", "bert/1", "bert/2", "carl/1"]
ODD = [
    'q"uote',
    "back\\slash",
    "apo'strophe",
    "ä ö 名",
    "tab\tand\nline",
    "{brace} %s",
    "a]b, [c",
    "-- DROP",
]


@pytest.fixture
def index(places: Places, contract: Contract) -> Iterator[Index]:
    with Index.create(places("one"), contract) as index:
        yield index


def content(index: Index) -> Rows:
    found = index.get(index.ids)
    rows = zip(
        found.ids, found.labels, found.vectors, found.metadata or [{}] * len(found.ids), strict=True
    )
    return {
        name: (label, vector.tobytes(), json.dumps(extra, sort_keys=True))
        for name, label, vector, extra in rows
    }


def rows_of(given: Embeddings) -> Rows:
    metadata = given.metadata or [{}] * len(given.ids)
    rows = zip(given.ids, given.labels, given.vectors.astype(np.float32), metadata, strict=True)
    return {
        name: (label, vector.tobytes(), json.dumps(extra, sort_keys=True))
        for name, label, vector, extra in rows
    }


def truth(contract: Contract, rows: Rows, query: np.ndarray, where: Any) -> dict[str, float]:
    """The exact score of every row that passes a filter."""
    passing = [
        name
        for name, row in rows.items()
        if all(each.holds(json.loads(row[2])) for each in conditions(where))
    ]
    if not passing:
        return {}
    vectors = np.stack([np.frombuffer(rows[name][1], np.float32) for name in passing])
    return dict(
        zip(
            passing,
            contract.scores(query[None].astype(np.float32), vectors)[0].tolist(),
            strict=True,
        )
    )


def agrees(hits: Sequence[Hit], scores: dict[str, float], *, wanted: int) -> None:
    """The hits are the best of these scores; which of equal ones is left open."""
    best = sorted(scores.values(), reverse=True)[:wanted]
    assert len(hits) == len({hit.id for hit in hits}) == len(best)
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-9)
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.id], abs=1e-9)


# ---- what is kept


def test_what_was_added_comes_back_bit_for_bit(index: Index, places: Places, make: Make) -> None:
    extra = tuple(
        {"n": number, "x": number / 7, "ok": number > 2, "none": None, "s": "ü"}
        for number in range(6)
    )
    given = replace(make(PEOPLE), metadata=extra)
    assert index.add(given) == 6
    index.close()
    index.close()
    with Index.open(places("one")) as again:
        assert (set(again.ids), again.labels, len(again)) == (
            set(given.ids),
            ("anna", "bert", "carl"),
            6,
        )
        assert content(again) == rows_of(given)
        found = again.get(["carl/1", "anna/1"])
        assert (found.ids, found.labels, found.fingerprint) == (
            ("carl/1", "anna/1"),
            ("carl", "anna"),
            given.fingerprint,
        )
        assert found.metadata == (extra[5], extra[0])
        assert again.contract == index.contract
        assert "anna/1" in again
        assert "anna/9" not in again
        (hit,) = again.search(given.vectors[3:4], 1)[0]
        assert (hit.id, hit.label, hit.metadata) == ("bert/1", "bert", extra[3])


def test_adding_again_changes_nothing_and_a_new_vector_replaces(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    assert index.add(make(PEOPLE)) == 0
    assert (
        index.add(
            replace(make(PEOPLE), metadata=tuple({"n": 1} if n == 2 else {} for n in range(6)))
        )
        == 1
    )
    other = make(["bert/1", "dora/1"], ["berta", "dora"], seed=1)
    assert index.add(other) == 2
    assert index.labels == ("anna", "bert", "berta", "carl", "dora")
    assert content(index).items() >= rows_of(other).items()
    assert len(index) == 7


def test_names_of_any_kind_are_only_names(index: Index, make: Make) -> None:
    given = replace(make(ODD, ODD), metadata=tuple({"k": name} for name in ODD))
    index.add(given)
    assert content(index) == rows_of(given)
    for name in ODD:
        assert name in index
        assert [hit.id for hit in index.search(given.vectors[:1], 9, where={"k": name})[0]] == [
            name
        ]
    index.remove(ODD[:2])
    assert index.forget([ODD[2], ODD[3]]).ids
    assert set(index.ids) == set(ODD[4:])


def test_blocks_give_every_item_once(index: Index, make: Make) -> None:
    assert list(index.blocks()) == []
    given = make([f"item/{number}" for number in range(25)])
    index.add(given)
    blocks = list(index.blocks(rows=10))
    assert sorted(name for block in blocks for name in block.ids) == sorted(given.ids)
    for block in blocks:
        np.testing.assert_array_equal(block.vectors, index.get(block.ids).vectors)


def test_remove_takes_items_and_nothing_else(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    index.remove(["anna/2", "carl/1"])
    assert set(index.ids) == {"anna/1", "anna/3", "bert/1", "bert/2"}
    with pytest.raises(
        StoreError, match=r"holds no item 'carl/1': see index.ids for those it holds"
    ):
        index.remove(["anna/1", "carl/1"])
    assert "anna/1" in index
    with pytest.raises(StoreError, match=r"holds no item 'carl/1'"):
        index.get(["anna/1", "carl/1"])


def test_forgetting_says_what_is_left_to_do(index: Index, places: Places, make: Make) -> None:
    index.add(make(PEOPLE))
    with pytest.raises(UnknownLabel, match=r"nobody called 'ana' is in .*did you mean 'anna'\?"):
        index.forget(["bert", "ana"])
    receipt = index.forget("anna")
    assert (receipt.labels, set(receipt.ids)) == (("anna",), {"anna/1", "anna/2", "anna/3"})
    assert index.labels == ("bert", "carl")
    if places("one").startswith(("milvus", "postgresql")):
        assert receipt.left is None
        assert "administrator" in (receipt.note or "")
    else:
        assert receipt.left == 0


def test_two_open_at_once_see_each_other(index: Index, places: Places, make: Make) -> None:
    with Index.open(places("one")) as other:
        index.add(make(PEOPLE))
        assert set(other.ids) == set(index.ids)
        other.remove(["bert/1"])
        other.add(make(["dora/1"]))
        index.add(make(["emil/1"]))
        assert content(index) == content(other)
        assert other.search(make(PEOPLE).vectors, 3) == index.search(make(PEOPLE).vectors, 3)


# ---- what is found


def random_metadata(rng: np.random.Generator) -> dict[str, Any]:
    choices: dict[str, list[Any]] = {
        "colour": ["red", "green", "Ärger", 'a"b', ""],
        "size": [0, 1, 1.0, 2, 2.5, -3, True, "1"],
        "sold": [True, False, None, 1, "true"],
        "year": [2019, 2020, 2021.5, 2**40],
    }
    return {
        key: values[rng.integers(len(values))]
        for key, values in choices.items()
        if rng.random() < 0.7
    }


FILTERS: list[dict[str, Any] | None] = [
    None,
    {"colour": "red"},
    {"colour": ["green", 'a"b', ""]},
    {"size": 1},
    {"size": [1.0, "1", None]},
    {"sold": True},
    {"sold": None},
    {"size": {"min": 1}},
    {"size": {"min": 0.5, "max": 2}, "colour": ["red", "green", "Ärger"]},
    {"colour": {"min": "h", "max": "r~"}},
    {"year": {"max": 2021}},
]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("squared_euclidean", "manhattan")]


@pytest.mark.parametrize("distance", ["cosine", "euclidean", *SLOW])
def test_any_sequence_of_operations_agrees_with_a_dictionary(
    places: Places, contract: Contract, make: Make, distance: str
) -> None:
    rng = np.random.default_rng(len(distance))
    contract = replace(contract, distance=distance)
    rows: Rows = {}
    with Index.create(places("one"), contract) as index:
        for step in range(14):
            change(index, rows, rng, make, step)
            assert len(index) == len(rows)
            if not rows:
                continue
            queries = make(["q"] * 3, seed=1000 + step).vectors
            where = FILTERS[step % len(FILTERS)]
            for exact in (False, True):
                for query, hits in zip(
                    queries, index.search(queries, 7, where=where, exact=exact), strict=True
                ):
                    agrees(hits, truth(contract, rows, query, where), wanted=7)
            compare_range(index, rows, queries, where)
        assert content(index) == rows
        for where in FILTERS:
            hits = index.search(queries[:1], 999, where=where)[0]
            agrees(hits, truth(contract, rows, queries[0], where), wanted=999)


def change(index: Index, rows: Rows, rng: np.random.Generator, make: Make, step: int) -> None:
    """One random write, in the index and in the dictionary."""
    known = sorted(rows)
    what = rng.choice(["add", "add", "remove", "forget"]) if len(known) > 30 else "add"
    if what == "add":
        ids = [f"{rng.integers(9)}/{number}" for number in rng.choice(40, size=20, replace=False)]
        given = replace(make(ids, seed=step), metadata=tuple(random_metadata(rng) for _ in ids))
        new = rows_of(given)
        assert index.add(given) == sum(rows.get(name) != row for name, row in new.items())
        rows |= new
    elif what == "remove":
        gone = [known[place] for place in rng.choice(len(known), size=4, replace=False)]
        index.remove(gone)
        for name in gone:
            del rows[name]
    else:
        label = rows[known[rng.integers(len(known))]][0]
        receipt = index.forget(label)
        assert set(receipt.ids) == {name for name, row in rows.items() if row[0] == label}
        for name in receipt.ids:
            del rows[name]


def compare_range(index: Index, rows: Rows, queries: np.ndarray, where: Any) -> None:
    """All that scores so high, and nothing below."""
    score = float(np.median(list(truth(index.contract, rows, queries[0], None).values())))
    for query, hits in zip(queries, index.search_range(queries, score, where=where), strict=True):
        expected = truth(index.contract, rows, query, where)
        assert {hit.id for hit in hits} == {
            name for name, each in expected.items() if each >= score
        }
        agrees(hits, expected, wanted=len(hits))


def test_a_filter_that_nothing_can_pass_says_so(index: Index, make: Make) -> None:
    extra = tuple(
        {"colour": "red", "size": number} if number else {"colour": None} for number in range(6)
    )
    index.add(replace(make(PEOPLE), metadata=extra))
    query = make(["q"]).vectors
    assert index.metadata_keys() == {"colour": {"text": 5, "null": 1}, "size": {"number": 5}}
    assert index.search(query, where={"colour": "blue"}) == [[]]
    assert len(index.search(query, where={"nobody": None})[0]) == 6
    cases: list[tuple[Any, str]] = [
        (
            {"Colour": "red"},
            r"no item of .* has the key 'Colour': did you mean 'colour'\? Keys: colour \(6 it",
        ),
        ({"colour": {"min": 1}}, "the range of 'colour' is of numbers"),
        ({"size": {"min": "a"}}, "the range of 'size' is of texts"),
        ({"size": {"min": 5, "max": 2}}, "nothing lies between 5 and 2"),
    ]
    with pytest.raises(StoreError, match="where is 'a=b': give a mapping of keys to values"):
        conditions.__wrapped__("a=b") if hasattr(conditions, "__wrapped__") else conditions("a=b")
    for where, message in cases:
        with pytest.raises(StoreError, match=message):
            index.search(query, where=where)
        with pytest.raises(StoreError, match=message):
            index.search_range(query, 2.0, where=where)


def test_what_an_engine_does_not_keep_is_one_clear_line(
    index: Index, places: Places, make: Make
) -> None:
    index.add(make(PEOPLE))
    calls: list[Callable[[], Any]] = [
        lambda: index.expire("anna", "2999-01-01"),
        lambda: index.revoke("anna"),
        lambda: index.restore("anna"),
        lambda: index.enrolled(),
        lambda: index.audit(),
        lambda: index.standing(),
    ]
    for call in calls:
        if not places("one").startswith(("milvus", "postgres")):
            call()
            continue
        with pytest.raises(
            StoreError, match="keeps no dates, no revocations and no audit log: an index in"
        ):
            call()


def test_a_closed_index_says_so(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    index.close()
    index.close()
    calls: list[Callable[[], Any]] = [
        lambda: len(index),
        lambda: index.ids,
        lambda: index.labels,
        lambda: "anna/1" in index,
        lambda: index.get(["anna/1"]),
        lambda: list(index.blocks()),
        lambda: index.add(make(["x"])),
        lambda: index.remove(["anna/1"]),
        lambda: index.forget("anna"),
        lambda: index.search(make(["q"]).vectors),
        lambda: index.search_range(make(["q"]).vectors, 0.5),
        lambda: index.search_identities(make(["q"]).vectors),
        lambda: index.shortlist(make(["q"]).vectors, 3),
        lambda: index.recall(),
        lambda: index.sample(3),
        lambda: index.check(),
        lambda: index.metadata_keys(),
        lambda: index.__enter__(),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(StoreError, match="is closed: open it again"):
            call()
            raise AssertionError(f"call {number} did not notice")


def test_many_queries_at_once_are_answered_as_each_alone(index: Index, make: Make) -> None:
    given = make([f"{number % 9}/{number}" for number in range(300)])
    index.add(given)
    for exact in (False, True):
        together = index.search(given.vectors[:40], 3, exact=exact)
        for place in (0, 17, 39):
            (alone,) = index.search(given.vectors[place : place + 1], 3, exact=exact)
            assert [hit.id for hit in together[place]] == [hit.id for hit in alone]
            assert together[place][0].id == given.ids[place]
    ranges = index.search_range(given.vectors[:40], 0.999)
    assert [[hit.id for hit in hits] for hits in ranges] == [[name] for name in given.ids[:40]]


def test_an_identity_with_many_items_does_not_hide_the_others(index: Index, make: Make) -> None:
    crowd = make([f"crowd/{number}" for number in range(100)])
    index.add(replace(crowd, vectors=np.repeat(crowd.vectors[:1], 100, axis=0)))
    index.add(make(["lone/1"], seed=5))
    (best,) = index.search_identities(crowd.vectors[:1], 2)
    assert [hit.label for hit in best] == ["crowd", "lone"]


def test_recall_is_measured_by_the_index_itself(index: Index, make: Make) -> None:
    index.add(make([f"{number % 9}/{number}" for number in range(200)]))
    estimate = index.recall(5, sample=40)
    assert (estimate.name, estimate.value, estimate.resampled) == ("recall_at_5", 1.0, 40)
    assert index.sample(7, seed=3).ids == index.sample(7, seed=3).ids
    assert len(set(index.sample(7, seed=3).ids)) == 7


def test_a_check_reads_every_row(index: Index, make: Make) -> None:
    index.add(make(PEOPLE))
    found = index.check()
    assert (found.items, found.findings, found.sound) == (6, (), True)


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ids": ("a", "b", "a")},
            r"the id 'a' appears twice in one call \(1 such ids\): give each item its own",
        ),
        ({"ids": ("a", "", "c")}, r"'' is not a valid id or label: give a text that is not empty"),
        (
            {"vectors": np.zeros((3, 5), np.float32)},
            r"vectors of shape \(3, 5\): this index takes \(n, 16\)",
        ),
        (
            {"vectors": np.full((3, 16), np.nan)},
            r"the vector of 'a' has NaN, infinity or more than 1e\+15 in it",
        ),
        (
            {"vectors": np.ones((3, 16))},
            r"the vector of 'a' has length 4: an index for the cosine keeps unit vectors",
        ),
        (
            {"metadata": ({"k": [1]}, {}, {})},
            r"the metadata of 'a': 'k' is \[1\]: give a text, True, False, None",
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


def test_vectors_of_another_model_are_refused(index: Index, make: Make) -> None:
    with pytest.raises(
        FingerprintMismatch,
        match=r"holds vectors of model 111111111111, these are of 222222222222: use",
    ):
        index.add(replace(make(PEOPLE), fingerprint="2" * 64))
    assert len(index) == 0
    with pytest.raises(StoreError, match="is empty: add or enrol somebody first"):
        index.search(make(["q"]).vectors)


def test_a_place_is_taken_once_and_known_only_then(places: Places, contract: Contract) -> None:
    assert not Index.found(places("one"))
    with pytest.raises(StoreError, match=r"is (no|not an) index"):
        Index.open(places("one"))
    Index.create(places("one"), contract).close()
    assert Index.found(places("one"))
    with pytest.raises(StoreError, match="already: open it, or choose another"):
        Index.create(places("one"), contract)
    with pytest.raises(StoreError, match=r"is (no|not an) index"):
        Index.open(places("two"))


def test_a_learned_comparison_needs_the_bundle(
    places: Places, contract: Contract, make: Make
) -> None:
    with Index.create(places("one"), replace(contract, distance="WeightedL1")) as index:
        index.add(replace(make(["a"]), vectors=np.full((1, 16), 3.0)))
        with pytest.raises(StoreError, match=r"WeightedL1 is a learned comparison"):
            index.search(make(["q"]).vectors)
        assert [block.ids for block in index.blocks()] == [("a",)]


def test_a_shortlist_for_it_is_of_what_lies_near(
    places: Places, contract: Contract, make: Make
) -> None:
    given = make([f"{number % 9}/{number}" for number in range(60)])
    # of other lengths, so that the cosine would list others
    given = replace(given, vectors=given.vectors * np.arange(1, 61, dtype=np.float32)[:, None] / 20)
    given = replace(given, metadata=tuple({"odd": number % 2} for number in range(60)))
    queries = make(["q", "r"], seed=3).vectors
    with Index.create(places("one"), replace(contract, distance="WeightedL1")) as index:
        index.add(given)
        far = np.linalg.norm(given.vectors[None] - queries[:, None], axis=2)
        for row, found in zip(far, index.shortlist(queries, 12), strict=True):
            assert {given.ids[place] for place in np.argsort(row)[:12]} <= set(found.ids)
            assert len(found.ids) < 40
            np.testing.assert_array_equal(found.vectors, index.get(found.ids).vectors)
        (odd,) = index.shortlist(queries[:1], 99, where={"odd": 1})
        assert sorted(odd.ids) == sorted(given.ids[1::2])
        assert odd.metadata is not None
        assert {each["odd"] for each in odd.metadata} == {1}
        with pytest.raises(StoreError, match="a shortlist of 0 items: ask for at least 1"):
            index.shortlist(queries, 0)


def test_which_of_many_ids_are_there_is_asked_at_once(index: Index, make: Make) -> None:
    given = make([*ODD, *(f"item/{number}" for number in range(1500))])
    index.add(given)
    others = [f"other/{number}" for number in range(10_000)]
    assert index.present([*others, *given.ids, "", "nul\0"]) == set(given.ids)
    assert index.present(()) == set()
