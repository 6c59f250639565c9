"""Commands that ask a bundle: verify, identify, enrol, forget."""

from dataclasses import asdict
from pathlib import Path

from twofold.cli.options import NO, UNSURE, YES, Json, MaybeOut, print_json, show
from twofold.errors import UsageError

__all__ = ["enrol", "forget", "identify", "verify"]


def verify(
    bundle: Path,
    a: Path | None = None,
    b: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    out: MaybeOut = None,
    json: Json = False,
) -> int:
    """Are A and B the same? Exit code 0 yes, 1 no, 3 unsure; with --pairs a verdict for each row of a table, and 0.

    Args:
        bundle: a calibrated bundle.
        a: one file.
        b: the other file.
        pairs: a table with the columns a and b.
        out: where the verdicts of --pairs go, as CSV; by default to the terminal.
        json: print JSON.
    """
    from twofold import wording
    from twofold.apps.verify import verify as judge
    from twofold.apps.verify import verify_pairs
    from twofold.bundle import Bundle
    from twofold.data.pairs import Pairs
    from twofold.files import write_atomically

    if (pairs is None) == (a is None or b is None):
        raise UsageError("give either two files, or --pairs TABLE")
    known = Bundle.load(bundle)
    if pairs is not None:
        listed = Pairs.from_table(pairs)
        table = wording.verdicts(listed, verify_pairs(known, listed), json=json)
        print(table, end="") if out is None else write_atomically(out, table.encode())
        return YES
    verdict = judge(known, a, b)
    print_json(asdict(verdict)) if json else show(wording.verdict(verdict))
    return {"same": YES, "different": NO, "unsure": UNSURE}[verdict.decision]


def identify(bundle: Path, index: Path, query: Path, /, *, json: Json = False) -> int:
    """Who is this? Exit code 0 somebody enrolled, 1 nobody, 3 unsure.

    Args:
        bundle: a calibrated bundle.
        index: where `twofold enrol` put the identities.
        query: one file.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.apps.verify import identify as find
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    known = Bundle.load(bundle)
    with Index.open(index) as gallery:
        found = find(known, gallery, query)
    print_json(asdict(found)) if json else show(wording.identification(found))
    return {"same": YES, "different": NO, "unsure": UNSURE}[found.decision]


def enrol(bundle: Path, index: Path, label: str, files: list[Path], /, *, json: Json = False) -> int:
    """Remember LABEL by the embeddings of FILES; the files themselves are not kept.

    Args:
        bundle: what `twofold train` wrote.
        index: an index; made if it does not exist.
        label: who or what the files show.
        files: one file or more.
        json: print one JSON object.
    """
    from twofold.apps.gallery import enrol as remember
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    known = Bundle.load(bundle)
    make = Index.open(index) if index.exists() else Index.create(index, known.contract)
    with make as gallery:
        ids = remember(known, gallery, label, files)
        enrolled = len(gallery.labels)
    told = {"label": label, "ids": list(ids), "enrolled": enrolled}
    print_json(told) if json else show(f"enrolled {label} with {len(ids)} embeddings; the index knows {enrolled}")
    return YES


def forget(bundle: Path, index: Path, label: str, /, *, json: Json = False) -> int:
    """Erase every byte of LABEL from the index.

    Args:
        bundle: the bundle that the index is pinned to.
        index: an index.
        label: whom to forget.
        json: print one JSON object.
    """
    from twofold import wording
    from twofold.apps.gallery import forget as erase
    from twofold.bundle import Bundle
    from twofold.store.index import Index

    with Index.open(index) as gallery:
        receipt = erase(Bundle.load(bundle), gallery, label)
    print_json(asdict(receipt)) if json else show(wording.forgotten(receipt))
    return YES
