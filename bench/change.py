"""Change between two dates: OSCD, SZTAKI AirChange, and sets that were never trained on.

    python bench/change.py --data DIR [--seeds 0 1 2] [--only oscd sztaki cost] [--keep FOLDER] [--kept]

OSCD: DIR/oscd in its public layout (Daudt et al. 2018). The labels of its ten official test cities
are not public with the pictures; so 10 of the 14 labelled cities train and 4 test, drawn by SPLIT.
Each seed draws two of the ten as validation, of which 1 % or more changed: they choose the epoch and
the threshold. SZTAKI: DIR/sztaki_airchange (Benedek & Sziranyi 2009); the upper left 784 x 448 of
Szada/1 and Tiszadob/3 test, the other scenes train. Transfer: that model on
DIR/change_samples/levir_cd and dsifn_cd (A, B, label), beside the difference of the pictures.
Thresholds of networks and of differences are chosen in the same way (`metrics.scene_threshold`).
Both networks get the same steps. Intervals resample scenes. Trained models stay in the folder of
--keep, and are taken from there next time; with --kept, seeds without one are left out.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import nn

from change_sets import counted, cropped, difference, in_memory, labelled, left_out, read
from last_line import print_last_line, row
from twofold import build, recipes
from twofold.apps.evaluate_change import evaluate_change
from twofold.change_bundle import ChangeBundle
from twofold.data.scenes import Scenes
from twofold.metrics import scene_threshold, spatial
from twofold.metrics.spatial import Counts
from twofold.results import Estimate
from twofold.twin import ChangeTwin

SPLIT = 17
TEST_CITIES, VALIDATION = 4, 2
LEAST_CHANGE = 0.01
"""Share of changed pixels of a validation scene: in two of SZTAKI's it is .002 and .005, too few to choose on."""

TEST_SCENES = ("Szada/1", "Tiszadob/3")
OSCD_STEPS, SZTAKI_STEPS = 600, 600
"""Of a training: seven to nine minutes on one core. Three held-out training cities of OSCD gained little between
188 and 376 steps (docs/LOG.md)."""

