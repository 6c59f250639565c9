"""Where in a long recording something is heard: windows of it against one example or several, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from twofold.bundle import Bundle
from twofold.embedding import embed_read, pair_scores, read_named
from twofold.errors import UnreadableInput, UsageError
from twofold.inputs.audio import Audio
from twofold.results import Spotted, Spotting

__all__ = ["sounds_of", "spot"]

STEPS = 4
"""Windows that begin within the length of one window."""

AT_ONCE = 256
"""Windows that are embedded together."""

Progress = Callable[[int, int], None]


def spot(
    bundle: Bundle,
    recording: str | Path,
    examples: Sequence[Any],
    *,
    count: int = 10,
    progress: Progress | None = None,
) -> Spotting:
    """The places of a recording that are most like an example, best first; no two overlap by half.

    A window is as long as the examples are on average, and begins a quarter of that after the one
    before. Silent windows are skipped. The false-accept rate of the bundle's threshold is that of
    one comparison: a long recording has many.

    Args:
        recording: a sound file of any length, which is read by blocks.
        examples: what is looked for.
        count: places at most.
        progress: called with the seconds that were heard, and those of the whole recording.

    Raises:
        UsageError: the bundle does not read sounds, or there is no example.
        UnreadableInput: names what cannot be read.
    """
    input = sounds_of(bundle)
    if not examples:
        raise UsageError("give at least one example of what is looked for")
    shown = [read_named(bundle.twin.input, example) for example in examples]
    known = embed_read(bundle, shown)
    size = round(float(np.mean([len(each) for each in shown])))
    starts, best, which = [], [], []
    for places, vectors in _windows(bundle, Path(recording), size, progress=progress):
        scores = np.stack(
            [pair_scores(bundle, vectors, np.tile(each, (len(vectors), 1))) for each in known]
        )
        starts.append(places)
        best.append(scores.max(axis=0))
        which.append(scores.argmax(axis=0))
    if not starts:
        raise UnreadableInput(f"{Path(recording).name} is silence, or shorter than the examples")
    found = np.concatenate(starts), np.concatenate(best), np.concatenate(which)
    places = _told(bundle, found, seconds=size / input.rate, count=count)
    calibration = bundle.calibration
    return Spotting(
        places=places,
        comparisons=len(found[0]) * len(examples),
        threshold=None if calibration is None else calibration.threshold,
        far=None if calibration is None else calibration.far,
        standing=None if calibration is None else calibration.standing,
    )


def sounds_of(bundle: Bundle) -> Audio:
    """The input of a bundle of sounds.

    Raises:
        UsageError: the bundle reads something else.
    """
    input = bundle.twin.input
    if not isinstance(input, Audio):
        raise UsageError(f"spot is for bundles of sounds, and this one reads {input.name}")
    return input


def _windows(
    bundle: Bundle, recording: Path, size: int, *, progress: Progress | None
) -> Iterator[tuple[Float[np.ndarray, "windows"], Float[np.ndarray, "windows dim"]]]:
    """Where windows begin, in seconds, and their vectors, some hundred at a time."""
    input = sounds_of(bundle)
    step, whole = max(size // STEPS, 1), round(input.seconds(recording))
    starts: list[float] = []
    arrays: list[np.ndarray] = []
    held, first = np.zeros(0, np.float32), 0
    for block in input.blocks(recording):
        held = np.concatenate([held, block])
        while len(held) >= size:
            try:
                arrays.append(input.read(held[:size]))
                starts.append(first / input.rate)
            except UnreadableInput:
                pass  # silence
            held, first = held[step:], first + step
            if len(arrays) == AT_ONCE:
                yield np.array(starts), embed_read(bundle, arrays)
                starts, arrays = [], []
        if progress:
            progress(first // input.rate, whole)
    if arrays:
        yield np.array(starts), embed_read(bundle, arrays)


def _told(
    bundle: Bundle,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    seconds: float,
    count: int,
) -> tuple[Spotted, ...]:
    """The best windows, of which none lies within half a window of a better one."""
    starts, scores, which = found
    calibration = bundle.calibration
    kept: list[int] = []
    for place in np.argsort(-scores, kind="stable"):
        if len(kept) == count:
            break
        if all(abs(starts[place] - starts[other]) >= seconds / 2 for other in kept):
            kept.append(int(place))
    return tuple(
        Spotted(
            start=float(starts[place]),
            end=float(starts[place] + seconds),
            example=int(which[place]),
            score=float(scores[place]),
            decision=None if calibration is None else calibration.decide(float(scores[place])),
        )
        for place in kept
    )
