"""The cache behind an index: never stale, never damaged, never another's; erased with its rows, built once."""

import contextlib
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
from twofold.errors import CannotWrite, StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.cache import building
from twofold.store.cache.approximate import FORMAT, Approximate
from twofold.store.cache.columns import MANIFEST, read_manifest, sealed
from vectors import clustered

Make = Callable[..., Embeddings]
ROWS, DIM = 2000, 16
FILES = ("books", "centre", "centres", "codes", "halves", "lists", "numbers", "vectors")


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.store.large.EXACT_ROWS", 500)


def embeddings(rows: range, seed: int = 0) -> Embeddings:
    return Embeddings(
        ids=tuple(f"item/{row}" for row in rows),
        labels=tuple(f"person {row // 10}" for row in rows),
        vectors=clustered(rows.stop, seed)[rows.start :],
        fingerprint="1" * 64,
        metadata=tuple({"shelf": row % 7} for row in rows),
    )


@pytest.fixture
def index(tmp_path: Path, contract: Contract) -> Iterator[Index]:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(embeddings(range(ROWS)))
        yield index


def brute(
    index: Index, queries: np.ndarray, k: int, **conditions: int
) -> list[list[tuple[str, float]]]:
    every = index.get(index.ids)
    kept = [
        row
        for row, each in enumerate(every.metadata or ())
        if conditions.items() <= dict(each).items()
    ]
    scores = index.contract.scores(queries, every.vectors[kept])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [
        [(every.ids[kept[row]], scores[q, row]) for row in best] for q, best in enumerate(order)
    ]


def assert_found(index: Index, queries: np.ndarray, k: int = 5, **conditions: int) -> None:
    """Nearly all that brute force finds, with the very scores."""
    found = index.search(queries, k, where=conditions or None)
    true = brute(index, queries, k, **conditions)
    hits = [[(hit.id, hit.score) for hit in hits] for hits in found]
    assert (
        np.mean(
            [
                len({name for name, _ in a} & {name for name, _ in b}) / k
                for a, b in zip(hits, true, strict=True)
            ]
        )
        > 0.97
    )
    known = {
        (q, name): score
        for q, best in enumerate(brute(index, queries, ROWS, **conditions))
        for name, score in best
    }
    for q, own in enumerate(hits):
        assert [score for _, score in own] == sorted((score for _, score in own), reverse=True)
        np.testing.assert_allclose(
            [score for _, score in own], [known[q, name] for name, _ in own], atol=1e-12
        )
    assert exact_of(index, queries, k, **conditions) == [
        [name for name, _ in best] for best in true
    ]


def exact_of(index: Index, queries: np.ndarray, k: int, **conditions: int) -> list[list[str]]:
    return [
        [hit.id for hit in hits]
        for hits in index.search(queries, k, where=conditions or None, exact=True)
    ]


def test_an_index_of_many_rows(index: Index) -> None:
    queries = clustered(40, seed=5)
    told: list[str] = []
    index.watch(lambda doing, done, total: told.append(doing))
    assert index.notes == ()
    assert_found(index, queries)
    assert "holds no whole cache: the cache was built from 2000 rows" in index.notes[0]
    assert {"reading rows", "sorting rows into lists", "measuring recall"} <= set(told)
    assert_found(index, queries, shelf=3)
    hits = index.search_range(queries[:5], 0.8)
    true = [
        [name for name, score in own if score >= 0.8] for own in brute(index, queries[:5], ROWS)
    ]
    assert [[hit.id for hit in own] for own in hits] == true
    assert len(index.notes) == 1
    with Index.open(index.path) as again:
        assert_found(again, queries)
        assert again.notes == ()


def test_writes_are_seen_and_many_of_them_rebuild(index: Index) -> None:
    queries = clustered(20, seed=5)
    index.search(queries)
    with Index.open(index.path) as other:  # another's writes
        other.add(embeddings(range(50), seed=9))  # updates
        other.remove([f"item/{row}" for row in range(100, 180)])
    assert_found(index, np.concatenate([queries, clustered(50, seed=9)]))
    assert not {f"item/{row}" for row in range(100, 180)} & {
        hit.id for own in index.search(queries, 50) for hit in own
    }
    assert len(index.notes) == 1
    index.add(
        replace(embeddings(range(400), seed=11), ids=tuple(f"new/{row}" for row in range(400)))
    )
    assert_found(index, queries)
    assert "is too old: the cache was built from 2320 rows" in index.notes[1]


@pytest.mark.parametrize("name", ["codes", "vectors", "manifest.json"])
def test_a_damaged_cache_is_built_again_and_said(index: Index, name: str) -> None:
    queries = clustered(20, seed=5)
    before = index.search(queries)
    index.close()
    path = index.path / "cache" / name
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 2] ^= 16
    path.write_bytes(broken)
    with Index.open(index.path) as again:
        assert again.search(queries) == before
        assert any("the cache was built" in note for note in again.notes)
        Approximate(index.path / "cache").check()


