"""Commands that look after an index: its bytes, its audit log, its key, and the way to another model."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.archive import loaded, opened_index
from twofold.cli.deletion import local_index
from twofold.cli.options import NO, YES, Flag, Json, naming_left_out, print_json, show
from twofold.cli.values import MaybeLabel
from twofold.errors import UsageError
from twofold.plurals import counted

__all__ = ["audit", "check", "migrate", "rekey"]


def check(index: str, /, *, repair: Flag = False, json: Json = False) -> int:
    """Verify every byte of INDEX. Exit code 0 everything is as it was written, 1 something is damaged.

    Args:
        index: a folder, or the address of an engine.
        repair: keep what is intact, drop what is damaged and name it, finish a pending erasure,
            rebuild a damaged cache; nobody else should use the index meanwhile.
        json: print one JSON object.
    """
    from twofold.store.index import Index
    from twofold.store.upkeep import inspect
    from twofold.terminal import bars, wording

    if "://" in index or index.startswith("milvus"):
        with Index.open(index) as opened:
            found = opened.check(repair=repair)
    else:
        with bars.stages(quiet=json) as watch:
            found = inspect(Path(index), repair=repair, watch=watch)
    print_json(asdict(found)) if json else show(wording.inspection(found))
    return YES if found.sound else NO


def audit(index: str, /, *, label: MaybeLabel = None, json: Json = False) -> int:
    """Show what was enrolled, changed and forgotten in INDEX, and when. The log holds keyed hashes instead of names.

    Args:
        index: an index in a folder.
        label: only entries about this name, which need not be enrolled any more.
        json: print a list with one JSON object per entry.
    """
    from twofold.terminal import wording

    with local_index(index) as kept:
        entries = kept.audit(label)
    print_json([asdict(entry) for entry in entries]) if json else show(wording.audited(entries))
    return YES


def rekey(
    index: str, /, *, new: Path | None = None, rotate: Flag = False, json: Json = False
) -> int:
    """Change the key of a protected INDEX, completely or not at all; encrypt one that is not protected.

    The current key comes from the environment: TWOFOLD_KEY_FILE, the path of a key file, or
    TWOFOLD_KEY. Keep the old key until this is done: if it is killed, either the old key fits or
    the new one. To make a new key: (umask 077; openssl rand -base64 32 > twofold.key)

    Args:
        index: an index in a folder.
        new: the file with the new key; without it the key stays the same, for use with --rotate.
        rotate: also renew the keys of all identities and the rotation of all vectors.
        json: print one JSON object.
    """
    from twofold.store.protection.protect import find_key

    if new is None and not rotate:
        raise UsageError("nothing to renew: give --new KEYFILE, or --rotate, or both")
    key = find_key(new)
    with local_index(index) as kept:
        before, items = kept.protected, len(kept)
        kept.rekey(key, rotate=rotate)
    did = (
        "is protected now"
        if not before
        else "has new keys and a new rotation"
        if rotate
        else "has a new key"
    )
    told = {
        "index": index,
        "items": items,
        "was_protected": before,
        "rotated": rotate,
        "new_key": new is not None,
    }
    print_json(told) if json else show(f"{index} {did}: {counted(items, 'item')}")
    return YES


def migrate(
    index: str,
    bundle: Path,
    new_index: str,
    /,
    *,
    old: Path | None = None,
    sample: Path | None = None,
    protect: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Migrate INDEX to another model, into NEW_INDEX; INDEX stays as it is.

    Items whose path is known are embedded again. The others are mapped by a bridge: an orthogonal
    map, fitted to items that both models have embedded. What this costs in recall is measured and
    reported.

    Args:
        index: an index of the old model.
        bundle: the new model.
        new_index: a new folder; an interrupted migration into it is continued.
        old: the old model, to embed --sample with.
        sample: items for the bridge, if too few items of the index have a path: DATA, not
            necessarily enrolled.
        protect: encrypt the new index with the key from the environment.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.migrate import migrate as bring_over
    from twofold.data.items import Items
    from twofold.inputs.optional import columns
    from twofold.store.index import Index
    from twofold.terminal import bars, wording

    if (old is None) != (sample is None):
        raise UsageError(
            "--old BUNDLE and --sample DATA go together: the sample is embedded by both models"
        )
    known, before = loaded(bundle, device), None if old is None else loaded(old, device)
    with naming_left_out():
        things = None if sample is None else Items.open(sample, columns=columns(known.twin.input))
    with (
        Index.open(index) as source,
        opened_index(new_index, known, protect=protect) as target,
        bars.stages(quiet=json) as watch,
    ):
        done = bring_over(source, known, target, old=before, sample=things, watch=watch)
    print_json(asdict(done)) if json else show(wording.migrated(done, index, new_index))
    return YES
