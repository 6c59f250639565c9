"""An evaluation in plain words: what was tested, how often it is wrong, what that rests on, and what to do next."""

from twofold.plurals import counted
from twofold.report.measured import Report
from twofold.report.plots import percent
from twofold.results import Estimate

__all__ = ["NAMES", "advice", "counted", "promise", "rate", "tested", "verdict"]

NAMES = {
    "eer": "equal error rate",
    "auc": "area under the ROC curve",
    "best_accuracy": "accuracy at the best threshold for these very pairs",
    "tar_at_far": "true-accept rate",
    "accuracy": "accuracy at the threshold",
    "false_match_rate": "false-match rate: different, but accepted",
    "false_non_match_rate": "false-non-match rate: the same, but rejected",
    "skilled_eer": "equal error rate against skilled forgeries",
    "skilled_auc": "area under the ROC curve against skilled forgeries",
    "skilled_tar_at_far": "true-accept rate against skilled forgeries",
    "skilled_false_match_rate": "skilled forgeries accepted",
    "recall_at_1": "nearest other item is of the same class",
    "map_at_r": "MAP@R, how well a search finds the rest of a class",
    "accuracy_5_way_1_shot": "right one of 5, each known from one example",
    "accuracy_20_way_1_shot": "right one of 20, each known from one example",
}

_AGREES = {
    True: "This data agrees.",
    False: "This data does not agree: the measured rate is clearly larger.",
    None: "This data is too little to tell whether that holds.",
}

ROUGH_BELOW = 50
"""Fewer identities than this and the intervals' own promise was not measured (decision 014)."""


def tested(report: Report) -> str:
    """What was tested, on how much."""
    found = report.evaluation
    on = (
        f"{found.items:,} items of {counted(found.units, found.unit)}"
        if found.items
        else counted(found.units, found.unit)
    )
    unseen = " that it never saw in training" if found.items and found.unit == "identity" else ""
    if found.crossfitted:
        unseen = ", each judged by a model that had not seen it"
    return (
        f"Tested on {on}{unseen}: {found.genuine_pairs:,} pairs of the same and "
        f"{found.impostor_pairs:,} pairs of different ones."
    )


def verdict(report: Report) -> str:
    """How often it is wrong, at the threshold if there is one."""
    named = {each.name: each for each in report.evaluation.estimates}
    if "false_match_rate" not in named:
        equal = rate(named["eer"])
        return f"No threshold was calibrated. Where both kinds of errors are equally frequent, each is {equal}."
    return (
        f"At the threshold {report.threshold:.3f}, of pairs of different ones "
        f"{rate(named['false_match_rate'])} are taken for the same, and of pairs of the same "
        f"{rate(named['false_non_match_rate'])} are rejected."
    )


def promise(report: Report) -> str:
    """Whether the threshold is certified, and whether this data agrees."""
    known, held = report.calibration, report.evaluation.holds
    if known is None:
        return "There is no threshold yet, so nothing is promised."
    agrees = "Cross-fitted scores cannot judge it: test it on other identities."
    if not report.evaluation.crossfitted:
        agrees = _AGREES[held]
    asked = percent(known.far)
    if not known.certified:
        return f"The threshold is an estimate for a false-accept rate of {asked}: it is not certified. {agrees}"
    scope = (
        " whatever the population they were drawn from" if known.standing == "guaranteed" else ""
    )
    return (
        f"The threshold is {known.standing}: with {known.confidence:.0%} confidence at most "
        f"{asked} of the pairs of different ones pass{scope}, found on "
        f"{counted(known.identities, 'other identity')}. {agrees}"
    )


def advice(report: Report) -> tuple[str, ...]:
    """What to do next, the most urgent first."""
    found, known = report.evaluation, report.calibration
    named = {each.name: each for each in found.estimates}
    said = []
    if known is None:
        said.append(
            "Calibrate it on identities of its own (twofold "
            "calibrate BUNDLE DATA --far 1e-2), then evaluate again."
        )
    elif found.holds is False:
        said.append(
            "Do not rely on the threshold for this kind of data: "
            "calibrate again, on identities like those tested here."
        )
    elif not known.certified:
        said.append(
            "Calibrate on more identities, so that the false-accept "
            f"rate of {percent(known.far)} can be certified."
        )
    if known is not None:
        said += [f"{each[0].upper()}{each[1:]}." for each in known.warnings]
    if found.units < ROUGH_BELOW:
        said.append(
            f"Test on more identities: with {found.units} the "
            f"intervals are rough ({ROUGH_BELOW} and more are good)."
        )
    missed = named.get("false_non_match_rate")
    if missed is not None and missed.low > 0.1:
        said.append(
            "More than one in ten genuine pairs is rejected. Train on more identities or longer, "
            "allow a larger false-accept rate, or enrol several items each."
        )
    worst = max(report.groups, key=lambda part: part.false_match_rate or 0.0, default=None)
    if worst is not None and worst.false_match_rate is not None and known is not None:
        low = (worst.false_match_interval or (0.0, 0.0))[0]
        if low > known.far:
            said.append(
                f"Among {worst.name} alone the false-match rate is {worst.false_match_rate:.2%}: "
                "where only such pairs are compared, calibrate for that group."
            )
    if any(hard.wrong and hard.kind == "false accept" for hard in report.hard):
        said.append(
            "Look at the hardest false accepts in the page: "
            "two labels for one thing show up there first."
        )
    return (*said,) or ("No problems found with using it on data like this.",)


def rate(found: Estimate) -> str:
    """A rate with its interval."""
    nothing = ", which says nothing" if found.says_nothing else ""
    return f"{found.value:.2%} ({found.confidence:.0%} interval {100 * found.low:.2f} to {found.high:.2%}{nothing})"
