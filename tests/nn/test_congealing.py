"""Alignment without labels: turned, scaled and shifted pictures come to lie on each other."""

import pytest
import torch

from twofold.nn.congealing import LIKELY, Congealing, sampled

SIDE = 64


def upright(count, seed=0):
    """Pictures that look alike: two dark eyes and a mouth on a light oval, whose greys differ."""
    across = torch.linspace(-1, 1, SIDE)
    x, y = across[None], across[:, None]

    def spot(left, top, wide, high):
        return torch.exp(-(((x - left) / wide) ** 2) - ((y - top) / high) ** 2)

    random = torch.Generator().manual_seed(seed)
    greys = 0.6 + 0.4 * torch.rand(count, 4, generator=random)
    oval = spot(0, 0, 0.7, 0.8)
    dark = torch.stack([spot(-0.22, -0.2, 0.1, 0.07), spot(0.22, -0.2, 0.1, 0.07)])
    mouth = spot(0, 0.3, 0.2, 0.08)
    found = greys[:, :1, None] * oval - torch.einsum("nk,khw->nhw", greys[:, 1:3], dark)
    return (found - 0.7 * greys[:, 3:, None] * mouth)[:, None]


def moved(count, seed=0):
    """The same in poses drawn by chance, and these poses."""
    random = torch.Generator().manual_seed(seed + 100)
    poses = 0.7 * torch.tensor(LIKELY) * torch.randn(count, 4, generator=random).clamp(-2, 2)
    return sampled(upright(count, seed), poses, side=SIDE, window=1.0), poses


def unlike(pictures):
    """How much pictures differ from their mean."""
    return float((pictures - pictures.mean(dim=0)).square().mean())


@pytest.fixture(scope="module")
def fitted():
    alignment = Congealing(side=32)
    alignment.fit([moved(150)[0]])
    return alignment.eval()


def test_new_pictures_come_to_lie_on_each_other(fitted):
    strangers, poses = moved(60, seed=1)
    plain = Congealing(side=32).eval()
    assert unlike(fitted(strangers)) < 0.5 * unlike(plain(strangers))
    found = fitted.poses(strangers)
    # what was turned one way is turned back
    for place in range(4):
        assert torch.corrcoef(torch.stack([found[:, place], poses[:, place]]))[0, 1] < -0.8


def test_before_it_is_fitted_the_middle_stays_as_it_is():
    pictures = upright(3)
    whole = Congealing(window=1.0, side=SIDE)
    assert torch.equal(whole.poses(pictures), torch.zeros(3, 4))
    torch.testing.assert_close(whole(pictures), pictures, atol=1e-4, rtol=1e-4)


def test_the_pose_of_a_picture_does_not_depend_on_its_batch(fitted):
    pictures, _ = moved(20, seed=2)
    each = torch.cat([fitted.poses(one[None]) for one in pictures])
    assert torch.equal(fitted.poses(pictures), each)


def test_blank_pictures_and_few_pictures_give_numbers(fitted):
    assert fitted(torch.zeros(2, 1, SIDE, SIDE)).isfinite().all()
    alone = Congealing(side=32)
    alone.fit([torch.zeros(1, 1, SIDE, SIDE), upright(1)])
    assert alone(upright(2)).isfinite().all()
