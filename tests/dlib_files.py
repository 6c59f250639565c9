"""Files as dlib writes its networks: the same records in the same order, for tests of the reader."""

import numpy as np
import torch
from torch import nn


def integer(value: int) -> bytes:
    """A byte with the sign and the number of bytes, and those, the lowest first."""
    size = max((abs(value).bit_length() + 7) // 8, 1)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def text(value: str) -> bytes:
    return integer(len(value)) + value.encode()


def tensor(numbers: np.ndarray | list[float], *, version: int = 2) -> bytes:
    sizes = b"".join(map(integer, (1, len(numbers), 1, 1)))
    return integer(version) + sizes + np.asarray(numbers, dtype="<f4").tobytes()


def record(module: nn.Module) -> bytes:
    """The record of a layer with weights, and some of the numbers that follow it."""
    if isinstance(module, nn.Linear):
        numbers = module.weight.detach().T.flatten().numpy()
        sizes = integer(module.out_features) + integer(module.in_features)
        return text("fc_2") + sizes + tensor(numbers) + integer(1)
    numbers = torch.cat([module.weight.flatten(), module.bias]).detach().numpy()
    if isinstance(module, nn.Conv2d):
        return text("con_4") + tensor(numbers) + integer(module.out_channels) + integer(-3)
    return text("affine_") + tensor(numbers) + integer(0)


def network(encoder: nn.Module) -> bytes:
    """A file with all layers of an encoder; between them stands what dlib writes of layers without weights."""
    content = integer(1) + text("loss_metric_2") + integer(-12345)
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            content += text("relu_") + tensor([]) + record(module)
    return content
