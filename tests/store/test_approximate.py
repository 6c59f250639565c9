"""The cache of many rows: as good as exact search, never stale, never damaged, never a row outside, nothing kept."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twofold.contract import Contract
from twofold.errors import CannotWrite, DamagedIndex, StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.cache import building
from twofold.store.cache.approximate import FORMAT, Approximate
from twofold.store.cache.building import build, lists_for
from twofold.store.cache.columns import MANIFEST, read_manifest, sealed
from twofold.store.exact import neighbours
from twofold.store.local import LocalIndex

Make = Callable[..., Embeddings]
ROWS, DIM = 2000, 16
FILES = ("books", "centre", "centres", "codes", "halves", "lists", "numbers", "vectors")


def clustered(rows: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(rows // 20, 1), dim))
    vectors = centres[generator.integers(len(centres), size=rows)] + 0.4 * generator.normal(size=(rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cache_of(folder: Path, vectors: np.ndarray, distance: str = "cosine") -> Approximate:
    parts = np.array_split(np.arange(len(vectors)), 5)
    blocks = ((part * 3 + 7, vectors[part]) for part in parts)
    return build(folder / "cache", blocks, distance=distance, dim=vectors.shape[1], about={"items": len(vectors)})


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_the_true_neighbours_are_among_what_is_found(tmp_path: Path, distance: str) -> None:
    vectors = clustered(ROWS)
    if distance != "cosine":
        vectors = 50 * vectors + 1000  # an offset that float16 could not hold
    contract = Contract(fingerprint="1" * 64, dim=DIM, distance=distance)
    queries = (vectors[:200] + np.float32(0.001)).astype(np.float32)
    true, scores = neighbours(contract, queries, vectors, k=10)
    cache = cache_of(tmp_path, vectors, distance)
    found = cache.search(queries, 10)
    recall = np.mean([np.isin(own * 3 + 7, near).mean() for own, near in zip(true, found, strict=True)])
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
        assert np.mean([np.isin(rest[own], near).mean() for own, near in zip(true, found, strict=True)]) > 0.97
    assert all(not len(near) for near in cache.search(vectors[:3], 5, allowed=np.empty(0, np.int64)))


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


def test_erased_rows_leave_no_byte(tmp_path: Path) -> None:
    vectors = clustered(ROWS)
    cache = cache_of(tmp_path, vectors)
    places = np.array([5, 17, 1999])
    small = [cache.space.plain(vectors[place][None]).astype("<f2").tobytes() for place in places]
    content = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert all(piece in content for piece in small)
    cache.erase(cache.numbers[places])
    content = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert not any(piece[at : at + 8] in content for piece in small for at in range(0, 24, 8))
    again = Approximate(tmp_path / "cache")
    again.check()
    assert not again.columns["codes"].whole()[places].any()
    found = again.search(vectors[100:101], 3, gone=cache.numbers[places])
    assert not np.isin(cache.numbers[places], found[0]).any()


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
    with pytest.raises(StoreError, match="manhattan is searched exactly only; approximately there are: cosine"):
        cache_of(tmp_path, clustered(100), "manhattan")
    far = clustered(100)
    far[99] *= 1e7
    with pytest.raises(StoreError, match="too far apart for float16"):
        cache_of(tmp_path, far, "euclidean")
    with pytest.raises(StoreError, match="no rows to build a cache of"):
        build(tmp_path / "cache", [], distance="cosine", dim=3, about={})
    assert not list(tmp_path.iterdir())
    assert [lists_for(rows) for rows in (1, 64, 100_000, 1_000_000)] == [1, 4, 1024, 4096]


# ---- behind an index


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.store.finding.EXACT_ROWS", 500)


def embeddings(rows: range, seed: int = 0) -> Embeddings:
    return Embeddings(
        ids=tuple(f"item/{row}" for row in rows),
        labels=tuple(f"person {row // 10}" for row in rows),
        vectors=clustered(rows.stop, seed)[rows.start :],
        fingerprint="1" * 64,
        metadata=tuple({"shelf": row % 7} for row in rows),
    )


@pytest.fixture
def index(tmp_path: Path, contract: Contract) -> Iterator[LocalIndex]:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(embeddings(range(ROWS)))
        assert isinstance(index, LocalIndex)
        yield index


def brute(index: Index, queries: np.ndarray, k: int, **conditions: int) -> list[list[tuple[str, float]]]:
    every = index.get(index.ids)
    kept = [row for row, each in enumerate(every.metadata or ()) if conditions.items() <= dict(each).items()]
    scores = index.contract.scores(queries, every.vectors[kept])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[(every.ids[kept[row]], scores[q, row]) for row in best] for q, best in enumerate(order)]


def assert_found(index: Index, queries: np.ndarray, k: int = 5, **conditions: int) -> None:
    """Nearly all that brute force finds, with the very scores."""
    found = index.search(queries, k, where=conditions or None)
    true = brute(index, queries, k, **conditions)
    hits = [[(hit.id, hit.score) for hit in hits] for hits in found]
    assert (
        np.mean([len({name for name, _ in a} & {name for name, _ in b}) / k for a, b in zip(hits, true, strict=True)])
        > 0.97
    )
    known = {
        (q, name): score for q, best in enumerate(brute(index, queries, ROWS, **conditions)) for name, score in best
    }
    for q, own in enumerate(hits):
        assert [score for _, score in own] == sorted((score for _, score in own), reverse=True)
        np.testing.assert_allclose([score for _, score in own], [known[q, name] for name, _ in own], atol=1e-12)
    assert exact_of(index, queries, k, **conditions) == [[name for name, _ in best] for best in true]


def exact_of(index: Index, queries: np.ndarray, k: int, **conditions: int) -> list[list[str]]:
    return [[hit.id for hit in hits] for hits in index.search(queries, k, where=conditions or None, exact=True)]


def test_an_index_of_many_rows(index: LocalIndex) -> None:
    queries = clustered(40, seed=5)
    told: list[str] = []
    index.watch(lambda doing, done, total: told.append(doing))
    assert index.notes == ()
    assert_found(index, queries)
    assert "holds no whole cache: the cache was built from 2000 rows" in index.notes[0]
    assert {"reading rows", "sorting rows into lists", "measuring recall"} <= set(told)
    assert_found(index, queries, shelf=3)
    hits = index.search_range(queries[:5], 0.8)
    true = [[name for name, score in own if score >= 0.8] for own in brute(index, queries[:5], ROWS)]
    assert [[hit.id for hit in own] for own in hits] == true
    assert len(index.notes) == 1
    with Index.open(index.path) as again:
        assert isinstance(again, LocalIndex)
        assert_found(again, queries)
        assert again.notes == ()


def test_writes_are_seen_and_many_of_them_rebuild(index: LocalIndex) -> None:
    queries = clustered(20, seed=5)
    index.search(queries)
    with Index.open(index.path) as other:  # another's writes
        other.add(embeddings(range(50), seed=9))  # updates
        other.remove([f"item/{row}" for row in range(100, 180)])
    assert_found(index, np.concatenate([queries, clustered(50, seed=9)]))
    assert not {f"item/{row}" for row in range(100, 180)} & {hit.id for own in index.search(queries, 50) for hit in own}
    assert len(index.notes) == 1
    index.add(replace(embeddings(range(400), seed=11), ids=tuple(f"new/{row}" for row in range(400))))
    assert_found(index, queries)
    assert "is too old: the cache was built from 2320 rows" in index.notes[1]


@pytest.mark.parametrize("name", ["codes", "vectors", "manifest.json"])
def test_a_damaged_cache_is_built_again_and_said(index: LocalIndex, name: str) -> None:
    queries = clustered(20, seed=5)
    before = index.search(queries)
    index.close()
    path = index.path / "cache" / name
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 2] ^= 16
    path.write_bytes(broken)
    with Index.open(index.path) as again:
        assert isinstance(again, LocalIndex)
        assert again.search(queries) == before
        assert any("the cache was built" in note for note in again.notes)
        Approximate(index.path / "cache").check()


@pytest.mark.parametrize("name", FILES)
def test_a_check_reads_every_byte_of_the_cache_and_a_repair_builds_it_again(
    index: LocalIndex, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.store.upkeep.EXACT_ROWS", 500)
    before = index.search(clustered(20, seed=5))
    assert index.check().findings == ()
    path = index.path / "cache" / name
    broken = bytearray(path.read_bytes())
    broken[-1] ^= 1
    path.write_bytes(broken)
    found = index.check()
    assert found.sound
    assert [finding.code for finding in found.findings] == ["damaged-cache"]
    assert str(path) in found.findings[0].message
    found = index.check(repair=True)
    assert (found.findings, found.dropped) == ((), ())
    assert "the cache was built from 2000 rows" in found.repaired[0]
    assert index.search(clustered(20, seed=5)) == before
    assert index.notes == ()
    Approximate(index.path / "cache").check()


def test_a_check_says_that_a_cache_is_anothers_or_half_there(
    index: LocalIndex, tmp_path: Path, contract: Contract
) -> None:
    index.search(clustered(3))
    shutil.copytree(index.path / "cache", tmp_path / "cache")
    (index.path / "cache" / "codes").unlink()
    assert "is not the file of" in index.check().findings[0].message
    with Index.create(tmp_path / "other", contract) as other:
        other.add(embeddings(range(3)))
        (tmp_path / "cache").rename(tmp_path / "other" / "cache")
        assert "is of another index" in other.check().findings[0].message
        assert other.check(repair=True).repaired == ("dropped the cache: it is not needed",)
        assert other.check().findings == ()


def test_a_damaged_lock_of_the_cache_is_no_hindrance(index: LocalIndex) -> None:
    (index.path / "cache.lock").write_bytes(b"no database" * 99)
    assert_found(index, clustered(10, seed=5))
    assert "the cache was built from 2000 rows" in index.notes[0]


def test_a_cache_that_was_refused_is_tried_again(index: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, seconds = clustered(10, seed=5), [1000.0]
    monkeypatch.setattr("twofold.store.large.time.monotonic", lambda: seconds[0])
    with monkeypatch.context() as full:
        full.setattr("twofold.store.cache.folder.build", refuse)
        for _ in range(3):
            assert_found(index, queries)
    told = ("all 2000 vectors are held in memory, without a cache: the disk is full",)
    assert index.notes == told
    assert_found(index, queries)
    assert not (index.path / "cache").exists()
    seconds[0] += 61
    assert_found(index, queries)
    assert (index.path / "cache").is_dir()
    assert len(index.notes) == 2
    assert len(index._finder.all.rows) == 0  # memory need not hold them any more
    assert index.forget("person 3").left == 0
    assert_found(index, queries)


def refuse(*_: object, **__: object) -> None:
    raise CannotWrite("the disk is full")


def test_a_cache_of_an_older_format_is_built_again_and_said(index: LocalIndex) -> None:
    queries = clustered(20, seed=5)
    before = index.search(queries)
    index.close()
    facts = read_manifest(index.path / "cache")
    (index.path / "cache" / MANIFEST).write_bytes(sealed(facts | {"format": FORMAT - 1}))
    with Index.open(index.path) as again:
        assert isinstance(again, LocalIndex)
        assert again.search(queries) == before
        assert f"has format {FORMAT - 1}, not {FORMAT}: the cache was built from 2000 rows" in again.notes[0]
    assert read_manifest(index.path / "cache")["format"] == FORMAT


def test_a_cache_of_another_index_is_not_used(index: LocalIndex, tmp_path: Path, contract: Contract) -> None:
    index.search(clustered(3))
    with Index.create(tmp_path / "other", contract) as other:
        other.add(embeddings(range(ROWS), seed=3))
        (index.path / "cache").rename(tmp_path / "other" / "cache")
        assert_found(other, clustered(10, seed=5))
        assert isinstance(other, LocalIndex)
        assert "of another index" in other.notes[0]


def test_forgotten_rows_leave_no_byte_in_the_cache(index: LocalIndex) -> None:
    index.search(clustered(3))
    index.remove(["item/31"])  # its bytes are still in the cache
    vectors = index.get([f"item/{row}" for row in range(32, 40)]).vectors
    gone = clustered(ROWS)[30:40].astype("<f2")
    erasure = index.forget("person 3")
    assert erasure.left == 0
    content = b"".join(path.read_bytes() for path in index.path.rglob("*") if path.is_file())
    for vector in (*vectors, *gone):
        assert vector.tobytes()[:12] not in content
        assert vector.astype("<f2").tobytes()[:12] not in content
    assert_found(index, clustered(10, seed=5))
    assert len(index.notes) == 1
    with Index.open(index.path) as again:
        assert_found(again, clustered(10, seed=5))
        again.forget("person 4")
        assert isinstance(again, LocalIndex)
        assert again.notes == ()
    assert_found(index, clustered(10, seed=5))


def test_forgetting_without_a_search_drops_the_cache(index: LocalIndex) -> None:
    index.search(clustered(3))
    index.close()
    with Index.open(index.path) as again:
        again.forget("person 3")
    assert not (index.path / "cache").exists()


BUILDER = """
import sys
import numpy as np
from twofold.store import Index, finding
finding.EXACT_ROWS = 500
index = Index.open(sys.argv[1])
index.watch(lambda doing, done, total: print(doing, flush=True))
index.search(np.eye(1, 16, dtype=np.float32))
print("built", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reading rows", "sorting rows into lists", "measuring recall"])
def test_a_build_that_is_killed_leaves_nothing(index: LocalIndex, stage: str) -> None:
    source = Path(building.__file__).parents[2]
    command = [sys.executable, "-c", BUILDER, str(index.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(source)})
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == stage:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    assert list(index.path.glob(".cache.*"))
    assert_found(index, clustered(10, seed=5))
    assert not list(index.path.glob(".cache.*"))


@pytest.mark.slow
def test_two_that_need_a_cache_build_it_once(index: LocalIndex) -> None:
    source = Path(building.__file__).parents[2]
    command = [sys.executable, "-c", BUILDER, str(index.path)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert sum("sorting" in each for each in told) == 1
    assert all("built" in each for each in told)
    assert read_manifest(index.path / "cache")["rows"] == ROWS


def test_a_full_disk_is_no_end_of_searching(index: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twofold.store.cache.building._copied", full)
    assert_found(index, clustered(10, seed=5))
    assert "2000 vectors are held in memory, without a cache" in index.notes[0]
    assert not list(index.path.glob(".cache.*"))


def test_manhattan_is_searched_exactly(tmp_path: Path) -> None:
    contract = Contract(fingerprint="1" * 64, dim=DIM, distance="manhattan")
    with Index.create(tmp_path / "store", contract) as index:
        index.add(embeddings(range(600)))
        assert_found(index, clustered(5, seed=5))
        assert not (tmp_path / "store" / "cache").exists()
