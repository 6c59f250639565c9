"""The path of `twofold.calibration.cohort` in the first documentation: it is still imported from here."""

from twofold.calibration.cohort import calibrate_cohort

__all__ = ["calibrate_cohort"]
