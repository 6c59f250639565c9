"""The command for maps of change between two dates of one place."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from twofold.cli.options import YES, Flag, Json, print_json, show
from twofold.cli.values import Threshold
from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.change_bundle import ChangeBundle

__all__ = ["change"]


def change(
    bundle: Path,
    before: Path,
    after: Path,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    probability: Path | None = None,
    polygons: Path | None = None,
    report: Path | None = None,
    align: Flag = False,
    any_shift: Flag = False,
    overwrite: Flag = False,
    threshold: Threshold = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Map what changed between two pictures of one place: GeoTIFF of any size, PNG, JPEG.

    Both dates must lie on one grid. Parts of an unfinished map are kept beside the mask, and the same
    command goes on from there.

    Args:
        bundle: a bundle of change, or the word pretrained, which compares deep features without any
            training on change.
        before: the first date.
        after: the second date.
        out: the mask: .tif keeps the place on the map (1 changed, 0 not, 255 no value), .png is to
            look at.
        probability: write the probability of each pixel to this .tif or .png.
        polygons: write the changed regions to this .geojson, with area and mean probability.
        report: write a page with both dates behind a slider to this file.
        align: shift AFTER back by what was measured, to a fraction of a pixel.
        any_shift: go on although the dates are shifted by more than 5 pixels.
        overwrite: replace files that exist.
        threshold: probability from which on a pixel counts as changed; by default the bundle's.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.change import PRETRAINED, MapFiles
    from twofold.apps.change import change as of_scenes
    from twofold.devices import device_of
    from twofold.terminal import bars
    from twofold.terminal.wording.maps import changes

    device_of(device)
    if align and any_shift:
        raise UsageError("--align and --any-shift exclude each other: give one")
    files = MapFiles(
        mask=out, probability=probability, polygons=polygons, page=report, overwrite=overwrite
    )
    wanted: Literal["refuse", "align", "ignore"] = (
        "align" if align else "ignore" if any_shift else "refuse"
    )
    with bars.stages(quiet=json) as watch:
        found = of_scenes(
            PRETRAINED if str(bundle) == PRETRAINED and not bundle.exists() else _loaded(bundle),
            before,
            after,
            files,
            shift=wanted,
            threshold=threshold,
            device=device,
            watch=watch,
        )
    if json:
        print_json(asdict(found) | {"share": found.share})
    else:
        show(changes(found))
    return YES


def _loaded(bundle: Path) -> "ChangeBundle":
    from twofold.change_bundle import ChangeBundle

    return ChangeBundle.load(bundle)
