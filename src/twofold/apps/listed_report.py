"""Reports of listed pairs and of scores; and the report of whatever is at two paths."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twofold import __version__
from twofold.apps.evaluate import Watch
from twofold.apps.evaluate_pairs import evaluate_pair_vectors, judged_pairs, listed_pairs
from twofold.apps.evaluation_report import evaluation_report
from twofold.apps.report_sections import (
    HARD_KINDS,
    HARDEST,
    model_card,
    of_pairs,
    pair_counts,
    shown_as,
    threshold_of,
)
from twofold.apps.scored import evaluate_scores
from twofold.bundle import Bundle
from twofold.contract import Calibration, Contract
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.data.scores import Scores
from twofold.devices import device_of
from twofold.inputs.optional import Shown, columns
from twofold.metrics.pairs import PairBlock
from twofold.report.measured import Hard, Report

__all__ = ["opened_report", "pairs_report", "scores_report"]


def scores_report(
    listed: Scores,
    *,
    contract: Contract | None = None,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    commands: Sequence[str] = (),
) -> Report:
    """`evaluate_scores` of any model, with curves; there are no things to show.

    Raises:
        NotCalibrated, NotEnoughData: as in `evaluate_scores`.
    """
    found = evaluate_scores(listed, contract=contract, far=far, confidence=confidence, seed=seed)
    known = None if contract is None else contract.calibration
    threshold = threshold_of(known, listed.pairs, found)
    model = (
        {}
        if contract is None
        else {"distance": contract.distance, "fingerprint": contract.fingerprint}
    )
    return Report(
        title="How well these scores tell pairs apart",
        **of_pairs(found, listed.pairs, known=known, threshold=threshold, confidence=confidence),
        data=pair_counts(found),
        model={name: value for name, value in model.items() if value},
        commands=tuple(commands),
    )


def pairs_report(
    bundle: Bundle,
    pairs: Pairs,
    *,
    far: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    pictures: bool = True,
    commands: Sequence[str] = (),
    watch: Watch | None = None,
) -> Report:
    """`evaluate_pairs` of listed pairs, with curves, scores and the hardest pairs; no map.

    Args:
        far, confidence, seed, watch, pictures, commands: as in `evaluation_report`.

    Raises:
        DataError, IdentityOverlap, NotEnoughData: as in `evaluate_pairs`.
    """
    pairs.refuse_graded("the curves of a page")
    pairs, vectors, notes = judged_pairs(bundle, pairs, watch=watch)
    asked = {"far": far, "confidence": confidence, "seed": seed}
    found = evaluate_pair_vectors(bundle, pairs, vectors, notes=notes, **asked)
    listed = listed_pairs(bundle, pairs, vectors)
    known = bundle.calibration and bundle.calibration.deciding
    threshold = threshold_of(known, listed, found)
    look = partial(shown_as, bundle) if pictures else None
    (block,) = listed
    return Report(
        title=f"How well {bundle.twin.input.name.lower()} pairs are told apart",
        **of_pairs(found, listed, known=known, threshold=threshold, confidence=confidence),
        hard=tuple(_hardest_listed(pairs, block, threshold=threshold, known=known, look=look)),
        data={"things": f"{len(pairs.ids):,}"} | pair_counts(found),
        model=model_card(bundle),
        commands=tuple(commands),
    )


def _hardest_listed(
    pairs: Pairs,
    block: PairBlock,
    *,
    threshold: float,
    known: Calibration | None,
    look: Callable[[Any], Shown] | None,
) -> Iterator[Hard]:
    """The worst decided listed pairs of each kind; a text that must not be shown is named by its row."""
    hidden = look is None and pairs.noun != "file"

    def named(row: int, thing: int) -> str:
        return f"row {row + 1}" if hidden else pairs.ids[thing]

    def owned(row: int, thing: int) -> str:
        return (
            named(row, thing) if pairs.identity is None else pairs.identities[pairs.identity[thing]]
        )

    for same, kind in HARD_KINDS.items():
        rows = np.flatnonzero(block.same == same)
        worst = rows[
            np.argsort(block.scores[rows] if same else -block.scores[rows], kind="stable")[:HARDEST]
        ]
        for row in worst:
            a, b, score = int(pairs.index_a[row]), int(pairs.index_b[row]), float(block.scores[row])
            yield Hard(
                kind=kind,
                wrong=bool(score >= threshold) != same,
                score=score,
                probability=None if known is None else known.probability(score),
                ids=(named(row, a), named(row, b)),
                labels=(owned(row, a), owned(row, b)),
                shown=(None, None)
                if look is None
                else (look(pairs.values[a]), look(pairs.values[b])),
            )


def opened_report(
    model: str | Path,
    data: str | Path,
    *,
    far: float | None = None,
    pictures: bool = True,
    levels: int = 1,
    seed: int = 0,
    watch: Watch | None = None,
    device: str | None = None,
) -> Report:
    """The report of a bundle's folder and a folder or table of things, or of pairs; or of a contract and scores.

    Raises:
        BundleError, DataError and what `evaluation_report` and `scores_report` raise.
    """
    model, data = Path(model), Path(data)
    commands = _commands(model, data, far=far, pictures=pictures, levels=levels, seed=seed)
    if model.suffix == ".json":
        contract = Contract.load(model)
        listed = Scores.open(data, distance=contract.distance if contract.dim else "cosine")
        return scores_report(listed, contract=contract, far=far, seed=seed, commands=commands)
    bundle = Bundle.load(model)
    bundle.twin.to(device_of(device))
    read = columns(bundle.twin.input)
    if Pairs.found(data, columns=read):
        pairs = Pairs.from_table(data, columns=read)
        return pairs_report(
            bundle, pairs, far=far, seed=seed, pictures=pictures, commands=commands, watch=watch
        )
    items = Items.open(data, levels=levels, columns=read)
    return evaluation_report(
        bundle, items, far=far, seed=seed, pictures=pictures, commands=commands, watch=watch
    )


def _commands(
    model: Path, data: Path, *, far: float | None, pictures: bool, levels: int, seed: int
) -> tuple[str, ...]:
    words = ["twofold", "evaluate", str(model), str(data), "--report", "report.html"]
    words += [] if far is None else ["--far", f"{far:g}"]
    words += [] if levels == 1 else ["--levels", str(levels)]
    words += [] if seed == 0 else ["--set", f"seed={seed}"]
    words += [] if pictures else ["--set", "pictures=false"]
    return f"pip install twofold=={__version__}", shlex.join(words)
