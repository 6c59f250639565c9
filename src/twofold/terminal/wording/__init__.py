"""Results in plain words, for the terminal: each function takes what a verb returned and gives text."""

from twofold.terminal.wording.calibrate import calibrated
from twofold.terminal.wording.change import (
    change_evaluation,
    change_evaluation_told,
    change_trained,
)
from twofold.terminal.wording.doctor import cleaned, findings, items
from twofold.terminal.wording.estimates import estimates_told
from twofold.terminal.wording.evaluate import (
    differences,
    evaluation,
    evaluation_told,
    nearest_example,
)
from twofold.terminal.wording.index import indexed, sharded
from twofold.terminal.wording.info import facts, parts
from twofold.terminal.wording.monitor import drift
from twofold.terminal.wording.plan import planned
from twofold.terminal.wording.search import found
from twofold.terminal.wording.spot import spotted
from twofold.terminal.wording.tracks import (
    track_evaluation,
    track_evaluation_told,
    track_trained,
)
from twofold.terminal.wording.train import trained
from twofold.terminal.wording.tune import evidence, tuned
from twofold.terminal.wording.upkeep import audited, forgotten, inspection, migrated
from twofold.terminal.wording.verify import (
    identification,
    identified,
    nearest,
    to_calibrate,
    verdict,
    verdicts,
    without_threshold,
)

__all__ = [
    "audited",
    "calibrated",
    "change_evaluation",
    "change_evaluation_told",
    "change_trained",
    "cleaned",
    "differences",
    "drift",
    "estimates_told",
    "evaluation",
    "evaluation_told",
    "evidence",
    "facts",
    "findings",
    "forgotten",
    "found",
    "identification",
    "identified",
    "indexed",
    "inspection",
    "items",
    "migrated",
    "nearest",
    "nearest_example",
    "parts",
    "planned",
    "sharded",
    "spotted",
    "to_calibrate",
    "track_evaluation",
    "track_evaluation_told",
    "track_trained",
    "trained",
    "tuned",
    "verdict",
    "verdicts",
    "without_threshold",
]
