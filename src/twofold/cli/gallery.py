"""Commands that ask a bundle, and the life of those whom it knows: verify, identify, enrol, forget."""

from dataclasses import asdict
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
from twofold.files import write_atomically
from twofold.fusion import Fusion
from twofold.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.bundle import Bundle
    from twofold.results import Hit, Identification

__all__ = ["enrol", "identify", "verify"]

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

    Without a threshold the answer is a score, and "unsure".
    Of three and more things, the last is compared with all the others, which are references of one
    identity; calibrate for so many first (`twofold calibrate --set references=5`). Pairs
    with an unreadable file are left out of the table and named on standard error. If no pair can be
    read, the exit code is 2.

    Args:
        bundle: a calibrated bundle; without a threshold there is a score and no verdict.
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
    from twofold.apps.verify import verify as judge
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
        table = _judged_table(known, pairs, scores_only=scores_only, group=group, json=json)
        print_exactly(table) if out is None else write_atomically(out, table.encode())
        return YES
    *references, probe = [thing(known, word) for word in given]
    if known.calibration is None and group is None:
        return _without_threshold(known, bundle, probe, references, json=json)
    verdict = judge(known, probe, references=references, group=group)
    print_json(asdict(verdict)) if json else show(wording.verdict(verdict))
    return {"same": YES, "different": NO, "unsure": UNSURE}[verdict.decision]


def _judged_table(
    known: "Bundle", pairs: Path, *, scores_only: bool, group: str | None, json: bool
) -> str:
    """A verdict, or a score, for each pair of a table."""
    from twofold.apps.verify import verify_readable_pairs
    from twofold.data.pairs import Pairs
    from twofold.inputs.optional import columns
    from twofold.terminal import wording

    listed = Pairs.from_table(pairs, columns=columns(known.twin.input))
    if scores_only:
        return scored_table(known, listed, json=json)
    everything = len(listed)
    listed, verdicts, unreadable = verify_readable_pairs(known, listed, group=group)
    say_unreadable(unreadable, everything - len(listed), everything, "verdict", noun=listed.noun)
    return wording.verdicts(listed, verdicts, json=json)


def _without_threshold(
    known: "Bundle", bundle: Path, probe: Any, references: list[Any], *, json: bool
) -> int:
    """A score and no verdict, since nobody has calibrated the bundle."""
    from twofold.apps.public_rates import public_rate
    from twofold.apps.verify import score_of
    from twofold.terminal import wording

    rate = public_rate(known) if len(references) == 1 else None
    score = score_of(known, probe, references)
    public = None if rate is None else asdict(rate)
    if json:
        print_json({"decision": "unsure", "score": score, "public": public})
    else:
        show(wording.without_threshold(score, rate), wording.to_calibrate(bundle))
    return UNSURE


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

    Without a threshold the answer is who is most like it, and "unsure".

    Args:
        bundle: a calibrated bundle.
        index: where `twofold enrol` put the identities.
        query: files, folders of files, or tables with the column path; unreadable files are named
            and left out.
        group: the group of the query, if each group has its own threshold; any: the overall
            threshold.
        template: compare an identity with several files by its best file, by their mean, or by the
            rules learned or relative. By default the rule of `calibrate --set references=5`, where that was
            done, at the threshold for as many files as the identity has; else the best file.
        exact: compare with every item; a large index or a learned comparison otherwise compares
            with likely ones only.
        every: identify each face of a photograph, from the left to the right, and not only the
            largest; for bundles of faces.
        device: cpu, cuda, cuda:1 or mps; by default cuda if there is a GPU, otherwise cpu.
        json: print one JSON object; for many queries a list, each with its query.
    """
    from twofold.apps.identify import identify as find
    from twofold.apps.identify import identify_all, nearest_all
    from twofold.store.index import Index
    from twofold.terminal import wording

    known = loaded(bundle, device, query)
    asked = (all_parts if every else queries)(query, known)
    with Index.open(index) as gallery:
        if known.calibration is None and group is None:
            nearest = nearest_all(known, gallery, asked, template=template, exact=exact)
            _show_nearest(nearest, bundle, single=list(asked) == query[:1], json=json)
            return UNSURE
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


def _show_nearest(
    found: "Mapping[str, Sequence[Hit] | str]", bundle: Path, *, single: bool, json: bool
) -> None:
    """Who is most like each query; whether it is them nobody can tell, since there is no threshold."""
    from twofold.terminal import wording

    if json:
        told = [{"query": name, **_unsure(one)} for name, one in found.items()]
        print_json(told[0] if single else told)
        return
    each = (wording.nearest(None if single else name, one) for name, one in found.items())
    show(*each, wording.to_calibrate(bundle))


def _unsure(found: "Sequence[Hit] | str") -> dict[str, Any]:
    """Candidates without a verdict, as JSON has them; or why a query cannot be read."""
    if isinstance(found, str):
        return {"unreadable": found}
    candidates = [asdict(hit) for hit in found]
    return {"label": None, "decision": "unsure", "score": found[0].score, "candidates": candidates}


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
    keep_maps: Flag = False,
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
        keep_source: store the path of each file, so that `twofold migrate` can embed it again, and a
            comparison on maps can read it again.
        keep_maps: store the feature map of each file, for a comparison on maps; raw data.
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
            known,
            gallery,
            label,
            values,
            expires=expires,
            gate=asked,
            keep_source=keep_source,
            keep_maps=keep_maps,
        )
        enrolled = len(gallery.labels)
    told = {"label": label, "ids": list(ids), "enrolled": enrolled}
    if known.calibration is None:
        say(
            "the bundle has no threshold yet: until you run twofold calibrate BUNDLE DATA, "
            "`identify` can only name the most alike"
        )
    print_json(told) if json else show(
        f"enrolled {label} with {counted(len(ids), 'embedding')}; the index holds "
        f"{counted(enrolled, 'label')}"
    )
    return YES
