"""Commands for many things: index them, search among them, embed them on many machines."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from twofold.cli.filters import filters
from twofold.cli.kinds import plain_bundle, refuse_other_kind
from twofold.cli.options import NO, UNSURE, YES, Flag, Json, naming_left_out, print_json, say, show
from twofold.cli.queries import queries
from twofold.cli.values import Label, Looked, OutFile, OutFolder, PositiveCount
from twofold.errors import UsageError
from twofold.plurals import counted

if TYPE_CHECKING:
    from twofold.bundle import Bundle
    from twofold.data.items import Items
    from twofold.store.index import Index

__all__ = ["embed", "index", "search"]

Conditions = Annotated[
    tuple[str, ...], Parameter(name="--where", consume_multiple=False, negative="")
]
Count = Annotated[PositiveCount, Parameter(name=["-k", "--count"])]


def index(
    bundle: Path,
    data: Path,
    index: str,
    /,
    *,
    keep_source: Flag = False,
    keep_maps: Flag = False,
    protect: Flag = False,
    levels: Looked = None,
    prefix: Label = "",
    prune: Flag = False,
    force: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Add the embeddings of DATA to INDEX. Unchanged items are not embedded again, so it can be rerun.

    Args:
        bundle: a bundle, or the word pretrained (pictures), face (people), minilm (texts) or vectors.
        data: a folder of files, a folder with one sub-folder per label, a table with the column
            path (its other columns can be used as filters), or what `twofold embed` wrote.
        index: a folder, created if it does not exist; or milvus://..., postgresql://...
        keep_source: store the path of each file, so that a page of results can show it, and a
            comparison on maps can read it again.
        keep_maps: store the feature map of each file, for a comparison on maps; raw data.
        protect: encrypt a new index with the key from the environment.
        levels: 1 label/file, 2 group/label/file, 0 files at any depth without labels; detected by
            default.
        prefix: text before each id, to tell two folders with the same file names apart.
        prune: remove items that were indexed from DATA (ids that begin with the prefix) and no
            longer exist.
        force: prune even if more than a tenth of the items would go, as when a disk is not mounted.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.indexing import index_items, index_shards
    from twofold.apps.pruning import prune as remove
    from twofold.apps.pruning import vanished
    from twofold.store.shards import Shards
    from twofold.terminal import bars, wording

    if force and not prune:
        raise UsageError("--force is for --prune: give both, or neither")
    if keep_maps and Shards.found(data):
        raise UsageError(
            f"{data} is what twofold embed wrote, which has no maps: --keep-maps wants the things"
        )
    if prune and Shards.found(data):
        raise UsageError(
            f"{data} is what twofold embed wrote, of which nothing vanishes: --prune wants the "
            f"things"
        )
    started = time.monotonic()
    known = loaded(bundle, device, [data])
    shards = Shards.found(data) and (
        known.twin.input.facts().get("kind") != "vectors"
        or Shards.open(data).contract.fingerprint == known.fingerprint
    )
    if not shards:
        refuse_other_kind(data, known.twin.input, str(bundle))
    if not shards and levels is None:
        levels = _as_before(index, prefix)
    # before a new index
    items = (
        None if shards else prefixed(opened(data, levels, known, quiet=json, prune=prune), prefix)
    )
    with _whole_index(index, known, protect=protect) as kept, bars.stages(quiet=json) as watch:
        if items is None:
            done = index_shards(kept, data, watch=watch)
        else:
            root = data if data.is_dir() else data.parent
            gone = vanished(kept, items, root=root, prefix=prefix, force=force) if prune else ()
            done = index_items(
                known, kept, items, keep_source=keep_source, keep_maps=keep_maps, watch=watch
            )
            if gone:
                done = replace(
                    done, pruned=remove(kept, gone), items=len(kept), labels=len(kept.labels)
                )
        place = kept.path  # without the password that an address may hold
    seconds = time.monotonic() - started
    print_json({**asdict(done), "seconds": seconds}) if json else show(
        wording.indexed(done, place, seconds)
    )
    return YES


def search(
    bundle: Path,
    index: str,
    query: list[str],
    /,
    *,
    count: Count = 10,
    where: Conditions = (),
    exact: Flag = False,
    report: OutFile = None,
    pictures: Path | None = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Find what is most like QUERY in INDEX. Exit code 0 found, 1 nothing like it, 3 unsure.

    Without a calibration there is no threshold, and the exit code is 0.

    Args:
        bundle: the bundle that the index is pinned to, or the word pretrained, face or minilm.
        index: what `twofold index` wrote.
        query: files, folders of files, or tables with the column path; unreadable files are named
            and left out.
        count: number of hits.
        where: only items with this metadata: --where colour=red, --where price=2..5 (or 2..,
            dates); the same key twice: either value.
        exact: compare with every item; a large index or a learned comparison otherwise compares
            with likely ones only.
        report: write a page with pictures to this file (one HTML file that opens offline).
        pictures: the folder or file that was indexed, for the page's pictures if the index has no paths.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print a list with one JSON object per query.
    """
    from twofold.apps.search import search_all
    from twofold.apps.search_page import search_page
    from twofold.files import write_atomically
    from twofold.store.index import Index
    from twofold.terminal import bars, wording

    known = loaded(bundle, device, query)
    asked = queries(query, known)
    with Index.open(index) as kept:
        with bars.stages(quiet=json) as watch:
            kept.watch(watch)
            found = search_all(known, kept, asked, k=count, where=filters(where), exact=exact)
        for note in kept.notes:
            say(note)
        if report is not None:
            readable = [(asked[each.query], each) for each in found if each.unreadable is None]
            page = search_page(known, kept, readable, pictures=pictures)
            write_atomically(report, page.encode("utf-8", "backslashreplace"))
    print_json([asdict(each) for each in found]) if json else show(*map(wording.found, found))
    if report is not None and not json:
        show(f"written to {report}")
    return decided([each.decision for each in found if each.unreadable is None])


