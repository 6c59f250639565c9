"""The path of `twofold.calibration.groups` in the first documentation: it is still imported from here."""

from twofold.calibration.groups import calibrate_groups, group_calibrations, with_groups

__all__ = ["calibrate_groups", "group_calibrations", "with_groups"]
