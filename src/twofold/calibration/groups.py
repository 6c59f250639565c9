"""A threshold for each group of identities, each certified on its own, or refused by name (law 6)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twofold.bundle import Bundle
from twofold.calibration.pairs import calibration, refuse_crossfitted
from twofold.contract import Calibration, GroupCalibration
from twofold.data.items import Items
from twofold.data.scores import Scores
from twofold.embedding import deciding, embed_readable
from twofold.errors import CannotCertify, NotCalibrated, NotEnoughData, TwofoldError, UsageError
from twofold.metrics.sites import BySite
from twofold.recruitment import pairs_of
from twofold.results import Standing

__all__ = ["calibrate_groups", "group_calibrations", "with_groups"]


def calibrate_groups(
    bundle: Bundle,
    items: Items,
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    standing: Standing | None = None,
) -> dict[str, Calibration]:
    """For each group of `items` a calibration from the pairs inside it; `with_groups` lets a bundle decide by them.

    One threshold for all can hold on the whole and fail for the members of a group, who are
    compared with each other more often than chance would have it. Of data that the bundle was
    trained from, the identities kept aside as "calibrate" are used.

    Args:
        items: with a group for each (folders of folders, or a column group).
        far, frr, confidence, seed, standing: as in `calibrate`; every group's promise is one of its
            own.

    Raises:
        CannotCertify, NotEnoughData: a group is too small; names it. No other group is calibrated
            then.
        UsageError: the items have no groups.
        IdentityOverlap: identities were trained on.
    """
    refuse_crossfitted(bundle, items, "a threshold for each group")
    part = bundle.outside_cohort(bundle.part(items, "calibrate"))
    if part.group is None:
        raise UsageError(
            "the items have no groups: give folders of folders (--levels 2), or a table with a "
            "column group"
        )
    bundle.refuse_trained(part)
    part, vectors = embed_readable(bundle, part)
    membership = part.group if part.group is not None else np.zeros(0, np.int64)
    known = {
        part.groups[code]: _pairs(bundle, part, vectors, np.flatnonzero(membership == code))
        for code in np.unique(membership)
    }
    return group_calibrations(
        known, far=far, frr=frr, confidence=confidence, seed=seed, standing=standing
    )


def with_groups(bundle: Bundle, found: Mapping[str, Calibration]) -> Bundle:
    """A copy of a calibrated bundle that has a threshold for each group: `verify(..., group="day")` then goes by it.

    Raises:
        NotCalibrated: `calibrate` comes first; pairs across groups are decided by its threshold.
    """
    if bundle.calibration is None:
        raise NotCalibrated(
            "calibrate for all pairs first: `twofold calibrate BUNDLE DATA --far 1e-2`"
        )
    groups = tuple(GroupCalibration(name=name, calibration=each) for name, each in found.items())
    return bundle.with_deciding(replace(bundle.calibration.deciding, groups=groups))


def group_calibrations(
    groups: Mapping[str, Scores],
    *,
    far: float,
    frr: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    standing: Standing | None = None,
) -> dict[str, Calibration]:
    """As `calibrate_groups`, for the scores that any model gave to the pairs inside each group.

    Raises:
        CannotCertify, NotEnoughData: a group is too small, or does not say whose its pairs are;
            names it.
    """
    found = {}
    for name, known in groups.items():
        try:
            if known.unit == "pair" and standing != "estimate":
                raise CannotCertify(
                    "the identities of the pairs are not given (columns identity_a and identity_b)"
                )
            found[name] = calibration(
                known.by_site,
                far=far,
                frr=frr,
                confidence=confidence,
                seed=seed,
                standing=standing,
                unit=known.unit,
            )
        except (CannotCertify, NotEnoughData) as error:
            raise _named(error, name) from None
    return found


def _named(error: TwofoldError, group: str) -> TwofoldError:
    return type(error)(f"group {group!r}: {error}")


def _pairs(bundle: Bundle, part: Items, vectors: np.ndarray, members: np.ndarray) -> Scores:
    inside = part.take(members)
    pairs = pairs_of(inside, deciding(bundle, vectors[members]))
    if isinstance(pairs, BySite):
        return Scores(
            pairs=pairs.pairs, unit="identity", identities=pairs.identities, sites=pairs.sites
        )
    return Scores(pairs=pairs, unit="identity", identities=pairs.units)
