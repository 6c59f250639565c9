"""Matches on feature maps: what their definitions say, in both directions, with gradients, and where maps come from."""

import pytest
import torch
from torch.nn.functional import normalize

from twofold import build, distances
from twofold.bundle import Bundle
from twofold.comparison import CrossAttention, Relation, named
from twofold.config import Recipe
from twofold.contract import score_from_distance
from twofold.data.synthetic import glyphs
from twofold.embedding import embed_arrays, pair_scores, scores
from twofold.errors import RecipeError, UsageError
from twofold.map_matching import OnMaps
from twofold.train.fit import fit

SHAPE = {"maps": 5, "height": 2, "width": 3, "channels": 4}
NAMES = ("Relation", "CrossAttention")
RECIPE = Recipe.model_validate(
    {
        "input": {"name": "Image", "size": [32, 32], "channels": 1},
        "encoder": {"name": "resnet_small", "dim": 8, "width": 8, "stem_stride": 2},
        "p": 4,
        "k": 3,
        "epochs": 2,
    }
)


def trained(name: str):
    with build.seeded(0):
        made = named(name, dim=3, **SHAPE, hidden=6).double()
        torch.nn.init.normal_(made.last.weight)
    return made


def rows(match, count: int, seed: int) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(count, 3, generator=drawn, dtype=torch.float64)
    maps = torch.randn(count, 5, 2, 3, generator=drawn, dtype=torch.float64)
    return match.rows(embeddings, maps).detach()


def maps_of(match, row: torch.Tensor) -> torch.Tensor:
    return row[3:].reshape(4, 2, 3)


@pytest.mark.parametrize("name", NAMES)
class TestBoth:
    def test_a_row_is_an_embedding_and_a_map_with_length_1_at_each_place(self, name):
        match = trained(name)
        assert isinstance(match, OnMaps)
        assert (match.dim, match.embedding_dim) == (3 + 4 * 2 * 3, 3)
        lengths = torch.linalg.vector_norm(maps_of(match, rows(match, 1, 0)[0]), dim=0)
        torch.testing.assert_close(lengths, torch.ones(2, 3).double())

    def test_untrained_it_is_the_cosine_of_the_embeddings(self, name):
        match = named(name, dim=3, **SHAPE).double()
        a, b = rows(match, 4, 0), rows(match, 5, 1)
        torch.testing.assert_close(match.block(a, b), distances.block("cosine", a[:, :3], b[:, :3]))
        assert score_from_distance(name, 0.25) == 0.75

    def test_it_is_symmetric_and_a_block_is_made_of_its_pairs(self, name, monkeypatch):
        match = trained(name)
        a, b = rows(match, 5, 0), rows(match, 4, 1)
        found = match.block(a, b)
        torch.testing.assert_close(found, match.block(b, a).mT)
        torch.testing.assert_close(found[:4].diagonal(), match.pairs(a[:4], b))
        monkeypatch.setattr("twofold.map_matching.NUMBERS", 100)
        torch.testing.assert_close(match.block(a, b), found)
        torch.testing.assert_close(match.pairs(a[:4], b), found[:4].diagonal())
        assert match.block(a[:0], b).shape == (0, 4)
        assert match.pairs(a[:0], b[:0]).shape == (0,)

    def test_a_mean_of_rows_is_compared_by_its_direction_at_each_place(self, name):
        match = trained(name)
        a, b = rows(match, 2, 0), rows(match, 2, 1)
        torch.testing.assert_close(match.pairs(0.5 * a, b), match.pairs(a, b))

    def test_gradients_of_rows_and_weights(self, name):
        match = trained(name)
        a, b = rows(match, 2, 0), rows(match, 3, 1)
        inputs = (a.requires_grad_(), b.requires_grad_(), *match.parameters())
        assert torch.autograd.gradcheck(lambda a, b, *_: match.block(a, b), inputs)

    def test_float32_under_autocast(self, name):
        match = named(name, dim=3, **SHAPE)
        maps = torch.randn(2, 5, 2, 3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            row = match.rows(torch.randn(2, 3).bfloat16(), maps)
            assert row.dtype == match.block(row, row).dtype == torch.float32

    def test_sizes_out_of_range_are_refused(self, name):
        with pytest.raises(UsageError, match=r"comparison.channels = 0: a whole number from 1 to"):
            named(name, dim=3, **{**SHAPE, "channels": 0})
        with pytest.raises(UsageError, match=r"comparison.hidden = 2.5: a whole number"):
            named(name, dim=3, **SHAPE, hidden=2.5)

    def test_training_teaches_the_match_and_the_projection_and_a_bundle_keeps_them(
        self, name, tmp_path
    ):
        recipe = RECIPE.replace({"comparison": name})
        twin = build.twin(recipe, seed=0)
        before = [weight.clone() for weight in twin.comparison.parameters()]
        bundle = fit(twin, glyphs(classes=6, each=4, size=32, seed=0), recipe=recipe, seed=0)
        after = list(twin.comparison.parameters())
        assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True)), (
            "every weight of the match has learned"
        )
        again = Bundle.load(bundle.save(tmp_path / "model"))
        items = glyphs(classes=3, each=2, size=32, seed=9)
        vectors = embed_arrays(again.twin, list(items.values))
        assert vectors.shape == (6, again.twin.dim) == (6, 8 + 32 * 4)
        assert again.contract.dim == 8
        torch.testing.assert_close(
            scores(again.twin, vectors, vectors), scores(twin, vectors, vectors)
        )
        pairs = pair_scores(again, vectors[:2], vectors[2:4])
        assert pairs == pytest.approx(scores(twin, vectors[:2], vectors[2:4]).diagonal())