def embed(
    bundle: Path,
    data: Path,
    out: OutFolder,
    /,
    *,
    shard: str | None = None,
    keep_source: Flag = False,
    levels: Looked = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Write the embeddings of DATA as Parquet into the folder OUT; existing parts are left alone.

    On many machines: each writes its share of the parts into the same OUT, which `twofold index`
    then takes as DATA.

    Args:
        bundle: a bundle, or the word pretrained (pictures), face (people), minilm (texts) or vectors.
        data: as for `twofold index`.
        out: a folder.
        shard: 2/8 does the second of eight shares; by default the share that torchrun or SLURM
            assigns, otherwise all.
        keep_source: store the path of each file.
        levels: 1 label/file, 2 group/label/file, 0 files at any depth without labels; detected by
            default.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.indexing import embed_shards
    from twofold.store.shards import check_parquet
    from twofold.terminal import bars, wording

    check_parquet()
    share = share_of(shard, os.environ)
    known = loaded(bundle, device, [data])
    refuse_other_kind(data, known.twin.input, str(bundle))
    items = opened(data, levels, known, quiet=json)
    with bars.stages(quiet=json) as watch:
        done = embed_shards(known, items, out, shard=share, keep_source=keep_source, watch=watch)
    print_json(asdict(done)) if json else show(wording.sharded(done, out, share))
    return YES


def loaded(
    bundle: Path,
    device: str | None,
    near: Sequence[str | Path] = (),
    *,
    distance: str = "cosine",
) -> "Bundle":
    """A bundle on a device.

    Args:
        near: what else the command was given, data or queries: how long their vectors are is how
            long those of the word vectors are, which are compared by `distance`.
    """
    from twofold.bundle import Bundle
    from twofold.devices import device_of

    where = device_of(device)
    known = Bundle.load(plain_bundle(bundle, near, distance=distance))
    known.twin.to(where)
    return known


def opened(
    data: Path, levels: int | None, bundle: "Bundle | None", *, quiet: bool, prune: bool = False
) -> "Items":
    """The items of DATA, labelled or not; what was found by looking is said.

    Args:
        bundle: whose input says which columns of a table are read.
        prune: what is not found will be deleted, so a folder that cannot be looked into is an
            error.
    """
    from twofold.data import file_names
    from twofold.data.folders import levels_of
    from twofold.data.items import Items
    from twofold.data.vectors import found_in
    from twofold.inputs.optional import columns

    if levels is None:
        named = file_names.asked_for()
        levels = levels_of(data) if data.is_dir() and not found_in(data) else 0
        levels = max(levels, int(named and data.is_dir()))
    read = () if bundle is None else columns(bundle.twin.input)
    with naming_left_out(prune, option="--prune"):
        items = Items.open(data, levels=levels, columns=read)
    left = f"; {counted(len(items.strays), 'file')} beside the sub-folders left out (--levels 0 takes all)"
    for note in () if quiet else items.notes:
        say(note + (left if items.strays and note == items.notes[0] else ""))
    return items


def _as_before(place: str, prefix: str) -> int | None:
    """How the folder was listed when it was indexed the first time; None where there is not an index yet."""
    from twofold.apps.pruning import layout_of
    from twofold.store.index import Index

    if not Index.found(place):
        return None
    with Index.open(place) as found:
        return layout_of(found, prefix=prefix)


@contextmanager
def _whole_index(place: str, bundle: "Bundle", *, protect: bool) -> Iterator["Index"]:
    """The index at a place; a new one that nothing went into, because of an error, does not stay."""
    import shutil

    from twofold.store.index import Index

    new = not Index.found(place)
    try:
        with opened_index(place, bundle, protect=protect) as kept:
            yield kept
    except BaseException:
        if new and Path(place).is_dir():
            with Index.open(place) as left:
                empty = not len(left)
            if empty:
                shutil.rmtree(place)
        raise


def prefixed(items: "Items", prefix: str) -> "Items":
    """The items with other ids; and, where nobody has labelled them, with other labels, too."""
    if not prefix:
        return items
    alone = all(
        items.names[code] == name for code, name in zip(items.labels, items.ids, strict=True)
    )
    names = tuple(prefix + name for name in items.names) if alone else items.names
    return replace(items, ids=tuple(prefix + name for name in items.ids), names=names)


def opened_index(place: str, bundle: "Bundle", *, protect: bool) -> "Index":
    """The index at a place, new if there is none."""
    from twofold.store.index import Index

    if not Index.found(place):
        return Index.create(place, bundle.contract, protect=protect)
    found = Index.open(place)
    if protect and not getattr(found, "protected", False):
        found.close()
        raise UsageError(
            f"{place} exists and is not protected: twofold rekey {place} --new KEYFILE protects it"
        )
    return found


def decided(decisions: Sequence[str | None]) -> int:
    """The exit code of several answers: 0 where one of them is yes, or nothing says what is alike enough."""
    found = set(decisions)
    return YES if found & {None, "same"} else UNSURE if "unsure" in found else NO


def share_of(shard: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Which share of how many this process does, from 0 on: as told, else as torchrun or SLURM say, else all."""
    if shard is not None:
        number, sign, count = shard.partition("/")
        if not (sign and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--shard {shard}: write it as 1/8 ... 8/8")
        return int(number) - 1, int(count)
    for rank, world in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in environment and world in environment:
            return told(rank, world, environment)
    first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0") or 0)
    if "SLURM_ARRAY_TASK_ID" in environment and "SLURM_ARRAY_TASK_COUNT" in environment:
        number, count = told(
            "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", environment, first=first
        )
        return number, count
    return 0, 1


def told(rank: str, world: str, environment: Mapping[str, str], first: int = 0) -> tuple[int, int]:
    """Rank and number of processes by two variables of the environment."""
    try:
        number, count = int(environment[rank]) - first, int(environment[world])
    except ValueError:
        number, count = -1, 0
    if not 0 <= number < count:
        given = f"{rank}={environment[rank]} and {world}={environment[world]}"
        raise UsageError(f"{given} are not a share: give --shard 1/8")
    return number, count
