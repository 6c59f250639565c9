"""Losses over all pairs of a batch against pytorch-metric-learning: time and memory, forward and backward.

    python bench/losses.py [--quick] [--threads 1]

Each figure comes from a process of its own (--quick: all from one), in which ours and the peer take turns on the same
embeddings (128-d, eight of a class, spread over 16 directions as trained embeddings are, so that the hinges have work);
value and gradient are asserted to be equal before anything is timed. Time is the median of the repeats. Memory is the
peak of torch's allocator beyond what was there before the call; ours counts as at least 1 MB.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, cast

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
LARGE = {
    "all_triplets": 1024,
    "nt_xent": 256,
    "semi_hard": 2048,
    "batch_hard": 2048,
    "supcon": 4096,
    "contrastive": 2048,
}
QUICK = {"all_triplets": 256, "nt_xent": 96, "semi_hard": 512, "batch_hard": 512, "supcon": 512, "contrastive": 512}
SMALL = (64, 128)
TIME_GOALS = {"all_triplets": 80, "nt_xent": 1000, "semi_hard": 30, "batch_hard": 8, "supcon": 9, "contrastive": 4}
MEMORY_GOALS = {"all_triplets": 100, "nt_xent": 500, "semi_hard": 50, "batch_hard": 14, "supcon": 46, "contrastive": 10}
MEGABYTE = 2**20

Loss = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    """Every row in its own process, then the last line."""
    parser = argparse.ArgumentParser(description="Losses against pytorch-metric-learning")
    parser.add_argument("--quick", action="store_true", help="small batches, to see that everything runs and agrees")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="one loss")
    parser.add_argument("--one", nargs=2, metavar=("LOSS", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measured(options.one[0], int(options.one[1]))))
        return
    started = time.monotonic()
    chosen = {name: size for name, size in (QUICK if options.quick else LARGE).items() if options.only in (None, name)}
    results: list[dict[str, Any]] = []
    for name, large in chosen.items():
        for size in (large,) if options.quick else (*SMALL, large):
            found = measured(name, size) if options.quick else in_own_process(name, size, options.threads)
            results += rows(name, size, found, options.threads)
    if options.only in (None, "nt_xent"):
        peak = in_own_process("nt_xent_alone", 2048 if options.quick else 8192, options.threads)["ours_bytes"]
        results.append(row("nt_xent_8192_peak_mb", peak / MEGABYTE, unit="MB", goal=100, anchor="alone, at batch 8192"))
    print_last_line("losses", started, results)


def in_own_process(name: str, size: int, threads: int) -> dict[str, Any]:
    """`measured` in a fresh process."""
    command = [sys.executable, __file__, "--one", name, str(size), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} at {size} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def rows(name: str, size: int, found: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    """Figures of one loss at one batch, and a line about them."""
    ratios = sorted(theirs / ours for theirs, ours in zip(found["peer_seconds"], found["ours_seconds"], strict=True))
    ours, theirs = statistics.median(found["ours_seconds"]), statistics.median(found["peer_seconds"])
    memory = found["peer_bytes"] / max(MEGABYTE, found["ours_bytes"])
    print(
        f"{name:>13} {size:>5}  {theirs * 1e3:9.2f} ms -> {ours * 1e3:8.2f} ms  x {theirs / ours:7.2f}"
        f"   {found['peer_bytes'] / MEGABYTE:7.1f} MB -> {found['ours_bytes'] / MEGABYTE:6.1f} MB  x {memory:6.1f}",
        flush=True,
    )
    small = size in SMALL
    anchor = f"pytorch-metric-learning 2.9.0, same process, {threads} thread(s)"
    return [
        row(
            f"{name}_{size}_time_ratio",
            theirs / ours,
            interval=(ratios[0], ratios[-1]),
            unit="x",
            goal=0.9 if small else TIME_GOALS[name],
            anchor=f"{anchor}; low and high: the worst and best repeat",
        ),
        row(
            f"{name}_{size}_memory_ratio",
            memory,
            unit="x",
            goal=None if small else MEMORY_GOALS[name],
            anchor=anchor,
        ),
    ]


def measured(name: str, size: int) -> dict[str, Any]:
    """Times and peaks of both sides, after they were found to be equal."""
    embeddings, labels = batch(size)
    if name == "nt_xent_alone":
        return {"ours_bytes": peak(pair("nt_xent")[0], embeddings, labels)}
    ours, theirs = pair(name)
    assert_equal(ours, theirs, embeddings, labels)
    ours_seconds, peer_seconds = [], []
    inner = max(1, min(50, round(0.02 / seconds(ours, embeddings, labels, 1))))
    budget = time.monotonic() + (1 if size in QUICK.values() else 12)
    while len(ours_seconds) < 3 or (len(ours_seconds) < 25 and time.monotonic() < budget):
        ours_seconds.append(seconds(ours, embeddings, labels, inner))
        peer_seconds.append(seconds(theirs, embeddings, labels, inner if size in SMALL and name != "nt_xent" else 1))
    return {
        "ours_seconds": ours_seconds,
        "peer_seconds": peer_seconds,
        "ours_bytes": peak(ours, embeddings, labels),
        "peer_bytes": peak(theirs, embeddings, labels),
    }


def batch(size: int) -> tuple[Tensor, Tensor]:
    """Embeddings with a gradient, and their classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(size) // PER_CLASS
    spread = generator.normal(size=(labels.max() + 1, 16))[labels] * 0.7 + generator.normal(size=(size, 16))
    vectors = spread @ generator.normal(size=(16, DIM)) / 4 + 0.1 * generator.normal(size=(size, DIM))
    return torch.from_numpy(vectors).float().requires_grad_(), torch.from_numpy(labels)


def pair(name: str) -> tuple[Loss, Loss]:
    """Ours and the peer's, as functions of the same embeddings; the peer's default is unit length."""
    unit = torch.nn.functional.normalize
    cosine, euclidean = Plain("cosine"), Plain("euclidean")
    if name in ("nt_xent", "supcon"):
        loss = {"nt_xent": losses.nt_xent, "supcon": losses.supcon}[name]
        theirs = {"nt_xent": peer.NTXentLoss(), "supcon": peer.SupConLoss()}[name]
        return lambda x, y: loss(x, y, comparison=cosine), theirs
    if name == "contrastive":
        return lambda x, y: losses.contrastive(unit(x), y, comparison=euclidean), peer.ContrastiveLoss()
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


def assert_equal(ours: Loss, theirs: Loss, embeddings: Tensor, labels: Tensor) -> None:
    """Value to 1e-5 of itself, gradient to 1e-4 of its length: float32 on both sides."""
    (value, gradient), (expected, reference) = ((step(one, embeddings, labels)) for one in (ours, theirs))
    off = abs(value - expected) / abs(expected)
    gradient_off = float((gradient - reference).norm() / reference.norm())
    if not off < 1e-5 or not gradient_off < 1e-4:
        raise SystemExit(f"not equal: {value} and {expected}; gradients differ by {gradient_off:.1e} of their length")


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


if __name__ == "__main__":
    main()
