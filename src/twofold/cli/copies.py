"""The command for near-duplicates: find them, show them, and carry out what was decided."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.kinds import refuse_other_kind
from twofold.cli.options import YES, Flag, Json, MaybeOutFile, print_json, say, show
from twofold.cli.values import OutFile, Threshold
from twofold.errors import UsageError
from twofold.plurals import counted

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.report.groups_page import Face
    from twofold.results import Groups

__all__ = ["dedup"]

FALSE_COPIES = 0.01
"""Share of the copies found that may be false before it is said: usual for a cleaned table."""


def dedup(
    bundle: Path,
    data: Path | None = None,
    /,
    *,
    against: str | None = None,
    threshold: Threshold = None,
    keep: str = "largest",
    strictness: str = "normal",
    mirrored: Flag = False,
    cache: Path | None = None,
    memory: Annotated[Path | None, Parameter(show=False)] = None,
    report: OutFile = None,
    out: MaybeOutFile = None,
    apply: Path | None = None,
    link: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Find near-duplicates in DATA: pictures that match locally, or whatever a calibrated bundle considers the same.

    No file is touched except by --apply, which moves files to DATA/.twofold-trash and writes an
    undo list.

    Args:
        bundle: optional: a bundle, or the word pretrained, which finds more copies. Without it DATA
            comes first.
        data: a folder, a table, or vectors (npy: rows, without a bundle).
        against: an index, or other DATA: items of DATA near one of its items are copies of that.
        threshold: minimum score at which vectors count as the same; by default the bundle's, if it
            is calibrated.
        keep: which file of a group to propose to keep: largest, oldest or first.
        strictness: exact (equal bytes), strict, normal, or loose (doubtful copies as well).
        mirrored: mirror images are copies too.
        cache: a folder that stores what was read, by content; the next call reads and compares only
            what is new.
        memory: the old name of --cache.
        report: write a review page to this file; it exports your decisions as a CSV.
        out: write the groups to this CSV: cluster, id, role, score, probability, and of texts the
            words that differ, of records by field.
        apply: carry out the decisions in such a CSV; or, given the undo list, undo them.
        link: with --apply, replace files with exactly the same bytes by hard links to the kept
            file. Others stay.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.terminal.wording.dedup import groups

    model, data = (bundle, data) if data is not None else (None, bundle)
    if memory is not None:
        say("--memory is called --cache now")
        cache = cache or memory
    if apply is not None:
        return _apply(data, apply, link=link, json=json)
    from twofold.apps.dedup import Copies
    from twofold.apps.dedup import dedup as of_items

    rule = Copies(keep=keep, strictness=strictness, mirrored=mirrored)
    started = time.monotonic()
    if data.suffix == ".npy" and model is None:
        if any(each is not None for each in (model, report, out, cache, against)):
            raise UsageError(
                "vectors are compared as they are: give nothing beside them but --threshold"
            )
        found = _of_vectors(data, threshold, quiet=json)
    else:
        reader = _reader(model, data, device)
        look = partial(of_items, reader=reader, rule=rule, threshold=threshold, cache=cache)
        found = _of_files(data, reader, look, against=against, report=report, out=out, quiet=json)
        if threshold is None and against is None and reader is not None:
            found = _expecting(found, reader)
    seconds = time.monotonic() - started
    if json:
        print_json(asdict(found) | {"seconds": seconds})
    else:
        show(groups(found, seconds), *_written(found, report, out, data))
    return YES


def _reader(model: Path | None, data: Path, device: str | None) -> "Bundle | None":
    from twofold.cli.archive import loaded
    from twofold.store.index import Index

    if model is not None and Index.found(str(model)):
        raise UsageError(
            f"{model} is an index, not a bundle: twofold dedup {data} --against {model}"
        )
    if model is None:
        return None
    reader = loaded(model, device, [data])
    refuse_other_kind(data, reader.twin.input, str(model))
    return reader


def _of_files(
    data: Path,
    reader: "Bundle | None",
    look: Callable[..., "Groups"],
    *,
    against: str | None,
    report: Path | None,
    out: Path | None,
    quiet: bool,
) -> "Groups":
    """Groups of a folder, a table or an archive, and what is written of them."""
    from twofold.cli.archive import opened
    from twofold.copies.trash import unfinished
    from twofold.terminal import bars
    from twofold.terminal.wording.dedup import command

    items = opened(data, 0 if data.is_dir() else None, reader, quiet=quiet)
    for undo in unfinished(data):
        say(f"an earlier --apply was cut off; take it back first: {command(data, undo)}")
    texts = {
        name: value
        for name, value in zip(items.ids, items.values, strict=True)
        if isinstance(value, str)
    }
    with bars.stages(quiet=quiet) as watch:
        look = partial(look, items, watch=watch)
        found = look() if against is None else _against(against, look, reader, texts, quiet=quiet)
    if report is not None:
        _write_page(report, found, items, data, bundle=reader)
    if out is not None:
        _write_table(out, found, texts, reader)
    return found


def _expecting(found: "Groups", bundle: "Bundle") -> "Groups":
    """With a note where the rate lets more false pairs pass than one in a hundred copies found."""
    from dataclasses import replace

    pairs = found.items * (found.items - 1) // 2
    wanted = max(FALSE_COPIES * found.copies, 1.0)
    if bundle.calibration is None or (expected := bundle.calibration.far * pairs) <= wanted:
        return found
    note = (
        f"a false-accept rate of {bundle.calibration.far:g} lets up to {expected:,.0f} of "
        f"{pairs:,} pairs of different things pass, and {counted(found.copies, 'copy', 'was')} "
        f"found: for one false copy in a hundred calibrate at --far {wanted / pairs:.0e} "
        "(with --estimate where that cannot be certified), or ask for a higher --threshold"
    )
    return replace(found, notes=(*found.notes, note))


def _written(found: "Groups", report: Path | None, out: Path | None, data: Path) -> list[str]:
    """What was written where, and what to do with it: files can be moved, rows of a table cannot."""
    from twofold.terminal.wording.dedup import command

    lines = [] if out is None else [f"the groups are in {out}"]
    if report is not None and found.files:
        lines.append(
            f"look through {report}, export decisions.csv, then: "
            f"{command(data, Path('decisions.csv'))}"
        )
    elif report is not None:
        lines.append(f"look through {report}")
    return lines


def _against(
    place: str,
    look: Callable[..., "Groups"],
    bundle: "Bundle | None",
    texts: dict[str, str],
    *,
    quiet: bool,
) -> "Groups":
    """The copies of what an index holds, or of other data, which is indexed for the time being.

    Args:
        texts: id -> text; those of the other data join them, under names of their own.
    """
    import tempfile
    from dataclasses import replace

    from twofold.apps.indexing import index_items
    from twofold.cli.archive import opened
    from twofold.store.index import Index

    other = Path(place)
    if Index.found(place) or not other.exists():
        with Index.open(place) as index:
            return look(against=index)
    if bundle is None:
        raise UsageError(f"--against {place} compares vectors: give a bundle as well")
    items = opened(other, 0, bundle, quiet=quiet)
    items = replace(items, ids=tuple(f"{other.name}: {name}" for name in items.ids))
    texts |= {
        name: value
        for name, value in zip(items.ids, items.values, strict=True)
        if isinstance(value, str)
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.create(Path(folder) / "index", bundle.contract) as index,
    ):
        index_items(bundle, index, items)
        return look(against=index)


def _of_vectors(path: Path, threshold: float | None, *, quiet: bool) -> "Groups":
    import numpy as np

    from twofold.apps.dedup import DEFAULT, dedup_vectors
    from twofold.terminal import bars

    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as an npy file of vectors: {error}") from None
    with bars.bar("comparing", quiet=quiet) as progress:
        return dedup_vectors(
            rows, threshold=DEFAULT if threshold is None else threshold, progress=progress
        )


def _write_page(
    report: Path, found: "Groups", items: "Items", data: Path, *, bundle: "Bundle | None"
) -> None:
    from twofold.copies.difference import differing
    from twofold.files import write_atomically
    from twofold.report.groups_page import groups_page
    from twofold.terminal.wording.dedup import command

    values = dict(zip(items.ids, items.values, strict=True))

    def laid(kept: str, copy: str) -> Any:
        return differing(values[kept], values[copy]) if kept in values and copy in values else None

    drawn, named = _drawn, partial(_named, report=report)
    if bundle is not None and bundle.twin.input.facts().get("kind") == "series":
        drawn = named = partial(_course, bundle)
    page = groups_page(
        found,
        lambda name: drawn(values[name]) if name in values else _nothing(),
        named=lambda name: named(values[name]) if name in values else _nothing(),
        laid=laid,
        title=f"Copies in {data.name or data}",
        then=(command(data, Path("decisions.csv")),) if found.files else (),
    )
    write_atomically(report, page.encode("utf-8", "backslashreplace"))


def _write_table(
    out: Path, found: "Groups", texts: dict[str, str], bundle: "Bundle | None"
) -> None:
    from twofold.files import write_atomically
    from twofold.inputs.optional import columns
    from twofold.report.groups_table import groups_table

    calibration = None if bundle is None else bundle.calibration
    sure = None if calibration is None else calibration.deciding.probability
    fields = () if bundle is None else columns(bundle.twin.input)
    write_atomically(out, groups_table(found, texts, probability=sure, fields=fields))


def _drawn(value: object) -> "Face":
    """A thumbnail and facts of a file; the file may be gone by now."""
    import numpy as np

    from twofold.errors import UnreadableInput
    from twofold.inputs.image_decoding import decode
    from twofold.report.groups_page import Face

    if isinstance(value, str):
        return _worded(value)
    size = _bytes(value)
    try:
        picture = decode(value, side=320, background=255)
    except UnreadableInput:
        return Face(picture=None, facts=f"{size / 1e3:,.0f} kB", bytes=size)
    facts = f"{_sides(value)}{size / 1e3:,.0f} kB"
    picture.thumbnail((320, 320))
    return Face(picture=np.asarray(picture), facts=facts, bytes=size)


def _course(bundle: "Bundle", value: object) -> "Face":
    """The course of a series, and how long it is."""
    from twofold.inputs.optional import show as shown_of
    from twofold.report.groups_page import Face

    shown: Any = shown_of(bundle.twin.input, value)
    return Face(picture=None, facts="", bytes=_bytes(value), course=shown)


def _named(value: object, report: Path) -> "Face":
    """Where a file lies, as an address for the page; nothing is opened."""
    import os
    from urllib.parse import quote

    from twofold.report.groups_page import Face

    if isinstance(value, str):
        return _worded(value)
    size = _bytes(value)
    address = None
    if isinstance(value, Path):
        address = quote(os.fsencode(Path(os.path.relpath(value, report.parent)).as_posix()))
    return Face(picture=None, facts=f"{size / 1e3:,.0f} kB", bytes=size, address=address)


def _worded(text: str) -> "Face":
    """A text, as it is; a record with bars between its fields."""
    from twofold.records import shown
    from twofold.report.groups_page import Face

    text = shown(text)
    return Face(
        picture=None, facts=counted(len(text), "character"), bytes=len(text.encode()), text=text
    )


def _bytes(value: object) -> int:
    return value.stat().st_size if isinstance(value, Path) and value.is_file() else 0


def _sides(value: object) -> str:
    from twofold.inputs.image_decoding import header_size

    if not isinstance(value, Path):
        return ""
    width, height = header_size(value)
    return f"{width} × {height}, "


def _nothing() -> "Face":
    from twofold.report.groups_page import Face

    return Face(picture=None, facts="seen earlier, not here now", bytes=0)


def _apply(data: Path, decisions: Path, *, link: bool, json: bool) -> int:
    from twofold.copies.trash import apply_decisions
    from twofold.terminal.wording.dedup import carried_out

    try:
        moved = apply_decisions(data, decisions, link=link)
    except KeyboardInterrupt as stopped:
        raise KeyboardInterrupt(str(stopped) or "interrupted before any file was moved") from None
    if json:
        print_json(asdict(moved) | {"moved": moved.files})
    else:
        show(carried_out(moved, data))
    return YES
