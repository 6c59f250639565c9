"""Following objects through frames: windows around them, what a twin reads there, where to look for lost ones."""

from twofold.tracking.tracker import Tracker

__all__ = ["Tracker"]
