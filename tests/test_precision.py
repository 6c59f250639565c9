"""Which arithmetic a training runs in: what the hardware has is faked here, never asked."""

import numpy as np
import pytest
import torch

from twofold import build, precision
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.items import Items
from twofold.errors import RecipeError, SlowPrecision
from twofold.precision import native_bfloat16, resolved, said, slowdown
from twofold.recipes import __all__ as names
from twofold.recipes import find
from twofold.train.checkpoint import Checkpoints
from twofold.train.fit import fit

CPU = torch.device("cpu")
SETTINGS = {
    "input": {"name": "Image", "size": 16, "channels": 1},
    "encoder": {"name": "conv4", "dim": 8, "width": 8},
    "p": 4,
    "k": 2,
    "epochs": 2,
}


@pytest.fixture
def processor(monkeypatch):
    """Says what an x86 processor shall seem to have, and what its user allows."""

    def has(*, bf16: bool = False, amx: bool = False, limit: str | None = None) -> None:
        monkeypatch.setattr(precision, "native_bfloat16", native_bfloat16)
        monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
        monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        if limit is not None:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)

    return has


@pytest.mark.parametrize(
    ("has", "chosen"),
    [
        ({}, "float32"),
        ({"bf16": True}, "bfloat16"),
        ({"amx": True}, "bfloat16"),
        ({"bf16": True, "limit": "AVX2"}, "float32"),
        ({"bf16": True, "amx": True, "limit": "avx512_core"}, "float32"),
        ({"bf16": True, "amx": True, "limit": "AVX512_CORE_BF16"}, "bfloat16"),
        ({"bf16": True, "limit": "ALL"}, "bfloat16"),
    ],
)
def test_auto_goes_by_the_instructions_of_the_processor(processor, has, chosen):
    processor(**has)
    assert resolved("auto", CPU) == chosen
    assert resolved("float32", CPU) == "float32"
    assert resolved("bfloat16", CPU) == "bfloat16"
    assert (slowdown("bfloat16", CPU) is None) == (chosen == "bfloat16")
    assert slowdown("float32", CPU) is None
    assert f"trains in {chosen}: this processor" in said("auto", CPU)


def test_a_torch_that_cannot_tell_means_float32(processor, monkeypatch):
    def broken():
        raise RuntimeError("no such thing in this build")

    processor()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", broken)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert resolved("auto", CPU) == "float32"


@pytest.mark.parametrize("answer", [True, False])
def test_cards_answer_for_themselves(monkeypatch, answer):
    monkeypatch.setattr(precision, "native_bfloat16", native_bfloat16)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: answer)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: answer)
    wanted = "bfloat16" if answer else "float32"
    assert [resolved("auto", torch.device(name)) for name in ("cuda", "cuda:1", "mps", "meta")] == [
        wanted,
        wanted,
        wanted,
        "float32",
    ]


def test_every_recipe_leaves_the_choice_to_the_hardware():
    assert {find(name).precision for name in names} == {Recipe().precision} == {"auto"}


def trained(settings=None, **options):
    recipe = Recipe.model_validate(SETTINGS | (settings or {}))
    pictures = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1)).astype(np.uint8)
    items = Items.from_arrays(pictures, [str(index // 4) for index in range(24)])
    return fit(build.twin(recipe, seed=1), items, recipe=recipe, **options)


def test_the_bundle_says_what_was_chosen(processor, tmp_path):
    processor(bf16=True)
    known = trained()
    known.save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle")
    assert (loaded.recipe.precision, loaded.training["precision"]) == ("auto", "bfloat16")
    assert not any("bfloat16" in note for note in known.training["notes"])
    processor()
    assert trained().training["precision"] == "float32"


def test_bfloat16_that_is_imitated_trains_and_says_so(processor):
    processor()
    with pytest.warns(
        SlowPrecision, match="has no bfloat16 arithmetic and imitates it: a step can take eight"
    ):
        known = trained({"precision": "bfloat16"})
    assert known.training["precision"] == "bfloat16"
    assert any("imitates it" in note for note in known.training["notes"])


def stopped(folder, **settings):
    """The state of a training that ended after its first epoch."""
    steps = []
    asked = Checkpoints(folder, asked=lambda: len(steps) >= 3)
    with pytest.raises(Exception, match="asked to end"):
        trained(settings, checkpoints=asked, watch=steps.append)
    return Checkpoints(folder, resume=True)


@pytest.mark.filterwarnings("ignore::twofold.errors.SlowPrecision")
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_resumed_training_keeps_its_precision_to_the_bit(processor, tmp_path, kind):
    processor(bf16=kind == "bfloat16")
    whole = trained()
    where = stopped(tmp_path)
    processor(bf16=kind != "bfloat16")
    resumed = trained(checkpoints=where)
    assert resumed.training["precision"] == kind
    assert any(
        note.startswith(f"went on in {kind}, in which the training began")
        for note in resumed.training["notes"]
    )
    for name, tensor in whole.twin.state_dict().items():
        assert torch.equal(tensor, resumed.twin.state_dict()[name]), name


@pytest.mark.filterwarnings("ignore::twofold.errors.SlowPrecision")
def test_a_recipe_that_leaves_the_precision_open_continues_one_that_named_it(processor, tmp_path):
    processor()
    where = stopped(tmp_path, precision="bfloat16")
    with pytest.raises(RecipeError, match="made with another recipe"):
        trained({"precision": "float32"}, checkpoints=where)
    assert trained(checkpoints=where).training["precision"] == "bfloat16"
