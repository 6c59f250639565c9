"""Vectors of subwords that others have learned, as the first layer of an encoder of texts."""

from torch import nn

from twofold.errors import RecipeError, nearest
from twofold.nn.weight_files import tensors_of
from twofold.package_files import PackageFile

__all__ = ["symbol_table"]

WEIGHTS = {
    "wordllama": PackageFile(
        package="wordllama",
        file="wordllama/weights/l2_supercat_256.safetensors",
        sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        holds="wordllama's word vectors and vocabulary",
        remedy="pip install --no-deps wordllama==0.4.0.post1",
    )
}


def symbol_table(symbols: int, width: int, *, weights: str | None = None) -> nn.Embedding:
    """A vector of `width` numbers for each symbol, drawn by chance or taken from named weights.

    Args:
        weights: "wordllama": 32,000 vectors of 256 numbers, of which the first `width` are taken:
            they were trained so that the first ones serve alone (Kusupati et al. 2022). Training
            changes them further.

    Raises:
        RecipeError: unknown weights, or weights for another number of symbols or another width.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    if weights is None:
        return nn.Embedding(symbols, width)
    if weights not in WEIGHTS:
        raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
    vectors = tensors_of(WEIGHTS[weights])["embedding.weight"].float()
    if symbols != len(vectors):
        raise RecipeError(
            f"weights = {weights!r} are of {len(vectors)} symbols, and the input has {symbols}: "
            f"--set input.unit=subwords --set input.vocabulary={weights}"
        )
    if width > vectors.shape[1]:
        raise RecipeError(
            f"weights = {weights!r} are {vectors.shape[1]} wide: set encoder.width to that or less"
        )
    return nn.Embedding.from_pretrained(vectors[:, :width].contiguous(), freeze=False)
