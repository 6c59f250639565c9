"""The tracker: follows, says when it is lost, looks everywhere, and refuses what it cannot follow."""

import numpy as np
import pytest

import drawn_tracks
from twofold.errors import DataError, NotEnoughData, UsageError
from twofold.inputs.video_decoding import Frame
from twofold.metrics.tracking import overlaps
from twofold.results import Tracked
from twofold.tracking import Tracker
from twofold.tracking.targets import Settings


@pytest.fixture(scope="module")
def bundle():
    return drawn_tracks.by_colour()


def followed(bundle, frames, boxes, **settings):
    tracker = Tracker(bundle, settings=Settings(**settings))
    return list(tracker.follow(frames, boxes[0]))


def overlap(found, boxes):
    return overlaps(boxes, np.array([each.guess for each in found]))


def absent(frames, boxes, span):
    """The same film without the object in these frames."""
    ground = frames[(span.start + len(frames) // 2) % len(frames)]  # it is elsewhere there
    found = list(frames)
    for number in span:
        x, y, w, h = boxes[number].astype(int)
        found[number] = frames[number].copy()
        found[number][y : y + h, x : x + w] = ground[y : y + h, x : x + w]
    return found


def test_it_follows(bundle):
    frames, boxes = drawn_tracks.moving(50)
    found = followed(bundle, frames, boxes)
    assert overlap(found, boxes).min() > 0.6
    assert not any(each.lost for each in found)
    assert [each.frame for each in found] == list(range(50))
    assert found[10].seconds == pytest.approx(10 / 25)
    assert found[0].box == tuple(boxes[0]) and found[0].confidence == 1.0


def test_it_says_that_it_is_lost_and_finds_it_again_elsewhere(bundle):
    frames, boxes = drawn_tracks.moving(90)
    found = followed(bundle, absent(frames, boxes, range(40, 60)), boxes)
    assert all(each.lost and np.isnan(each.box).all() for each in found[44:60])
    assert max(each.confidence for each in found[41:60]) < 0.5
    assert np.isfinite([each.guess for each in found]).all()
    assert not any(each.lost for each in found[66:])
    assert overlap(found, boxes)[66:].min() > 0.6


def test_several_objects_in_the_order_of_their_boxes(bundle):
    frames, boxes = drawn_tracks.moving(20)
    other, places = drawn_tracks.moving(20, seed=5, side=16, start=30)
    both = [
        np.where(drawn_tracks.inside(b, f.shape)[..., None], o, f)
        for f, o, b in zip(frames, other, places, strict=True)
    ]
    found = list(Tracker(bundle).follow(both, [boxes[0], places[0]]))
    assert all(isinstance(each, tuple) and len(each) == 2 for each in found)
    for number, truth in enumerate((boxes, places)):
        guesses = np.array([each[number].guess for each in found])
        assert overlaps(truth, guesses).min() > 0.5
    assert [each.object for each in found[3]] == [0, 1]


def test_frames_that_know_their_times(bundle):
    frames, boxes = drawn_tracks.moving(3)
    timed = [Frame(seconds=2.5 * k, picture=each) for k, each in enumerate(frames)]
    found = list(Tracker(bundle).follow(iter(timed), boxes[0]))
    assert [each.seconds for each in found] == [0.0, 2.5, 5.0]


def test_a_single_frame_is_a_whole_film(bundle):
    frames, boxes = drawn_tracks.moving(1)
    (found,) = Tracker(bundle).follow(frames, boxes[0])
    assert isinstance(found, Tracked) and found.guess == tuple(boxes[0])


def test_the_first_look_stays_in_the_example(bundle):
    frames, boxes = drawn_tracks.moving(30)
    tracker = Tracker(bundle, settings=Settings(gate=0.5, every=5))
    tracker.start(frames[0], boxes[:1])
    first = [each.clone() for each in tracker.targets[0].first]
    for frame in frames[1:]:
        tracker.step(frame)
    (target,) = tracker.targets
    assert target.running is not None
    for start, known, running, example in zip(
        first, target.first, target.running, target.example, strict=True
    ):
        assert np.array_equal(start, known)
        assert np.allclose(example, known + (running - known) * tracker.targets[0].settings.running)


def test_nothing_unsure_changes_the_example(bundle):
    frames, boxes = drawn_tracks.moving(30)
    tracker = Tracker(bundle, settings=Settings(gate=1.1))
    tracker.start(frames[0], boxes[:1])
    for frame in frames[1:]:
        tracker.step(frame)
    assert tracker.targets[0].running is None


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((500, 10, 20, 20), "lies outside the frame, which is 160 x 120 pixels"),
        ((-30, 10, 20, 20), "lies outside the frame"),
        ((10, 10, 0, 20), "has no area"),
        ((10, 10, 20, -5), "has no area"),
        ((10, 10, float("nan"), 20), "four finite numbers"),
        ((10, 10, float("inf"), 20), "four finite numbers"),
        ((10, 10, 20), "x, y, width, height"),
        ((), "x, y, width, height"),
    ],
)
def test_boxes_that_are_none(bundle, box, said):
    frames, _ = drawn_tracks.moving(1)
    with pytest.raises(UsageError, match=said):
        list(Tracker(bundle).follow(frames, box))


def test_a_box_that_reaches_over_the_border_is_cut_off(bundle):
    frames, _ = drawn_tracks.moving(1)
    (found,) = Tracker(bundle).follow(frames, (-10, 100, 30, 40))
    assert found.guess == (0.0, 100.0, 20.0, 20.0)


def test_frames_that_change_their_size(bundle):
    frames, boxes = drawn_tracks.moving(4)
    with pytest.raises(DataError, match=r"frame 2 is 100 x 120 pixels, .* are 160 x 120"):
        list(Tracker(bundle).follow([*frames[:2], frames[2][:, :100]], boxes[0]))


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((20, 20, 4), np.uint8),
    ],
)
def test_what_is_no_frame(bundle, frame):
    with pytest.raises(DataError, match="a frame"):
        Tracker(bundle).start(frame, [(1, 1, 5, 5)])


def test_no_frame_at_all(bundle):
    with pytest.raises(NotEnoughData, match="no frame"):
        list(Tracker(bundle).follow([], (1, 1, 5, 5)))


def test_a_step_before_the_start(bundle):
    frames, _ = drawn_tracks.moving(1)
    with pytest.raises(UsageError, match="call start"):
        Tracker(bundle).step(frames[0])


def test_the_same_film_gives_the_same_track(bundle):
    frames, boxes = drawn_tracks.moving(20)
    assert followed(bundle, frames, boxes) == followed(bundle, frames, boxes)
