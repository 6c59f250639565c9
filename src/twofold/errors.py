"""Every mistake a user can make, one tree.

    TwofoldError
    ├── UsageError                what was asked cannot be done so
    │   ├── UnknownName           a name that no table holds
    │   ├── RecipeError           a recipe that does not fit
    │   ├── MissingExtra          an optional package is not installed
    │   └── CannotWrite           a place that takes no file: read-only, full, or somebody else's
    ├── DataError                 what is wrong with the data
    │   ├── UnreadableInput       one raw thing that cannot be decoded
    │   ├── PoorQuality           one thing that is too poor to be enrolled
    │   ├── NotEnoughData         too few items, identities or pairs for what was asked
    │   └── IdentityOverlap       identities stand on two sides of a split
    ├── BatchError                a loss or miner was called with a batch it cannot answer for
    ├── TrainingError             training broke down
    ├── Interrupted               a training was asked to end; its state is kept
    ├── BundleError               a folder that is not a bundle
    │   ├── DamagedBundle         bytes that are not those that were written
    │   ├── NewerFormat           written by a later version
    │   └── WrongKind             a bundle for another task
    ├── CalibrationError
    │   ├── NotCalibrated         a verdict was asked of a bundle without a threshold
    │   └── CannotCertify         the data cannot show the asked rate
    │       └── NoMeaning         genuine pairs do not score higher than impostor pairs
    └── StoreError                an index that cannot do what was asked
        ├── FingerprintMismatch   vectors of another model
        ├── DamagedIndex          bytes that are not those that were written
        ├── UnknownLabel          nobody of that name is enrolled
        └── WrongKey              a protected index without its key

Each message says what is wrong, with the values, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BatchError",
    "BundleError",
    "CalibrationError",
    "CannotCertify",
    "CannotWrite",
    "DamagedBundle",
    "DamagedIndex",
    "DataError",
    "FingerprintMismatch",
    "IdentityOverlap",
    "Interrupted",
    "LeftOut",
    "LongRead",
    "MissingExtra",
    "NewerFormat",
    "NoMeaning",
    "NotCalibrated",
    "NotEnoughData",
    "PoorQuality",
    "RecipeError",
    "SeveralFaces",
    "SlowPrecision",
    "StoreError",
    "TrainingError",
    "TwofoldError",
    "UnknownLabel",
    "UnknownName",
    "UnreadableInput",
    "UsageError",
    "WrongKey",
    "WrongKind",
    "nearest",
]


class TwofoldError(Exception):
    """Anything that a user of twofold can mend."""


class UsageError(TwofoldError):
    """What was asked cannot be done so."""


class UnknownName(UsageError):
    """A name that no table holds."""


class RecipeError(UsageError):
    """A recipe that does not fit."""


class MissingExtra(UsageError):
    """An optional package is not installed."""


class CannotWrite(UsageError):
    """A place that takes no file: read-only, full, or somebody else's."""


class DataError(TwofoldError):
    """What is wrong with the data."""


class UnreadableInput(DataError):
    """One raw thing that cannot be decoded."""


class PoorQuality(DataError):
    """One thing that is too poor to be enrolled."""


class NotEnoughData(DataError):
    """Too few items, identities or pairs for what was asked."""


class IdentityOverlap(DataError):
    """Identities stand on two sides of a split."""


class BatchError(TwofoldError):
    """A loss or miner was called with a batch it cannot answer for."""


class TrainingError(TwofoldError):
    """Training broke down."""


class Interrupted(TwofoldError):
    """A training was asked to end; its state is kept."""


class BundleError(TwofoldError):
    """A folder that is not a bundle."""


class DamagedBundle(BundleError):
    """Bytes that are not those that were written."""


class NewerFormat(BundleError):
    """Written by a later version of twofold."""


class WrongKind(BundleError):
    """A bundle for another task: of change, where embeddings are wanted."""


class CalibrationError(TwofoldError):
    """No honest threshold."""


class NotCalibrated(CalibrationError):
    """A verdict was asked of a bundle without a threshold."""


class CannotCertify(CalibrationError):
    """The data cannot show the asked rate."""


class NoMeaning(CannotCertify):
    """Genuine pairs do not score higher than impostor pairs, so that no threshold and no rate can be had."""


class StoreError(TwofoldError):
    """An index that cannot do what was asked."""


class FingerprintMismatch(StoreError):
    """Vectors of another model."""


class DamagedIndex(StoreError):
    """Bytes that are not those that were written."""


class UnknownLabel(StoreError):
    """Nobody of that name is enrolled."""


class WrongKey(StoreError):
    """A protected index without its key, or with another one."""


class LeftOut(UserWarning):
    """Items or folders that cannot be read were left out; a warning, which names them."""


class SeveralFaces(UserWarning):
    """A picture shows several faces, and the largest was taken; a warning, which names the picture."""


class LongRead(UserWarning):
    """A read of an index was so long that an erasure could not be finished; a warning: nothing went wrong in it."""


class SlowPrecision(UserWarning):
    """A training runs in a precision that the hardware only imitates; a warning: its numbers are right."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the nearest match if there is one, and what there is."""
    table = sorted(known)
    matches = get_close_matches(name, table, n=1, cutoff=0.5)
    meant = f"did you mean {matches[0]!r}? There are" if matches else "there are"
    return f"{meant}: {', '.join(table)}"
