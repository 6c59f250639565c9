"""Words as frames in closed form: unseen words by unseen speakers are told apart; bundles keep what was found."""

import numpy as np
import pytest
import torch

from sounds import word
from twofold import Items, recipes, sound_recipes
from twofold.build import twin
from twofold.bundle import Bundle
from twofold.embedding import embed_arrays, scores
from twofold.errors import RecipeError, UsageError
from twofold.nn import word_frames
from twofold.train.fit import fit


@pytest.fixture(scope="module")
def bundle():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound_recipes, "installed", lambda package: False)
        recipe = recipes.speech().replace({"input.rate": 8_000})
    values = [word(n, speaker, take) for n in range(6) for speaker in range(3) for take in range(2)]
    items = Items.from_arrays(values, np.repeat(range(6), 6))
    return fit(twin(recipe, seed=0), items, recipe=recipe, seed=0)


def test_words_and_speakers_that_were_not_trained_on_are_told_apart(bundle):
    numbers, speakers = np.repeat(range(20, 28), 2), np.tile([7, 8], 8)
    read = [bundle.twin.input.read(word(n, s)) for n, s in zip(numbers, speakers, strict=True)]
    vectors = embed_arrays(bundle.twin, read)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    found = scores(bundle.twin, vectors, vectors)
    np.fill_diagonal(found, -np.inf)
    assert (numbers[found.argmax(axis=1)] == numbers).mean() >= 0.5  # by chance: 1 in 15


def test_it_is_saved_with_its_comparison(bundle, tmp_path):
    bundle.save(tmp_path / "m")
    again = Bundle.load(tmp_path / "m")
    assert again.fingerprint == bundle.fingerprint
    assert again.twin.comparison.name == "Warping"
    assert again.twin.comparison.arguments() == bundle.twin.comparison.arguments()
    sound = bundle.twin.input.read(word(3))
    np.testing.assert_array_equal(
        embed_arrays(again.twin, [sound]), embed_arrays(bundle.twin, [sound])
    )


def test_what_was_found_stays_and_classes_are_needed():
    encoder = word_frames(size=(20, 8), width=4)
    random = torch.Generator().manual_seed(0)
    some = [torch.randn(1, 1, 20, 8, generator=random) for _ in range(6)]
    with pytest.raises(RecipeError, match="give a folder per word"):
        encoder.prepare(some)
    encoder.prepare(some, np.array([3, 3, 5, 5, 9, 9]))
    before = encoder.project.weight.clone()
    encoder.prepare(some[:2], np.array([0, 1]))
    assert torch.equal(encoder.project.weight, before)


def test_frames_have_one_length_and_a_word_does_not_depend_on_others():
    encoder = word_frames(size=(20, 8), width=4).eval()
    some = torch.randn(3, 1, 20, 8, generator=torch.Generator().manual_seed(0))
    found = encoder(some)
    assert found.shape == (3, 32) and encoder.dim == 32
    torch.testing.assert_close(found.view(3, 8, 4).norm(dim=2), torch.full((3, 8), 8**-0.5))
    torch.testing.assert_close(encoder(some[1:2])[0], found[1])


def test_what_it_does_not_read_is_refused():
    with pytest.raises(RecipeError, match="one channel"):
        word_frames(channels=3)
    with pytest.raises(UsageError):
        word_frames(size=(20, 8))(torch.zeros(1, 1, 24, 8))
