"""A forgery among the references of a writer: how often the doctor names it, and how often it accuses sound ones.

    python bench/signature_references.py --data DIR [--seed 0]

DIR/sigcomp2011_dutch_1bit as in bench/signatures.py. The recipe `signature` trains on 70 % of the
writers of `train`; the others set the thresholds (rule relative, up to four references, a false-
reject rate of 1 % per signature, estimates). Of each writer of `test` 20 sets of five genuine signatures are
drawn, and 20 of four with one skilled forgery. Intervals resample writers.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from last_line import print_last_line, row
from twofold import Bundle, Items
from twofold.apps.odd_references import odd_references
from twofold.calibration.pairs import calibrate
from twofold.calibration.references import calibrate_references
from twofold.embedding import embed
from twofold.recipes import signature
from twofold.train.fit import fit_recipe

DRAWS, SIZE = 20, 5
"""Sets of each writer, and signatures of each."""

FRR = 0.01
"""Of one signature, so that about one sound set in twenty is accused."""


def main() -> None:
    """Train, set thresholds, draw, print."""
    parser = argparse.ArgumentParser(description="a forgery among references")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, root = time.monotonic(), options.data / "sigcomp2011_dutch_1bit"
    train, test = (Items.from_folder(root / part) for part in ("train", "test"))
    began = time.process_time()
    bundle = trained(train, seed=options.seed)
    said = (
        f"{(time.process_time() - began) / 60:.1f} core-minutes of training and calibration; "
        f"{len(test.identities)} unseen writers, {DRAWS} sets of {SIZE} each, by thresholds for a "
        f"false-reject rate of {FRR:.0%} per signature"
    )
    found = judged(bundle, test, embed(bundle, test).vectors, seed=options.seed)
    results = [
        figure(name, values, f"{what}; {said}", seed=options.seed)
        for (name, what), values in found.items()
    ]
    print_last_line("signature_references", started, results)


def trained(train: Items, *, seed: int) -> Bundle:
    """A bundle with thresholds for two to four references, from writers that it was not trained on."""
    split = {"train": 0.7, "valid": 0.0, "calibrate": 0.3, "test": 0.0, "folds": 0}
    recipe = signature().replace({f"split.{name}": share for name, share in split.items()})
    bundle = fit_recipe(recipe, train, seed=seed, fixed=tuple(f"split.{name}" for name in split))
    bundle = calibrate(bundle, train, far=0.1, frr=FRR, standing="estimate", seed=seed)
    return calibrate_references(
        bundle, train, count=SIZE - 1, fusion="relative", standing="estimate", seed=seed
    )


def judged(
    bundle: Bundle, test: Items, vectors: np.ndarray, *, seed: int
) -> dict[tuple[str, str], list[float]]:
    """Of each writer: the share of sets in which the forgery is named, and of sound sets with an accusation."""
    generator = np.random.default_rng(seed)
    named: list[float] = []
    accused: list[float] = []
    for code in range(len(test.identities)):
        mine = test.identity == code
        genuine, forged = np.flatnonzero(mine & ~test.forged), np.flatnonzero(mine & test.forged)
        hits = alarms = 0
        for _ in range(DRAWS):
            sound = generator.choice(genuine, SIZE, replace=False)
            spoilt = np.append(sound[:-1], generator.choice(forged))
            alarms += len(suspects(bundle, vectors[sound])) > 0
            hits += SIZE - 1 in suspects(bundle, vectors[spoilt])
        named.append(hits / DRAWS)
        accused.append(alarms / DRAWS)
    return {
        (
            "signature_references_named",
            "share of sets with one skilled forgery in which it is named",
        ): named,
        (
            "signature_references_accused",
            "share of sets of genuine signatures in which one or more are accused",
        ): accused,
    }


def suspects(bundle: Bundle, vectors: np.ndarray) -> list[int]:
    """Which of some references of one writer the doctor names."""
    found = odd_references(bundle, vectors, np.zeros(len(vectors), dtype=np.int64))
    return [] if found is None else found.suspects.tolist()


def figure(name: str, values: list[float], anchor: str, *, seed: int) -> dict[str, Any]:
    """The mean over writers; the interval resamples them."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return row(
        name,
        float(np.mean(values)),
        interval=(float(low), float(high)),
        unit=f"interval over {len(values)} writers",
        anchor=anchor,
        seed=seed,
    )


if __name__ == "__main__":
    main()
