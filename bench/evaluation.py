"""Recall@1 and MAP@R of many embeddings against pytorch-metric-learning's AccuracyCalculator: time and peak memory.

    python bench/evaluation.py [--quick] [--threads 2] [--million]

Embeddings are 128-d, eight of a class, float32. Every figure comes from a fresh process: the time
is that of the call alone, the peak is the process's resident memory, libraries and embeddings
included. Both sides' numbers are asserted to be equal. The peer is measured in two ways: with
k="max_bin_count", its best setting (as many neighbours as MAP@R looks at, from its own faiss
index), at the size itself; and with its defaults, which rank all items for every query and cannot
hold 100,000, so that this figure is extrapolated from two sizes, by the exponents that they gave.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from last_line import print_last_line, row

DIM, PER_CLASS = 128, 8
NAMES = {"recall_at_1": "precision_at_1", "map_at_r": "mean_average_precision_at_r"}
PEERS = {"best": "max_bin_count", "default": None}

Call = Callable[[], dict[str, float]]
Run = Callable[[str, int, int], dict[str, Any]]


def main() -> None:
    """Every measurement in its own process, then the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few embeddings, to see that everything runs and agrees",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--million",
        action="store_true",
        help="10^6 embeddings too: about half an hour on two cores",
    )
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one[0], int(options.one[1]))))
        return
    started = time.monotonic()
    size, small = (3_000, (400, 800)) if options.quick else (100_000, (2_500, 5_000))
    run = in_this_process if options.quick else in_own_process
    results = against_best(size, options.threads, 1 if options.quick else options.repeats, run)
    results += against_default(size, small, options.threads, run, ours=results[1]["value"])
    results += rates(size, options.threads)
    if options.million:
        results += alone(1_000_000, options.threads)
    print_last_line("evaluation", started, results)


def against_best(size: int, threads: int, repeats: int, run: Run) -> list[dict[str, Any]]:
    """The peer at its best setting and ours, in turns."""
    found = {side: [] for side in ("ours", "best")}
    for _ in range(repeats):
        for side, runs in found.items():
            runs.append(run(side, size, threads))
        assert_equal(found["ours"][-1], found["best"][-1])
    ours, theirs = (
        statistics.median(run["seconds"] for run in found[side]) for side in ("ours", "best")
    )
    ratios = sorted(
        b["seconds"] / a["seconds"] for a, b in zip(found["ours"], found["best"], strict=True)
    )
    peaks = [max(run["peak_mb"] for run in found[side]) for side in ("ours", "best")]
    print(
        f"{size}: {theirs:.2f} s -> {ours:.2f} s, x {theirs / ours:.2f}; {peaks[1]:.0f} MB -> "
        f"{peaks[0]:.0f} MB"
    )
    anchor = f"AccuracyCalculator 2.9.0, k='max_bin_count' (its own faiss index), {size} x {DIM}, {threads} thread(s)"
    label = of(size)
    return [
        row(
            f"evaluation_{label}_time_ratio",
            theirs / ours,
            interval=(ratios[0], ratios[-1]),
            unit="x",
            goal=10,
            anchor=f"{anchor}; low and high: the worst and best repeat",
        ),
        row(
            f"evaluation_{label}_seconds",
            ours,
            unit="s",
            anchor=f"{size} x {DIM}, {threads} thread(s)",
        ),
        row(
            f"evaluation_{label}_peak_mb",
            peaks[0],
            unit="MB",
            goal=500,
            anchor=f"resident memory of a fresh process; the peer's: {peaks[1]:.0f} MB",
        ),
    ]


def against_default(
    size: int, small: tuple[int, int], threads: int, run: Run, *, ours: float
) -> list[dict[str, Any]]:
    """The peer's defaults at two sizes that it can hold, and what they would take at `size` by their exponents."""
    runs = [run("default", items, threads) for items in small]
    for items, found in zip(small, runs, strict=True):
        assert_equal(run("ours", items, threads), found)
    laws = {}
    for key in ("seconds", "added_mb"):
        exponent = math.log(runs[1][key] / runs[0][key]) / math.log(small[1] / small[0])
        laws[key] = exponent, runs[1][key] * (size / small[1]) ** exponent
    (time_exponent, seconds), (memory_exponent, megabytes) = laws.values()
    print(
        f"{size}, defaults, EXTRAPOLATED: {seconds:.0f} s (exponent {time_exponent:.2f}), "
        f"{megabytes / 1e3:.0f} GB"
    )
    said = (
        f"EXTRAPOLATED from AccuracyCalculator's defaults at {small[0]} ({runs[0]['seconds']:.2f} "
        f"s, "
        f"{runs[0]['added_mb']:.0f} MB) and {small[1]} ({runs[1]['seconds']:.2f} s, "
        f"{runs[1]['added_mb']:.0f} MB)"
    )
    return [
        row(
            f"evaluation_{of(size)}_default_time_ratio_extrapolated",
            seconds / ours,
            unit="x",
            anchor=f"{said}, time grows with exponent {time_exponent:.2f}; ours is measured at "
            f"{size}",
        ),
        row(
            f"evaluation_{of(size)}_default_peer_mb_extrapolated",
            megabytes,
            unit="MB",
            anchor=f"{said}, memory grows with exponent {memory_exponent:.2f}",
        ),
    ]


