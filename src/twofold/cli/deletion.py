"""The end of the time in which an index knows somebody: forget, expire, revoke, purge."""

import json as jsonlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.cli.options import (
    YES,
    Flag,
    Json,
    MaybeOutFile,
    print_json,
    say,
    show,
)
from twofold.cli.values import Label
from twofold.errors import UsageError
from twofold.plurals import counted
from twofold.printable import utf8_name

if TYPE_CHECKING:
    from twofold.results import Erasure
    from twofold.store.index import Index

__all__ = ["expire", "forget", "local_index", "purge", "revoke"]


def forget(
    what: list[str],
    /,
    *,
    bundle: Path | None = None,
    file: tuple[Path, ...] = (),
    out: MaybeOutFile = None,
    json: Json = False,
) -> int:
    """Erase every byte of LABELS from the index: forget BUNDLE INDEX LABELS. Reports what it searched for afterwards.

    The audit log also keeps the numbers of the receipt, without names: `twofold audit INDEX --label
    LABEL`. A bundle keeps keyed hashes of what it was trained on: forget --bundle BUNDLE LABELS
    removes them.

    Args:
        what: BUNDLE INDEX LABELS: the bundle that the index is pinned to, the index, and whom to
            forget. With --bundle only the labels.
        bundle: remove the labels from the training records of this bundle. Its weights cannot
            forget: train again without these identities if that matters.
        file: with --bundle, also remove the record of this file's content; may be repeated.
        out: write a receipt to this new JSON file. It contains the labels and ids, so protect it
            like those.
        json: print one JSON object.
    """
    if bundle is not None:
        if out is not None:
            raise UsageError("--out is for the receipt of an index: leave it out with --bundle")
        return _forget_records(bundle, [utf8_name(name) for name in what], file, json=json)
    if len(what) < 3 or file:
        raise UsageError(
            "forget takes BUNDLE INDEX LABELS, or --bundle BUNDLE LABELS (and --file) for its "
            "records"
        )
    from twofold.apps.gallery import forget as erase
    from twofold.bundle import Bundle
    from twofold.store.index import Index
    from twofold.terminal import wording

    place, index, labels = what[0], what[1], [utf8_name(name) for name in what[2:]]
    known = Bundle.load(place)
    with Index.open(index) as gallery:
        if out is not None:
            _check_receipt(out, index)
        receipt = erase(known, gallery, labels)
    if out is not None:
        _write_receipt(out, index, receipt)
    still = {label: parts for label in labels if (parts := known.provenance.parts_of(label))}
    print_json({**asdict(receipt), "in_bundle": still}) if json else show(
        wording.forgotten(receipt)
    )
    for label, parts in still.items():
        say(
            f"{label}: the bundle's records still know an identity of this name "
            f"({', '.join(parts)}); "
            f"twofold forget --bundle {place} takes it out, while what its weights have learned "
            f"stays"
        )
    return YES


def _forget_records(place: Path, labels: list[str], files: tuple[Path, ...], *, json: bool) -> int:
    """Take identities, and the contents of files, out of what a bundle knows of its data."""
    from twofold.bundle import Bundle
    from twofold.data.hashes import content_hash

    known = Bundle.load(place)
    parts = {label: known.provenance.parts_of(label) for label in labels}
    records = known.provenance.forgotten(labels, [content_hash(path) for path in files])
    contents = known.provenance.items - records.items
    cohort = [label for label, found in parts.items() if "cohort" in found]
    if cohort:
        raise UsageError(
            f"{', '.join(cohort)}: the bundle's cohort keeps a vector of this identity. Calibrate "
            f"again without it "
            "(twofold calibrate), then forget"
        )
    replace(known, provenance=records).save(place)
    told = {"bundle": str(place), "labels": parts, "contents": contents}
    if json:
        print_json(told)
        return YES
    for label, found in parts.items():
        show(f"{label}: {'taken out of ' + ', '.join(found) if found else 'not in the records'}")
    show(
        f"{counted(contents, 'file', 'is')} taken out of the records of {place}. Its weights "
        f"cannot forget: where that "
        "matters, train again without them. The bundle can no longer tell that it was trained on "
        "them"
    )
    return YES


def expire(index: str, label: Label, date: str, /, *, json: Json = False) -> int:
    """Stop matching LABEL from DATE on; `twofold purge` erases expired identities.

    Args:
        index: an index.
        label: who.
        date: 2027-12-31, or with a time 2027-12-31T18:00:00+01:00 (UTC where it names no zone);
            never lifts it.
        json: print one JSON object.
    """
    from twofold.store.arguments import utc
    from twofold.store.sqlite.rows import clock

    with local_index(index) as gallery:
        end = utc(None if date == "never" else date)
        changed, past = gallery.expire(label, end), end is not None and end <= clock()
    told = {"label": label, "expires": date, "changed": changed}
    state = "expires" if date == "never" or not past else "is expired since"
    print_json(told) if json else show(
        f"{label} {state} {date}: {counted(changed, 'item')} changed"
    )
    return YES


def revoke(index: str, label: Label, /, *, lift: Flag = False, json: Json = False) -> int:
    """Keep LABEL in the index but stop matching it, until you lift this.

    Args:
        index: an index.
        label: who.
        lift: match it again.
        json: print one JSON object.
    """
    with local_index(index) as gallery:
        changed = gallery.restore(label) if lift else gallery.revoke(label)
    told = {"label": label, "revoked": not lift, "changed": changed}
    state = "is matched again" if lift else "is kept, but no longer matched"
    print_json(told) if json else show(f"{label} {state}: {counted(changed, 'item')} changed")
    return YES


def purge(index: str, /, *, out: MaybeOutFile = None, json: Json = False) -> int:
    """Erase every byte of expired identities.

    Args:
        index: an index.
        out: write a receipt to this new JSON file; it contains labels and ids.
        json: print one JSON object.
    """
    from twofold.terminal import wording

    with local_index(index) as gallery:
        if out is not None:
            _check_receipt(out, index)
        receipt = gallery.purge()
    if out is not None and receipt is not None:
        _write_receipt(out, index, receipt)
    if json:
        print_json({} if receipt is None else asdict(receipt))
    else:
        show("nothing is expired" if receipt is None else wording.forgotten(receipt))
    return YES


def _check_receipt(path: Path, index: str) -> None:
    """Refuse a place for a receipt before anything is erased: inside the index, or that of an earlier receipt."""
    from twofold.places import is_special

    if path.resolve().is_relative_to(Path(index).resolve()):
        raise UsageError(
            f"--out {path} lies inside the index, where nothing of the forgotten may stay: choose "
            f"another"
        )
    if path.exists() and not is_special(path):
        raise UsageError(
            f"--out {path} exists already: choose another name, so that no receipt is overwritten"
        )


def _write_receipt(path: Path, index: str, receipt: "Erasure") -> None:
    """The receipt as a JSON file."""
    from twofold.files import write_atomically

    told = {"index": str(index), **asdict(receipt)}
    write_atomically(
        path, jsonlib.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n", private=True
    )


def local_index(place: str) -> "Index":
    """An index that keeps dates, revocations and an audit log."""
    from twofold.store.index import Index

    index = Index.open(place)
    index.check_dates()
    return index
