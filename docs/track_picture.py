"""The picture of docs/track.md: a synthetic film, followed by the tracker that comes with twofold.

python docs/track_picture.py [BUNDLE]
"""

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from twofold.data.motion_films import motion_films
from twofold.track_bundle import TrackBundle
from twofold.tracking import Tracker
from twofold.tracking.drawing import COLOURS, annotated

SEED, SIZE = 5, (270, 480)
SHOWN, SMALL, CHART = 6, (320, 180), 110


def main() -> None:
    """Follow, draw, save."""
    bundle = TrackBundle.load(sys.argv[1]) if sys.argv[1:] else TrackBundle.pretrained()
    film = next(motion_films(1, seed=SEED, size=SIZE, events=("leaves",)))
    tracker, found, pictures = Tracker(bundle), [], []
    for number, frame in enumerate(film.frames()):
        told = tracker.step(frame) if number else tracker.start(frame, film.boxes[:1])
        found.append(told[0])
        pictures.append(PIL.Image.fromarray(annotated(frame, told)).resize(SMALL))
    gone = np.flatnonzero([each.lost for each in found])
    away = gone[np.isnan(film.boxes[gone]).any(axis=1)]
    places = [0, away[0] - 8, away[len(away) // 3], away[-1] - 8, gone[-1] + 3, len(found) - 1]
    canvas = PIL.Image.new("RGB", (SHOWN // 2 * SMALL[0], 2 * SMALL[1] + CHART), "white")
    for at, place in enumerate(places):
        canvas.paste(pictures[place], (at % 3 * SMALL[0], at // 3 * SMALL[1]))
    curve(PIL.ImageDraw.Draw(canvas), [0 if f.lost else f.confidence for f in found], gone)
    out = Path(__file__).parent / "figures" / "track.jpg"
    canvas.save(out, quality=85)


def curve(pen: PIL.ImageDraw.ImageDraw, values: list[float], gone: np.ndarray) -> None:
    """The confidence over time, below the frames."""
    width, top = SHOWN // 2 * SMALL[0], 2 * SMALL[1] + 8
    across = width / (len(values) - 1)
    high = CHART - 16
    for number in gone:
        pen.rectangle([number * across, top, (number + 1) * across, top + high], fill="#dddddd")
    line = [(n * across, top + (1 - value) * high) for n, value in enumerate(values)]
    pen.line(line, fill=COLOURS[0], width=3)


if __name__ == "__main__":
    main()
