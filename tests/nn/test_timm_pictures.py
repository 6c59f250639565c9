"""Picture models of timm from local files: a tiny stand-in for timm, since timm needs torchvision."""

import json
import shutil
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from twofold.bundle import Bundle
from twofold.errors import MissingExtra, RecipeError, UsageError
from twofold.nn import timm

SIDE = 16

STAND_IN = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, num_classes, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.num_features = width
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg = {
            "input_size": (3, 16, 16), "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.3),
            "classifier": "head",
        }

    def forward(self, pictures):
        assert pictures.shape[2:] == (16, 16), f"Input height ({pictures.shape[2]}) is not 16"
        return self.head(self.stem(pictures).mean(dim=(2, 3)))


def create_model(model_name, pretrained=False, num_classes=10, width=6, **others):
    assert not pretrained, "nothing is downloaded"
    if model_name != "tiny_net" or others:
        raise RuntimeError(f"Unknown model ({model_name})")
    return Tiny(num_classes, width)
"""
"""What this project uses of timm: `create_model`, and what a model says of its pictures."""


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "timm.py").write_text(STAND_IN)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    sys.modules.pop("timm", None)


def own(**arguments):
    import timm as library  # pyright: ignore[reportMissingImports]

    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return library.create_model("tiny_net", **arguments)


@pytest.fixture
def folder(tmp_path):
    """As timm writes it: the classifier is among the weights."""
    place = tmp_path / "model"
    place.mkdir()
    safetensors.torch.save_file(own(width=5).state_dict(), place / "model.safetensors")
    picture = {"input_size": [3, SIDE, SIDE], "mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]}
    told = {"architecture": "tiny_net", "model_args": {"width": 5}, "pretrained_cfg": picture}
    (place / "config.json").write_text(json.dumps(told))
    return place


def batch(side=SIDE):
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_the_vectors_are_the_models_own_pooled_features(folder):
    made = timm(weights=str(folder)).eval()
    with torch.inference_mode():
        wanted = own(width=5).stem(batch()).mean(dim=(2, 3))
        torch.testing.assert_close(made(batch()), torch.nn.functional.normalize(wanted))
    assert timm(weights=str(folder), dim=3)(batch()).shape == (3, 3)


def test_a_bundle_needs_neither_the_folder_nor_its_files(folder, tmp_path):
    bundle = Bundle.load(f"timm:{folder}")
    assert bundle.twin.input.shape == (SIDE, SIDE)
    assert tuple(bundle.twin.input.mean) == (0.1, 0.2, 0.3)
    place = bundle.save(tmp_path / "b")
    shutil.rmtree(folder)
    again = Bundle.load(place)
    assert again.fingerprint == bundle.fingerprint
    assert str(folder) not in (place / "bundle.json").read_text()
    array = np.zeros((SIDE, SIDE, 3), np.uint8)
    one, other = (each.twin.embed(each.twin.input.stack([array])) for each in (bundle, again))
    torch.testing.assert_close(one, other)


def test_a_name_with_a_file_takes_what_timm_says_of_its_pictures(folder):
    safetensors.torch.save_file(own().state_dict(), folder / "own.safetensors")
    bundle = Bundle.load(f"timm:tiny_net:{folder / 'own.safetensors'}")
    assert (bundle.twin.dim, tuple(bundle.twin.input.mean)) == (6, (0.4, 0.5, 0.6))
    assert bundle.training["weights"] == "own.safetensors"


def test_from_the_command_line(folder, tmp_path, run):
    code, told, err = run("import", f"timm:{folder}", "-o", tmp_path / "b")
    assert code == 0 and "timm on Image" in told, err
    code, _, err = run("import", f"timm:{folder}", "-o", tmp_path / "c", "--set", "std=0.5")
    assert code == 0 and Bundle.load(tmp_path / "c").twin.input.std == 0.5, err
    code, _, err = run("import", "timm:tiny_net", "-o", tmp_path / "d")
    assert code == 2 and "nothing is downloaded" in err and "timm:tiny_net:model.safetensors" in err


def test_without_weights_a_recipe_trains_from_scratch():
    assert timm(architecture="tiny_net").dim == 6
    with pytest.raises(RecipeError, match=r"needs encoder\.architecture"):
        timm()


def pickled_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def of_another_model(folder):
    safetensors.torch.save_file(own(width=7).state_dict(), folder / "model.safetensors")


def with_more(folder):
    more = own(width=5).state_dict() | {"neck.weight": torch.zeros(2)}
    safetensors.torch.save_file(more, folder / "model.safetensors")


def told(**changes):
    def change(folder):
        known = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(known | changes))

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pickled_only, "holds no *.safetensors"),
        (of_another_model, "2 of another shape, 'stem.weight' among them"),
        (with_more, "1 unknown, 0 of another shape, 'neck.weight' among them"),
        (lambda folder: (folder / "config.json").unlink(), "is not a model of timm"),
        (told(architecture="hf-hub:me/tiny"), "nothing is downloaded"),
        (told(architecture="huge_net"), "does not make the model 'huge_net'"),
        (lambda folder: (folder / "b.safetensors").write_bytes(b"x"), None),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "read as safetensors"),
    ],
)
def test_what_is_refused(folder, spoil, said):
    spoil(folder)
    if said is None:  # model.safetensors is preferred
        assert Bundle.load(f"timm:{folder}").twin.dim == 5
        return
    with pytest.raises(RecipeError) as caught:
        Bundle.load(f"timm:{folder}")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_pictures_of_another_size_are_refused(folder):
    with pytest.raises(UsageError, match=r"Input height \(20\) is not 16"):
        timm(weights=str(folder))(batch(20))
    with pytest.raises(UsageError, match="takes pictures"):
        timm(weights=str(folder))(torch.zeros(2, 5))


def test_without_the_package_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[timm\]'"):
        Bundle.load(f"timm:{folder}")
