"""Do thresholds hold on people and characters that nobody trained on? Halves of real data, with a pretrained network.

    python bench/real_people.py [--omniglot DIR] [--lfw DIR] [--quick]

Omniglot: DIR/images_evaluation, 659 characters of 20 alphabets, four drawings of each. LFW:
DIR/images, up to two pictures of each person. A random half calibrates, fifty times; the rate at
its threshold is measured on the other half, which is a sample itself (some of what counts as a
violation is its own luck), and on all, where luck errs the other way. Every couple of identities
counts once. Nothing was trained on either.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from last_line import print_last_line, row
from twofold import Bundle, Items, embed
from twofold.errors import CannotCertify
from twofold.metrics.certification import certify
from twofold.metrics.guarantee import guarantee
from twofold.metrics.pairs import AllPairs
from twofold.metrics.verification import tally

HALVES = 50
ASKED = {
    "omniglot": ((certify, "certified", 1e-2), (guarantee, "guaranteed", 2e-2)),
    "lfw": (
        (certify, "certified", 1e-2),
        (certify, "certified", 1e-3),
        (guarantee, "guaranteed", 1e-2),
    ),
}
"""What the numbers of identities in a half allow: 329 characters, about 1,500 people."""


def main() -> None:
    """Both sets of data, then the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--omniglot", type=Path, help="the folder that holds images_evaluation")
    parser.add_argument("--lfw", type=Path, help="the folder that holds images/NAME/NAME_0001.jpg")
    parser.add_argument("--quick", action="store_true", help="few halves and few identities")
    options = parser.parse_args()
    started, results = time.monotonic(), []
    bundle = Bundle.pretrained()
    if options.omniglot:
        items = Items.from_folder(options.omniglot / "images_evaluation", levels=2)
        results += measured("omniglot", bundle, items, each=4, quick=options.quick)
    if options.lfw:
        items = Items.from_folder(options.lfw / "images")
        results += measured("lfw", bundle, items, each=2, quick=options.quick)
    print_last_line("real_people", started, results)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """All scores of some identities' items, those of an identity side by side."""

    scores: np.ndarray
    identity: np.ndarray

    def pairs(self, members: np.ndarray) -> AllPairs:
        """Every pair of the items of these identities."""
        places = np.flatnonzero(np.isin(self.identity, members))
        return AllPairs(
            lambda rows, cols: self.scores[np.ix_(places[rows], places[cols])].astype(np.float64),
            self.identity[places],
        )

    def rate(self, threshold: float, members: np.ndarray) -> float:
        """False-accept rate of these identities, every two of them counting once."""
        places = np.flatnonzero(np.isin(self.identity, members))
        owner = np.unique(self.identity[places], return_inverse=True)[1]
        starts = np.flatnonzero(np.append(True, np.diff(owner) > 0))
        sizes = np.diff(np.append(starts, len(owner)))
        hits = (self.scores[np.ix_(places, places)] >= threshold).astype(np.float32)
        shares = np.add.reduceat(np.add.reduceat(hits, starts, axis=0), starts, axis=1) / np.outer(
            sizes, sizes
        )
        np.fill_diagonal(shares, 0.0)
        return float(shares.sum() / (len(sizes) * (len(sizes) - 1.0)))


def measured(
    name: str, bundle: Bundle, items: Items, *, each: int, quick: bool
) -> list[dict[str, Any]]:
    """Violations of every standing on one set of data."""
    scored = embedded(bundle, items, each=each, most=120 if quick else len(items.identities))
    identities, rows = int(scored.identity.max()) + 1, []
    for method, standing, far in ((certify, "certified", 0.1),) if quick else ASKED[name]:
        shares = np.array(
            [shared(scored, method, far, seed) for seed in range(3 if quick else HALVES)]
        )
        rows += told(f"{name}_{standing}_{far:.0e}".replace("e-0", "e-"), shares, identities // 2)
    return rows


def embedded(bundle: Bundle, items: Items, *, each: int, most: int) -> Scored:
    """The scores of the first items of each identity."""
    bundle.refuse_trained(items)
    order = np.argsort(items.identity, kind="stable")
    owner = items.identity[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    kept = order[(rank < each) & (owner < most)]
    vectors = embed(bundle, items.take(kept)).vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Scored(
        scores=vectors @ vectors.T, identity=np.unique(items.identity[kept], return_inverse=True)[1]
    )


def shared(scored: Scored, method: Any, far: float, seed: int) -> tuple[float, float]:
    """The rate at a half's threshold as a share of the asked one: on the other half, and on all."""
    everybody = np.random.default_rng(seed).permutation(int(scored.identity.max()) + 1)
    half = len(everybody) // 2
    pairs = scored.pairs(everybody[:half])
    try:
        threshold = method(pairs, far, counted=tally(pairs)).threshold
    except CannotCertify:
        return np.nan, np.nan
    return scored.rate(threshold, everybody[half:]) / far, scored.rate(threshold, everybody) / far


def told(name: str, shares: np.ndarray, identities: int) -> list[dict[str, Any]]:
    """How often the rate was above the asked one."""
    rows = []
    for place, whom in enumerate(("", "_against_all")):
        above, repeats = int((shares[:, place] > 1.0).sum()), len(shares)
        ends = stats.binomtest(above, repeats).proportion_ci()
        refused = int(np.isnan(shares[:, place]).sum())
        said = f"{repeats} halves of {identities} identities, {refused} refused, "
        said += (
            f"median share {np.nanmedian(shares[:, place]):.2f}"
            if refused < repeats
            else "no share"
        )
        print(f"{name}{whom}: {above} of {repeats} above; {said}", flush=True)
        interval = (float(ends.low), float(ends.high))
        goal = None if place else 0.05
        rows.append(
            row(
                f"real_violation_{name}{whom}",
                above / repeats,
                interval=interval,
                goal=goal,
                anchor=said,
            )
        )
    return rows


if __name__ == "__main__":
    main()
