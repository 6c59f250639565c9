"""An encoder that is fitted in closed form: gradients of aligned pictures, whitened within classes."""

import numpy as np
import pytest
import torch

import twofold
from twofold import Items, Pairs, Recipe, build
from twofold.data.synthetic import glyphs
from twofold.errors import RecipeError
from twofold.nn import aligned_gradients
from twofold.nn.aligned_gradients import gradients
from twofold.nn.whitening import SHRINKAGE, within_class_whitening
from twofold.train.fit import fit

ENCODER = {"name": "aligned_gradients", "dim": 16, "side": 32, "window": 0.9}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(identities=40, each=3, seed=0):
    """Identities differ in the first four of eight numbers, their items in all, much in the last four."""
    labels = torch.arange(identities).repeat_interleave(each)
    centre = random(identities, 8, seed=seed) * torch.tensor([1.0] * 4 + [0.0] * 4)
    noise = random(len(labels), 8, seed=seed + 1) * torch.tensor([0.3] * 4 + [3.0] * 4)
    return centre[labels] + noise + 5, labels


class TestWhitening:
    def test_within_classes_the_covariance_becomes_the_identity_but_for_the_shrinkage(self):
        values, labels = features()
        mean, matrix = within_class_whitening(values, labels, dim=8)
        found = (values - mean).double() @ matrix.double().T
        apart = found - found.view(40, 3, 8).mean(dim=1).repeat_interleave(3, dim=0)
        within = apart.T @ apart / 80
        # the same from the definition: what the shrinkage adds is what is missing
        plain = (values - mean).double()
        rest = plain - plain.view(40, 3, 8).mean(dim=1).repeat_interleave(3, dim=0)
        even = float((rest.T @ rest / 80).trace() / 8)
        wanted = (1 - SHRINKAGE) * within + SHRINKAGE * even * matrix.double() @ matrix.double().T
        torch.testing.assert_close(wanted, torch.eye(8).double(), atol=1e-4, rtol=1e-4)

    def test_identities_come_apart(self):
        _, matrix = within_class_whitening(*features(), dim=8)
        values, labels = features(seed=7)
        same = labels[:, None] == labels

        def gap(found):
            cosine = torch.nn.functional.normalize(found - found.mean(dim=0), dim=1)
            scores = cosine @ cosine.T
            return float(scores[same].mean() - scores[~same].mean())

        assert gap(values @ matrix.T) > 1.4 * gap(values)

    def test_of_few_items_the_rest_is_zero(self):
        values, labels = features(2, 2)
        _, matrix = within_class_whitening(values, labels, dim=6)
        assert (matrix.abs().sum(dim=1) > 0).tolist() == [True] * 3 + [False] * 3

    @pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]])
    def test_classes_that_tell_nothing_give_numbers(self, labels):
        for values in (random(4, 5), torch.ones(4, 5)):
            mean, matrix = within_class_whitening(values, torch.tensor(labels), dim=5)
            assert mean.isfinite().all() and matrix.isfinite().all()


def test_gradients_count_directions_and_not_the_light():
    ramp = torch.linspace(0, 1, 22)[None, None, None].expand(1, 1, 22, 22)
    found = gradients(ramp, 5).view(8, 4, 4)
    assert (found[0] > 0.9).all() and (found[1:] < 1e-3).all()  # to the right
    torch.testing.assert_close(
        gradients(7 * ramp - 3, 5).view(8, 4, 4), found, atol=1e-3, rtol=1e-3
    )
    assert gradients(torch.zeros(1, 1, 22, 22), 5).isfinite().all()


def test_colours_count():
    encoder = aligned_gradients(8, side=32).eval()
    grey = random(1, 1, 40, 40).expand(1, 3, 40, 40)
    red = grey + torch.tensor([0.3, -0.1, -0.2]).view(1, 3, 1, 1)
    apart = (encoder.features(red) - encoder.features(grey)).abs()[0]
    assert apart[:-200].max() < 1e-3 and (apart[-200:] > 1e-3).all()


def labelled(**more):
    items = glyphs(8, 4, size=32)
    pictures = [picture[:, :, 0] for picture in items.values]
    return Items.from_arrays(pictures, [items.names[code] for code in items.labels], **more)


def recipe():
    reader = {"name": "Image", "size": 32, "channels": 1}
    return Recipe.model_validate({"input": reader, "encoder": ENCODER, "p": 4, "epochs": 1})


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mirror_image_has_the_embedding_of_the_picture(channels):
    encoder = aligned_gradients(8, channels=channels, side=32).eval()
    pictures = random(3, channels, 40, 40)
    torch.testing.assert_close(encoder(pictures), encoder(pictures.flip(3)), atol=1e-4, rtol=1e-3)


def test_training_fits_it_and_the_bundle_keeps_it(tmp_path):
    items = labelled()
    bundle = fit(build.twin(recipe()), items, recipe=recipe())
    encoder = bundle.twin.encoder
    assert bool(encoder.alignment.mean.any()) and bool(encoder.mean.any())
    again = twofold.Bundle.load(bundle.save(tmp_path / "b"))
    assert again.fingerprint == bundle.fingerprint
    before, after = (twofold.embed(each, items).vectors for each in (bundle, again))
    assert np.array_equal(before, after)
    known = again.twin.encoder.mean.clone()
    again.twin.encoder.prepare([random(1, 1, 32, 32)], np.zeros(1, dtype=np.int64))
    assert torch.equal(known, again.twin.encoder.mean)


def test_the_labels_are_those_of_the_items():
    """Shuffled items give the same map: labels go with their pictures."""
    items = labelled()
    order = np.random.default_rng(0).permutation(len(items))
    one = fit(
        build.twin(recipe()), items, recipe=recipe().replace({"optimiser.learning_rate": 1e-9})
    )
    other = fit(
        build.twin(recipe()),
        items.take(order),
        recipe=recipe().replace({"optimiser.learning_rate": 1e-9}),
    )
    scores = [
        vectors @ vectors.T
        for vectors in (twofold.embed(each, items).vectors for each in (one, other))
    ]
    np.testing.assert_allclose(*scores, atol=0.05)


def test_pairs_are_refused():
    pairs = Pairs(
        values=tuple(np.zeros((32, 32), np.uint8) for _ in range(4)),
        ids=tuple("abcd"),
        index_a=np.array([0, 1]),
        index_b=np.array([2, 3]),
        answers=np.array([1.0, 0.0]),
    )
    with pytest.raises(RecipeError, match="learns from labelled items, and cannot train on pairs"):
        fit(build.twin(recipe()), pairs, recipe=recipe().replace({"loss": "pair_contrastive"}))
