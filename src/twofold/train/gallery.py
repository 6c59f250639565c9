"""The path of `twofold.calibration.open_set` in the first documentation: it is still imported from here."""

from twofold.calibration.open_set import calibrate_gallery

__all__ = ["calibrate_gallery"]