SAME = {"tiles.count": 4}
NETWORKS: dict[str, dict[str, Any]] = {
    "change_unet": SAME,
    "fc_siam_diff": SAME
    | {"encoder": "fc_siam_diff", "layer_decay": 1.0, "optimiser.learning_rate": 1e-3},
}
"""What is changed of the recipe `change`; FC-Siam-diff learned no better at 3e-3 on three held-out training cities."""


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description="change detection")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=["oscd", "sztaki", "cost"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--keep", type=Path, default=Path("change-models"))
    parser.add_argument("--kept", action="store_true", help="train nothing")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    options = parser.parse_args()
    started = time.monotonic()
    bench = Bench(
        data=options.data,
        seeds=options.seeds[: 1 if options.quick else None],
        networks=options.networks,
        keep=options.keep,
        kept=options.kept,
        steps=(4, 4) if options.quick else (OSCD_STEPS, SZTAKI_STEPS),
    )
    results: list[dict[str, Any]] = []
    for part in options.only:
        results += getattr(bench, part)()
    print_last_line("change", started, results)


@dataclass(kw_only=True)
class Bench:
    """What is measured, and where trained models are kept.

    Attributes:
        kept: only models that are kept already. steps: of a training on OSCD, and on SZTAKI.
    """

    data: Path
    seeds: Sequence[int]
    networks: Sequence[str]
    keep: Path
    kept: bool
    steps: tuple[int, int]

    def oscd(self) -> list[dict[str, Any]]:
        """F1 on four cities, of each network and seed, and how much better the first network is."""
        scenes = Scenes.open(self.data / "oscd")
        order = np.random.default_rng(SPLIT).permutation(len(scenes)).tolist()
        test, known = scenes.take(sorted(order[:TEST_CITIES])), scenes.take(order[TEST_CITIES:])
        said = f"{len(known)} train and {len(test)} test cities ({', '.join(test.ids)})"
        print(said, flush=True)
        rows = [self._floor("oscd_rgb_f1_difference", known, test)]
        counts: dict[str, dict[int, list[Counts]]] = {name: {} for name in self.networks}
        for seed in self.seeds:
            train, valid = _parts(known, seed)
            for network in self.networks:
                if self._skipped(place := f"oscd_{network}_{seed}"):
                    continue
                settings = _for_steps(network, train, self.steps[0])
                bundle = self._trained(place, settings, (train, valid), seed=seed)
                found, counts[network][seed] = _measured(bundle, test)
                name = "oscd_rgb_f1" + ("" if network == "change_unet" else f"_{network}")
                rows.append(
                    _row(name, found["f1"], seed=seed, goal=0.45, anchor=_oscd(network, said))
                )
        if all(counts.get(network) for network in NETWORKS):
            rows += _gain(counts["change_unet"], counts["fc_siam_diff"])
        return rows

    def sztaki(self) -> list[dict[str, Any]]:
        """F1 on two scenes after training on the others, and on sets that were not trained on at all."""
        scenes = in_memory(Scenes.open(self.data / "sztaki_airchange"))
        test = [scenes.ids.index(name) for name in TEST_SCENES]
        known = scenes.take([place for place in range(len(scenes)) if place not in test])
        rows = []
        for seed in self.seeds:
            train, valid = _parts(known, seed)
            if self._skipped(f"sztaki_{seed}"):
                continue
            settings = _for_steps("change_unet", train, self.steps[1])
            bundle = self._trained(f"sztaki_{seed}", settings, (train, valid), seed=seed)
            for place, name, goal, anchor in (
                (test[0], "szada_f1", 0.52, "FC-Siam-diff .527 (Daudt et al. 2018), .53 re-run"),
                (test[1], "tiszadob_f1", 0.70, "FC-Siam-diff .778 (Daudt et al. 2018), .67 re-run"),
            ):
                found, _ = _measured(bundle, cropped(scenes.take([place])))
                rows.append(_row(name, found["f1"], seed=seed, goal=goal, anchor=anchor))
            rows += self._transfer(bundle, seed)
        return rows

    def _transfer(self, bundle: ChangeBundle, seed: int) -> list[dict[str, Any]]:
        rows = []
        for folder, published in (("levir_cd", 0.26), ("dsifn_cd", 0.44)):
            scenes = labelled(self.data / "change_samples" / folder)
            found, parts = _measured(bundle, scenes)
            short = folder.removesuffix("_cd")
            floor, beside = left_out(scenes)
            anchor = (
                f"trained on SZTAKI alone; the difference of the pictures, its threshold with one "
                f"scene left out: {floor:.3f}"
            )
            rows.append(
                _row(f"transfer_f1_{short}", found["f1"], seed=seed, goal=published, anchor=anchor)
            )
            low, value, high = _paired([parts], [beside])
            rows.append(
                row(
                    f"transfer_gain_{short}",
                    value,
                    interval=(low, high),
                    goal=0.0,
                    anchor="F1 beyond that of the difference, paired over scenes",
                    seed=seed,
                )
            )
        return rows

    def cost(self) -> list[dict[str, Any]]:
        """Weights, multiplications and processor time of a 256 x 256 tile; time as a ratio in one run."""
        tile = torch.zeros(1, 3, 256, 256)
        rows, seconds = [], {}
        for name, settings in NETWORKS.items():
            twin = build.change_twin(recipes.change().replace(settings)).eval()
            weights = sum(each.numel() for each in twin.parameters())
            rows.append(row(f"{name}_weights", weights, unit="weights"))
            rows.append(row(f"{name}_gmac", _multiplications(twin, tile) / 1e9, unit="GMAC"))
            seconds[name] = twin
        times: dict[str, list[float]] = {name: [] for name in seconds}
        with torch.inference_mode():
            for _ in range(9):
                for name, twin in seconds.items():
                    began = time.process_time()
                    twin.logits(tile, tile)
                    times[name].append(time.process_time() - began)
        best = {name: min(each) for name, each in times.items()}
        ratio = best["change_unet"] / best["fc_siam_diff"]
        rows.append(
            row("change_unet_time", ratio, unit="of FC-Siam-diff", anchor="processor time, one run")
        )
        return rows

    def _skipped(self, name: str) -> bool:
        return self.kept and not (self.keep / name).exists()

    def _trained(
        self, name: str, settings: dict[str, Any], parts: tuple[Scenes, Scenes], *, seed: int
    ) -> ChangeBundle:
        """A model of the training scenes, which the validation scenes chose: `twofold train change` on a table.

        The command is printed, so that the same model can be trained beside this run; one that
        stands in the kept folder is taken from there.
        """
        place = self.keep / name
        command = _command(place, settings, seed)
        _written(place.with_suffix(".csv"), parts)
        if not place.exists():
            states = place.with_name(place.name + ".training").exists()
            print("twofold", *command, flush=True)
            words = [sys.executable, "-m", "twofold", *command, *["--resume"] * states]
            subprocess.run(words, check=True)
        bundle = ChangeBundle.load(place)
        told = {"name": name, "best": bundle.training["best"], "steps": bundle.training["steps"]}
        print(json.dumps(told | {"core_seconds": bundle.training["core_seconds"]}), flush=True)
        return bundle

    def _floor(self, name: str, training: Scenes, test: Scenes) -> dict[str, Any]:
        """The blurred difference of normalised pictures, with the threshold of the training cities."""
        tables = [
            spatial.histogram(difference(each), each.truth, each.valid) for each in read(training)
        ]
        known = scene_threshold.best(tables)
        parts = [counted(known, difference(each), each) for each in read(test)]
        return _row(name, spatial.estimates(parts)["f1"], goal=None, anchor="no training")


def _parts(known: Scenes, seed: int) -> tuple[Scenes, Scenes]:
    """Training and validation scenes: of those with enough change, the first two in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(known)).tolist()
    share = [float(each.truth.mean()) for each in read(known)]
    valid = [place for place in order if share[place] >= LEAST_CHANGE][:VALIDATION]
    return known.take([place for place in order if place not in valid]), known.take(valid)


def _for_steps(network: str, train: Scenes, steps: int) -> dict[str, Any]:
    """Settings with as many epochs as make these steps, and five looks at the validation scenes."""
    settings = NETWORKS[network]
    recipe = recipes.change().replace(settings)
    pixels = sum(each.valid.sum() for each in read(train))
    of_epoch = max(1, round(pixels / recipe.tiles.size**2 / recipe.tiles.count))
    epochs = max(1, round(steps / of_epoch))
    return settings | {"epochs": epochs, "validate_every": max(1, epochs // 5)}


def _command(place: Path, settings: dict[str, Any], seed: int) -> list[str]:
    words = ["train", "change", str(place.with_suffix(".csv")), "-o", str(place)]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return [*words, "--seed", str(seed)]


def _written(table: Path, parts: tuple[Scenes, Scenes]) -> Path:
    """Scenes as a table; masks that are arrays become files beside it."""
    rows = ["id,before,after,mask,part"]
    for name, scenes in zip(("train", "valid"), parts, strict=True):
        listed = zip(scenes.ids, scenes.before, scenes.after, scenes.mask, strict=True)
        for scene, before, after, mask in listed:
            if isinstance(mask, np.ndarray):
                file = table.with_name(f"mask_{scene.replace('/', '_')}.png")
                PIL.Image.fromarray(mask[0]).save(file)
                mask = file
            files = ",".join(str(Path(each).resolve()) for each in (before, after, mask))
            rows.append(f"{scene},{files},{name}")
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def _measured(bundle: ChangeBundle, scenes: Scenes) -> tuple[dict[str, Estimate], list[Counts]]:
    """The estimates, and the counts of each scene."""
    parts: list[Counts] = []
    found = evaluate_change(
        bundle,
        scenes,
        show=lambda each: parts.append(
            spatial.counted(each.mask, each.scene.truth, each.scene.valid)
        ),
    )
    return dict(found.estimates), parts


def _row(
    name: str, found: Estimate, *, goal: float | None, anchor: str, seed: int | None = None
) -> dict[str, Any]:
    told = row(
        name, found.value, interval=(found.low, found.high), goal=goal, anchor=anchor, seed=seed
    )
    print(f"{name} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] seed {seed}", flush=True)
    return told


def _oscd(network: str, said: str) -> str:
    known = "FC-Siam-diff .489 published, .389 re-run; BIT .448; ChangeFormer .492 (official split)"
    return f"{network}, {said}; {known}"


def _gain(ours: dict[int, list[Counts]], theirs: dict[int, list[Counts]]) -> list[dict[str, Any]]:
    """The mean over seeds of each network, and the difference, paired over cities, of the seeds that both have."""
    rows = []
    for name, runs in (("oscd_rgb_f1_mean", ours), ("oscd_rgb_f1_fc_siam_diff_mean", theirs)):
        values = [spatial.scores(spatial.pooled(parts))["f1"] for parts in runs.values()]
        rows.append(
            row(name, float(np.mean(values)), anchor=f"mean of seeds {_listed(runs)}", goal=0.45)
        )
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return rows
    low, value, high = _paired([ours[seed] for seed in both], [theirs[seed] for seed in both])
    rows.append(
        row(
            "oscd_rgb_gain",
            value,
            interval=(low, high),
            goal=0.05,
            anchor=f"F1 beyond our own FC-Siam-diff, mean of seeds {_listed(both)}, paired over cities",
        )
    )
    return rows


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _paired(ours: list[list[Counts]], theirs: list[list[Counts]]) -> tuple[float, float, float]:
    """Low end, value and high end of the difference of mean F1 over seeds; bootstrap over scenes."""

    def difference(places: Sequence[int]) -> float:
        means = [
            np.mean(
                [spatial.scores(spatial.pooled(parts[p] for p in places))["f1"] for parts in runs]
            )
            for runs in (ours, theirs)
        ]
        return float(means[0] - means[1])

    count = len(ours[0])
    draws = np.random.default_rng(0).integers(count, size=(2000, count))
    values = np.array([difference(draw.tolist()) for draw in draws])
    low, high = np.nanquantile(values, (0.025, 0.975)).tolist()
    return low, difference(range(count)), high


def _multiplications(twin: ChangeTwin, tile: torch.Tensor) -> int:
    """Multiplications and additions of the convolutions for one pair of tiles."""
    total = 0

    def count(module: nn.Module, _: Any, out: torch.Tensor) -> None:
        nonlocal total
        weight: Any = module.weight
        if isinstance(module, nn.ConvTranspose2d):
            total += out.numel() // 4 * weight[0, 0].numel() * weight.shape[0]
        else:
            total += out.numel() * weight[0].numel()

    hooks = [
        each.register_forward_hook(count)
        for each in twin.modules()
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.inference_mode():
        twin.logits(tile, tile)
    for hook in hooks:
        hook.remove()
    return total


if __name__ == "__main__":
    main()
