"""Commands that ask a bundle, and the life of those whom it knows: verify, identify, enrol, forget."""

import json as jsonlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from twofold.cli.archive import decided, loaded, opened_index
from twofold.cli.kinds import thing, things
from twofold.cli.options import (
    NO,
    UNSURE,
    YES,
    Flag,
    Json,
    MaybeOutFile,
    print_exactly,
    print_json,
    say,
    setting,
    show,
)
from twofold.cli.order import kind_of
from twofold.cli.pair_tables import say_unreadable, scored_table
from twofold.cli.queries import all_parts, queries
from twofold.cli.values import Label, MaybeLabel
from twofold.errors import UsageError
from twofold.fusion import Fusion
from twofold.plurals import counted
from twofold.printable import utf8_name

if TYPE_CHECKING:
    from twofold.results import Erasure, Identification
    from twofold.store.index import Index

__all__ = ["enrol", "expire", "forget", "identify", "local_index", "purge", "revoke", "verify"]

Gates = Annotated[tuple[str, ...], Parameter(name="--gate", consume_multiple=False, negative="")]


def verify(
    bundle: Path,
    things: list[str] | None = None,
    /,
    *,
    pairs: Path | None = None,
    scores_only: Flag = False,
    group: MaybeLabel = None,
    out: MaybeOutFile = None,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Are two things the same? Exit code 0 yes, 1 no, 3 unsure. With --pairs: a verdict per row, exit code 0.

    Of three and more things, the last is compared with all the others, which are references of one
    identity; calibrate for so many first (`twofold calibrate --set references=5`). Pairs
    with an unreadable file are left out of the table and named on standard error. If no pair can be
    read, the exit code is 2.

    Args:
        bundle: a calibrated bundle.
        things: two files, or references and then the file in question. For a bundle of texts the
            texts themselves, @FILE for what a file holds, or - for standard input; for a bundle of
            records the fields between bars, "Anna Berg | | Lindau"; for a bundle of vectors
            TABLE#ID, a .npy file, or a list "[0.1, ...]".
        pairs: a table with the columns a and b (files), or text_a and text_b (of records each
            column twice, as name_a and name_b), and group if each group has its own threshold.
        scores_only: with --pairs, write scores instead of verdicts; this needs no threshold, so any
            bundle will do.
        group: the group of both files, if each group has its own threshold; any: the overall
            threshold.
        out: write the verdicts (or scores) of --pairs to this CSV file; by default to the terminal.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print JSON.
    """
    from twofold.apps.public_rates import public_rate, score_of
    from twofold.apps.verify import verify as judge
    from twofold.apps.verify import verify_readable_pairs
    from twofold.data.pairs import Pairs
    from twofold.files import write_atomically
    from twofold.inputs.optional import columns
    from twofold.terminal import wording

    given = things or []
    if (pairs is None) == (len(given) < 2):
        raise UsageError("give two files (or texts) or more, or --pairs TABLE")
    if scores_only and pairs is None:
        raise UsageError(
            "--scores-only is for --pairs TABLE; one verdict shows its score in any case"
        )
    if scores_only and group is not None:
        raise UsageError(
            "--group chooses a threshold, and --scores-only uses none: leave one of them out"
        )
    known = loaded(bundle, device, given if pairs is None else [pairs])
    if pairs is not None:
        listed = Pairs.from_table(pairs, columns=columns(known.twin.input))
        if scores_only:
            table = scored_table(known, listed, json=json)
            print_exactly(table) if out is None else write_atomically(out, table.encode())
            return YES
        all_pairs = len(listed)
        listed, verdicts, unreadable = verify_readable_pairs(known, listed, group=group)
        say_unreadable(unreadable, all_pairs - len(listed), all_pairs, "verdict", noun=listed.noun)
        table = wording.verdicts(listed, verdicts, json=json)
        print_exactly(table) if out is None else write_atomically(out, table.encode())
        return YES
    *references, probe = [thing(known, word) for word in given]
    if (rate := public_rate(known)) is not None and len(references) == 1:
        score = score_of(known, references[0], probe)
        print_json(
            {"decision": "unsure", "score": score, "public": asdict(rate)}
        ) if json else show(wording.without_threshold(score, rate, bundle))
        return UNSURE
    verdict = judge(known, probe, references=references, group=group)
    print_json(asdict(verdict)) if json else show(wording.verdict(verdict))
    return {"same": YES, "different": NO, "unsure": UNSURE}[verdict.decision]


def identify(
    bundle: Path,
    index: str,
    query: list[str],
    /,
    *,
    group: MaybeLabel = None,
    template: Fusion | None = None,
    exact: Flag = False,
    every: Annotated[Flag, Parameter(name="--all")] = False,
    device: str | None = None,
    json: Json = False,
) -> int:
    """Who is this? Exit code 0 somebody enrolled, 1 nobody, 3 unsure. With many queries: 0 if at least one is somebody.

    Args:
        bundle: a calibrated bundle.
        index: where `twofold enrol` put the identities.
        query: files, folders of files, or tables with the column path; unreadable files are named
            and left out.
        group: the group of the query, if each group has its own threshold; any: the overall
            threshold.
        template: compare an identity with several files by its best file, by their mean, or by the
            learned rule. By default the rule of `calibrate --set references=5`, where that was
            done, at the threshold for as many files as the identity has; else the best file.
        exact: compare with every item; a large index or a learned comparison otherwise compares
            with likely ones only.
        every: identify each face of a photograph, from the left to the right, and not only the
            largest; for bundles of faces.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object; for many queries a list, each with its query.
    """
    from twofold.apps.identify import identify as find
    from twofold.apps.identify import identify_all
    from twofold.store.index import Index
    from twofold.terminal import wording

    known = loaded(bundle, device, query)
    asked = (all_parts if every else queries)(query, known)
    with Index.open(index) as gallery:
        if list(asked) == query[:1]:  # one file: one answer, or one error
            found = find(
                known, gallery, asked[query[0]], group=group, template=template, exact=exact
            )
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
    files: list[str],
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
    """Add LABEL to INDEX by the embeddings of FILES; the files themselves are not stored.

    Args:
        bundle: what `twofold train` wrote.
        index: an index; created if it does not exist.
        label: who or what the files show.
        files: one or more files; for a bundle of texts the texts themselves, @FILE, or - for
            standard input; for a bundle of vectors TABLE#ID, or a table for all its rows.
        replace: replace everything that LABEL was enrolled with before.
        expires: the date from which they are no longer found, such as 2027-12-31; not in the past.
        gate: minimum quality of each file, --gate sharpness=40 (contrast, norm;
            brightness=[40,220]); can be given several times.
        keep_source: store the path of each file, so that `twofold migrate` can embed it again.
        protect: encrypt a new index with the key from the environment.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object.
    """
    from twofold.apps.gallery import enrol as remember
    from twofold.apps.gallery import update
    from twofold.apps.quality import Gate
    from twofold.store.index import Index

    asked = Gate.of(dict(setting(each, option="--gate", example="sharpness=40") for each in gate))
    if kind_of(label) == "INDEX" and not Index.found(index):
        raise UsageError(f"{label} is an index, and INDEX comes before LABEL")
    known = loaded(bundle, device, files)
    with opened_index(index, known, protect=protect) as gallery:
        put = update if replace else remember
        values = things(known, files)
        ids = put(
            known, gallery, label, values, expires=expires, gate=asked, keep_source=keep_source
        )
        enrolled = len(gallery.labels)
    told = {"label": label, "ids": list(ids), "enrolled": enrolled}
    if known.calibration is None:
        say(
            "the bundle has no threshold yet: before `identify` can answer, run twofold calibrate "
            "BUNDLE DATA"
        )
    print_json(told) if json else show(
        f"enrolled {label} with {counted(len(ids), 'embedding')}; the index holds "
        f"{counted(enrolled, 'label')}"
    )
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
            check_receipt(out, index)
        receipt = erase(known, gallery, labels)
    if out is not None:
        write_receipt(out, index, receipt)
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
            check_receipt(out, index)
        receipt = gallery.purge()
    if out is not None and receipt is not None:
        write_receipt(out, index, receipt)
    if json:
        print_json({} if receipt is None else asdict(receipt))
    else:
        show("nothing is expired" if receipt is None else wording.forgotten(receipt))
    return YES


def local_index(place: str) -> "Index":
    """An index that keeps dates, revocations and an audit log."""
    from twofold.store.index import Index

    index = Index.open(place)
    index.check_dates()
    return index


def check_receipt(path: Path, index: str) -> None:
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


def write_receipt(path: Path, index: str, receipt: "Erasure") -> None:
    """The receipt as a JSON file."""
    from twofold.files import write_atomically

    told = {"index": str(index), **asdict(receipt)}
    write_atomically(
        path, jsonlib.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n", private=True
    )
