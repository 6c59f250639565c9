"""A photograph from the shelf finds its product in the catalogue: Grocery Store (Klasson et al. 2019), 81 classes.

    python bench/groceries.py --data DIR [--seed 0] [--fine-tune EPOCHS] [--quick]

DIR/grocery_store_160 (or DIR itself) in the public layout: `classes.csv`, `train.txt`, `val.txt`,
`test.txt`, `iconic-images-and-descriptions`; photographs that a list names and that are not there
are left out. Every class has one catalogue picture. Measured: the model out of the box on all
classes; and, trained on half of the classes (recipe `few_photos`), on the other half, which is added
to the index afterwards, without training. Everything goes through an index. Intervals resample
classes. With --fine-tune the recipe `photo` trains all weights for so many epochs, too. What the
recipe does was chosen on the known half of seed 0, by folds of its classes.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from last_line import print_last_line, row
from twofold import Bundle, Index, Items, build, fit, search
from twofold.apps.indexing import index_items
from twofold.config import Recipe
from twofold.metrics.intervals import estimate, identity_weights, weighted_means
from twofold.recipes import few_photos, photo

REPLICATES = 2000


class Shop(NamedTuple):
    """Photographs and catalogue pictures, and which class each is of."""

    photos: list[Path]
    photo_class: np.ndarray
    catalogue: list[Path]
    names: list[str]

    def of(self, classes: np.ndarray) -> "Shop":
        """The photographs of some classes; the catalogue stays whole."""
        kept = np.flatnonzero(np.isin(self.photo_class, classes))
        return self._replace(
            photos=[self.photos[i] for i in kept], photo_class=self.photo_class[kept]
        )


def main() -> None:
    """Measure the model out of the box, train it on half of the classes, measure it on the other half, print."""
    parser = argparse.ArgumentParser(description="shelf photograph -> catalogue picture")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fine-tune", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--quick", action="store_true", help="few photographs, seconds of training")
    options = parser.parse_args()
    started = time.monotonic()
    shop = read(options.data, each=2 if options.quick else None)
    side = {"input.size": 64} if options.quick else {}
    recipes = {"tuned": few_photos().replace(side)}
    if options.fine_tune:
        recipes["fine_tuned"] = photo().replace(
            {"input.size": 160, "epochs": options.fine_tune} | side
        )
    if options.quick:
        small = {"max_seconds": 5, "p": 8, "k": 2}
        recipes = {name: recipe.replace(small) for name, recipe in recipes.items()}
    results = shown(out_of_the_box(shop))
    results += shown(trained(shop, recipes, seed=options.seed))
    print_last_line("groceries", started, results)


def shown(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same figures, printed."""
    for each in results:
        low, high = each["low"], each["high"]
        interval = f" [{low:.4f}, {high:.4f}]" if low is not None else ""
        print(f"{each['name']:34} {each['value']:.4f}{interval}", flush=True)
    return results


def out_of_the_box(shop: Shop) -> list[dict[str, Any]]:
    """All classes without training, as `twofold index pretrained` and `twofold search pretrained` do; pixels beside."""
    classes = len(shop.names)
    anchor = f"{len(shop.photos)} photographs, {classes} classes; chance {1 / classes:.3f}"
    with tempfile.TemporaryDirectory() as folder:
        ranks = ranks_of(Bundle.pretrained(), shop, Path(folder) / "index")
    return [
        *recalls("frozen", ranks, shop, anchor=anchor),
        *recalls(
            "pixels",
            pixel_ranks(shop),
            shop,
            anchor=f"{anchor}; cosine of 16 x 16 pixels, the floor",
        )[:1],
    ]


