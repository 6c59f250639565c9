"""Commands that ask a bundle, and the life of those whom it knows: verify, identify, enrol, forget."""

import json as jsonlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from twofold.cli.archive import decided, loaded, opened_index, queries
from twofold.cli.options import NO, UNSURE, YES, Flag, Json, MaybeOutFile, print_exactly, print_json, say, setting, show
from twofold.cli.pair_tables import say_unreadable, scored_table
from twofold.cli.values import Label, MaybeLabel
from twofold.errors import UsageError
from twofold.printable import utf8_name

if TYPE_CHECKING:
    from twofold.results import Erasure, Identification
    from twofold.store.local import LocalIndex

__all__ = ["enrol", "expire", "forget", "identify", "local_index", "purge", "revoke", "verify"]

Gates = Annotated[tuple[str, ...], Parameter(name="--gate", consume_multiple=False, negative="")]


def verify(
    bundle: Path,
    a: Path | None = None,
    b: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    scores_only: Flag = False,
    group: MaybeLabel = None,
    out: MaybeOutFile = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Are A and B the same? Exit code 0 yes, 1 no, 3 unsure; with --pairs a verdict for each row of a table, and 0.

    Pairs with a file that cannot be read are left out of the table and named on standard error; where no pair can be
    read the exit code is 2.

    Args:
        bundle: a calibrated bundle.
        a: one file.
        b: the other file.
        pairs: a table with the columns a and b, and group where each group has a threshold of its own.
        scores_only: with --pairs, scores in place of verdicts: they need no threshold, so that any bundle will do.
        group: which group both belong to, where each has a threshold of its own; any: that of all pairs together.
        out: where the verdicts (or scores) of --pairs go, as CSV; by default to the terminal.
        device: cpu, cuda, cuda:1 or mps; by default cuda where there is a card, else cpu.
        json: print JSON.
    """
    from twofold import wording
    from twofold.apps.verify import verify as judge
    from twofold.apps.verify import verify_readable_pairs
    from twofold.data.pairs import Pairs
    from twofold.files import write_atomically

    if (pairs is None) == (a is None or b is None):
        raise UsageError("give either two files, or --pairs TABLE")
    if scores_only and pairs is None:
        raise UsageError("--scores-only is for --pairs TABLE; one verdict shows its score in any case")
    if scores_only and group is not None:
        raise UsageError("--group chooses a threshold, and --scores-only uses none: leave one of them out")
    known = loaded(bundle, device)
    if pairs is not None:
        listed = Pairs.from_table(pairs)
        if scores_only:
            table = scored_table(known, listed, json=json)
            print_exactly(table) if out is None else write_atomically(out, table.encode())
            return YES
        all_pairs = len(listed)
        listed, verdicts, unreadable = verify_readable_pairs(known, listed, group=group)
        say_unreadable(unreadable, all_pairs - len(listed), all_pairs, "verdict")
        table = wording.verdicts(listed, verdicts, json=json)
        print_exactly(table) if out is None else write_atomically(out, table.encode())
        return YES
    verdict = judge(known, a, b, group=group)
    print_json(asdict(verdict)) if json else show(wording.verdict(verdict))
    return {"same": YES, "different": NO, "unsure": UNSURE}[verdict.decision]


def identify(
    bundle: Path,
    index: str,
    query: list[Path],
    /,
    *,
    group: MaybeLabel = None,
    template: Literal["best", "mean"] = "best",
    exact: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Who is this? Exit code 0 somebody enrolled, 1 nobody, 3 unsure; of many: 0 at least one is somebody.

    Args:
        bundle: a calibrated bundle.
        index: where `twofold enrol` put the identities.
        query: files, folders of files, or tables with the column path; what cannot be read is said and left out.
        group: of the query, where each group has a threshold of its own; any: the threshold for all together.
        template: what an identity with several files is compared by: the best of them, or their mean.
        exact: compare with every item, where a large index or a learned comparison else looks among the likely ones.
        device: cpu, cuda, cuda:1 or mps; by default cuda where there is a card, else cpu.
        json: print one JSON object; of many queries a list, each with its query.
    """
    from twofold import wording
    from twofold.apps.verify import identify as find
    from twofold.apps.verify import identify_all
    from twofold.store.index import Index

    asked = queries(query)
    known = loaded(bundle, device)
    with Index.open(index) as gallery:
        if list(asked.values()) == query:  # one file: one answer, or one error
            found = find(known, gallery, query[0], group=group, template=template, exact=exact)
            print_json(asdict(found)) if json else show(wording.identification(found))
            return decided([found.decision])
        many = identify_all(known, gallery, asked, group=group, template=template, exact=exact)
    if json:
        print_json([{"query": name, **as_json(one)} for name, one in many.items()])
    else:
        show(*(wording.identified(name, one) for name, one in many.items()))
    return decided([one.decision for one in many.values() if not isinstance(one, str)])


def as_json(found: "Identification | str") -> dict[str, Any]:
    """Who one of many queries is, as JSON has it; or why it cannot be read."""
    return {"unreadable": found} if isinstance(found, str) else asdict(found)


def enrol(
    bundle: Path,
    index: str,
    label: Label,
    files: list[Path],
    /,
    *,
    replace: Flag = False,
    expires: str | None = None,
    gate: Gates = (),
    keep_source: Flag = False,
    protect: Flag = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Remember LABEL by the embeddings of FILES; the files themselves are not kept.

    Args:
        bundle: what `twofold train` wrote.
        index: an index; made if it does not exist.
        label: who or what the files show.
        files: one file or more.
        replace: put these in the place of all that LABEL was enrolled with before.
        expires: from when on they are neither found nor counted, 2027-12-31; not in the past.
        gate: what each file must reach, --gate sharpness=40 (contrast, norm; brightness=[40,220]); can be given
            several times.
        keep_source: keep where each file lies, by which `twofold migrate` can embed it again.
        protect: a new index is encrypted with the key that the environment names.
        device: cpu, cuda, cuda:1 or mps; by default cuda where there is a card, else cpu.
        json: print one JSON object.
    """
    from twofold.apps.gallery import enrol as remember
    from twofold.apps.gallery import update
    from twofold.apps.quality import Gate

    asked = Gate.of(dict(setting(each, option="--gate", example="sharpness=40") for each in gate))
    known = loaded(bundle, device)
    with opened_index(index, known, protect=protect) as gallery:
        put = update if replace else remember
        ids = put(known, gallery, label, files, expires=expires, gate=asked, keep_source=keep_source)
        enrolled = len(gallery.labels)
    told = {"label": label, "ids": list(ids), "enrolled": enrolled}
    if known.calibration is None:
        say("the bundle has no threshold yet: before `identify` can answer, run twofold calibrate BUNDLE DATA")
    print_json(told) if json else show(f"enrolled {label} with {len(ids)} embeddings; the index knows {enrolled}")
    return YES


def forget(
    what: list[str],
    /,
    *,
    bundle: Path | None = None,
    file: tuple[Path, ...] = (),
    out: MaybeOutFile = None,
    json: Json = False,
) -> int:
    """Erase every byte of LABELS from the index: forget BUNDLE INDEX LABELS. Says what was looked for afterwards.

    The numbers of the receipt are kept in the audit log, too, without names: `twofold audit INDEX --label LABEL`.
    What the bundle was trained on stands in its records as keyed hashes: forget --bundle BUNDLE LABELS takes them out.

    Args:
        what: BUNDLE INDEX LABELS: the bundle that the index is pinned to, the index, and whom to forget. With --bundle
            the labels alone.
        bundle: take the labels out of the records of this bundle, which then no longer knows that it was trained on
            them. Its weights cannot forget: train anew without them where that matters.
        file: with --bundle, also take out the content of this file; can be given several times.
        out: where a receipt goes, a new file in JSON; it holds the labels and ids, so keep it as you would keep those.
        json: print one JSON object.
    """
    if bundle is not None:
        if out is not None:
            raise UsageError("--out is for the receipt of an index: leave it out with --bundle")
        return _forget_records(bundle, [utf8_name(name) for name in what], file, json=json)
    if len(what) < 3 or file:
        raise UsageError("forget takes BUNDLE INDEX LABELS, or --bundle BUNDLE LABELS (and --file) for its records")
    from twofold import wording
    from twofold.apps.gallery import forget as erase
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    place, index, labels = what[0], what[1], [utf8_name(name) for name in what[2:]]
    known = Bundle.load(place)
    with Index.open(index) as gallery:
        if out is not None:
            check_receipt(out, index)
        receipt = erase(known, gallery, labels)
    if out is not None:
        write_receipt(out, index, receipt)
    still = {label: parts for label in labels if (parts := known.provenance.parts_of(label))}
    print_json({**asdict(receipt), "in_bundle": still}) if json else show(wording.forgotten(receipt))
    for label, parts in still.items():
        say(
            f"{label}: the bundle's records still know an identity of this name ({', '.join(parts)}); "
            f"twofold forget --bundle {place} takes it out, while what its weights have learned stays"
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
            f"{', '.join(cohort)}: the bundle's cohort keeps a vector of this identity. Calibrate again without it "
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
        f"{contents} contents are taken out of the records of {place}. Its weights cannot forget: where that matters, "
        "train anew without them. The bundle can no longer tell that it was trained on them"
    )
    return YES


def expire(index: str, label: Label, date: str, /, *, json: Json = False) -> int:
    """From DATE on LABEL is neither found nor counted; `twofold purge` erases what is expired.

    Args:
        index: an index.
        label: who.
        date: 2027-12-31, or with a time 2027-12-31T18:00:00+01:00 (UTC where it names no zone); never lifts it.
        json: print one JSON object.
    """
    from twofold.store.life import utc
    from twofold.store.sqlite.rows import clock

    with local_index(index) as gallery:
        end = utc(None if date == "never" else date)
        changed, past = gallery.expire(label, end), end is not None and end <= clock()
    told = {"label": label, "expires": date, "changed": changed}
    state = "expires" if date == "never" or not past else "is expired since"
    print_json(told) if json else show(f"{label} {state} {date}: {changed} items changed")
    return YES


def revoke(index: str, label: Label, /, *, lift: Flag = False, json: Json = False) -> int:
    """Keep LABEL in the index, but never match it, until this is lifted.

    Args:
        index: an index.
        label: who.
        lift: match it again.
        json: print one JSON object.
    """
    with local_index(index) as gallery:
        changed = gallery.restore(label) if lift else gallery.revoke(label)
    told = {"label": label, "revoked": not lift, "changed": changed}
    state = "is matched again" if lift else "is kept, and not matched any more"
    print_json(told) if json else show(f"{label} {state}: {changed} items changed")
    return YES


def purge(index: str, /, *, out: MaybeOutFile = None, json: Json = False) -> int:
    """Erase every byte of what is expired.

    Args:
        index: an index.
        out: where a receipt goes, a new file in JSON; it holds labels and ids.
        json: print one JSON object.
    """
    from twofold import wording

    with local_index(index) as gallery:
        if out is not None:
            check_receipt(out, index)
        receipt = gallery.purge()
    if out is not None and receipt is not None:
        write_receipt(out, index, receipt)
    if json:
        print_json({} if receipt is None else asdict(receipt))
    else:
        show("nothing is expired" if receipt is None else wording.forgotten(receipt))
    return YES


def local_index(place: str) -> "LocalIndex":
    """An index that keeps dates, revocations and an audit log."""
    from twofold.apps.gallery import local
    from twofold.store.index import Index

    return local(Index.open(place))


def check_receipt(path: Path, index: str) -> None:
    """Refuse a place for a receipt before anything is erased: inside the index, or that of an earlier receipt."""
    from twofold.places import is_special

    if path.resolve().is_relative_to(Path(index).resolve()):
        raise UsageError(f"--out {path} lies inside the index, where nothing of the forgotten may stay: choose another")
    if path.exists() and not is_special(path):
        raise UsageError(f"--out {path} exists already: choose another name, so that no receipt is overwritten")


def write_receipt(path: Path, index: str, receipt: "Erasure") -> None:
    """The receipt as a JSON file."""
    from twofold.files import write_atomically

    told = {"index": str(index), **asdict(receipt)}
    write_atomically(path, jsonlib.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n", private=True)
