"""Losses over all pairs of a batch against their peers: time and memory, forward and backward.

    python bench/losses.py [--quick] [--threads 1 2] [--only supcon]

The peer is pytorch-metric-learning 2.9.0; where sentence-transformers can be imported (6.2 installs
beside torch 2.13.0 for CPU, without torchvision; twofold does not depend on it), three of its batch
losses are rows, too.

Time: ours and the peer take turns in one process on the same embeddings (128-d, eight of a class,
spread over 16 directions as trained embeddings are, so that the hinges have work), each loss and
batch in a process of its own; value and gradient are asserted to be equal first, which is the
warm-up. The figure is the ratio of the medians of the repeats, for one thread, and for two in the
rows that say so. Rows called `busy` have two threads, and beside them a process that this benchmark
starts and that does nothing but count.

Memory: the peak of torch's allocator beyond the inputs, ours counted as at least 1 MB; beside it
(`resident`) the growth of the resident set at its peak, as the system counts it, each side in a
fresh process after a small warm-up, where a side that stays below 1 MB counts as 1 MB. --quick:
small batches in this process, to see that all agree.
"""

import argparse
import importlib.util
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from pytorch_metric_learning import losses as peer
from pytorch_metric_learning import miners as peer_miners
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from last_line import print_last_line, row
from twofold import losses
from twofold.comparison import Plain

