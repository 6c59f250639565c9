"""Tensors that an ONNX file keeps: the constants of its graph, by name. Nothing is run, and no package is needed."""

import struct
from collections.abc import Iterator

import numpy as np

from twofold.errors import DamagedBundle

__all__ = ["tensors_in"]

GRAPH, TENSOR = 7, 5
"""Fields of ModelProto and GraphProto (onnx.proto3)."""

SIZES, TYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9
"""Fields of TensorProto."""

FLOAT32 = 1
"""TensorProto.DataType.FLOAT."""


def tensors_in(content: bytes) -> dict[str, np.ndarray]:
    """The float32 constants of the graph in an ONNX file, by name; constants of other types are left out.

    Raises:
        DamagedBundle: the content ends within a field, or a tensor has another size than it says.
    """
    graphs = [value for field, value in _fields(content) if field == GRAPH]
    found = {}
    for graph in graphs:
        for field, value in _fields(_bytes(graph)):
            if field == TENSOR and (read := _tensor(_bytes(value))) is not None:
                found[read[0]] = read[1]
    return found


def _tensor(content: bytes) -> tuple[str, np.ndarray] | None:
    sizes, name, data, kind = [], "", b"", None
    for field, value in _fields(content):
        if field == SIZES:
            sizes += [value] if isinstance(value, int) else list(_packed(value))
        elif field == TYPE:
            kind = value
        elif field in (FLOATS, RAW):
            data += _bytes(value)
        elif field == NAME:
            name = _bytes(value).decode("utf-8", errors="replace")
    if kind != FLOAT32:
        return None
    if len(data) != 4 * int(np.prod(sizes, dtype=np.int64)):
        raise DamagedBundle(f"the tensor {name} does not hold {sizes} numbers: the file is damaged")
    return name, np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(sizes)


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value, a whole number or bytes."""
    place = 0
    while place < len(content):
        key, place = _whole(content, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _whole(content, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _whole(content, place)
        else:
            length = {1: 8, 5: 4}.get(wire, -1)
        if length < 0 or place + length > len(content):
            raise DamagedBundle(f"the file ends or is damaged at byte {place} of a message")
        yield number, content[place : place + length]
        place += length


def _packed(content: bytes) -> Iterator[int]:
    place = 0
    while place < len(content):
        value, place = _whole(content, place)
        yield value


def _whole(content: bytes, place: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            break
        byte, place = content[place], place + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise DamagedBundle(f"the file ends or is damaged at byte {place} of a message")


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else struct.pack("<Q", value)
