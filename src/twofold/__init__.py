"""twofold: are these two the same? Siamese networks with a stated error rate.

Every public name is imported when it is first used, so that `import twofold` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "twofold.bundle",
    "Checkpoints": "twofold.train.checkpoint",
    "Index": "twofold.store.index",
    "Items": "twofold.data.items",
    "Pairs": "twofold.data.pairs",
    "Recipe": "twofold.config",
    "Tracker": "twofold.tracking.tracker",
    "Twin": "twofold.twin",
    "calibrate": "twofold.calibration.pairs",
    "change": "twofold.apps.change",
    "doctor": "twofold.apps.doctor",
    "embed": "twofold.embedding",
    "enrol": "twofold.apps.gallery",
    "dedup": "twofold.apps.dedup",
    "evaluate": "twofold.apps.evaluate",
    "evaluate_pairs": "twofold.apps.evaluate_pairs",
    "fit": "twofold.train.fit",
    "identify": "twofold.apps.identify",
    "losses": "twofold.losses",
    "mining": "twofold.losses.mining",
    "monitor": "twofold.apps.monitor",
    "search": "twofold.apps.search",
    "track": "twofold.apps.track",
    "tune": "twofold.train.tune",
    "verify": "twofold.apps.verify",
    "verify_pairs": "twofold.apps.verify",
}

_MODULES = ("losses", "mining")
"""Public names that are modules themselves; every other one is a name inside its home."""

__all__ = [
    "Bundle",
    "Checkpoints",
    "Index",
    "Items",
    "Pairs",
    "Recipe",
    "Tracker",
    "Twin",
    "__version__",
    "calibrate",
    "change",
    "dedup",
    "doctor",
    "embed",
    "enrol",
    "evaluate",
    "evaluate_pairs",
    "fit",
    "identify",
    "losses",
    "mining",
    "monitor",
    "search",
    "track",
    "tune",
    "verify",
    "verify_pairs",
]

if TYPE_CHECKING:
    from twofold import losses as losses
    from twofold.apps.change import change as change
    from twofold.apps.dedup import dedup as dedup
    from twofold.apps.doctor import doctor as doctor
    from twofold.apps.evaluate import evaluate as evaluate
    from twofold.apps.evaluate_pairs import evaluate_pairs as evaluate_pairs
    from twofold.apps.gallery import enrol as enrol
    from twofold.apps.identify import identify as identify
    from twofold.apps.monitor import monitor as monitor
    from twofold.apps.search import search as search
    from twofold.apps.track import track as track
    from twofold.apps.verify import verify as verify
    from twofold.apps.verify import verify_pairs as verify_pairs
    from twofold.bundle import Bundle as Bundle
    from twofold.calibration.pairs import calibrate as calibrate
    from twofold.config import Recipe as Recipe
    from twofold.data.items import Items as Items
    from twofold.data.pairs import Pairs as Pairs
    from twofold.embedding import embed as embed
    from twofold.losses import mining as mining
    from twofold.store.index import Index as Index
    from twofold.tracking.tracker import Tracker as Tracker
    from twofold.train.checkpoint import Checkpoints as Checkpoints
    from twofold.train.fit import fit as fit
    from twofold.train.tune import tune as tune
    from twofold.twin import Twin as Twin


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return home if name in _MODULES else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
