"""Every encoder that a recipe can name: shapes, norms, gradients, weights, and what it says about the wrong picture."""

import inspect

import pytest
import torch

import twofold.nn as encoders
from twofold.errors import RecipeError, UsageError
from twofold.nn.attention import SqueezeExcite
from twofold.nn.builder import PICTURES, built_from, kinds_of
from twofold.nn.heads import POOLS, encoder_for
from twofold.nn.resnet import resnet18, resnet34, resnet50, resnet_small

SMALL = {"koch": 65, "conv4": 28, "resnet_small": 28, "face_resnet": 103}
DEEP = ("resnet34", "resnet50", "vgg16")
SLOW = (*DEEP, "aligned_gradients")  # to export: the last for its search of poses
OF_OTHERS = (
    "hugging_face_pictures",
    "timm",
    "whitened_levels",
    "whitened_places",
    "word_frames",
)  # files, words: see their own tests
OF_PICTURES = [
    name
    for name in encoders.__all__
    if kinds_of(getattr(encoders, name)) == PICTURES and name not in OF_OTHERS
]
WITH_DEEP_SLOW = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in OF_PICTURES
]
POOLED = [
    name for name in OF_PICTURES if "pool" in inspect.signature(getattr(encoders, name)).parameters
]


def build(name: str, **arguments):
    """An encoder small enough for a test, always with the same weights."""
    narrow = 32 if name == "vit" else 8  # a head of attention has 32 numbers
    takes = inspect.signature(getattr(encoders, name)).parameters
    thin = {"width": narrow} if "width" in takes else {}
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        size = {} if name == "aligned_gradients" else {"size": SMALL.get(name, 32)}
        return getattr(encoders, name)(**({"dim": 16, "channels": 1} | size | thin | arguments))


def pictures(name: str, count: int = 4, channels: int = 1) -> torch.Tensor:
    side = SMALL.get(name, 32)
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", OF_PICTURES)
class TestEveryEncoder:
    def test_maps_a_batch_to_unit_vectors_of_its_dim(self, name):
        encoder = build(name, unit_norm=True)
        embedding = encoder(pictures(name))
        assert encoder.dim == 16
        assert embedding.shape == (4, 16)
        assert embedding.dtype == torch.float32
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))

    def test_unit_norm_can_be_switched_off(self, name):
        raw = build(name, unit_norm=False).eval()
        unit = build(name, unit_norm=True).eval()
        assert not torch.allclose(raw(pictures(name)).norm(dim=1), torch.ones(4), atol=1e-2)
        torch.testing.assert_close(
            torch.nn.functional.normalize(raw(pictures(name)), dim=1),
            unit(pictures(name)),
            atol=1e-5,
            rtol=1e-4,
        )

    def test_every_weight_gets_a_gradient(self, name):
        encoder = build(name)
        direction = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
        (encoder(pictures(name)) * direction).sum().backward()
        for parameter_name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    def test_one_picture_in_evaluation_is_what_it_is_in_a_batch(self, name):
        encoder = build(name).eval()
        with torch.no_grad():
            together, alone = encoder(pictures(name)), encoder(pictures(name)[:1])
        torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)

    def test_works_in_bf16_and_channels_last(self, name):
        encoder = build(name).eval()
        with torch.no_grad():
            plain = encoder(pictures(name))
            encoder = encoder.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                fast = encoder(pictures(name).contiguous(memory_format=torch.channels_last))
        assert fast.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(plain, fast).min() > 0.99

    def test_trains_in_bf16(self, name):
        encoder = build(name)
        with torch.autocast("cpu", torch.bfloat16):
            embedding = encoder(pictures(name))
        embedding[:, 0].sum().backward()
        assert all(parameter.grad is not None for parameter in encoder.parameters())

    def test_another_number_of_channels_is_refused(self, name):
        with pytest.raises(
            UsageError,
            match=r"this encoder takes pictures of 1 x .* was given 3 x .*: build it with",
        ):
            build(name)(pictures(name, channels=3))

    def test_remembers_how_it_was_built(self, name):
        known = built_from(build(name, dim=8))
        assert known is not None
        assert known.pop("name") == name
        assert known["dim"] == 8
        assert isinstance(getattr(encoders, name)(**known), torch.nn.Module)


