"""Models of Hugging Face from a folder: the same states, nothing downloaded, no code run, rebuilt by the bundle."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from twofold import build
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.errors import MissingExtra, RecipeError
from twofold.inputs.padded import padded
from twofold.nn import hugging_face

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.random.fork_rng()
    transformers.BertModel(transformers.BertConfig(**SIZES, intermediate_size=64)).save_pretrained(
        folder
    )
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "model")


TEXTS = [np.array([5, 6, 7]), np.array([8]), np.array([9, 10, 11, 12, 13])]


def test_the_vectors_are_means_of_the_models_own_states(folder):
    made = hugging_face(symbols=300, weights=str(folder)).eval()
    model = transformers.BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = made(padded(TEXTS))
        for text, vector in zip(TEXTS, found, strict=True):
            mean = model(input_ids=torch.from_numpy(text)[None]).last_hidden_state[0].mean(dim=0)
            assert (mean / mean.norm() - vector).abs().max() < 1e-6


def test_a_bundle_needs_neither_the_folder_nor_its_files(folder, tmp_path):
    recipe = Recipe(
        input={"name": "Text", "unit": "bytes"},
        encoder={"name": "hugging_face", "weights": str(folder), "dim": 8},
    )
    bundle = Bundle(twin=build.twin(recipe).eval(), recipe=recipe)
    place = bundle.save(tmp_path / "b")
    shutil.rmtree(folder)
    again = Bundle.load(place)
    assert again.fingerprint == bundle.fingerprint
    batch = padded(TEXTS)
    assert torch.equal(again.twin.embed(batch), bundle.twin.embed(batch))
    assert str(folder) not in json.dumps(json.loads((place / "bundle.json").read_text())["twin"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: (folder / "config.json").unlink(),
            "is not a model of Hugging Face: config.json cannot be read",
        ),
        (
            lambda folder: [file.unlink() for file in folder.glob("*.safetensors")],
            "holds no .*safetensors",
        ),
        (
            lambda folder: (folder / "config.json").write_text(
                json.dumps(
                    json.loads((folder / "config.json").read_text())
                    | {"auto_map": {"AutoModel": "own.Model"}}
                )
            ),
            "needs code of its own",
        ),
    ],
)
def test_folders_that_cannot_be_read(folder, change, said):
    change(folder)
    with pytest.raises(RecipeError, match=said):
        hugging_face(symbols=300, weights=str(folder))


def test_an_input_with_more_symbols_is_refused(folder):
    with pytest.raises(RecipeError, match="knows 300 symbols, and the input has 8192"):
        hugging_face(symbols=8192, weights=str(folder))
    with pytest.raises(RecipeError, match=r"needs encoder\.weights"):
        hugging_face(symbols=300)


def test_without_the_extra_it_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[hf\]'"):
        hugging_face(symbols=300, weights=str(folder))
