"""Scenes larger than memory: what `twofold change` takes for 20,000 x 20,000 pixels, and where its time goes.

    python bench/change_scenes.py [--quick] [--dir DIR]

1. A drawn pair of 20,000 x 20,000 x 3 GeoTIFFs is written block by block and mapped, with a light
   network, in a process of its own: its peak memory (`scene_peak_mb`), and the probabilities of a
   crop beside those of the network over the crop at once (`scene_crop_difference`).
2. A pair of 2,048 x 2,048 is mapped with FC-Siam-diff: its peak memory, the same difference, and
   the share of processor time that the bare network takes (`scene_network_share`). Weights are
   drawn: time and memory do not depend on them.

The light network has the margin of `change_unet` (96 pixels), hence the same tiles; the real one
over the large scene would take hours of one thread. --quick maps 1,500 x 1,100 with the light one.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine
from rasterio.windows import Window
from torch import nn

from last_line import print_last_line, row
from twofold import build, recipes
from twofold.apps.change import MapFiles, change
from twofold.change_bundle import ChangeBundle
from twofold.inputs import Raster
from twofold.inputs.raster_source import statistics
from twofold.inputs.raster_tiff import CACHED
from twofold.tiling import TwinJudge
from twofold.twin import ChangeTwin

LARGE, REAL, QUICK = (20_000, 20_000), (2_048, 2_048), (1_500, 1_100)
CROP = 1_024
"""Pixels a side of the crop that goes through the network at once."""

BLOCK = 512


class Light(nn.Module):
    """A small symmetric network with the margin and the stride of `change_unet`."""

    stride, margin = 16, 96

    def __init__(self, bands: int = 3) -> None:
        super().__init__()
        self.bands = bands
        generator = torch.Generator().manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(bands, 4, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
        )
        with torch.no_grad():
            for each in self.net.parameters():
                each.copy_(torch.randn(each.shape, generator=generator) / 3)

    def maps(self, batch: torch.Tensor) -> list[torch.Tensor]:
        return [self.net(batch)]

    def compare(self, before: list[torch.Tensor], after: list[torch.Tensor]) -> list[torch.Tensor]:
        apart = (before[0] - after[0]).square().mean(1, keepdim=True)
        return [nn.functional.interpolate(apart, scale_factor=4, mode="bilinear")[:, 0] - 2]


def main() -> None:
    """Run each part in a process of its own, then the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, help="a folder with 4 GB to spare")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part is not None:
        network, height, width, folder = given.part
        print(json.dumps(measured(network, (int(height), int(width)), Path(folder))))
        return
    started = time.monotonic()
    parts = [("light", QUICK)] if given.quick else [("light", LARGE), ("fc_siam_diff", REAL)]
    rows = []
    for network, size in parts:
        with tempfile.TemporaryDirectory(dir=given.dir) as folder:
            found = apart(network, size, folder)
        rows += rows_of(network, size, found)
    print_last_line("change_scenes", started, rows)


def apart(network: str, size: tuple[int, int], folder: str) -> dict[str, float]:
    """What a process of its own measures: its peak memory is that of one map."""
    words = ["--part", network, *map(str, size), folder]
    command = [sys.executable, str(Path(__file__)), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    print(network, size, found)
    return found


def rows_of(network: str, size: tuple[int, int], found: dict[str, float]) -> list[dict]:
    """The figures of one part."""
    light = network == "light"
    end = "" if light else f"_{network}"
    said = f"{size[0]} x {size[1]} x 3, {'a light network' if light else network}, one thread"
    rows = [
        row(f"scene_peak_mb{end}", found["peak_mb"], unit="MB", goal=1500.0, anchor=said),
        row(f"scene_crop_difference{end}", found["difference"], goal=1e-3, anchor=said),
        row(f"scene_seconds{end}", found["seconds"], unit="s of processor", anchor=said),
    ]
    if not light:
        rows.append(row("scene_network_share", found["share"], goal=0.85, anchor=said))
    return rows


def measured(network: str, size: tuple[int, int], folder: Path) -> dict[str, float]:
    """Map a drawn pair, and compare a crop with the network over it at once."""
    torch.set_num_threads(1)
    pair = folder / "before.tif", folder / "after.tif"
    for seed, path in enumerate(pair):
        draw(path, size, seed)
    bundle = bundle_of(network)
    files = MapFiles(mask=folder / "mask.tif", probability=folder / "probability.tif")
    spent = timed(bundle)
    start = time.process_time()
    change(bundle, *pair, files, threshold=0.5)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "peak_mb": peak,
        "seconds": seconds,
        "share": spent[0] / seconds,
        "difference": difference(bundle, pair, files.paths()["probability"], size),
    }


def timed(bundle: ChangeBundle) -> list[float]:
    """Seconds of processor in the bare network, added up as it is called."""
    spent = [0.0]
    logits = bundle.twin.logits

    def watched(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        start = time.process_time()
        found = logits(before, after)
        spent[0] += time.process_time() - start
        return found

    bundle.twin.logits = watched  # type: ignore[method-assign]
    return spent


def bundle_of(network: str) -> ChangeBundle:
    """A bundle with drawn weights."""
    if network == "light":
        twin = ChangeTwin(Raster(bands=3), Light()).eval()
        return ChangeBundle(twin=twin, recipe=recipes.change())
    recipe = recipes.change().replace({"encoder.name": network})
    return ChangeBundle(twin=build.change_twin(recipe, seed=0).eval(), recipe=recipe)


def draw(path: Path, size: tuple[int, int], seed: int) -> None:
    """A GeoTIFF of coarse fields with a little noise, the second date brighter with new squares."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 6, (3, BLOCK, BLOCK), dtype=np.uint8)
    height, width = size
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": height, "width": width}
    more = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 5e5, 0, -0.5, 5.4e6)}
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate"}
    # GDAL's limit is set once per process: by default a share of the machine's memory
    small = rasterio.Env(GDAL_CACHEMAX=CACHED)
    with small, rasterio.open(path, "w", zlevel=1, **profile, **more, **tiles) as file:
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                rows, columns = min(BLOCK, height - top), min(BLOCK, width - left)
                fields = generator.integers(30, 200, (3, 8, 8), dtype=np.uint8)
                block = np.kron(fields, np.ones((1, 64, 64), np.uint8)) + noise + 10 * seed
                if seed and generator.random() < 0.2:
                    block[:, 100:160, 200:280] = 250
                elif not seed:
                    generator.random()
                area = Window(left, top, columns, rows)  # pyright: ignore[reportCallIssue]
                file.write(block[:, :rows, :columns], window=area)


def difference(
    bundle: ChangeBundle, pair: tuple[Path, Path], probability: Path, size: tuple[int, int]
) -> float:
    """The largest difference to the network over a crop at once, its margin left out."""
    side, twin = min(CROP, *size), bundle.twin
    side -= side % twin.stride
    # across the place where four tiles meet, at a multiple of the stride
    top, left = (max(0, min(1000, length - side)) // twin.stride * twin.stride for length in size)
    dates = []
    for path in pair:
        with twin.input.open(path) as source:
            pixels = source.window(top, left, side, side)
            dates.append(twin.normalise(pixels, statistics(source)))
    whole = TwinJudge(twin, torch.device("cpu"))(*dates)
    area = Window(left, top, side, side)  # pyright: ignore[reportCallIssue]
    with rasterio.open(probability) as file:
        found = file.read(1, window=area)
    inner = slice(twin.margin, side - twin.margin)
    return float(np.abs(found - whole)[inner, inner].max())


if __name__ == "__main__":
    main()
