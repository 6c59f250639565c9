"""The pictures that the shipped tracker is trained on: of Debian packages and Python wheels, under free licences.

    apt-get install tuxpaint-stamps-default plasma-workspace-wallpapers mate-backgrounds \
        ukui-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 stellarium-data
    pip install scikit-image scikit-learn matplotlib
    python bench/track_pictures.py pictures
    twofold train track pictures -o src/twofold/pretrained/track --force

Objects are Tux Paint's stamps, which have transparent surroundings (photographs and drawings,
GPL-2 and in the public domain). Surroundings are wallpapers (GPL-2, CC BY-SA), panoramas of
Stellarium (GPL-2), and the sample pictures of scikit-image (CC0), scikit-learn (CC BY) and
matplotlib (public domain). Nothing of a benchmark of tracking is among them.
"""

import argparse
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

OBJECTS = ("usr/share/tuxpaint/stamps",)
SURROUNDINGS = (
    "usr/share/wallpapers",
    "usr/share/backgrounds",
    "usr/share/stellarium/landscapes",
)
WHEELS = {
    "skimage": "data",
    "sklearn": "datasets/images",
    "matplotlib": "mpl-data/sample_data",
}
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")

NO_OBJECTS = ("symbols", "flags", "roadsigns")
"""Folders of stamps that show letters, digits and signs."""

NO_SURROUNDINGS = ("screenshot", "moon", "mars", "chessboard", "multipage", "logo", "text", "page")
"""Parts of names of pictures that are not views: previews, planets, test patterns."""

LONGEST_OBJECT, LONGEST_SURROUNDINGS = 192, 800
"""Pixels: what training keeps of them."""

SMALLEST_OBJECT, SMALLEST_SURROUNDINGS = 48, 256
"""Pixels of the longer side of an object, and of the shorter side of surroundings."""


def main() -> None:
    """Write what is found to a folder, and say how much it is."""
    parser = argparse.ArgumentParser(
        description="pictures that packages ship, for the shipped tracker"
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, default=Path("/"), help="where packages are unpacked")
    asked = parser.parse_args()
    counts = {"objects": 0, "surroundings": 0}
    for kind in counts:
        (asked.out / kind).mkdir(parents=True, exist_ok=True)
    for path in _files(asked.root, OBJECTS):
        counts["objects"] += _keep_object(path, asked.out / "objects", counts["objects"])
    for path in _once(_files(asked.root, SURROUNDINGS)):
        counts["surroundings"] += _keep_views(path, asked.out, counts["surroundings"])
    for path in _of_wheels():
        counts["surroundings"] += _keep_views(path, asked.out, counts["surroundings"])
    print(f"{counts['objects']} objects and {counts['surroundings']} surroundings in {asked.out}")


def _files(root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        found = (root / folder).rglob("*")
        yield from sorted(path for path in found if path.suffix.lower() in ENDINGS)


def _of_wheels() -> Iterator[Path]:
    for package, folder in WHEELS.items():
        known = importlib.util.find_spec(package)
        if known is not None and known.origin is not None:
            yield from _files(Path(known.origin).parent, (folder,))


def _once(paths: Iterator[Path]) -> Iterator[Path]:
    """One size of each wallpaper: Plasma's lie in contents/images as WIDTHxHEIGHT."""
    seen: set[Path] = set()
    for path in paths:
        place = path.parent if path.parent.name.startswith("images") else path
        if place not in seen:
            seen.add(place)
            yield path


def _keep_object(path: Path, out: Path, number: int) -> int:
    if any(part in NO_OBJECTS for part in path.parts):
        return 0
    picture = PIL.Image.open(path).convert("RGBA")
    picture.thumbnail((LONGEST_OBJECT, LONGEST_OBJECT))
    clear = (np.asarray(picture)[:, :, 3] < 128).mean()
    if clear < 0.05 or max(picture.size) < SMALLEST_OBJECT:
        return 0
    picture.save(out / f"{number:04}.png")
    return 1


def _keep_views(path: Path, out: Path, number: int) -> int:
    """A picture, or as many squares as a panorama is wide."""
    if any(part in str(path).lower() for part in NO_SURROUNDINGS):
        return 0
    picture = PIL.Image.open(path)
    picture.draft("RGB", (2 * LONGEST_SURROUNDINGS, 2 * LONGEST_SURROUNDINGS))
    sky = PIL.Image.new("RGBA", picture.size, (150, 180, 215, 255))
    sky.alpha_composite(picture.convert("RGBA"))
    whole, kept = sky.convert("RGB"), 0
    views = max(1, round(whole.width / whole.height)) if "stellarium" in path.parts else 1
    for place in range(views):
        left, right = (whole.width * each // views for each in (place, place + 1))
        view = whole.crop((left, 0, right, whole.height))
        view.thumbnail((LONGEST_SURROUNDINGS, LONGEST_SURROUNDINGS))
        if min(view.size) >= SMALLEST_SURROUNDINGS and np.asarray(view).std() > 12:
            view.save(out / "surroundings" / f"{number + kept:04}.jpg", quality=92)
            kept += 1
    return kept


if __name__ == "__main__":
    main()