MARGIN = 0.2
DIM, PER_CLASS = 128, 8
SMALL = (64, 128)
MEGABYTE = 2**20
REPEATS, SECONDS = 25, 6
BUSY_THREADS = 2
COMPETITOR = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""Other work: a loop without memory traffic, which ends with the process that started it."""

Loss = Callable[[Tensor, Tensor], Tensor]


class Case(NamedTuple):
    """One loss: its batch, a quick one, and how many times faster and leaner than the peer it should be."""

    batch: int
    quick: int
    faster: float | None = None
    leaner: float | None = None
    peer: str = "pytorch-metric-learning 2.9.0"


CASES = {
    "all_triplets": Case(1024, 96, 80, 100),
    "nt_xent": Case(256, 64, 1000, 500),
    "semi_hard": Case(2048, 96, 30, 50),
    "batch_hard": Case(2048, 96, 8, 14),
    "supcon": Case(4096, 128, 9, 46),
    "contrastive": Case(2048, 128, 4, 10),
}
FURTHER = {
    "sentence_transformers_all_triplets": Case(
        1024, 96, peer="sentence-transformers BatchAllTripletLoss"
    ),
    "sentence_transformers_batch_hard": Case(
        2048, 128, peer="sentence-transformers BatchHardSoftMarginTripletLoss"
    ),
    "sentence_transformers_nt_xent": Case(
        4096, 128, peer="sentence-transformers MultipleNegativesRankingLoss"
    ),
}


def main() -> None:
    """Every row in its own process, then the last line."""
    parser = argparse.ArgumentParser(
        description="Losses against pytorch-metric-learning and sentence-transformers"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small batches, to see that everything runs and agrees"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", help="one loss")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "LOSS", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads[0])
    if options.one:
        what, name, size = options.one
        print(json.dumps(PARTS[what](name, int(size))))
        return
    started = time.monotonic()
    known = CASES | (FURTHER if importlib.util.find_spec("sentence_transformers") else {})
    chosen = {name: case for name, case in known.items() if options.only in (None, name)}
    figures = quick(chosen) if options.quick else full(chosen, options.threads)
    if options.only in (None, "nt_xent"):
        figures += [in_own_process("alone", "nt_xent", 1024 if options.quick else 8192, 1)]
    print_last_line("losses", started, figures)


def quick(chosen: dict[str, Case]) -> list[dict[str, Any]]:
    """Small batches, one thread, in this process, and one busy row: what it asserts is that both sides are equal."""
    torch.set_num_threads(1)
    figures = []
    for name, case in chosen.items():
        timed, held = times(name, case.quick, repeats=3), allocated(name, case.quick)
        figures += [
            time_row(name, case.quick, timed, 1),
            memory_row(name, case.quick, held, "memory"),
        ]
    name = next(iter(chosen))
    return [
        *figures,
        time_row(
            name,
            SMALL[0],
            in_own_process("busy_times", name, SMALL[0], BUSY_THREADS),
            BUSY_THREADS,
            busy=True,
        ),
    ]


def full(chosen: dict[str, Case], threads: list[int]) -> list[dict[str, Any]]:
    """Every figure from a process of its own."""
    figures = []
    for name, case in chosen.items():
        for size in (*SMALL, case.batch) if name in CASES else (case.batch,):
            for count in threads:
                figures.append(
                    time_row(name, size, in_own_process("times", name, size, count), count)
                )
            if name in CASES:
                found = in_own_process("busy_times", name, size, BUSY_THREADS)
                figures.append(time_row(name, size, found, BUSY_THREADS, busy=True))
            figures.append(
                memory_row(name, size, in_own_process("allocated", name, size, 1), "memory")
            )
        sides: dict[str, Any] = {
            side: in_own_process(f"resident_{side}", name, case.batch, 1)
            for side in ("ours", "peer")
        }
        figures.append(memory_row(name, case.batch, sides, "resident"))
    return figures


def in_own_process(what: str, name: str, size: int, threads: int) -> dict[str, Any]:
    """A part of `PARTS` in a fresh process."""
    command = [sys.executable, __file__, "--one", what, name, str(size), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{what} of {name} at {size} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def time_row(
    name: str, size: int, found: dict[str, list[float]], threads: int, *, busy: bool = False
) -> dict[str, Any]:
    """How many times faster, and a line about it."""
    ours, theirs = statistics.median(found["ours"]), statistics.median(found["peer"])
    ratios = sorted(b / a for a, b in zip(found["ours"], found["peer"], strict=True))
    how = f"{threads} thread(s){', beside one busy process' if busy else ''}"
    print(
        f"{name:>34} {size:>5} {how} {theirs * 1e3:9.2f} -> {ours * 1e3:8.2f} ms  x "
        f"{theirs / ours:7.2f}",
        flush=True,
    )
    case = (CASES | FURTHER)[name]
    ending = (
        "busy_time_ratio"
        if busy
        else "time_ratio" + ("" if threads == 1 else f"_{threads}_threads")
    )
    goal = case.faster if size == case.batch else 0.9 if size in SMALL else None
    return row(
        f"{name}_{size}_{ending}",
        theirs / ours,
        interval=(ratios[0], ratios[-1]),
        unit="x",
        goal=0.9 if busy else goal,
        anchor=f"{case.peer}, {theirs * 1e3:.2f} ms, {how}, same process; brackets: single repeats",
    )


def memory_row(name: str, size: int, found: dict[str, int], kind: str) -> dict[str, Any]:
    """How many times leaner, and a line about it."""
    ours, theirs = (max(found["ours"], MEGABYTE), found["peer"])
    theirs = max(theirs, MEGABYTE) if kind == "resident" else theirs
    print(
        f"{name:>34} {size:>5} {kind:>10}  {found['peer'] / MEGABYTE:9.1f} -> "
        f"{found['ours'] / MEGABYTE:8.1f} MB"
        f"  x {theirs / ours:7.1f}",
        flush=True,
    )
    case = (CASES | FURTHER)[name]
    return row(
        f"{name}_{size}_{kind}_ratio",
        theirs / ours,
        unit="x",
        goal=case.leaner if kind == "memory" and size == case.batch else None,
        anchor=f"{case.peer}, {found['peer'] / MEGABYTE:.1f} MB",
    )


def times(name: str, size: int, *, repeats: int = REPEATS) -> dict[str, list[float]]:
    """Seconds of each repeat of both sides, after they were found to be equal."""
    (ours, theirs), (embeddings, labels) = pair(name), batch(size)
    assert_equal(ours, theirs, embeddings, labels)
    # Short steps are timed several at a time.
    often = [
        max(1, min(50, round(0.02 / seconds(one, embeddings, labels, 1)))) for one in (ours, theirs)
    ]
    found: dict[str, list[float]] = {"ours": [], "peer": []}
    end = time.monotonic() + SECONDS
    while len(found["ours"]) < 3 or (len(found["ours"]) < repeats and time.monotonic() < end):
        found["ours"].append(seconds(ours, embeddings, labels, often[0]))
        found["peer"].append(seconds(theirs, embeddings, labels, often[1]))
    return found


def busy_times(name: str, size: int) -> dict[str, list[float]]:
    """The same beside other work."""
    other = subprocess.Popen([sys.executable, "-c", COMPETITOR, str(os.getpid())])
    try:
        return times(name, size)
    finally:
        other.kill()
        other.wait()


def allocated(name: str, size: int) -> dict[str, int]:
    """Peak of torch's allocator on both sides."""
    return dict(zip(("ours", "peer"), (peak(one, *batch(size)) for one in pair(name)), strict=True))