def trained(shop: Shop, recipes: dict[str, Recipe], *, seed: int) -> list[dict[str, Any]]:
    """Half of the classes train; the products of the other half are then added to the index, and looked for."""
    order = np.random.default_rng(seed).permutation(len(shop.names))
    known, new = order[: len(order) // 2], order[len(order) // 2 :]
    asked, found, results = shop.of(new), {}, []
    anchor = (
        f"{len(asked.photos)} photographs of {len(new)} products that were added without training"
    )
    bundles = {"frozen": Bundle.pretrained()}
    for name, recipe in recipes.items():
        items = items_of(shop, known)
        bundles[name] = fit(build.twin(recipe, seed=seed), items, recipe=recipe, seed=seed)
    for name, bundle in bundles.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "index"
            with Index.create(place, bundle.contract) as index:
                index_items(bundle, index, catalogue_of(shop, known))
            found[name] = ranks_of(bundle, asked, place, among=new)
        results += recalls(
            f"new_{name}",
            found[name],
            asked,
            anchor=f"{anchor}; {len(shop.names)} in the catalogue",
        )
        if name == "frozen":
            continue
        for k in (1, 5):
            gain = (found[name] < k).astype(float) - (found["frozen"] < k)
            told = f"the same photographs, less those of the model out of the box; seed {seed}"
            results.append(figure(f"new_{name}_gain_at_{k}", gain, asked, anchor=told))
        results.append(
            row(
                f"{name}_training_core_seconds",
                bundle.training["core_seconds"],
                unit="s",
                anchor=f"{bundle.training['epochs']} epochs on {len(known)} classes",
                seed=seed,
            )
        )
    return results


def ranks_of(
    bundle: Bundle, shop: Shop, place: Path, among: np.ndarray | None = None
) -> np.ndarray:
    """At which place each photograph finds its product, 0 is the first; products of `among` (all) are added before."""
    chosen = np.arange(len(shop.names)) if among is None else among
    with Index.open(place) if Index.found(place) else Index.create(place, bundle.contract) as index:
        index_items(bundle, index, catalogue_of(shop, chosen))
        hits = search(bundle, index, shop.photos, k=len(index))
    wanted = [shop.names[number] for number in shop.photo_class]
    return np.array(
        [[hit.label for hit in each].index(name) for each, name in zip(hits, wanted, strict=True)]
    )


def pixel_ranks(shop: Shop) -> np.ndarray:
    """The same by the pixels themselves."""
    photos, catalogue = pixels(shop.photos), pixels(shop.catalogue)
    order = np.argsort(-(photos @ catalogue.T), axis=1)
    return np.argmax(order == shop.photo_class[:, None], axis=1)


def pixels(files: list[Path]) -> np.ndarray:
    """Unit vectors of 16 x 16 pixels, less their mean."""
    small = [
        np.asarray(PIL.Image.open(file).convert("RGB").resize((16, 16)), np.float32).ravel()
        for file in files
    ]
    rows = np.stack(small)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def catalogue_of(shop: Shop, classes: np.ndarray) -> Items:
    """One picture a product."""
    names = [shop.names[number] for number in classes]
    return Items.from_arrays([shop.catalogue[number] for number in classes], names, ids=names)


def items_of(shop: Shop, classes: np.ndarray) -> Items:
    """Photographs and catalogue pictures of some classes, to train on."""
    part = shop.of(classes)
    values = [*part.photos, *(shop.catalogue[number] for number in classes)]
    return Items.from_arrays(
        values, [shop.names[number] for number in [*part.photo_class, *classes]]
    )


def recalls(name: str, ranks: np.ndarray, shop: Shop, *, anchor: str) -> list[dict[str, Any]]:
    """Recall among the first one and the first five."""
    return [
        figure(f"{name}_recall_at_{k}", (ranks < k).astype(float), shop, anchor=anchor)
        for k in (1, 5)
    ]


def figure(name: str, values: np.ndarray, shop: Shop, *, anchor: str) -> dict[str, Any]:
    """The mean over photographs; its interval resamples classes."""
    classes = np.unique(shop.photo_class, return_inverse=True)[1].astype(np.int64)
    count = int(classes.max()) + 1
    drawn = weighted_means(values, classes, identity_weights(count, REPLICATES, seed=0))
    found = estimate(name, float(values.mean()), replicates=drawn, resampled=count, unit="class")
    return row(
        name,
        found.value,
        interval=(found.low, found.high),
        unit=f"interval over {count} classes",
        anchor=anchor,
    )


def read(data: Path, *, each: int | None) -> Shop:
    """The shop in its public layout; with `each` only so many photographs a class."""
    root = data / "grocery_store_160" if (data / "grocery_store_160").is_dir() else data
    with (root / "classes.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(list(csv.reader(file))[1:], key=lambda line: int(line[1]))
    lines = [
        line.split(",")
        for part in ("train", "val", "test")
        for line in (root / f"{part}.txt").open()
    ]
    named = [(root / line[0].strip(), int(line[1])) for line in lines]
    there = [(path, number) for path, number in named if path.is_file()]
    if each is not None:
        there = [
            (p, n)
            for n in range(len(rows))
            for p, _ in [pair for pair in there if pair[1] == n][:each]
        ]
    photos, numbers = [path for path, _ in there], np.array([number for _, number in there])
    return Shop(
        photos, numbers, [root / line[4].lstrip("/") for line in rows], [line[0] for line in rows]
    )


if __name__ == "__main__":
    main()