def test_a_relation_follows_its_formula():
    match = trained("Relation")
    assert isinstance(match, Relation)
    a, b = rows(match, 3, 0), rows(match, 3, 1)
    for place in range(3):
        m, n = maps_of(match, a[place]), maps_of(match, b[place])
        hidden = torch.relu(match.differ(torch.cat([(m - n).abs(), m * n])[None]))
        around = torch.relu(match.around(hidden)).mean(dim=(2, 3))[0]
        cosine = normalize(a[place, :3], dim=0) @ normalize(b[place, :3], dim=0)
        slow = 1 - cosine - (match.last.weight[0] * around).sum()
        torch.testing.assert_close(match.pairs(a, b)[place], slow)


def test_cross_attention_follows_its_formula_place_by_place():
    match = trained("CrossAttention")
    assert isinstance(match, CrossAttention)
    a, b = rows(match, 2, 0), rows(match, 2, 1)

    def one_way(m: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        found = []
        for place in m.flatten(1).mT:
            weights = torch.softmax(match.sharpness * (n.flatten(1).mT @ place), dim=0)
            seen = (weights[:, None] * n.flatten(1).mT).sum(0)
            hidden = match.differ(torch.cat([(place - seen).abs(), place * seen]))
            found.append(match.last(torch.relu(hidden))[0])
        return torch.stack(found).mean()

    m, n = maps_of(match, a[0]), maps_of(match, b[0])
    cosine = normalize(a[0, :3], dim=0) @ normalize(b[0, :3], dim=0)
    slow = 1 - cosine - (one_way(m, n) + one_way(n, m)) / 2
    torch.testing.assert_close(match.pairs(a, b)[0], slow)


def test_cross_attention_finds_parts_that_have_moved():
    match = trained("CrossAttention")
    with torch.no_grad():
        match.sharpness.fill_(1000.0)
    a = rows(match, 1, 0)
    moved = a.clone()
    moved[0, 3:] = maps_of(match, a[0]).roll(1, dims=2).flatten()
    torch.testing.assert_close(match.pairs(a, moved), match.pairs(a, a))
    assert not torch.allclose(*(trained("Relation").pairs(a, each) for each in (a, moved)))


def test_an_encoder_without_maps_and_maps_of_another_shape_are_refused():
    words = RECIPE.replace(
        {"input": {"name": "Text", "unit": "words", "longest": 8}, "encoder": {"name": "lstm"}}
    )
    with pytest.raises(
        RecipeError,
        match=r"comparison Relation compares feature maps, and encoder lstm gives none: take an "
        r"encoder of pictures such as resnet_small or vit, or a comparison of embeddings "
        r"\(--set comparison=Matching\)",
    ):
        build.twin(words.replace({"comparison": "Relation"}))
    with pytest.raises(
        RecipeError,
        match=r"comparison.height = 9: the maps of encoder resnet_small have 2; leave it out",
    ):
        build.twin(RECIPE.replace({"comparison": {"name": "Relation", "height": 9}}))
    with pytest.raises(UsageError, match="takes maps, height, width, channels, hidden alone"):
        build.twin(RECIPE.replace({"comparison": {"name": "CrossAttention", "depth": 2}}))


@pytest.mark.parametrize("encoder", ["vit", "conv4", "efficientnet_lite0"])
def test_other_encoders_of_pictures_give_maps_too(encoder):
    made = build.twin(
        RECIPE.replace(
            {"encoder": {"name": encoder, "dim": 8}, "input.size": 32, "comparison": "Relation"}
        )
    )
    rows = embed_arrays(made, list(glyphs(classes=2, each=2, size=32, seed=0).values))
    assert rows.shape == (4, made.dim)
    direct = made.eval().encoder(
        made.input.normalise(made.input.stack(list(glyphs(classes=2, each=2, size=32).values)))
    )
    torch.testing.assert_close(torch.from_numpy(rows[:, :8]), direct.detach(), atol=1e-5, rtol=1e-4)
