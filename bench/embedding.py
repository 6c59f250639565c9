"""Pictures to vectors: `embed_arrays` beside the same network run as it comes, in the same process and in turns.

    python bench/embedding.py [--quick]

Both sides are given decoded pictures in memory and end with float32 vectors; stacking and
normalising count on both. The bare side is the module in evaluation mode under
`torch.inference_mode()`, in batches of 32 and with all of torch's threads in each operation. Wall
seconds, the median of turns after one that warms up; that the vectors are equal is asserted. Beside
other work the bare side's threads wait for each other: the ratio of two threads is of an idle
machine.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import twofold.nn as encoders
from last_line import print_last_line, row
from twofold.embedding import embed_arrays
from twofold.inputs.image import Image
from twofold.twin import Twin

BARE = 32
NETWORKS = {"efficientnet_lite0": (224, 3, 96), "resnet18": (112, 3, 192), "conv4": (28, 1, 4096)}
"""Side and channels of the pictures, and how many."""


def main() -> None:
    """Each network at each number of threads, then the last line."""
    parser = argparse.ArgumentParser(description="Embedding beside the bare network")
    parser.add_argument(
        "--quick", action="store_true", help="few pictures, to see that both sides agree"
    )
    options = parser.parse_args()
    started, most, results = time.monotonic(), torch.get_num_threads(), []
    for threads in dict.fromkeys((1, most)):
        torch.set_num_threads(threads)
        for name in NETWORKS:
            results += rows_of(
                name, threads, shrink=24 if options.quick else 1, turns=2 if options.quick else 7
            )
    for line in results:
        print(f"{line['name']:>40} {line['value']:12.4g} {line['unit']}", flush=True)
    print_last_line("embedding", started, results)


def rows_of(name: str, threads: int, *, shrink: int, turns: int) -> list[dict[str, Any]]:
    """How many times as fast, how fast, and how far the vectors are apart."""
    side, channels, count = NETWORKS[name]
    torch.default_generator.manual_seed(0)
    twin = Twin(
        Image(size=side, channels=channels),
        getattr(encoders, name)(channels=channels, size=side),
        comparison="cosine",
    ).eval()
    pictures = np.random.default_rng(0).integers(
        0, 256, (count // shrink, *twin.input.example().shape), dtype=np.uint8
    )
    ratios, rates, apart = [], [], 0.0
    for _ in range(turns):
        bare_seconds, expected = timed(lambda: bare(twin, pictures))
        seconds, found = timed(lambda: embed_arrays(twin, list(pictures)))
        apart = max(apart, float(np.abs(found - expected).max()))
        ratios.append(bare_seconds / seconds)
        rates.append(len(pictures) / seconds)
    assert apart < 1e-5, f"the vectors differ by {apart}"
    about = f"{len(pictures)} pictures of {side} x {side}, random weights, {threads} threads, {turns} turns"
    kept = ratios[1:]
    return [
        row(
            f"{name}_{threads}_threads_times_as_fast",
            float(np.median(kept)),
            interval=(min(kept), max(kept)),
            unit="x",
            anchor=f"{about}; the module as it comes, batches of {BARE}",
            seed=0,
        ),
        row(
            f"{name}_{threads}_threads_rate",
            float(np.median(rates[1:])),
            unit="pictures/s",
            anchor=about,
        ),
        row(
            f"{name}_{threads}_threads_largest_difference",
            apart,
            anchor=f"{about}; of unit vectors",
        ),
    ]


def bare(twin: Twin, pictures: np.ndarray) -> np.ndarray:
    """The network as it comes."""
    with torch.inference_mode():
        parts = [
            twin.embed(twin.input.stack(list(pictures[start : start + BARE])))
            for start in range(0, len(pictures), BARE)
        ]
    return torch.cat(parts).numpy()


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds, and what came out."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


if __name__ == "__main__":
    main()
