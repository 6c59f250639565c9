"""The cache of many rows: as good as exact search, never a damaged byte, never a row outside, nothing kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError
from twofold.results import Embeddings
from twofold.store.cache.approximate import Approximate
from twofold.store.cache.building import build, lists_for
from twofold.store.exact import neighbours
from vectors import clustered

Make = Callable[..., Embeddings]
ROWS, DIM = 2000, 16
FILES = ("books", "centre", "centres", "codes", "halves", "lists", "numbers", "vectors")


def cache_of(folder: Path, vectors: np.ndarray, distance: str = "cosine") -> Approximate:
    parts = np.array_split(np.arange(len(vectors)), 5)
    blocks = ((part * 3 + 7, vectors[part]) for part in parts)
    return build(
        folder / "cache",
        blocks,
        distance=distance,
        dim=vectors.shape[1],
        about={"items": len(vectors)},
    )


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_the_true_neighbours_are_among_what_is_found(tmp_path: Path, distance: str) -> None:
    vectors = clustered(ROWS)
    if distance != "cosine":
        vectors = 50 * vectors + 1000  # an offset that float16 could not hold
    contract = Contract(fingerprint="1" * 64, dim=DIM, distance=distance)
    queries = (vectors[:200] + np.float32(0.001)).astype(np.float32)
    known = neighbours(contract, queries, vectors, k=10)
    true, scores = (np.stack([each[side][:10] for each in known]) for side in (0, 1))
    cache = cache_of(tmp_path, vectors, distance)
    found = cache.search(queries, 10)
    recall = np.mean(
        [np.isin(own * 3 + 7, near).mean() for own, near in zip(true, found, strict=True)]
    )
    assert recall >= 0.98
    exactly = cache.search(queries, 10, exact=True)
    assert all(set(own * 3 + 7) <= set(near) for own, near in zip(true, exactly, strict=True))
    assert max(map(len, exactly)) < 100
    within = cache.search_range(queries[:20], float(scores[:20, 5].min()))
    for near, query in zip(within, queries, strict=False):
        every = contract.scores(query[None], vectors)[0]
        assert set(np.flatnonzero(every >= scores[:20, 5].min()) * 3 + 7) <= set(near)


def test_only_what_is_allowed_and_not_gone_is_found(tmp_path: Path) -> None:
    vectors = clustered(ROWS)
    cache = cache_of(tmp_path, vectors)
    generator = np.random.default_rng(1)
    for share in (0.9, 0.5, 0.05, 0.002):
        allowed = np.sort(generator.choice(cache.numbers, int(share * ROWS), replace=False))
        gone = allowed[:: max(len(allowed) // 5, 2)]
        rest = np.setdiff1d(allowed, gone)
        true = np.argsort(-vectors[:50] @ vectors[(rest - 7) // 3].T, axis=1)[:, :5]
        found = cache.search(vectors[:50], 5, allowed=allowed, gone=gone)
        assert all(np.isin(near, rest).all() for near in found)
        assert (
            np.mean(
                [np.isin(rest[own], near).mean() for own, near in zip(true, found, strict=True)]
            )
            > 0.97
        )
    assert all(
        not len(near) for near in cache.search(vectors[:3], 5, allowed=np.empty(0, np.int64))
    )


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (cache_of(tmp_path / name, clustered(ROWS)) for name in "ab")
    assert one.facts == other.facts


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_flipped_bit_or_a_short_file_is_found(tmp_path: Path, name: str) -> None:
    cache_of(tmp_path, clustered(ROWS)).close()
    path = tmp_path / "cache" / name
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 4
        path.write_bytes(broken)
        with pytest.raises(DamagedIndex):
            Approximate(tmp_path / "cache").check()
    for size in (0, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedIndex):
            Approximate(tmp_path / "cache")
    path.unlink()
    with pytest.raises(DamagedIndex):
        Approximate(tmp_path / "cache")
    path.write_bytes(whole)
    Approximate(tmp_path / "cache").check()


def test_a_damaged_block_of_the_map_is_found_when_it_is_read(tmp_path: Path) -> None:
    vectors = clustered(ROWS)
    cache_of(tmp_path, vectors).close()
    with (tmp_path / "cache" / "vectors").open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\x77\x77")
    cache = Approximate(tmp_path / "cache")
    with pytest.raises(DamagedIndex, match=r"rows 0 to 4095 of .*vectors are not as written"):
        cache.search(vectors[:1], 3)


@pytest.mark.parametrize("dim", [1, 3, 130])
def test_odd_dimensions(tmp_path: Path, dim: int) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(600, dim)).astype(np.float32)
    cache = cache_of(tmp_path, vectors, "euclidean")
    found = cache.search(vectors[:20], 1)
    assert all(row * 3 + 7 in near for row, near in enumerate(found))


def test_many_equal_rows(tmp_path: Path) -> None:
    vectors = np.repeat(clustered(20), 100, axis=0)
    cache = cache_of(tmp_path, vectors)
    found = cache.search(vectors[:5], 3)
    assert all((near < 100 * 3 + 7).all() and len(near) >= 3 for near in found)


def test_what_cannot_be_cached_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="manhattan is searched exactly only; approximately there are: cosine"
    ):
        cache_of(tmp_path, clustered(100), "manhattan")
    far = clustered(100)
    far[99] *= 1e7
    with pytest.raises(StoreError, match="too far apart for float16"):
        cache_of(tmp_path, far, "euclidean")
    with pytest.raises(StoreError, match="no rows to build a cache of"):
        build(tmp_path / "cache", [], distance="cosine", dim=3, about={})
    assert not list(tmp_path.iterdir())
    assert [lists_for(rows) for rows in (1, 64, 100_000, 1_000_000)] == [1, 4, 1024, 4096]
