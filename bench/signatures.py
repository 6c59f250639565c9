"""Signatures of writers never seen in training: SigComp 2011 (Dutch), against a SigNet-like twin in the same run.

    python bench/signatures.py --data DIR [--seed 0] [--quick]

DIR/sigcomp2011_dutch_1bit holds `train` and `test`, with a folder `NNN` of genuine signatures and a
folder `NNN_forg` of skilled forgeries for each writer. The recipe `signature` and a network of the
kind of SigNet (Dey et al. 2017; Hafemann et al. 2017: five convolutions, contrastive loss, half as
wide) train on the writers of `train`. One threshold for all writers of `test`; random and skilled
impostors apart; one reference, and five by the rule relative. Intervals and differences resample
writers. --quick draws its own.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
from torch import nn

from last_line import print_last_line, row
from twofold import Bundle, Items, build
from twofold.calibration.references import reference_pairs
from twofold.embedding import deciding, embed
from twofold.fusion import Fusion, Rule
from twofold.metrics.paired import differences
from twofold.metrics.pairs import Impostors, PairSource
from twofold.metrics.skilled import of_kind
from twofold.metrics.verification import estimates
from twofold.nn.heads import Encoder, initialise
from twofold.recipes import signature, signature_network
from twofold.recruitment import pairs_of
from twofold.train.fit import fit
from twofold.twin import Twin

MANY = 5
"""References of a writer, beside one."""

KINDS: tuple[tuple[Impostors, str], ...] = (("skilled", ""), ("random", "_random"))
"""Of impostors, and what their figures are called."""

GOALS = {1: 0.05, MANY: 0.03}
"""Equal error rates against skilled forgeries."""

EPOCHS = 30
"""Of the SigNet-like network: several times the processor time of the recipe."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model, the processor time that it took, and the pairs that it is measured on."""

    name: str
    minutes: float
    bundle: Bundle
    items: Items
    vectors: np.ndarray

    def pairs(self, count: int, fusion: Fusion) -> PairSource:
        """Single pairs, or sets of so many references beside single items."""
        if count == 1:
            return pairs_of(self.items, deciding(self.bundle, self.vectors))
        rule = Rule(fusion=fusion)
        return reference_pairs(self.bundle, self.items, self.vectors, count=count, rule=rule)


