"""A small world to do harm in: a bundle, data, tables, an index and a contract, made once and copied for each try."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch

from twofold import build
from twofold.apps.indexing import index_items
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.contract import Calibration, Contract
from twofold.data.items import Items
from twofold.results import Estimate
from twofold.store import Index

__all__ = ["PEOPLE", "World", "copied", "made"]

PEOPLE, EACH, SIDE = 6, 3, 24


class World(NamedTuple):
    """Where everything lies."""

    root: Path

    @property
    def bundle(self) -> Path:
        """A calibrated bundle of pictures; its network is drawn by chance."""
        return self.root / "bundle"

    @property
    def data(self) -> Path:
        """A folder with one sub-folder per person."""
        return self.root / "data"

    @property
    def gallery(self) -> Path:
        """An index of the data."""
        return self.root / "index"

    @property
    def contract(self) -> Path:
        """A contract of scores."""
        return self.root / "contract.json"

    def picture(self, person: int, number: int) -> Path:
        """One of the pictures."""
        return self.data / f"person-{person}" / f"{number}.png"


def made(root: Path) -> World:
    """The world, new at `root`."""
    world = World(root)
    generator = np.random.default_rng(0)
    for person in range(PEOPLE):
        face = generator.integers(0, 256, size=(6, 6, 3))
        for number in range(EACH):
            pixels = np.kron(face, np.ones((SIDE // 6, SIDE // 6, 1))) + generator.normal(
                0, 8, (SIDE, SIDE, 3)
            )
            world.picture(person, number).parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                world.picture(person, number)
            )
    bundle = drawn().with_calibration(calibration())
    bundle.save(world.bundle)
    with Index.create(world.gallery, bundle.contract) as index:
        index_items(bundle, index, Items.open(world.data))
    Contract(fingerprint="scores", dim=0, distance="score", calibration=calibration()).save(
        world.contract
    )
    tables(world)
    return world


def drawn() -> Bundle:
    """A bundle whose network nobody has trained."""
    recipe = Recipe().replace(
        {"input.size": 16, "input.channels": 1, "encoder.dim": 8, "encoder.width": 8}
    )
    with torch.random.fork_rng():
        return Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe)


def calibration() -> Calibration:
    """A threshold that is made up."""
    rate = Estimate(
        name="rate", value=0.01, low=0.0, high=0.02, confidence=0.95, unit="identity", resampled=9
    )
    return Calibration(
        threshold=0.9,
        far=0.01,
        standing="certified",
        confidence=0.95,
        method="test",
        upper_bound=0.01,
        false_match=rate,
        false_non_match=rate,
        slope=10.0,
        intercept=-9.0,
        prior=0.5,
        identities=9,
        genuine_pairs=9,
        impostor_pairs=9,
        seed=0,
    )


def tables(world: World) -> None:
    """Tables of items, of pairs, of scores and of decisions, and a recipe."""
    rows = [
        f"data/person-{person}/{number}.png,person-{person},{person % 2}"
        for person in range(PEOPLE)
        for number in range(EACH)
    ]
    (world.root / "items.csv").write_text("\n".join(["path,label,site", *rows]) + "\n")
    pairs = [
        f"data/person-{a}/0.png,data/person-{b}/1.png,{int(a == b)}"
        for a in range(4)
        for b in range(4)
    ]
    (world.root / "pairs.csv").write_text("\n".join(["a,b,same", *pairs]) + "\n")
    scores = [
        f"{0.2 + 0.7 * (a == b) + a / 100 + b / 1000},{a},{b}"
        for a in range(9)
        for b in range(a, 9)
    ]
    (world.root / "scores.csv").write_text(
        "\n".join(["score,identity_a,identity_b", *scores]) + "\n"
    )
    lines = [json.dumps({"score": 0.5 + n / 100, "a": f"p{n}", "b": f"q{n}"}) for n in range(30)]
    (world.root / "scores.jsonl").write_text("\n".join(lines) + "\n")
    recipe = Recipe().replace({"epochs": 1, "input.size": 16, "encoder.width": 8})
    (world.root / "recipe.toml").write_text(recipe.toml())


def copied(source: Path, scratch: Path) -> Path:
    """A copy of a file or folder of the world, to be spoilt."""
    target = scratch / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    return target
