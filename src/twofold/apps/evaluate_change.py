"""evaluate of a bundle of change: masks against the truth, scene by scene and pooled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from twofold.change_bundle import ChangeBundle
from twofold.data.scenes import Scenes
from twofold.errors import IdentityOverlap, NotEnoughData
from twofold.metrics import scene_threshold, spatial
from twofold.plurals import counted
from twofold.provenance import TRAINED
from twofold.results.change import ChangeEvaluation, ChangeThreshold, SceneScores
from twofold.scene import Scene, opened, probabilities

__all__ = ["JudgedScene", "evaluate_change", "judged", "judging_scenes"]

FEW = 10
"""Scenes below which the ends of a bootstrap interval are those of the scenes at hand, and little more."""

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class JudgedScene:
    """A scene, how probable change is at each pixel, the threshold, and the mask that it makes."""

    scene: Scene
    probabilities: Float[np.ndarray, "height width"]
    threshold: float
    mask: Bool[np.ndarray, "height width"]


def evaluate_change(
    bundle: ChangeBundle,
    scenes: Scenes,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    watch: Watch | None = None,
    show: Callable[[JudgedScene], None] | None = None,
) -> ChangeEvaluation:
    """Measure a bundle on scenes that it has not seen, with the threshold of its validation scenes.

    Args:
        scenes: the training data, of which the scenes kept aside are used, or others.
        watch: called with what is done, how much of it, and of how much.
        show: called with each judged scene; it is not kept.

    Raises:
        IdentityOverlap: scenes were trained on. NotCalibrated: the bundle has no threshold.
        DataError: scenes that cannot be used.
    """
    threshold = bundle.deciding()
    judging = judging_scenes(bundle, scenes)
    parts, told = [], []
    for done, each in enumerate(judged(bundle, judging, threshold), start=1):
        counts = spatial.counted(each.mask, each.scene.truth, each.scene.valid)
        parts.append(counts)
        changed = (counts.hits + counts.missed) / max(counts.pixels, 1)
        told.append(
            SceneScores(
                scene=each.scene.id,
                changed=changed,
                pixels=counts.pixels,
                threshold=each.threshold,
                **spatial.scores(counts),
            )
        )
        if show is not None:
            show(each)
        if watch is not None:
            watch("scenes", done, len(judging))
    return ChangeEvaluation(
        estimates=spatial.estimates(parts, confidence=confidence, seed=seed),
        scenes=tuple(told),
        threshold=threshold,
        notes=(*judging.notes, *_few(len(judging))),
    )


def judged(
    bundle: ChangeBundle, scenes: Scenes, threshold: ChangeThreshold
) -> Iterator[JudgedScene]:
    """Each scene with its mask."""
    for scene in opened(scenes, bundle.twin):
        found = probabilities(bundle.twin, scene.before, scene.after)
        cut, mask = scene_threshold.cut(threshold, found, scene.valid)
        yield JudgedScene(scene=scene, probabilities=found, threshold=cut, mask=mask)


def judging_scenes(bundle: ChangeBundle, scenes: Scenes) -> Scenes:
    """Those that may judge: of the training data the ones kept aside, of other data all.

    Contents decide: a picture that was trained on under another name is found.

    Raises:
        IdentityOverlap: all, or some, were trained on.
    """
    known = bundle.provenance.familiarity(scenes)
    trained, aside = (_scenes_of(known.items, names, len(scenes)) for names in (TRAINED, ("test",)))
    if not trained.any():
        return scenes
    if not aside.any():
        raise IdentityOverlap(
            f"{int(trained.sum())} of {counted(len(scenes), 'scene')} were trained on, and none "
            f"was kept aside to test: give scenes of other places"
        )
    strangers = ~trained & ~aside
    note = (
        f"DATA is what the model was trained from: the {counted(int(aside.sum()), 'scene')} kept "
        f"aside are used"
        + (f", and {int(strangers.sum())} that it does not know" if strangers.any() else "")
    )
    return replace(scenes.take(np.flatnonzero(~trained).tolist()), notes=(note,))


def _scenes_of(
    items: Mapping[str, Bool[np.ndarray, " n"]], names: Sequence[str], count: int
) -> Bool[np.ndarray, " scenes"]:
    """Scenes of which either date stands in one of these parts."""
    found = np.zeros(count, bool)
    for name in names:
        pictures = items.get(name)
        if pictures is not None:
            found |= pictures[:count] | pictures[count:]
    return found


def _few(count: int) -> tuple[str, ...]:
    if not count:
        raise NotEnoughData("no scene is left to judge")
    if count >= FEW:
        return ()
    return (
        f"{counted(count, 'scene')} say little of others: intervals by scene need {FEW} or more "
        f"to mean what they say",
    )