def main() -> None:
    """Train both, measure, print."""
    parser = argparse.ArgumentParser(description="signatures of unseen writers")
    parser.add_argument("--data", type=Path, help="without it, --quick draws its own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="drawn signatures, one epoch")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) if options.quick else options.data / "sigcomp2011_dutch_1bit"
        if options.quick:
            draw(root / "train", 12, seed=1)
            draw(root / "test", 8, seed=2)
        train, test = (Items.from_folder(root / part) for part in ("train", "test"))
        epochs = 1 if options.quick else EPOCHS
        ours = ours_of(train, test, seed=options.seed)
        signet = signet_of(train, test, epochs=epochs, seed=options.seed)
    results = [
        *rows(ours, "", "relative", seed=options.seed),
        *rows(signet, "_signet", "relative", seed=options.seed),
        *rows(ours, "_mean", "mean", seed=options.seed, counts=(MANY,)),
        *gains(ours, signet, seed=options.seed),
    ]
    print_last_line("signatures", started, results)


def ours_of(train: Items, test: Items, *, seed: int) -> Trained:
    """The built-in recipe."""
    recipe = signature()
    began = time.process_time()
    bundle = fit(build.twin(recipe, seed=seed), train, recipe=recipe, seed=seed)
    return measured("signature", began, bundle, test)


def signet_of(train: Items, test: Items, *, epochs: int, seed: int) -> Trained:
    """A twin of SigNet's kind: all pairs of a batch, forgeries of its writers among them; margin 1."""
    recipe = signature_network().replace(
        {
            "input.size": [155, 220],
            "loss": {"name": "contrastive", "squared": True},
            "p": 8,
            "k": 4,
            "epochs": epochs,
            "fewest_steps": 0,
            "optimiser.weight_decay": 5e-4,
        }
    )
    template = build.twin(recipe, seed=seed)
    began = time.process_time()
    twin = Twin(template.input, signet(), "euclidean")
    bundle = fit(twin, train, recipe=recipe, seed=seed)
    return measured("SigNet-like", began, bundle, test)


def signet(dim: int = 128) -> Encoder:
    """SigNet's five convolutions and two layers, half as wide, on 155 x 220 pixels."""

    def convolution(channels: int, maps: int, kernel: int, **settings: Any) -> list[nn.Module]:
        made = nn.Conv2d(channels, maps, kernel, bias=False, **settings)
        return [made, nn.BatchNorm2d(maps), nn.ReLU(inplace=True)]

    trunk = nn.Sequential(
        *convolution(1, 48, 11, stride=4, padding=5),
        nn.MaxPool2d(3, stride=2),
        *convolution(48, 128, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        *convolution(128, 192, 3, padding=1),
        *convolution(192, 192, 3, padding=1),
        *convolution(192, 128, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
    )
    head = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128 * 4 * 6, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(1024, dim),
    )
    return Encoder(initialise(trunk), head, dim=dim, picture=(1, 155, 220))


def measured(name: str, began: float, bundle: Bundle, test: Items) -> Trained:
    """A model with its vectors of the unseen writers."""
    minutes = (time.process_time() - began) / 60
    print(f"{name}: {minutes:.1f} core-minutes", flush=True)
    vectors = embed(bundle, test).vectors
    return Trained(name=name, minutes=minutes, bundle=bundle, items=test, vectors=vectors)


def rows(
    model: Trained,
    suffix: str,
    fusion: Fusion,
    *,
    seed: int,
    counts: tuple[int, ...] = (1, MANY),
) -> list[dict[str, Any]]:
    """Equal error rates against skilled forgeries and random impostors."""
    found = []
    for count in counts:
        pairs = model.pairs(count, fusion)
        rule = "" if count == 1 else f", rule {fusion}"
        said = (
            f"{model.name}, {model.minutes:.1f} core-minutes of training; "
            f"{len(model.items.identities)} unseen writers, "
            f"{count} reference{'s' * (count > 1)}{rule}, one threshold for all"
        )
        for kind, word in KINDS:
            eer = estimates(of_kind(pairs, kind), far=1e-2, unit="writer", seed=seed)["eer"]
            goal = GOALS[count] if kind == "skilled" and not suffix else None
            found.append(
                row(
                    f"signature_eer{word}_{count}{suffix}",
                    eer.value,
                    interval=(eer.low, eer.high),
                    unit=f"interval over {eer.resampled} writers",
                    goal=goal,
                    anchor=f"{kind} impostors; {said}",
                    seed=seed,
                )
            )
    return found


def gains(ours: Trained, other: Trained, *, seed: int) -> list[dict[str, Any]]:
    """By how much the equal error rate against skilled forgeries is lower: paired over writers."""
    found = []
    for count in (1, MANY):
        both = [of_kind(each.pairs(count, "relative"), "skilled") for each in (other, ours)]
        gain = differences(*both, unit="writer", seed=seed)["eer"]
        found.append(
            row(
                f"signature_gain_{count}",
                gain.gain,
                interval=(gain.low, gain.high),
                goal=0.0,
                anchor=f"equal error rate of {other.name} ({other.minutes:.1f} core-minutes) minus "
                f"that of the recipe ({ours.minutes:.1f}); same pairs, paired over writers",
                seed=seed,
            )
        )
    return found


def draw(folder: Path, writers: int, *, seed: int) -> None:
    """Signatures as chains of strokes; a forger traces them with a hand that shakes."""
    generator = np.random.default_rng(seed)
    for number in range(writers):
        path = generator.uniform(0, 1, (6, 2))
        for suffix, shake in (("", 0.02), ("_forg", 0.08)):
            place = folder / f"{number:03}{suffix}"
            place.mkdir(parents=True)
            for item in range(8):
                points = path + generator.normal(0, shake, path.shape)
                drawing = PIL.Image.new("L", (300, 150), 255)
                ends = [(30 + 240 * x, 20 + 110 * y) for x, y in points]
                PIL.ImageDraw.Draw(drawing).line(ends, fill=0, width=3)
                drawing.save(place / f"{item}.png")


if __name__ == "__main__":
    main()