@pytest.mark.parametrize("name", WITH_DEEP_SLOW)
def test_exports_with_a_free_batch_size(name):
    encoder = build(name).eval()
    program = torch.export.export(
        encoder, (pictures(name, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.testing.assert_close(
        program.module()(pictures(name, 5)), encoder(pictures(name, 5)), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", [name for name in POOLED if name not in DEEP])
def test_every_pool_stands_on_every_trunk(name, pool):
    embedding = build(name, pool=pool, dropout=0.1).eval()(pictures(name))
    assert embedding.shape == (4, 16)
    assert embedding.isfinite().all()


def test_the_same_seed_gives_the_same_weights():
    first, second = build("resnet18").state_dict(), build("resnet18").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", POOLED)
def test_without_flatten_any_size_will_do(name):
    assert build(name, pool="average")(torch.randn(2, 1, 40, 56)).shape == (2, 16)


@pytest.mark.parametrize("name", ["koch", "conv4", "resnet_small"])
def test_a_flattened_map_is_bound_to_its_size(name):
    side = SMALL[name]
    with pytest.raises(
        UsageError, match=rf"takes pictures of 1 x {side} x {side} .* was given 1 x 72 x 72"
    ):
        build(name)(torch.randn(2, 1, 72, 72))


def test_oblong_pictures():
    assert resnet_small(dim=8, size=(24, 48))(torch.randn(2, 1, 24, 48)).shape == (2, 8)


@pytest.mark.parametrize(
    ("builder", "weights"),
    # published counts less the 1000-way layer: 11,689,512 - 513,000; 21,797,672 - 513,000;
    # 25,557,032 - 2,049,000
    [(resnet18, 11_176_512), (resnet34, 21_284_672), (resnet50, 23_508_032)],
)
def test_resnets_have_the_published_number_of_weights(builder, weights):
    assert sum(parameter.numel() for parameter in builder().trunk.parameters()) == weights


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("vgg11", [64, 128, 256, 256, 512, 512, 512, 512]),
        ("vgg16", [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]),
    ],
)
def test_vgg_has_the_convolutions_of_its_table(name, maps):
    trunk = getattr(encoders, name)().trunk
    convolutions = sum(
        9 * fan_in * fan_out for fan_in, fan_out in zip([3, *maps], maps, strict=False)
    )
    assert sum(parameter.numel() for parameter in trunk.parameters()) == convolutions + 2 * sum(
        maps
    )


class TestKoch:
    def test_has_the_published_number_of_weights(self):
        assert sum(parameter.numel() for parameter in encoders.koch().parameters()) == 38_947_648

    def test_starts_as_published(self):
        encoder = build("koch", dim=256)
        convolution, full = encoder.trunk[3], encoder.head[1]
        assert convolution.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert full.weight.std().item() == pytest.approx(0.2, rel=0.05)
        for layer in (convolution, full):
            assert layer.bias.mean().item() == pytest.approx(0.5, abs=0.01)
            assert layer.bias.std().item() == pytest.approx(0.01, rel=0.3)

    def test_embeddings_are_sigmoids(self):
        embedding = build("koch")(pictures("koch"))
        assert embedding.min() >= 0 and embedding.max() <= 1

    def test_batch_normalisation_is_an_option(self):
        assert any(
            isinstance(module, torch.nn.BatchNorm2d)
            for module in build("koch", batch_norm=True).modules()
        )


def test_too_small_pictures_are_refused_when_building():
    with pytest.raises(RecipeError, match="size = 64 x 64 is too small for this network"):
        encoders.koch(size=64)
    with pytest.raises(RecipeError, match="size = 16 x 31 is too small"):
        encoders.vgg11(size=(16, 31))


def test_an_unknown_pool_is_refused_with_the_nearest():
    with pytest.raises(
        RecipeError, match=r"pool = 'avarage' is not a pooling: did you mean 'average'\?"
    ):
        encoders.conv4(pool="avarage")


def test_building_leaves_no_trace_in_batch_normalisation():
    for module in build("resnet18").modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.num_batches_tracked == 0
            assert module.training


def test_a_user_can_put_the_head_on_a_trunk_of_his_own():
    encoder = encoder_for(torch.nn.Conv2d(2, 5, 3), dim=7, channels=2, size=(9, 8), pool="flatten")
    assert encoder(torch.randn(3, 2, 9, 8)).shape == (3, 7)


def test_squeeze_and_excite_follows_its_formula_and_is_an_option_of_the_small_network():
    made = SqueezeExcite(8).eval()
    maps = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0))
    first, _, second, _ = made.weigh
    hidden = torch.relu(maps.mean(dim=(2, 3)) @ first.weight.T + first.bias)
    weights = torch.sigmoid(hidden @ second.weight.T + second.bias)
    torch.testing.assert_close(made(maps), maps * weights[:, :, None, None])
    plain, weighed = build("resnet_small"), build("resnet_small", squeeze_excite=True)
    assert not any(isinstance(module, SqueezeExcite) for module in plain.modules())
    assert sum(isinstance(module, SqueezeExcite) for module in weighed.modules()) == 4
    assert weighed.eval()(pictures("resnet_small")).shape == (4, 16)


class TestVit:
    def test_sees_where_its_patches_are(self):
        encoder = build("vit", patch=8).eval()
        picture = pictures("vit", 1)
        moved = picture.roll(8, dims=3)  # the same patches at other places
        assert not torch.allclose(encoder(picture), encoder(moved), atol=1e-3)

    def test_gives_a_map_with_a_place_for_each_patch(self):
        trunk = build("vit", patch=8).trunk
        assert trunk(torch.randn(2, 1, 32, 48)).shape == (2, 32, 4, 6)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"patch": 6}, "patch = 6: the side of a patch is 2, 4, 8, 16 or 32 pixels"),
            ({"width": 40}, "width = 40 must be a multiple of 32, the width of a head"),
        ],
    )
    def test_refuses_patches_and_widths_that_do_not_fit(self, arguments, message):
        with pytest.raises(RecipeError, match=message):
            build("vit", **arguments)
