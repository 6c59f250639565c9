"""One picture found in another, and the signature that brings them together."""

import numpy as np
import PIL.Image
import pytest

from twofold.copies.alignment import SIDE, matrices, placements
from twofold.copies.hashing import grey_plane
from twofold.copies.signatures import cut_signatures, signatures, views


def scene(seed, side=240):
    """Squares of many sizes, HWC uint8."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side))
    for width in (60, 30, 15, 6):
        picture += np.kron(
            rng.standard_normal((side // width, side // width)) * width, np.ones((width, width))
        )
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return np.repeat(picture.astype(np.uint8)[:, :, None], 3, axis=2)


def plane(picture):
    return grey_plane(np.asarray(picture), SIDE)


def fit(cut, whole):
    return placements(plane(cut)[None], plane(whole)[None])[0][0]


CHANGES = {
    "itself": lambda p: p,
    "darker": lambda p: p // 2 + 20,
    "part": lambda p: p[30:190, 50:210],
    "small part": lambda p: p[100:220, 10:130],
    "turned": lambda p: np.rot90(p, 1),
    "upside down": lambda p: np.rot90(p, 2),
    "askew": lambda p: np.asarray(PIL.Image.fromarray(p).rotate(11, PIL.Image.Resampling.BICUBIC)),
    "askew the other way": lambda p: np.asarray(
        PIL.Image.fromarray(p).rotate(-6, PIL.Image.Resampling.BICUBIC)
    ),
    "squeezed": lambda p: np.asarray(PIL.Image.fromarray(p).resize((90, 130))),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_changed_picture_fits_into_its_original(name):
    pixels, edges, half = np.mean(
        [fit(CHANGES[name](scene(seed)), scene(seed)) for seed in range(2)], axis=0
    )
    assert pixels > 0.85 and edges > 0.6 and half > 0.85


def test_covered_pictures_agree_in_their_better_half():
    covered = scene(1)
    covered[150:] = 255
    pixels, _, half = fit(covered, scene(1))
    assert half > 0.9 and pixels < 0.9


def test_strangers_do_not_fit():
    found = np.array([fit(scene(seed), scene(seed + 50)) for seed in range(8)])
    assert np.median(found[:, 1]) < 0.4 and (found.sum(axis=1) < 2.2).all()


def test_flat_pictures_fit_nowhere():
    assert np.allclose(fit(np.full((50, 50, 3), 200, np.uint8), scene(0)), 0, atol=0.05)


def test_signatures_are_unit_vectors_alike_for_copies_only():
    planes = np.stack([plane(scene(seed)) for seed in range(10)])
    known = signatures(planes)
    assert np.allclose(np.linalg.norm(known, axis=1), 1, atol=1e-5)
    poor = signatures(np.stack([plane(scene(seed)[::3, ::3]) for seed in range(10)]))
    alike = known @ poor.T
    assert np.diag(alike).min() > 0.9
    assert alike[~np.eye(10, dtype=bool)].max() < 0.65
    assert np.allclose(known, signatures(planes // 2 + 30), atol=0.15)


def test_a_blank_picture_has_no_signature():
    assert not signatures(np.full((1, SIDE, SIDE), 77, np.uint8)).any()


def test_views_are_turns_and_parts():
    planes = np.stack([plane(scene(3))])
    shown = list(views(planes))
    assert len(shown) == 13 and all(
        each.shape == planes.shape and each.dtype == np.uint8 for each in shown
    )
    assert (shown[0] == np.rot90(planes[0])[None]).all()
    part = plane(scene(3)[12:228, 12:228])  # the middle nine tenths
    assert np.abs(shown[7].astype(int) - part).mean() < 3


def test_a_placement_is_a_matrix_between_pixels():
    whole = scene(4)
    part = np.rot90(whole[40:160, 60:180])
    found = placements(plane(part)[None], plane(whole)[None])[1]
    matrix = matrices(found, np.array([[120, 120]]), np.array([[240, 240]]))[0]
    middle = matrix @ (60, 60, 1)
    corner = matrix @ (0, 0, 1)  # of the turned part: the upper right one of the upright part
    assert np.abs(middle - (120, 100)).max() < 4 and np.abs(corner - (180, 40)).max() < 8


def test_a_cut_out_has_the_signature_of_the_picture_that_it_would_be():
    planes = (
        np.random.default_rng(0)
        .integers(0, 256, (2, 4, 4))
        .astype(np.uint8)
        .repeat(16, axis=1)
        .repeat(16, axis=2)
    )
    first = next(cut_signatures(planes))  # the upper left, nine tenths of each side
    drawn = [
        np.asarray(PIL.Image.fromarray(each).resize((64, 64), box=(0, 0, 57.6, 57.6)))
        for each in planes
    ]
    assert ((first * signatures(np.stack(drawn))).sum(axis=1) > 0.99).all()


def test_of_the_ways_of_a_pair_the_best_is_refined_as_it_would_be_alone():
    whole, part = plane(scene(4)), plane(scene(4)[30:170, 60:200])
    ways = np.stack([part, whole]), np.stack([whole, part])
    alone, together = placements(*ways), placements(*ways, np.array([0, 0]))
    assert alone[0][0].sum() > alone[0][1].sum() + 1
    assert (together[0][0] == alone[0][0]).all() and (together[1][0] == alone[1][0]).all()
    assert together[0][1].sum() <= alone[0][1].sum()  # never the best, and not refined


def test_the_fit_of_two_pictures_as_they_lie_is_told_beside_the_best():
    covered = scene(1)
    covered[150:] = 255
    _, _, unmoved = placements(plane(covered)[None], plane(scene(1))[None])
    assert unmoved[0] > 0.9
    assert placements(plane(np.rot90(scene(1)))[None], plane(scene(1))[None])[2][0] < 0.7
