"""Does it help to train on 2,132 people of LFW, where a network of faces is at hand? Frozen against a head on it.

    python bench/face_tuning.py --data DIR [--lfw DIR] [--cache DIR] [--seeds 0 1] [--quick]

LFW, View 1 (Huang et al. 2007): DIR/lfw_view1_112, as for face_pretrained.py. The vectors of dlib's
network are made once (`--cache` keeps them, and takes those of face_pretrained.py). A head is trained
on those of DevTrain's people: the recipe `head`, and the whitening within classes in closed form.
Both are compared with the vectors as they are on the pairs of DevTest; intervals of the differences
leave out people.
"""

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from face_pretrained import Faces, ends_of, faces_of, listed, pairs_in
from last_line import print_last_line, row
from twofold import Items, build
from twofold.embedding import embed
from twofold.errors import SeveralFaces
from twofold.metrics.paired import differences
from twofold.nn.whitening import within_class_whitening
from twofold.recipes import head
from twofold.train.fit import fit

DIM = 128
"""Numbers of dlib's vectors, and of those of the heads."""


def main() -> None:
    """Embed, train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lfw", type=Path, default=None)
    parser.add_argument("--cache", type=Path, default=None, help="a folder for the vectors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="few pictures, to see that all runs")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SeveralFaces)
    torch.set_num_threads(1)
    started = time.monotonic()
    folder = options.lfw or options.data / "lfw_view1_112"
    train, test = (pairs_in(folder / f"pairsDev{part}.txt") for part in ("Train", "Test"))
    if options.quick:
        train, test = train[:20] + train[-20:], test[:20] + test[-20:]
    found = faces_of(pictures(folder, train + test), cache=options.cache)
    known = ends_of(train)
    names = [name for name in found.place if name in known]
    rows = np.array([found.place[name] for name in names])
    people = Items.from_arrays(list(found.raw[rows]), [name.split("/")[0] for name in names])
    results = compared("whitened", found, whitened(found, people), test)
    for seed in options.seeds[:1] if options.quick else options.seeds:
        results += compared("head", found, trained(found, people, seed), test, seed=seed)
    print(*(f"{each['name']} {each['value']:.4f}" for each in results), sep="\n", flush=True)
    print_last_line("face_tuning", started, results)


def pictures(folder: Path, pairs: list[tuple[str, str, bool]]) -> Items:
    """The pictures that stand in pairs, in the order in which face_pretrained.py takes them."""
    names = sorted(ends_of(pairs))
    return Items.from_arrays(
        [folder / "images" / name for name in names],
        [name.split("/")[0] for name in names],
        ids=names,
    )


def trained(found: Faces, people: Items, seed: int) -> np.ndarray:
    """All vectors through a head that was trained on those of `people`."""
    recipe = head().replace({"input.size": DIM, "encoder.dim": DIM})
    bundle = fit(build.twin(recipe, seed=seed), people, recipe=recipe, seed=seed)
    everything = Items.from_arrays(list(found.raw), [str(code) for code in found.person])
    return embed(bundle, everything).vectors


def whitened(found: Faces, people: Items) -> np.ndarray:
    """All vectors through the whitening within classes that `people` give."""
    known = torch.from_numpy(np.stack([np.asarray(value) for value in people.values]))
    mean, matrix = within_class_whitening(known, torch.from_numpy(people.labels), dim=DIM)
    return (found.raw - mean.numpy()) @ matrix.numpy().T


def compared(
    name: str,
    frozen: Faces,
    vectors: np.ndarray,
    test: list[tuple[str, str, bool]],
    *,
    seed: int | None = None,
) -> list[dict[str, Any]]:
    """By how much a head is better than the vectors as they are, on the pairs of DevTest."""
    sides = listed(frozen, test), listed(replace(frozen, raw=vectors), test)
    told = differences(*sides, unit="person")
    return [
        row(
            f"lfw_{name}_gain_{number}",
            each.gain,
            interval=(each.low, each.high),
            unit="better than frozen, if above 0; interval over people",
            anchor=f"frozen {each.a:.4f}, {name} {each.b:.4f}; DevTest",
            seed=seed,
        )
        for number, each in told.items()
    ]


if __name__ == "__main__":
    main()
