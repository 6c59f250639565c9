"""Picture models of Hugging Face from a folder: their own states, nothing downloaded, rebuilt by the bundle."""

import json
import shutil

import numpy as np
import pytest
import torch

from twofold.bundle import Bundle
from twofold.errors import RecipeError, UsageError
from twofold.inputs.image import Image
from twofold.nn import hugging_face_pictures

transformers = pytest.importorskip("transformers")

SIDE = 16
PATCHES = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": SIDE,
    "patch_size": 8,
}


def model(kind):
    torch.random.fork_rng()
    if kind == "vit":
        return transformers.ViTModel(transformers.ViTConfig(**PATCHES))
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    return transformers.ResNetModel(transformers.ResNetConfig(**sizes))


@pytest.fixture(scope="module", params=["vit", "resnet"])
def kept(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model(request.param).save_pretrained(folder)
    told = {
        "size": {"height": SIDE, "width": SIDE},
        "image_mean": [0.5] * 3,
        "image_std": [0.2] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "model")


def batch():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pool", ["first", "mean"])
def test_the_vectors_are_the_models_own_states(folder, pool):
    made = hugging_face_pictures(weights=str(folder), pool=pool).eval()
    own = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = own(pixel_values=batch()).last_hidden_state
        flat = states.mean(dim=(2, 3)) if states.ndim == 4 else None
        if flat is None:
            flat = states[:, 0] if pool == "first" else states.mean(dim=1)
        wanted = torch.nn.functional.normalize(flat)
        assert (made(batch()) - wanted).abs().max() < 1e-6


def test_a_bundle_needs_neither_the_folder_nor_its_files(folder, tmp_path):
    bundle = Bundle.load(f"hf:{folder}")
    assert bundle.twin.input.shape == (SIDE, SIDE)
    assert tuple(bundle.twin.input.std) == (0.2,) * 3
    place = bundle.save(tmp_path / "b")
    shutil.rmtree(folder)
    again = Bundle.load(place)
    assert (
        again.fingerprint == bundle.fingerprint
        and str(folder) not in (place / "bundle.json").read_text()
    )
    array = np.zeros((SIDE, SIDE, 3), np.uint8)
    one, other = (each.twin.embed(each.twin.input.stack([array])) for each in (bundle, again))
    torch.testing.assert_close(one, other)


def test_from_the_command_line(folder, tmp_path, run):
    code, told, err = run("import", f"hf:{folder}", "-o", tmp_path / "b")
    assert code == 0 and "hugging_face_pictures on Image" in told, err
    (folder / "preprocessor_config.json").unlink()
    code, _, err = run("import", f"hf:{folder}", "-o", tmp_path / "c")
    assert code == 2 and "does not say how its pictures are prepared" in err
    code, _, err = run(
        "import",
        f"hf:{folder}",
        "-o",
        tmp_path / "c",
        "--size",
        SIDE,
        "--set",
        "mean=0.5",
        "--set",
        "std=0.2",
    )
    assert code == 0, err
    assert isinstance(Bundle.load(tmp_path / "c").twin.input, Image)


def pickled_only(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")


def with_code(folder):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"auto_map": {"AutoModel": "x.Y"}}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pickled_only, "holds no *.safetensors"),
        (with_code, "needs code of its own"),
        (lambda folder: (folder / "config.json").unlink(), "is not a model of Hugging Face"),
    ],
)
def test_what_is_refused(folder, spoil, said):
    spoil(folder)
    with pytest.raises(RecipeError) as caught:
        Bundle.load(f"hf:{folder}")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_other_things_are_refused(folder, tmp_path):
    made = hugging_face_pictures(weights=str(folder))
    with pytest.raises(UsageError, match="takes pictures"):
        made(torch.zeros(2, 5))
    with pytest.raises(RecipeError, match=r"needs encoder\.weights"):
        hugging_face_pictures()
    with pytest.raises(RecipeError, match="pool = 'cls'"):
        hugging_face_pictures(weights=str(folder), pool="cls")
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=8))
    words.save_pretrained(tmp_path / "words")
    with pytest.raises(RecipeError, match="does not read pictures"):
        hugging_face_pictures(weights=str(tmp_path / "words"))
