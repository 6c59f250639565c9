"""Weights of networks that dlib saved: a reader of its `.dat` files that runs nothing and needs no dlib."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twofold.errors import DamagedBundle

__all__ = ["Layer", "layers_in"]

LAYER = re.compile(rb"\x01[\x04-\x07](con_[345]|affine_|fc_2)(?=[\x01-\x08])")
"""How the record of a layer with weights begins: the length of its name, and the name (dlib/dnn/layers.h)."""

TENSOR_FORMAT = 2
"""Version of dlib's tensors: four sizes, and float32 numbers of little-endian order."""

LONGEST_INTEGER = 8
"""Bytes of the longest integer that dlib writes."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer with weights.

    Attributes:
        kind: "con" (filters, and biases if any), "affine" (factors, then offsets) or "fc".
        weights: all of its numbers, in dlib's order.
    """

    kind: str
    weights: Float[np.ndarray, "numbers"]


def layers_in(content: bytes) -> list[Layer]:
    """The layers with weights of a network that dlib saved, from the picture to the embedding.

    dlib writes a network from the outside in, and so the layers themselves in the order in which
    data pass through them. Layers without weights (ReLU, pooling, additions) are skipped: the
    network that the weights are loaded into knows them.

    Raises:
        DamagedBundle: the content ends within a layer, or is not a network of dlib.
    """
    layers, place = [], 0
    while (found := LAYER.search(content, place)) is not None:
        kind, place = found[1].decode().split("_")[0], found.end()
        if kind == "fc":  # number of outputs and inputs, which the network knows
            for _ in range(2):
                _, place = _integer(content, place)
        weights, place = _tensor(content, place)
        layers.append(Layer(kind=kind, weights=weights))
    if not layers:
        raise DamagedBundle("the file holds no layers of a network that dlib saved")
    return layers


def _tensor(content: bytes, place: int) -> tuple[Float[np.ndarray, "numbers"], int]:
    """The numbers of the tensor at `place`, and where the next record begins."""
    version, place = _integer(content, place)
    if version != TENSOR_FORMAT:
        raise DamagedBundle(
            f"byte {place} begins a tensor of version {version}, not {TENSOR_FORMAT}: the file "
            f"is damaged, or another version of dlib wrote it"
        )
    count = 1
    for _ in range(4):
        size, place = _integer(content, place)
        count *= size
    end = place + 4 * count
    if count < 0 or end > len(content):
        raise DamagedBundle(
            f"the file ends at byte {len(content)}, within a layer that ends at byte {end}: it is "
            f"truncated"
        )
    return np.frombuffer(content, dtype="<f4", count=count, offset=place).astype(np.float32), end


def _integer(content: bytes, place: int) -> tuple[int, int]:
    """An integer as dlib writes it: a byte with the sign and the number of bytes, and those, the lowest first."""
    if place >= len(content):
        raise DamagedBundle(
            f"the file ends at byte {len(content)}, within a layer: it is truncated"
        )
    control = content[place]
    length, end = control & 0x0F, place + 1 + (control & 0x0F)
    if not 1 <= length <= LONGEST_INTEGER or control & 0x70 or end > len(content):
        raise DamagedBundle(f"byte {place} begins no integer of dlib: the file is damaged")
    value = int.from_bytes(content[place + 1 : end], "little")
    return (-value if control & 0x80 else value), end
