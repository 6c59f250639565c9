"""Small pictures of judged scenes, for a page."""

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8

from twofold.apps.evaluate_change import JudgedScene
from twofold.inputs.raster_source import usual_colours
from twofold.report.change_page import ScenePictures

__all__ = ["ChangePictures"]

LARGEST_SIDE = 420
"""Pixels of a picture on a page: four beside each other fill a wide screen."""

MOST = 40
"""Scenes that a page shows: each takes about 150 kB."""

SPREAD = 2.5
"""Deviations from the mean that are black and white: one pixel in a hundred lies beyond."""

HIT, FALSE, MISSED, OUTSIDE = (255, 255, 255), (230, 159, 0), (0, 114, 178), (70, 70, 70)
"""Colours that are told apart whatever one's eyes are (Okabe & Ito 2008)."""


class ChangePictures:
    """Collects the pictures of judged scenes, small.

    Attributes:
        scenes: those so far, in the order of their scenes.
    """

    def __init__(self) -> None:
        self.scenes: list[ScenePictures] = []

    def __call__(self, judged: JudgedScene) -> None:
        """Take one scene in."""
        if len(self.scenes) >= MOST:
            return
        scene = judged.scene
        truth, said = scene.truth & scene.valid, judged.mask & scene.valid
        compared = np.zeros((*truth.shape, 3), np.uint8)
        for place, colour in (
            (truth & said, HIT),
            (said & ~truth, FALSE),
            (truth & ~said, MISSED),
            (~scene.valid, OUTSIDE),
        ):
            compared[place] = colour
        self.scenes.append(
            ScenePictures(
                id=scene.id,
                before=_small(_seen(scene.before)),
                after=_small(_seen(scene.after)),
                truth=_small(np.where(truth, 255, 0).astype(np.uint8), exact=True),
                compared=_small(compared, exact=True),
            )
        )


def _seen(bands: Float[np.ndarray, "bands height width"]) -> UInt8[np.ndarray, "..."]:
    """Normalised bands as colours."""
    chosen = bands[list(usual_colours(len(bands)))]
    scaled = ((chosen / SPREAD).clip(-1, 1) + 1) * 127.5
    picture = scaled.astype(np.uint8).transpose(1, 2, 0)
    return picture[:, :, 0] if picture.shape[2] == 1 else picture


def _small(picture: UInt8[np.ndarray, "..."], *, exact: bool = False) -> UInt8[np.ndarray, "..."]:
    """At most `LARGEST_SIDE` on a side; exact: no colour that was not there."""
    image = PIL.Image.fromarray(picture)
    way = PIL.Image.Resampling.NEAREST if exact else PIL.Image.Resampling.BOX
    factor = min(1.0, LARGEST_SIDE / max(image.size))
    size = tuple(max(1, round(side * factor)) for side in image.size)
    return np.asarray(image.resize(size, way))  # type: ignore[arg-type]
