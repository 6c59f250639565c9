"""Commands that look after an index: its bytes, its audit log, its key, and the way to another model."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.archive import loaded, opened_index
from twofold.cli.gallery import local_index
from twofold.cli.options import NO, YES, Flag, Json, naming_left_out, print_json, show
from twofold.cli.values import MaybeLabel
from twofold.errors import UsageError

__all__ = ["audit", "check", "migrate", "rekey"]


def check(index: str, /, *, repair: Flag = False, json: Json = False) -> int:
    """Look at every byte of INDEX. Exit code 0 all that it holds is as it was written, 1 something is not.

    Args:
        index: a folder, or the address of an engine.
        repair: keep what is whole, drop what is provably damaged and say what that was, finish an erasure, build a
            damaged cache again; nobody else should use the index meanwhile.
        json: print one JSON object.
    """
    from twofold import terminal, wording
    from twofold.store.index import Index
    from twofold.store.upkeep import inspect

    if "://" in index or index.startswith("milvus"):
        with Index.open(index) as opened:
            found = opened.check(repair=repair)
    else:
        with terminal.stages(quiet=json) as watch:
            found = inspect(Path(index), repair=repair, watch=watch)
    print_json(asdict(found)) if json else show(wording.inspection(found))
    return YES if found.sound else NO


def audit(index: str, /, *, label: MaybeLabel = None, json: Json = False) -> int:
    """What was enrolled, changed and forgotten in INDEX, and when; names stand there as keyed hashes only.

    Args:
        index: an index in a folder.
        label: only what concerns this name, which need not be enrolled any more.
        json: print a list with one JSON object an entry.
    """
    from twofold import wording

    with local_index(index) as kept:
        entries = kept.audit(label)
    print_json([asdict(entry) for entry in entries]) if json else show(wording.audited(entries))
    return YES


def rekey(index: str, /, *, new: Path | None = None, rotate: Flag = False, json: Json = False) -> int:
    """Put a protected INDEX under another key, whole or not at all; one without protection gets it.

    The key that it has now is that of the environment: TWOFOLD_KEY_FILE, the path of a key file, or TWOFOLD_KEY. Keep
    the old key until this is done: where it is killed, either the old key fits or the new one. A new key:
    (umask 077; openssl rand -base64 32 > twofold.key)

    Args:
        index: an index in a folder.
        new: the file with the new key; without it the key stays, and --rotate renews what it locks.
        rotate: new keys for all subjects and a new rotation of all vectors, too.
        json: print one JSON object.
    """
    from twofold.store.protection.protect import find_key

    if new is None and not rotate:
        raise UsageError("nothing to renew: give --new KEYFILE, or --rotate, or both")
    key = find_key(new)
    with local_index(index) as kept:
        before, items = kept.protected, len(kept)
        kept.rekey(key, rotate=rotate)
    did = "is protected now" if not before else "has new keys and a new rotation" if rotate else "has a new key"
    told = {"index": index, "items": items, "was_protected": before, "rotated": rotate, "new_key": new is not None}
    print_json(told) if json else show(f"{index} {did}: {items} items")
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
    """Take INDEX over to another model, into NEW_INDEX; INDEX stays as it is.

    What the index knows the source of is embedded again. The rest is brought over by a bridge: an orthogonal map,
    fitted to things that both models have embedded. What that costs in recall is measured and said.

    Args:
        index: an index of the old model.
        bundle: the new model.
        new_index: a folder that is not there yet; if a migration into it was cut off, it goes on.
        old: the old model, to embed --sample with.
        sample: things for the bridge, where too few of the index have a source: DATA, not necessarily enrolled.
        protect: encrypt the new index with the key that the environment names.
        device: cpu, cuda, cuda:1 or mps; by default cuda where there is a card, else cpu.
        json: print one JSON object.
    """
    from twofold import terminal, wording
    from twofold.apps.migrate import migrate as bring_over
    from twofold.data.items import Items
    from twofold.store.index import Index

    if (old is None) != (sample is None):
        raise UsageError("--old BUNDLE and --sample DATA go together: the sample is embedded by both models")
    known, before = loaded(bundle, device), None if old is None else loaded(old, device)
    with naming_left_out():
        things = None if sample is None else Items.open(sample)
    with (
        Index.open(index) as source,
        opened_index(new_index, known, protect=protect) as target,
        terminal.stages(quiet=json) as watch,
    ):
        done = bring_over(source, known, target, old=before, sample=things, watch=watch)
    print_json(asdict(done)) if json else show(wording.migrated(done, index, new_index))
    return YES
