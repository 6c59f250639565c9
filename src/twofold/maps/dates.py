"""Two rasters of one grid as the windows of a scene: read as they are asked for, normalised by their own statistics."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from twofold.inputs.raster_source import Source, Statistics
from twofold.tiling import Area, Judge

__all__ = ["Dates"]


@dataclass(frozen=True, kw_only=True)
class Dates:
    """Both dates of a scene, and the statistics of each; see `tiling.Windows`."""

    before: Source
    after: Source
    statistics: tuple[Statistics, Statistics]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.before.height, self.before.width

    def valid(self, area: Area) -> Bool[np.ndarray, "height width"]:
        """Which pixels hold a value in both dates."""
        return self.before.valid(*area) & self.after.valid(*area)

    def values(
        self, area: Area, judge: Judge
    ) -> list[Float[np.ndarray, "bands height width"]] | None:
        """Both windows; None where no pixel has a value in both."""
        sources = self.before, self.after
        valid = [source.valid(*area) for source in sources]
        if not (valid[0] & valid[1]).any():
            return None
        return [
            judge.normalise(source.window(*area), known, there)
            for source, known, there in zip(sources, self.statistics, valid, strict=True)
        ]