@pytest.mark.parametrize("name", FILES)
def test_a_check_reads_every_byte_of_the_cache_and_a_repair_builds_it_again(
    index: Index, name: str, monkeypatch: pytest.MonkeyPatch
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
    index: Index, tmp_path: Path, contract: Contract
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


def test_a_damaged_lock_of_the_cache_is_no_hindrance(index: Index) -> None:
    (index.path / "cache.lock").write_bytes(b"no database" * 99)
    assert_found(index, clustered(10, seed=5))
    assert "the cache was built from 2000 rows" in index.notes[0]


def test_a_cache_that_was_refused_is_tried_again(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert len(index.engine.memory.rows) == 0  # memory need not hold them any more
    assert index.forget("person 3").left == 0
    assert_found(index, queries)


def refuse(*_: object, **__: object) -> None:
    raise CannotWrite("the disk is full")


def test_a_cache_of_an_older_format_is_built_again_and_said(index: Index) -> None:
    queries = clustered(20, seed=5)
    before = index.search(queries)
    index.close()
    facts = read_manifest(index.path / "cache")
    (index.path / "cache" / MANIFEST).write_bytes(sealed(facts | {"format": FORMAT - 1}))
    with Index.open(index.path) as again:
        assert again.search(queries) == before
        assert (
            f"has format {FORMAT - 1}, not {FORMAT}: the cache was built from 2000 rows"
            in again.notes[0]
        )
    assert read_manifest(index.path / "cache")["format"] == FORMAT


def test_a_cache_of_another_index_is_not_used(
    index: Index, tmp_path: Path, contract: Contract
) -> None:
    index.search(clustered(3))
    with Index.create(tmp_path / "other", contract) as other:
        other.add(embeddings(range(ROWS), seed=3))
        (index.path / "cache").rename(tmp_path / "other" / "cache")
        assert_found(other, clustered(10, seed=5))
        assert "of another index" in other.notes[0]


def test_a_forgotten_person_is_gone_from_all_that_the_cache_learned(
    index: Index, tmp_path: Path, contract: Contract
) -> None:
    """A centre or a codebook is a mean of rows: nearer to a forgotten one than chance. The cache that is built after a
    forget is, bit by bit, the one that would be built if the person had never been there."""
    index.search(clustered(3))
    assert (index.path / "cache").exists()
    everyone = index.get(index.ids)
    index.remove(["item/31"])  # its bytes are still in the cache
    assert index.forget("person 3").left == 0
    assert not (index.path / "cache").exists()
    assert_found(index, clustered(10, seed=5))
    kept = [row for row, label in enumerate(everyone.labels) if label != "person 3"]
    others = replace(
        everyone,
        ids=tuple(everyone.ids[row] for row in kept),
        labels=tuple(everyone.labels[row] for row in kept),
        vectors=everyone.vectors[kept],
        metadata=None,
    )
    with Index.create(tmp_path / "fresh", contract) as fresh:
        fresh.add(others)
        fresh.search(clustered(3))
        for name in set(FILES) - {"numbers"}:
            assert (index.path / "cache" / name).read_bytes() == (
                fresh.path / "cache" / name
            ).read_bytes(), name


def test_a_mean_of_few_rows_would_give_a_person_away(index: Index) -> None:
    """What the test above guards against: before a forget, a centre lies much nearer to a person than to strangers."""
    index.search(clustered(3))
    with contextlib.closing(Approximate(index.path / "cache")) as cache:
        centres = cache.lists.trained.centres[:, :DIM]
        person, strangers = clustered(ROWS)[30:40], clustered(ROWS, seed=9)[30:40]
        own, others = (
            np.linalg.norm(each[:, None] - centres, axis=2).min(axis=1).mean()
            for each in (person, strangers)
        )
    assert own < others


@pytest.mark.parametrize("searched", [True, False])
def test_forgetting_drops_the_cache_whoever_opened_it(index: Index, searched: bool) -> None:
    index.search(clustered(3))
    index.close()
    with Index.open(index.path) as again:
        if searched:
            again.search(clustered(3))
        again.forget("person 3")
    assert not (index.path / "cache").exists()


def test_a_cache_that_cannot_be_deleted_is_no_receipt(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.search(clustered(3))
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: None)
    with pytest.raises(StoreError, match="a cache that is built again, cannot be deleted"):
        index.forget("person 3")


BUILDER = """
import sys
import numpy as np
from twofold.store import Index, large
large.EXACT_ROWS = 500
index = Index.open(sys.argv[1])
index.watch(lambda doing, done, total: print(doing, flush=True))
index.search(np.eye(1, 16, dtype=np.float32))
print("built", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reading rows", "sorting rows into lists", "measuring recall"])
def test_a_build_that_is_killed_leaves_nothing(index: Index, stage: str) -> None:
    source = Path(building.__file__).parents[2]
    command = [sys.executable, "-c", BUILDER, str(index.path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(source)}
    )
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
def test_two_that_need_a_cache_build_it_once(index: Index) -> None:
    source = Path(building.__file__).parents[2]
    command = [sys.executable, "-c", BUILDER, str(index.path)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    told = [process.communicate()[0] for process in both]
    assert sum("sorting" in each for each in told) == 1
    assert all("built" in each for each in told)
    assert read_manifest(index.path / "cache")["rows"] == ROWS


def test_a_full_disk_is_no_end_of_searching(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
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