def resident(name: str, size: int, side: int) -> int:
    """Growth of the resident set to its peak: the system's own count."""
    loss, (embeddings, labels) = pair(name)[side], batch(size)
    step(loss, *batch(16))
    before = resident_bytes("VmRSS")
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")  # the peak so far, that of the imports, is forgotten
    step(loss, embeddings, labels)
    return max(0, resident_bytes("VmHWM") - before)


def resident_bytes(field: str) -> int:
    """A line of this process's status; where there is none, the peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == "darwin" else 1024
        )
    return int(re.findall(rf"{field}:\s+(\d+)", status.read_text())[0]) * 1024


def alone(name: str, size: int) -> dict[str, Any]:
    """A batch that the peer cannot hold."""
    held = peak(pair(name)[0], *batch(size))
    return row(
        f"{name}_{size}_peak_mb",
        held / MEGABYTE,
        unit="MB",
        goal=100,
        anchor="ours alone, torch's allocator",
    )


def batch(size: int) -> tuple[Tensor, Tensor]:
    """Embeddings with a gradient, and their classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(size) // PER_CLASS
    spread = generator.normal(size=(labels.max() + 1, 16))[labels] * 0.7 + generator.normal(
        size=(size, 16)
    )
    vectors = spread @ generator.normal(size=(16, DIM)) / 4 + 0.1 * generator.normal(
        size=(size, DIM)
    )
    return torch.from_numpy(vectors).float().requires_grad_(), torch.from_numpy(labels)


def pair(name: str) -> tuple[Loss, Loss]:
    """Ours and the peer's, as functions of the same embeddings; the peer's default is unit length."""
    if name in FURTHER:
        return further_pair(name)
    unit = torch.nn.functional.normalize
    cosine, euclidean = Plain("cosine"), Plain("euclidean")
    if name in ("nt_xent", "supcon"):
        loss = {"nt_xent": losses.nt_xent, "supcon": losses.supcon}[name]
        theirs = {"nt_xent": peer.NTXentLoss(), "supcon": peer.SupConLoss()}[name]
        return lambda x, y: loss(x, y, comparison=cosine), theirs
    if name == "contrastive":
        return lambda x, y: losses.contrastive(
            unit(x), y, comparison=euclidean
        ), peer.ContrastiveLoss()
    hinge = peer.TripletMarginLoss(margin=MARGIN)
    if name == "all_triplets":
        return lambda x, y: losses.triplet(unit(x), y, comparison=euclidean, margin=MARGIN), hinge
    mining = "semi_hard" if name == "semi_hard" else "hard"
    semi_hard = peer_miners.TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard")
    miner = {"semi_hard": semi_hard, "batch_hard": peer_miners.BatchHardMiner()}[name]
    return (
        lambda x, y: losses.triplet(unit(x), y, comparison=euclidean, margin=MARGIN, mining=mining),
        lambda x, y: hinge(x, y, miner(x, y)),
    )


