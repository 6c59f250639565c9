"""The verb change: a map of what changed between two dates of one place, of any size."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from twofold.apps.change_page import LONGEST, page_of
from twofold.change_bundle import ChangeBundle
from twofold.devices import device_of
from twofold.errors import CannotWrite, NotEnoughData, UsageError
from twofold.inputs.raster import open_raster
from twofold.inputs.raster_registration import ShiftedSource, registration
from twofold.inputs.raster_source import ColourSource, Source, statistics
from twofold.maps.coordinates import Coordinates
from twofold.maps.dates import Dates
from twofold.maps.deep_features import DeepFeatures
from twofold.maps.output import MapFiles, MapWriter
from twofold.maps.pairs import check_pair, check_shift
from twofold.maps.rasters import BLOCK
from twofold.maps.work import Work, work_folder
from twofold.metrics import scene_threshold, spatial
from twofold.nn.efficientnet import WEIGHTS
from twofold.results import Change, ChangeThreshold, Shift
from twofold.tiling import Grid, Judge, TwinJudge, pieces

__all__ = ["PRETRAINED", "MapFiles", "change"]

PRETRAINED = "pretrained"
"""In place of a bundle: deep features, without any training on change."""

VERSION = 1
"""Of the rules by which pixels become a map: parts of an unfinished map of others are not gone on with."""

Watch = Callable[[str, int, int], None]

WITHOUT_LABELS = (
    "no training on change: distances of ImageNet features, cut two deviations above their mean in "
    "this scene. The map is an estimate without any measured error; values are scores, not "
    "probabilities"
)


def change(
    bundle: ChangeBundle | Literal["pretrained"],
    before: str | Path | np.ndarray,
    after: str | Path | np.ndarray,
    out: str | Path | MapFiles,
    *,
    shift: Literal["refuse", "align", "ignore"] = "refuse",
    threshold: float | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> Change:
    """Map what changed between two dates, and write it to files.

    Memory does not grow with the scene. What is decided is kept beside the mask until all is
    written: the same call goes on after a kill or a full disk, and gives the same bits. Swapping
    the dates gives the same map (unless one of them is shifted).

    Args:
        bundle: a trained bundle of change, or "pretrained".
        before, after: files, or arrays (bands, height, width), on one grid.
        out: the mask's file (.tif or .png), or `MapFiles` for more.
        shift: of one date against the other, where it is 5 pixels or more: "refuse"; "align" moves
            AFTER back whatever the shift is; "ignore".
        threshold: probability from which on a pixel counts as changed, above 0 and up to 1; by
            default the bundle's, which may follow the scene. Of "pretrained" a score, 0.5 by
            default.
        device: as for every verb.
        watch: called with what is done, how far, and of how much.

    Raises:
        DataError: the dates do not fit together, or hold no value.
        UsageError, CannotWrite, MissingExtra: as their texts say.
    """
    files = out if isinstance(out, MapFiles) else MapFiles(mask=Path(out))
    watch = watch or _nobody
    place = device_of(device)
    known = _threshold(bundle, threshold)
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(_opened(bundle, each)) for each in (before, after))
        check_pair(one, other)
        inputs = [each.path for each in (one, other) if each.path is not None]
        files.check((one.height, one.width), inputs)
        watch("measuring the shift", 0, 1)
        found = registration(one, other)
        notes = check_shift(found, shift)
        moved = found if shift == "align" else None
        if moved is not None:
            other = ShiftedSource(other, rows=moved.rows, columns=moved.columns)
        dates = _dates(one, other)
        judge = _judge(bundle, dates, place)
        grid = Grid.of(dates.size, judge)
        key = _key(bundle, (before, after), moved, grid) | {"device": place.type}
        work = stack.enter_context(Work.held(work_folder(files.mask), grid, key))
        _compute(dates, judge, work, watch)
        cut, held = _of_scene(known, work)
        told = {"shift": found, "aligned": moved is not None} | _told(bundle, (*notes, *held))
        result = _write(dates, work, files, threshold=cut, told=told, watch=watch)
        work.remove()
    return result


def _judge(bundle: ChangeBundle | str, dates: Dates, device: torch.device) -> Judge:
    if isinstance(bundle, str):
        return DeepFeatures(dates, device)
    return TwinJudge(bundle.twin, device)


def _told(bundle: ChangeBundle | str, notes: tuple[str, ...]) -> dict[str, Any]:
    """How a map was decided, and what its reader must know."""
    if isinstance(bundle, str):
        return {"method": "deep features", "notes": (*notes, WITHOUT_LABELS)}
    method = f"{bundle.recipe.encoder.name}, fingerprint {bundle.fingerprint[:12]}"
    return {"method": method, "notes": notes}


def _nobody(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def _threshold(bundle: ChangeBundle | str, asked: float | None) -> float | ChangeThreshold:
    """A probability, or what gives one once the scene is decided."""
    if isinstance(bundle, str) and bundle != PRETRAINED:
        raise UsageError(f"{bundle!r} is not a bundle: load one, or give {PRETRAINED!r}")
    if asked is None:
        return 0.5 if isinstance(bundle, str) else bundle.deciding()
    if not 0 < asked <= 1:
        raise UsageError(f"threshold = {asked} is not a probability: give more than 0, up to 1")
    return asked


def _of_scene(known: float | ChangeThreshold, work: Work) -> tuple[float, tuple[str, ...]]:
    """The probability that this scene is cut at, and what its reader must know of it."""
    if isinstance(known, float | int):
        return float(known), ()
    if known.relative is None:
        return known.probability, ()
    counts = work.counts()
    return scene_threshold.of_scene(known, counts), scene_threshold.notes(known, counts)


def _opened(bundle: ChangeBundle | str, value: object) -> Source:
    if not isinstance(bundle, str):
        return bundle.twin.input.open(value)
    return ColourSource(open_raster(value))


def _dates(before: Source, after: Source) -> Dates:
    dates = Dates(before=before, after=after, statistics=(statistics(before), statistics(after)))
    if min(each.valid for each in dates.statistics) == 1:
        return dates
    rows = range(0, before.height, BLOCK)
    shared = (
        dates.valid((top, 0, min(BLOCK, before.height - top), before.width)).any() for top in rows
    )
    if not any(shared):
        raise NotEnoughData(
            f"no pixel holds a value both in {before.path or 'BEFORE'} and {after.path or 'AFTER'}: "
            f"check nodata and the area that they cover"
        )
    return dates


def _key(
    bundle: ChangeBundle | str, inputs: tuple[object, object], moved: Shift | None, grid: Grid
) -> dict[str, Any]:
    """What decides the bits of a map: parts that were kept are of the same map or of none."""
    known = WEIGHTS["imagenet"].sha256 if isinstance(bundle, str) else bundle.fingerprint
    return {
        "version": VERSION,
        "model": known,
        "inputs": [_identity(each) for each in inputs],
        "moved": None if moved is None else [moved.rows, moved.columns],
        "grid": [grid.height, grid.width, grid.tile, grid.step],
        "torch": torch.__version__,
    }


def _identity(value: object) -> list[Any]:
    if isinstance(value, np.ndarray):
        return [hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    path = Path(str(value)).resolve()
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _compute(dates: Dates, judge: Judge, work: Work, watch: Watch) -> None:
    """Decide all parts that are not there yet.

    Raises:
        CannotWrite, KeyboardInterrupt: it ends early; the message says how to go on.
    """
    done = work.found
    watch("comparing", done, work.total)
    try:
        for strip in range(work.grid.strips):
            first = work.done(strip)
            for number, piece in pieces(dates, judge, work.grid, strip=strip, first=first):
                work.save(strip, number, piece)
                done += 1
                watch("comparing", done, work.total)
    except CannotWrite as error:
        raise CannotWrite(f"{error}. {_kept(work, done)}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted. {_kept(work, done)}") from None


def _kept(work: Work, done: int) -> str:
    return f"{done} of {work.total} parts are kept in {work.folder}: the same command goes on from there"


def _write(
    dates: Dates,
    work: Work,
    files: MapFiles,
    *,
    threshold: float,
    told: dict[str, Any],
    watch: Watch,
) -> Change:
    """All files of the map, in one pass over its parts."""
    height, width = dates.size
    factor = max(1, -(-max(height, width) // LONGEST)) if files.page is not None else None
    coordinates = Coordinates(transform=dates.before.transform, crs=dates.before.crs)
    try:
        with MapWriter(
            files,
            dates.size,
            threshold=spatial.level_of(threshold),
            coordinates=coordinates,
            factor=factor,
        ) as writer:
            for top, levels in work.bands(BLOCK):
                writer.add(top, levels)
                watch("writing", min(top + BLOCK, height), height)
            writer.finish()
            result = Change(
                pixels=writer.pixels,
                changed=writer.changed,
                height=height,
                width=width,
                area=writer.area,
                area_unit=coordinates.unit,
                threshold=threshold,
                regions=writer.regions,
                largest=writer.named(),
                paths=files.paths(),
                **told,
            )
            if files.page is not None:
                writer.add_page(page_of(result, dates, work, writer))
            writer.commit()
    except CannotWrite as error:
        raise CannotWrite(f"{error}. {_kept(work, work.total)}") from error
    return result
