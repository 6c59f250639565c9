"""Search among a million vectors: what the cache costs to build and to ask, beside a peer's graph; and exactly.

    python bench/search.py [--quick] [--vectors FILE.npy] [--peer usearch|hnswlib] [--peer-index
    FILE]

Both sides have one thread, are given the same float32 rows in memory and answer with the ten
nearest; costs are CPU seconds. The peer's graph is built as it comes (hnswlib is not among the
development packages, for it has to be compiled) and asked at the smallest breadth whose recall@10
is at least ours. Half of the queries warm up. `--vectors` takes real embeddings (n, dim), the last
10,000 are queries; without it clusters of clusters are drawn. `--peer-index` keeps the graph, with
its CPU seconds, for another run.

exact: 256 queries at once; faiss's Flat with its matrix product from 20 queries on, against our
scan with its scores.
"""

import abc
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np

from last_line import print_last_line, row
from twofold.contract import Contract
from twofold.store.cache.approximate import Approximate
from twofold.store.cache.building import TRIALS, build
from twofold.store.exact import neighbours

DIM, K, QUERIES, BATCH = 128, 10, 10_000, 256
ASKED = 2000
BLOCK = 65_536
BREADTHS = (
    20,
    30,
    40,
    50,
    60,
    80,
    100,
    130,
    160,
    200,
    250,
    300,
    350,
    400,
    500,
    600,
    800,
    1200,
    1600,
)


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(
        description="The cache of a million rows beside a graph and faiss's Flat"
    )
    parser.add_argument(
        "--quick", action="store_true", help="20,000 rows, to see that everything runs"
    )
    parser.add_argument(
        "--vectors", type=Path, help="npy of unit float32 vectors; the last 10,000 are queries"
    )
    parser.add_argument("--peer", choices=sorted(PEERS), default="usearch", help="whose graph")
    parser.add_argument("--peer-index", type=Path, help="where the graph is kept, or was")
    options = parser.parse_args()
    # threads that wait for each other burn CPU seconds
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        )
    faiss.omp_set_num_threads(1)
    started = time.monotonic()
    rows, queries, what = data(options.vectors, 20_000 if options.quick else 1_000_000)
    asked = queries[:ASKED]
    true = faiss.knn(asked, rows, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    results = [exact_row(rows, queries, what)]
    with tempfile.TemporaryDirectory() as folder:
        results += approximate_rows(
            Path(folder),
            rows,
            asked,
            true,
            what=what,
            peer=PEERS[options.peer],
            kept=options.peer_index,
        )
    for line in results:
        print(f"{line['name']:>36} {line['value']:10.3f} {line['unit']}", flush=True)
    print_last_line("search", started, results)


def data(path: Path | None, rows: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows, queries that are none of them, and what they are."""
    if path is not None:
        vectors = np.load(path, mmap_mode="r")
        kept = np.asarray(vectors[: min(rows, len(vectors) - QUERIES)])
        return kept, np.asarray(vectors[-QUERIES:]), f"{len(kept)} x {kept.shape[1]}, {path.stem}"
    vectors = clusters(rows + QUERIES)
    return vectors[:rows], vectors[rows:], f"{rows} x {DIM}, clusters of clusters"


def clusters(rows: int, *, seed: int = 0) -> np.ndarray:
    """Unit vectors of identities of very different sizes, ten items on average, in kinds of a hundred identities.

    The cosine within an identity is about .75, within a kind .4, else 0; the spectrum falls off, as
    that of embeddings.
    """
    generator = np.random.default_rng(seed)
    spectrum = 1 / (1 + np.arange(DIM) / 16)
    spectrum = (spectrum / np.sqrt(np.square(spectrum).sum())).astype(np.float32)

    def draw(count: int, scale: float) -> np.ndarray:
        return (
            generator.standard_normal((count, DIM), dtype=np.float32) * spectrum * np.float32(scale)
        )

    identities, kinds = max(rows // 10, 1), max(rows // 1000, 1)
    centres = draw(kinds, 0.6)[generator.integers(kinds, size=identities)] + draw(identities, 0.6)
    weight = generator.exponential(size=identities)
    owner = generator.choice(identities, size=rows, p=weight / weight.sum())
    vectors = np.empty((rows, DIM), np.float32)
    for start in range(0, rows, BLOCK):
        own = owner[start : start + BLOCK]
        block = centres[own] + draw(len(own), 0.5)
        vectors[start : start + len(own)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def exact_row(rows: np.ndarray, queries: np.ndarray, what: str) -> dict[str, Any]:
    """Seconds of our exact search over those of bare faiss, in turns."""
    faiss.cvar.distance_compute_blas_threshold = 20
    contract = Contract(fingerprint="1" * 64, dim=rows.shape[1], distance="cosine")
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    ratios = []
    for turn in range(4):
        batch = queries[turn * BATCH : (turn + 1) * BATCH]
        bare, _ = wall_seconds(lambda batch=batch: flat.search(batch, K))
        ours, _ = wall_seconds(lambda batch=batch: neighbours(contract, batch, rows, k=K))
        ratios.append(ours / bare)
    ratios = ratios[1:]  # the first warms up
    return row(
        "exact_over_faiss",
        float(np.median(ratios)),
        interval=(min(ratios), max(ratios)),
        unit="x",
        goal=1.2,
        anchor=f"wall seconds, {BATCH} queries at once, {what}; faiss Flat with a BLAS threshold "
        f"of 20, float64 scores "
        "on our side",
        seed=0,
    )


def approximate_rows(
    folder: Path,
    rows: np.ndarray,
    queries: np.ndarray,
    true: np.ndarray,
    *,
    what: str,
    peer: type["Peer"],
    kept: Path | None,
) -> list[dict[str, Any]]:
    """Build, recall, queries a CPU second and memory of the cache, and of a peer at no less recall."""
    blocks = (
        (np.arange(at, min(at + BLOCK, len(rows))), rows[at : at + BLOCK])
        for at in range(0, len(rows), BLOCK)
    )
    about = {"items": len(rows)}
    built, cache = cpu_seconds(
        lambda: build(folder / "cache", blocks, distance="cosine", dim=rows.shape[1], about=about)
    )
    cache.close()
    cache, memory = opened_alone(folder / "cache", queries)
    seconds, found = asked(lambda some: cache.search(some, K), queries)
    best = [best_of(rows, query, near) for query, near in zip(queries, found, strict=True)]
    recall = recall_of(np.array(best), true)
    earlier = "; graph of an earlier run" if kept is not None and kept.is_file() else ""
    graph_seconds, graph = peer_graph(peer(rows.shape[1]), rows, kept)
    peer_seconds, peer_recall, breadth = peer_asked(graph, queries, true, at_least=recall)
    anchor = f"{what}; {peer.TOLD}; one thread each{earlier}"
    at = f"recall@10 {recall:.4f} beside {peer_recall:.4f} (breadth {breadth})"
    plan = cache.plan(K)
    return [
        row("build_cpu_ratio", built / graph_seconds, unit="x", goal=0.1, anchor=anchor, seed=0),
        row("build_cpu_seconds", built, unit="s", anchor=what),
        row("peer_build_cpu_seconds", graph_seconds, unit="s", anchor=anchor),
        row(
            "queries_per_cpu_second_ratio",
            peer_seconds / seconds,
            unit="x",
            goal=3.0,
            anchor=f"{anchor}; {at}",
            seed=0,
        ),
        row(
            "queries_per_cpu_second",
            len(queries) / 2 / seconds,
            unit="queries/s",
            anchor=f"{what}; {at}",
        ),
        row(
            "peer_queries_per_cpu_second",
            len(queries) / 2 / peer_seconds,
            unit="queries/s",
            anchor=f"{anchor}; {at}",
        ),
        row(
            "recall_at_10",
            recall,
            goal=0.99,
            anchor=f"{what}; {len(queries)} queries that are none of the rows",
        ),
        row(
            "recall_at_10_as_measured_by_itself",
            plan.recall if plan else 1.0,
            anchor=f"on {min(TRIALS, len(rows) // 4)} of the rows",
        ),
        row(
            "resident_mb",
            memory,
            unit="MB",
            goal=300.0,
            anchor=f"{what}; after a search, beside the map",
        ),
    ]


def opened_alone(folder: Path, queries: np.ndarray) -> tuple[Approximate, float]:
    """The cache, and what a process of its own needs beside the memory map when it has searched."""
    np.save(folder.parent / "queries.npy", queries)
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from twofold.store.cache.approximate import Approximate\n"
        "cache = Approximate(Path(sys.argv[1]))\n"
        "cache.search(np.load(sys.argv[2]), 10)\n"
        "total = mapped = 0\n"
        "inside = False\n"
        "for line in open('/proc/self/smaps'):\n"
        "    if '-' in line.split()[0]: inside = line.rstrip().endswith('/vectors')\n"
        "    if line.startswith('Rss:'):\n"
        "        total += int(line.split()[1]); mapped += int(line.split()[1]) * inside\n"
        "print((total - mapped) / 1000)\n"
    )
    return Approximate(folder), float(run(program, str(folder), str(folder.parent / "queries.npy")))


def run(program: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return found.stdout


def best_of(rows: np.ndarray, query: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The ten best of a few, as the index orders them by its float32 vectors."""
    return near[np.argsort(-(rows[near] @ query), kind="stable")[:K]]


class Peer(abc.ABC):
    """A graph as its package builds it, with one thread."""

    TOLD: ClassVar[str]

    @abc.abstractmethod
    def __init__(self, dim: int) -> None: ...

    @abc.abstractmethod
    def build(self, rows: np.ndarray) -> None: ...

    @abc.abstractmethod
    def save(self, path: Path) -> None: ...

    @abc.abstractmethod
    def load(self, path: Path) -> None: ...

    @abc.abstractmethod
    def search(self, queries: np.ndarray, breadth: int) -> list[np.ndarray]: ...


class Usearch(Peer):
    """The package usearch."""

    TOLD = "usearch, float32, connectivity 16, expansion_add 128"

    def __init__(self, dim: int) -> None:
        from usearch.index import Index

        self.graph = Index(ndim=dim, metric="ip", dtype="f32", connectivity=16, expansion_add=128)

    def build(self, rows: np.ndarray) -> None:
        self.graph.add(np.arange(len(rows)), rows, threads=1)

    def save(self, path: Path) -> None:
        self.graph.save(str(path))

    def load(self, path: Path) -> None:
        self.graph.load(str(path))

    def search(self, queries: np.ndarray, breadth: int) -> list[np.ndarray]:
        self.graph.expansion_search = breadth
        return list(self.graph.search(queries, K, threads=1).keys)


class Hnswlib(Peer):
    """The package hnswlib."""

    TOLD = "hnswlib, M 16, ef_construction 200"

    def __init__(self, dim: int) -> None:
        import hnswlib

        self.graph = hnswlib.Index("ip", dim)

    def build(self, rows: np.ndarray) -> None:
        self.graph.init_index(len(rows), M=16, ef_construction=200)
        self.graph.add_items(rows, num_threads=1)

    def save(self, path: Path) -> None:
        self.graph.save_index(str(path))

    def load(self, path: Path) -> None:
        self.graph.load_index(str(path))

    def search(self, queries: np.ndarray, breadth: int) -> list[np.ndarray]:
        self.graph.set_ef(breadth)
        return list(self.graph.knn_query(queries, K, num_threads=1)[0])


PEERS: dict[str, type[Peer]] = {"usearch": Usearch, "hnswlib": Hnswlib}


def peer_graph(peer: Peer, rows: np.ndarray, kept: Path | None) -> tuple[float, Peer]:
    """CPU seconds of the graph's build, and the graph; one that is kept is read again."""
    told = kept.with_suffix(".json") if kept else None
    if kept and told and told.is_file():
        peer.load(kept)
        return json.loads(told.read_text())["cpu_seconds"], peer
    seconds, _ = cpu_seconds(lambda: peer.build(rows))
    if kept and told:
        peer.save(kept)
        told.write_text(json.dumps({"cpu_seconds": seconds}))
    return seconds, peer


def peer_asked(
    peer: Peer, queries: np.ndarray, true: np.ndarray, *, at_least: float
) -> tuple[float, float, int]:
    """CPU seconds at the smallest breadth with no less recall, the recall, and the breadth."""
    seconds, recall, breadth = 0.0, 0.0, 0
    for breadth in BREADTHS:
        seconds, found = asked(lambda some, breadth=breadth: peer.search(some, breadth), queries)
        recall = recall_of(np.array(found), true)
        if recall >= at_least:
            break
    return seconds, recall, breadth


def asked(
    search: Callable[[np.ndarray], list[np.ndarray]], queries: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """CPU seconds of the second half of the queries, and the answers to all."""
    half = len(queries) // 2
    first = search(queries[:half])
    seconds, second = cpu_seconds(lambda: search(queries[half:]))
    return seconds, [*first, *second]


def recall_of(found: np.ndarray, true: np.ndarray) -> float:
    """Share of the true neighbours that were found."""
    return float(
        np.mean([np.isin(own, near).mean() for own, near in zip(true, found, strict=True)])
    )


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads, and what came out."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def wall_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


if __name__ == "__main__":
    main()