def further_pair(name: str) -> tuple[Loss, Loss]:
    """Ours and that of sentence-transformers, of which only the part behind the encoder is called."""
    from sentence_transformers.sentence_transformer import losses as theirs  # pyright: ignore[reportMissingImports]

    unit, euclidean = torch.nn.functional.normalize, Plain("euclidean")
    if name == "sentence_transformers_all_triplets":
        hinge = theirs.BatchAllTripletLoss(None, margin=MARGIN)
        return (
            lambda x, y: losses.triplet(unit(x), y, comparison=euclidean, margin=MARGIN),
            lambda x, y: hinge.compute_loss_from_embeddings([unit(x)], y),
        )
    if name == "sentence_transformers_batch_hard":
        soft = theirs.BatchHardSoftMarginTripletLoss(None)
        return (
            lambda x, y: losses.triplet(
                unit(x), y, comparison=euclidean, margin=0.0, mining="hard", soft=True
            ),
            lambda x, y: soft.compute_loss_from_embeddings([unit(x)], y),
        )
    # Each even item is a query, the next one its document: everything else is a negative.
    ranking = theirs.MultipleNegativesRankingLoss(
        None, directions=("query_to_doc", "query_to_query")
    )
    return (
        lambda x, y: losses.nt_xent(
            x[::2],
            (names := torch.arange(len(x) // 2)),
            comparison=Plain("cosine"),
            references=(x[1::2], names),
            temperature=1 / 20,
        ),
        lambda x, y: ranking.compute_loss_from_embeddings([x[::2], x[1::2]], y),
    )


def assert_equal(ours: Loss, theirs: Loss, embeddings: Tensor, labels: Tensor) -> None:
    """Value and gradient to 1e-8 in float64: in float32 rounding decides which triplets stand on the margin."""
    exact = embeddings.detach().double().requires_grad_()
    (value, gradient), (expected, reference) = (
        (step(one, exact, labels)) for one in (ours, theirs)
    )
    off = abs(value - expected) / abs(expected)
    gradient_off = float((gradient - reference).norm() / reference.norm())
    if not off < 1e-8 or not gradient_off < 1e-8:
        raise SystemExit(
            f"not equal: {value} and {expected}; gradients differ by {gradient_off:.1e} of their "
            f"length"
        )


def step(loss: Loss, embeddings: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """One forward and backward pass."""
    value = loss(embeddings, labels)
    (gradient,) = torch.autograd.grad(value, embeddings)
    return float(value.detach()), gradient


def seconds(loss: Loss, embeddings: Tensor, labels: Tensor, times: int) -> float:
    """Wall time of one step."""
    started = time.perf_counter()
    for _ in range(times):
        step(loss, embeddings, labels)
    return (time.perf_counter() - started) / times


def peak(loss: Loss, embeddings: Tensor, labels: Tensor) -> int:
    """The most bytes that torch's allocator held at once beyond those it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step(loss, embeddings, labels)
    profiler = recorded.profiler
    if profiler is None or profiler.kineto_results is None:
        raise SystemExit("torch's profiler gave no record of memory")
    events = list(profiler.kineto_results.experimental_event_tree())
    changes = []
    while events:
        event = events.pop()
        events.extend(event.children)
        if event.tag.name == "Allocation":
            changes.append((event.start_time_ns, cast(Any, event.extra_fields).alloc_size))
    held = most = 0
    for _, size in sorted(changes):
        held += size
        most = max(most, held)
    return most


PARTS: dict[str, Callable[[str, int], Any]] = {
    "times": times,
    "busy_times": busy_times,
    "allocated": allocated,
    "resident_ours": lambda name, size: resident(name, size, 0),
    "resident_peer": lambda name, size: resident(name, size, 1),
    "alone": alone,
}
"""What a fresh process may be asked for."""

if __name__ == "__main__":
    main()
