"""The demo: the whole path in about a minute, on characters drawn in free fonts."""

from twofold.demo.run import TRAINED_SCRIPTS, DemoResult, demo, recipe

__all__ = ["TRAINED_SCRIPTS", "DemoResult", "demo", "recipe"]
