"""A job told in steps, which both the page and the terminal show."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from twofold.errors import NotEnoughData, UsageError
from twofold.metrics.pairs import PairSource
from twofold.results import Estimate

__all__ = ["Mark", "Row", "Scores", "Step", "Story", "score_shares"]

Mark = Literal["right", "wrong", ""]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Pictures side by side with what is said about them.

    Attributes:
        pictures: grey (height, width) or colour (height, width, 3), uint8, each with its caption.
        said: the answer, in a few words. detail: its grounds. mark: whether it is known to be right
            or wrong.
    """

    pictures: tuple[UInt8[np.ndarray, "..."], ...]
    captions: tuple[str, ...]
    said: str = ""
    detail: str = ""
    mark: Mark = ""

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.captions):
            raise UsageError(
                f"{len(self.pictures)} pictures and {len(self.captions)} captions: give one of each"
            )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Histograms of the scores of genuine and impostor pairs, and a threshold.

    Attributes:
        edges: of the bins, rising.
        genuine, impostor: share of the pairs of that kind in each bin; each adds up to 1.
        threshold: score at which the answer becomes "same".
    """

    edges: Float[np.ndarray, " edges"]
    genuine: Float[np.ndarray, " bins"]
    impostor: Float[np.ndarray, " bins"]
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what was done, its result, how it looks, and what to type."""

    title: str
    text: str
    rows: tuple[Row, ...] = ()
    numbers: tuple[Estimate, ...] = ()
    scores: Scores | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Story:
    """A title, what it comes to in a sentence or two, and the steps."""

    title: str
    lead: str
    steps: tuple[Step, ...]


def score_shares(pairs: PairSource, *, threshold: float, bins: int = 40) -> Scores:
    """Histogram the scores of both kinds of pairs over their common range, block by block.

    Raises:
        NotEnoughData: no pairs of one kind.
    """
    ends = [(block.scores.min(), block.scores.max()) for block in pairs if len(block.scores)]
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    counts = np.zeros((2, bins))
    for block in pairs:
        for row, kind in enumerate((block.same, ~block.same)):
            counts[row] += np.histogram(block.scores[kind], edges, weights=block.weights[kind])[0]
    genuine, impostor = counts.sum(axis=1)
    if not genuine or not impostor:
        raise NotEnoughData(
            f"{genuine:g} genuine and {impostor:g} impostor pairs: at least one of each is needed"
        )
    return Scores(
        edges=edges, genuine=counts[0] / genuine, impostor=counts[1] / impostor, threshold=threshold
    )
