"""The constants of ONNX files: read as a writer of protobuf laid them down; damaged files are refused."""

import struct

import numpy as np
import pytest

from twofold.errors import DamagedBundle
from twofold.onnx_tensors import tensors_in


def whole(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return whole(number << 3) + whole(value)
    return whole(number << 3 | 2) + whole(len(value)) + value


def tensor(name: str, array: np.ndarray, *, raw: bool = True, packed: bool = False) -> bytes:
    sizes = (
        field(1, b"".join(whole(side) for side in array.shape))
        if packed
        else b"".join(field(1, side) for side in array.shape)
    )
    data = field(9 if raw else 4, array.astype("<f4").tobytes())
    return sizes + field(2, 1) + field(8, name.encode()) + data


def model(*tensors: bytes) -> bytes:
    graph = field(2, b"graph") + b"".join(field(5, each) for each in tensors)
    return field(1, 8) + field(7, graph) + whole(9 << 3 | 5) + struct.pack("<f", 1.0)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_tensors_by_name(raw, packed):
    arrays = {"a": np.arange(300.0).reshape(3, 100), "b/bias:0": np.array([1.5, -2.0])}
    parts = [tensor(name, array, raw=raw, packed=packed) for name, array in arrays.items()]
    found = tensors_in(model(*parts))
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_tensors_of_whole_numbers_are_left_out():
    assert tensors_in(model(field(1, 1) + field(2, 7) + field(9, b"\0" * 8))) == {}


def test_a_tensor_of_another_size_than_it_says_is_refused():
    with pytest.raises(DamagedBundle, match=r"the tensor a does not hold \[2, 2\] numbers"):
        two = field(1, 2) + field(1, 2) + field(2, 1) + field(8, b"a") + field(9, b"\0" * 8)
        tensors_in(model(two))


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(part):
    content = model(tensor("a", np.arange(100.0)))
    with pytest.raises(DamagedBundle, match="ends or is damaged"):
        tensors_in(content[: int(len(content) * part)])