def rates(size: int, threads: int) -> list[dict[str, Any]]:
    """Equal error rate, AUC and true-accept rate with intervals, from all genuine and the drawn impostor pairs."""
    run = in_own_process("rates", size, threads)
    said = f"{run['genuine']} genuine and {run['impostor']} impostor pairs, with identity-level intervals"
    print(f"{size}: error rates in {run['seconds']:.1f} s, {run['peak_mb']:.0f} MB, {said}")
    name = f"evaluation_{of(size)}_error_rates"
    return [
        row(f"{name}_seconds", run["seconds"], unit="s", anchor=said),
        row(
            f"{name}_peak_mb",
            run["peak_mb"],
            unit="MB",
            anchor="resident memory of a fresh process",
        ),
    ]


def alone(size: int, threads: int) -> list[dict[str, Any]]:
    """Ours at a size where no peer runs."""
    run = in_own_process("ours", size, threads)
    print(f"{size}: {run['seconds']:.0f} s, {run['peak_mb']:.0f} MB")
    held = f"{size} x {DIM}, of which the embeddings are {size * DIM * 4 / 2**20:.0f} MB, {threads} thread(s)"
    return [
        row(f"evaluation_{of(size)}_seconds", run["seconds"], unit="s", anchor=held),
        row(f"evaluation_{of(size)}_peak_mb", run["peak_mb"], unit="MB", anchor=held),
        *rates(size, threads),
    ]


def of(size: int) -> str:
    """100000 -> "100k"."""
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1000}k"


def in_own_process(side: str, items: int, threads: int) -> dict[str, Any]:
    """`measured` in a fresh process with so many threads."""
    command = [
        *("env", *(f"{name}_NUM_THREADS={threads}" for name in ("OMP", "OPENBLAS", "MKL"))),
        *(sys.executable, __file__, "--one", side, str(items)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} at {items} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def in_this_process(side: str, items: int, threads: int) -> dict[str, Any]:
    """`measured` without the start of a process, for --quick: its peak is that of all calls so far."""
    del threads
    return measured(side, items)


def measured(side: str, items: int) -> dict[str, Any]:
    """Seconds of one call, the process's peak, what the call added to it, and the numbers."""
    vectors, labels = embeddings(items)
    call = {"ours": ours, "rates": error_rates}.get(side, peer)(side, vectors, labels)
    before = peak()
    started = time.perf_counter()
    numbers = call()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mb": peak(), "added_mb": max(peak() - before, 1.0), **numbers}


def embeddings(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random centres, so that about half of the neighbours are right; and their classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(items) // PER_CLASS
    centres = generator.standard_normal((int(labels.max()) + 1, DIM), dtype=np.float32)
    vectors = generator.standard_normal((items, DIM), dtype=np.float32)
    # in place: the embeddings shall be what the memory is measured from
    for start in range(0, items, 1 << 16):
        part = slice(start, start + (1 << 16))
        vectors[part] = 1.4 * vectors[part] + centres[labels[part]]
        vectors[part] /= np.linalg.norm(vectors[part], axis=1, keepdims=True)
    return vectors, labels


def ours(_: str, vectors: np.ndarray, labels: np.ndarray) -> Call:
    """What `evaluate` does for its search numbers, intervals apart."""
    from twofold.metrics.retrieval import query_values

    score = scores(vectors)
    return lambda: {
        name: float(np.nanmean(each)) for name, each in query_values(score, labels, ks=(1,)).items()
    }


def error_rates(_: str, vectors: np.ndarray, labels: np.ndarray) -> Call:
    """What `evaluate` does for its error rates."""
    from twofold.metrics.sampled_pairs import SampledPairs
    from twofold.metrics.verification import estimates

    score = scores(vectors)

    def call() -> dict[str, float]:
        pairs = SampledPairs(score, labels)
        found = {name: each.value for name, each in estimates(pairs, far=1e-3).items()}
        genuine = [int(block.same.sum()) for block in pairs]
        pieces = [len(block.same) for block in pairs]
        return {**found, "genuine": sum(genuine), "impostor": sum(pieces) - sum(genuine)}

    return call


def scores(vectors: np.ndarray) -> Any:
    """The scores that `evaluate` ranks by."""
    from torch import nn

    from twofold.inputs.image import Image
    from twofold.ranking import ranking
    from twofold.twin import Twin

    return ranking(Twin(Image(), nn.Flatten(), "cosine"), vectors)


def peer(side: str, vectors: np.ndarray, labels: np.ndarray) -> Call:
    """AccuracyCalculator at its best setting or at its defaults, asked for the same two numbers."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(include=tuple(NAMES.values()), k=PEERS[side])

    def call() -> dict[str, float]:
        found = calculator.get_accuracy(vectors, labels)
        return {name: float(found[theirs]) for name, theirs in NAMES.items()}

    return call


def peak() -> float:
    """The most resident memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform == "linux" else 1 << 20
    )


def assert_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """To 1e-5: float32 on both sides, where neighbours a rounding apart may change places."""
    for name in NAMES:
        if not abs(ours[name] - theirs[name]) < 1e-5:
            raise SystemExit(f"not equal: {name} is {ours[name]} here and {theirs[name]} there")


if __name__ == "__main__":
    main()
