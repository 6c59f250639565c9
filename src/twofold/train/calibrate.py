"""The path of `twofold.calibration.pairs` in the first documentation: it is still imported from here."""

from twofold.calibration.pairs import calibrate, calibrate_scores, calibration

__all__ = ["calibrate", "calibrate_scores", "calibration"]
