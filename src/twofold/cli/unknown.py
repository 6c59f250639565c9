"""An option that a command does not have, and what was probably meant by it: a setting, or another option."""

import re
from collections.abc import Sequence

__all__ = ["meant"]

WITH_RECIPE = ("train", "doctor", "plan")
OF_COMMAND = {
    "calibrate": (
        "confidence",
        "prior",
        "seed",
        "distance",
        "fpir",
        "gallery",
        "enrolled",
        "groups",
        "cohort",
        "cohort_side",
    ),
    "evaluate": ("pictures", "seed", "confidence"),
    "monitor": ("looks", "genuine", "distance"),
}
"""What --set knows outside a recipe."""

ALIASES = {
    "batch-size": "p",
    "lr": "optimiser.learning_rate",
    "optimizer": "optimiser.name",
    "scheduler": "schedule.name",
    "size": "input.size",
    "image-size": "input.size",
    "channels": "input.channels",
    "dim": "encoder.dim",
    "width": "encoder.width",
    "margin": "loss.margin",
    "temperature": "loss.temperature",
    "backbone": "encoder.name",
    "model": "encoder.name",
    "arch": "encoder.name",
}
"""What other programs call some keys of a recipe."""

PIECES = ("input", "encoder", "comparison", "loss", "miner", "optimiser", "schedule")
"""Keys of a recipe whose value is a name with arguments."""

OTHERS = {
    "gpu": "--device cuda",
    "cuda": "--device cuda",
    "cpu": "--device cpu",
    "output": "--out",
    "overwrite": "--force",
    "time": "--max-time SECONDS",
    "config": "the recipe as first argument: a name or a TOML file",
    "recipe": "the recipe as first argument: a name or a TOML file",
    "data": "the data as an argument, without an option",
    "top-k": "--count",
    "top": "--count",
    "threshold": "the bundle that has the threshold: twofold calibrate BUNDLE DATA --far 1e-2 "
    "finds one",
}
"""Options that no command here has, and what takes their place."""

OPTION = re.compile(r"[Uu]nknown option: \"?--?([A-Za-z][\w-]*)")


def meant(said: str, words: Sequence[str]) -> str:
    """What to write in place of an unknown option; nothing where nobody can tell.

    Args:
        said: the error about it. words: the command line.
    """
    if (found := OPTION.search(said)) is None or not words:
        return ""
    option = found[1].lower()
    if key := _key(words[0], option.replace("_", "-")):
        return f"write --set {key}={_value(words, found[1])}"
    other = OTHERS.get(option.replace("_", "-"))
    return f"here it is {other}" if other else ""


def _key(command: str, option: str) -> str:
    """The setting of that name, if the command has one."""
    name = option.replace("-", "_")
    if command not in WITH_RECIPE:
        return name if name in OF_COMMAND.get(command, ()) else ""
    from twofold.config import Optimiser, Recipe, Schedule, Split

    if name in PIECES:
        return f"{name}.name"
    if option in ALIASES:
        return ALIASES[option]
    if name in Recipe.model_fields:
        return name
    sections = {"optimiser": Optimiser, "schedule": Schedule, "split": Split}
    return next(
        (f"{section}.{name}" for section, of in sections.items() if name in of.model_fields), ""
    )


def _value(words: Sequence[str], option: str) -> str:
    """The value that stands behind an option, or a word for it."""
    for place, word in enumerate(words):
        name, sign, value = word.lstrip("-").partition("=")
        if name == option and word.startswith("-"):
            after = words[place + 1] if place + 1 < len(words) else ""
            return value if sign else after if after and not after.startswith("-") else "VALUE"
    return "VALUE"
