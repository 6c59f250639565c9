"""What the durability benchmark does to an index, what must stand after it, and a writer that is killed while at it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import twofold
from twofold.contract import Contract
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.erasure import erase

__all__ = ["Truth", "calls", "contract", "follow", "items", "killed", "large", "read", "vectors_of"]

FINGERPRINT = "1" * 64
Truth = dict[str, str]  # id -> label


def contract(dim: int) -> Contract:
    """Of no model."""
    return Contract(fingerprint=FINGERPRINT, dim=dim, distance="euclidean")


def vectors_of(ids: tuple[str, ...], version: str, dim: int = 16) -> np.ndarray:
    """Vectors that tell by their content whose they are, and of which version."""
    seeds = np.frombuffer(
        "".join(f"{name}{version}" for name in ids).encode()[-32:].rjust(32, b"-"), np.uint8
    )
    return (
        np.random.default_rng(seeds.astype(np.int64))
        .normal(size=(len(ids), dim))
        .astype(np.float32)
    )


def items(ids: tuple[str, ...], label: str, version: str = "", dim: int = 16) -> Embeddings:
    """Items of one label."""
    vectors = vectors_of(ids, version, dim)
    return Embeddings(ids=ids, labels=(label,) * len(ids), vectors=vectors, fingerprint=FINGERPRINT)


WRITER = """
import itertools, os, sys
sys.path.insert(0, sys.argv[2])
import index_calls
from twofold.store import Index

def write(run):
    index = Index.open(sys.argv[1])
    print(os.getpid(), flush=True)
    for step in itertools.count():
        for verb, words, call in index_calls.calls(index, f"{run}-{step}", step):
            print(verb, *words, flush=True)
            call()
            print("done", flush=True)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(line.strip())
    os.waitpid(child, 0)
    print("end", flush=True)
"""


def calls(index: Any, name: str, step: int) -> Iterator[tuple[str, list[str], Callable[[], Any]]]:
    """What a writer does in a step: a word for it, the label and the ids, and the call itself."""
    ids, label = tuple(f"{name}-{number}" for number in range(4)), f"label-{step % 5}"
    yield "add", [label, *ids], lambda: index.add(items(ids, label))
    if step % 3 == 1:
        yield "add", [f"{label}x", *ids[:3]], lambda: index.add(items(ids[:3], f"{label}x", "new"))
    if step % 4 == 2:
        yield "remove", list(ids[1:3]), lambda: index.remove(ids[1:3])
    if step % 6 == 3:
        yield "forget", [label], lambda: index.forget(label)
    if step % 7 == 4:
        yield "rebuild", [], lambda: erase(index.engine.database, whole=True)
    if step % 5 == 0:
        yield "checkpoint", [], index.engine.database.empty_log


def follow(truth: Truth, lines: list[str]) -> tuple[Truth, Truth]:
    """What stands after the acknowledged calls, and what stands if the call that was cut off came through."""
    after = truth
    for line in lines:
        verb, *words = line.split() or [""]
        if verb == "done":
            truth = after
        elif verb == "add":
            after = {**truth, **dict.fromkeys(words[1:], words[0])}
        elif verb == "remove":
            after = {name: label for name, label in truth.items() if name not in words}
        elif verb == "forget":
            after = {name: label for name, label in truth.items() if label != words[0]}
    return truth, after


def killed(path: Path, kills: int, *, seed: int) -> tuple[int, int, int]:
    """Kill a writer again and again: how many items were lost, appeared from nowhere, or stood there twice."""
    environment = dict(
        os.environ, PYTHONPATH=str(Path(twofold.__file__).parents[1]), OMP_NUM_THREADS="1"
    )
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
    random, truth = np.random.default_rng(seed), Truth()
    lost = phantoms = twice = 0
    with subprocess.Popen(command, stdin=-1, stdout=-1, env=environment, text=True) as parent:
        if parent.stdin is None or parent.stdout is None:
            raise RuntimeError("the writer has no pipes")
        for run in range(kills):
            print(run, file=parent.stdin, flush=True)
            writer = int(parent.stdout.readline())
            lines = [parent.stdout.readline() for _ in range(int(random.integers(0, 60)))]
            time.sleep(float(random.uniform(0, 0.004)))
            os.kill(writer, signal.SIGKILL)
            while not (line := parent.stdout.readline()).endswith("end\n"):
                if not line:
                    raise RuntimeError("the writer has ended by itself")
                lines.append(line)
            before, after = follow(truth, lines)
            truth, names = read(path)
            twice += len(names) - len(truth)
            if truth not in (before, after):
                lost += max(1, len(before.keys() - truth.keys() - (before.keys() - after.keys())))
                phantoms += len(truth.keys() - before.keys() - after.keys())
    return lost, phantoms, twice


def read(path: Path) -> tuple[Truth, tuple[str, ...]]:
    """All items of an index, checked by their vectors."""
    with Index.open(path) as index:
        names = index.ids
        found = index.get(names)
    return dict(zip(found.ids, found.labels, strict=True)), names


def large(path: Path, size: int, dim: int, *, seed: int = 0) -> None:
    """An index of many people with one to nine items each."""
    random = np.random.default_rng(seed)
    with Index.create(path, contract(dim)) as index:
        people = np.repeat(np.arange(size), random.integers(1, 10, size))[:size]
        for start in range(0, size, 2000):
            labels = tuple(f"person-{who:06}-surname" for who in people[start : start + 2000])
            ids = tuple(f"{label}/{start + number}.jpg" for number, label in enumerate(labels))
            vectors = random.normal(size=(len(ids), dim)).astype(np.float32)
            index.add(Embeddings(ids=ids, labels=labels, vectors=vectors, fingerprint=FINGERPRINT))
