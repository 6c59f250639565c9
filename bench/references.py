"""Five references against one: how much fewer errors, on the same people and the same probes.

    python bench/references.py --data DIR [--model face] [--references 5] [--seed 0] [--quick]

DIR holds orl_faces (40 people, 10 pictures each) and lfw_view1_112 (its people with six pictures
and more). Nothing is trained: `--model` is a bundle, or the word face or pretrained. Each set of
references is compared with every picture that is not in it, once by all of them and once by the
first alone, so that both sides see the same pairs. Intervals resample people; differences are
paired. No threshold is chosen.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from last_line import print_last_line, row
from twofold import Bundle, Items
from twofold.calibration.references import set_scores
from twofold.embedding import embed_readable
from twofold.fusion import Rule
from twofold.metrics.paired import differences
from twofold.metrics.reference_pairs import ReferencePairs, reference_sets
from twofold.metrics.verification import estimates


def main() -> None:
    """Embed, compare, print."""
    parser = argparse.ArgumentParser(description="several references against one")
    parser.add_argument("--data", type=Path, help="without it, --quick draws its own")
    parser.add_argument("--model", default="face")
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="drawn pictures and pretrained")
    options = parser.parse_args()
    started = time.monotonic()
    model = "pretrained" if options.quick else options.model
    bundle = Bundle.load(model)
    asked = {"count": options.references, "seed": options.seed}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        sets = drawn(Path(folder)) if options.quick else real(options.data)
        for name, items in sets.items():
            results += compared(name, bundle, items, model=model, **asked)
    print_last_line("references", started, results)


def real(data: Path) -> dict[str, Items]:
    """People with pictures enough, of both sets."""
    orl = Items.from_folder(data / "orl_faces")
    lfw = Items.from_folder(data / "lfw_view1_112" / "images")
    return {"orl": orl, "lfw": lfw}


def drawn(folder: Path) -> dict[str, Items]:
    """Twenty patterns with noise, eight pictures of each."""
    generator = np.random.default_rng(0)
    for identity in range(20):
        pattern = generator.integers(0, 256, (32, 32, 3))
        (folder / f"p{identity}").mkdir()
        for number in range(8):
            picture = np.clip(pattern + generator.normal(0, 60, pattern.shape), 0, 255)
            place = folder / f"p{identity}" / f"{number}.png"
            PIL.Image.fromarray(picture.astype(np.uint8)).save(place)
    return {"drawn": Items.from_folder(folder)}


def compared(
    name: str, bundle: Bundle, items: Items, *, model: str, count: int, seed: int
) -> list[dict[str, Any]]:
    """The equal error rate of one reference, and what each rule for several of them gains."""
    sizes = np.bincount(items.identity)
    kept = [items.identities[code] for code in np.flatnonzero(sizes > count)]
    part, vectors = embed_readable(bundle, items.where(identities=kept))
    sets = reference_sets(part.labels, count, seed=seed)
    print(f"{name}: {len(part)} pictures of {len(part.identities)} people", flush=True)
    people = {"labels": part.labels, "identity": part.identity}
    first = set_scores(bundle, vectors, sets[:, :1], Rule(fusion="best"))
    single = ReferencePairs(first, sets, **people)
    said = (
        f"{model}, {len(part.identities)} people, {len(part)} pictures, {len(sets)} sets of "
        f"{count}; seed {seed}; intervals over people"
    )
    one = estimates(single, far=1e-2, seed=seed)["eer"]
    rows = [row(f"{name}_eer_1", one.value, interval=(one.low, one.high), anchor=said)]
    for rule in (Rule(fusion="mean"), Rule(fusion="best")):
        several = ReferencePairs(set_scores(bundle, vectors, sets, rule), sets, **people)
        found = estimates(several, far=1e-2, seed=seed)["eer"]
        gain = differences(single, several, seed=seed)["eer"]
        rows += [
            row(
                f"{name}_eer_{count}_{rule.fusion}",
                found.value,
                interval=(found.low, found.high),
                anchor="the same sets and probes",
            ),
            row(
                f"references_gain_{name}_{rule.fusion}",
                gain.gain,
                interval=(gain.low, gain.high),
                goal=0.0,
                anchor=f"equal error rate of one reference minus that of {count}; paired",
            ),
        ]
    return rows


if __name__ == "__main__":
    main()
