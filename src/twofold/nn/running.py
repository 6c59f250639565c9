"""Convolutions as they are run, not trained: padded by themselves, and with the activation after them in one pass."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.nn.efficientnet import SamePadConvolution

__all__ = ["FusedConvolution", "fuse_activations", "pad_inside"]

Maps = Float[Tensor, "batch _ _ _"]


class FusedConvolution(nn.Module):
    """A convolution and ReLU6 or ReLU in one pass over its maps, with weights laid out for the processor.

    By the operator of oneDNN that torch.compile calls too; where it is missing, by two passes.
    """

    def __init__(self, layer: nn.Conv2d, activation: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.activation = layer, activation
        self.name, self.scalars = {
            nn.ReLU6: ("hardtanh", [0.0, 6.0]),
            nn.ReLU: ("relu", []),
        }.get(type(activation), ("none", []))
        self.packed: Tensor | None = None

    def forward(self, input: Maps) -> Maps:
        layer: Any = self.layer
        if not _fuses(input):
            found = layer(input)
            return found if self.activation is None else self.activation(found)
        shape = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                layer.weight.detach().contiguous(), *shape, list(input.shape)
            )
        return torch.ops.mkldnn._convolution_pointwise(
            input, self.packed, layer.bias, *shape, self.name, self.scalars, ""
        )


def pad_inside(module: nn.Module) -> None:
    """Let `SamePadConvolution`s of inputs with even sides pad by themselves: the padded input is never written down.

    With stride 2 the padding is larger at the right and the bottom by 1; a kernel with a row and a
    column of zeros before it and the same padding on all sides gives the same.
    """
    for part in list(module.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, SamePadConvolution):
                setattr(part, name, _padding(layer))


def fuse_activations(module: nn.Module) -> None:
    """Take convolutions and the activations after them together, inside every `Sequential`."""
    for part in list(module.modules()):
        if isinstance(part, nn.Sequential):
            _fuse(part)


def _padding(layer: SamePadConvolution) -> nn.Conv2d:
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    weight = layer.weight.detach()
    if stride == 2 and kernel > 1:
        weight, kernel = F.pad(weight, (1, 0, 1, 0)), kernel + 1
    made = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel,
        stride,
        padding=(kernel - 1) // 2,
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    made.weight = nn.Parameter(weight)
    if layer.bias is not None:
        made.bias = nn.Parameter(layer.bias.detach())
    return made


def _fuse(layers: nn.Sequential) -> None:
    known = [
        (name, each) for name, each in layers.named_children() if type(each) is not nn.Identity
    ]
    for place, (name, layer) in enumerate(known):
        if type(layer) is not nn.Conv2d:
            continue
        after = known[place + 1] if place + 1 < len(known) else None
        fits = after is not None and isinstance(after[1], nn.ReLU6 | nn.ReLU)
        setattr(layers, name, FusedConvolution(layer, after[1] if after and fits else None))
        if after and fits:
            setattr(layers, after[0], nn.Identity())


def _fuses(input: Maps) -> bool:
    """Whether the operator is there and made for such maps."""
    return (
        input.device.type == "cpu"
        and input.dtype == torch.float32
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )
