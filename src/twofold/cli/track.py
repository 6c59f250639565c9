"""The command that follows objects through a film, from one box each."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.options import YES, Flag, Json, print_json, show
from twofold.cli.values import OutFile
from twofold.errors import UsageError

if TYPE_CHECKING:
    from twofold.track_bundle import TrackBundle

__all__ = ["track"]

PRETRAINED = Path("pretrained")
"""The word for the bundle that comes with twofold."""

Boxes = Annotated[tuple[str, ...], Parameter(name="--box", consume_multiple=False, negative="")]


def track(
    bundle: Path,
    video: Path,
    /,
    *,
    box: Boxes,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    film: Annotated[OutFile, Parameter(name="--video")] = None,
    page: OutFile = None,
    overwrite: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Follow objects through VIDEO from one box each, and say in every frame how sure that is.

    A lost object is looked for in the whole frame until it is found again. After Ctrl-C, and where
    the film breaks off, the files hold all frames up to there.

    Args:
        bundle: a bundle of tracking, or the word pretrained for the one that comes with twofold.
        video: a film, a folder of pictures (its frames), or the number of a camera, such as 0.
        box: x,y,w,h of an object in the first frame: its left upper corner, width and height, in
            pixels of the upright frame; once per object.
        out: the table (.csv): frame, seconds, x, y, w, h, confidence, lost, and object where there
            are several. A lost object has no box.
        film: write the frames with their boxes to this .mp4.
        page: write a page with the film and the confidence over time to this file (one HTML file
            that opens offline).
        overwrite: replace files that exist.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.track import TrackFiles
    from twofold.apps.track import track as follow
    from twofold.devices import device_of
    from twofold.terminal import bars
    from twofold.terminal.wording.change import without_nan
    from twofold.terminal.wording.tracks import tracks

    device_of(device)
    boxes = [_box(each) for each in box]
    files = TrackFiles(table=out, film=film, page=page, overwrite=overwrite)
    known = loaded(bundle)
    with bars.frames(quiet=json) as watch, _ended_by_sigterm():
        found = follow(known, str(video), boxes, files, device=device, watch=watch)
    if json:
        print_json(without_nan(asdict(found)))
    else:
        show(tracks(found))
    return YES


def loaded(bundle: Path) -> "TrackBundle":
    """A bundle of tracking, or the one that comes with twofold."""
    from twofold.track_bundle import TrackBundle

    if bundle == PRETRAINED and not bundle.exists():
        return TrackBundle.pretrained()
    return TrackBundle.load(bundle)


def _box(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4:
        raise UsageError(
            f"--box {text}: write it as x,y,w,h, four numbers in pixels, for example "
            f"--box 120,80,60,40"
        )
    return found


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does: what is done is kept."""
    import signal

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
