"""An embedder that somebody has exported to ONNX, run as it is by onnxruntime (extra `onnx`). It is not trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from twofold.errors import MissingExtra, RecipeError, UsageError, nearest
from twofold.nn.builder import builder
from twofold.nn.onnx_file import checked_model, first_line

__all__ = ["onnx_model"]

ORDERS, LAYOUTS = ("rgb", "bgr"), ("nchw", "nhwc")

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
"""What a model may take, by onnxruntime's names."""


class OnnxModel(nn.Module):
    """Pictures or vectors -> embeddings, by a graph whose file is one of the module's buffers.

    So the file is in the bundle's weights, and its hash in the fingerprint.

    Attributes:
        dim: length of an embedding.
        learned: arguments of the builder that were found in the file.
    """

    model: Tensor

    def __init__(self, content: bytes, *, order: str, layout: str, output: str, unit_norm: bool):
        super().__init__()
        array = np.frombuffer(content, np.uint8).copy()
        self.register_buffer("model", torch.from_numpy(array))
        self.order, self.layout, self.output, self.unit_norm = order, layout, output, unit_norm
        self.dim = 0
        self.learned: dict[str, Any] = {}
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes a session of its own."""
        return {**self.__dict__, "_session": None}

    def _load_from_state_dict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state_dict: Any, prefix: str, *args: Any
    ) -> None:
        if (found := state_dict.get(f"{prefix}model")) is not None:
            self.model, self._session = torch.empty_like(found), None
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def session(self) -> Any:
        """What runs the graph, made at its first use.

        Raises:
            MissingExtra: without onnxruntime. RecipeError: the graph cannot be run.
        """
        if self._session is None:
            self._session = _session(self.model.cpu().numpy().tobytes())
        return self._session

    @property
    def input_shape(self) -> list[Any]:
        """What the graph takes; a name or None where any length will do."""
        return list(self.session.get_inputs()[0].shape)

    def forward(self, batch: Any) -> Float[Tensor, "batch dim"]:
        """Embeds pictures or vectors, in pieces where the graph takes a fixed number at a time.

        Raises:
            UsageError: a batch of another shape than the graph takes.
        """
        if not isinstance(batch, Tensor):
            raise UsageError(
                f"an ONNX model takes pictures or vectors, and was given a {type(batch).__name__}"
            )
        array = self._laid_out(batch.detach().float().cpu().numpy())
        self._check(array)
        fixed = self.input_shape[0]
        size = fixed if isinstance(fixed, int) else max(len(array), 1)
        parts = [self._run(array[at : at + size], size) for at in range(0, len(array), size)]
        found = torch.from_numpy(np.concatenate(parts)).to(batch.device)
        return F.normalize(found, dim=-1) if self.unit_norm else found

    def _laid_out(self, array: np.ndarray) -> np.ndarray:
        if array.ndim != 4:
            return array
        if self.order == "bgr":
            array = array[:, ::-1]
        return array.transpose(0, 2, 3, 1) if self.layout == "nhwc" else array

    def _check(self, array: np.ndarray) -> None:
        wanted = self.input_shape
        fits = len(wanted) == array.ndim and all(
            not isinstance(side, int) or side == have
            for side, have in zip(wanted[1:], array.shape[1:], strict=True)
        )
        if not fits:
            asked = " x ".join(str(side) if isinstance(side, int) else "any" for side in wanted)
            raise UsageError(
                f"the ONNX model takes {asked}, and the input gives "
                f"{' x '.join(['any', *map(str, array.shape[1:])])}: set the size, the channels "
                f"and the layout of the input to those of the model"
            )

    def _run(self, rows: np.ndarray, size: int) -> Float[np.ndarray, "rows dim"]:
        """The embeddings of at most `size` things; a last batch that is not full is filled up."""
        given = self.session.get_inputs()[0]
        if isinstance(self.input_shape[0], int) and len(rows) < size:
            full = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
            return self._run(full, size)[: len(rows)]
        fed = np.ascontiguousarray(rows.astype(TYPES[given.type]))
        try:
            (found,) = self.session.run([self.output], {given.name: fed})
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise UsageError(f"the ONNX model cannot be run: {first_line(error)}") from None
        if found.ndim != 2 or len(found) != len(rows):
            raise RecipeError(
                f"the output {self.output!r} of the ONNX model has the shape {found.shape} for "
                f"{len(rows)} things: it must be (batch, dim)"
            )
        return found.astype(np.float32)


@builder(kinds=("pictures", "vectors"))
def onnx_model(
    *,
    weights: str | None = None,
    size: int | tuple[int, int] = 224,
    channels: int = 3,
    dim: int | None = None,
    order: str = "rgb",
    layout: str = "nchw",
    output: str = "",
    unit_norm: bool = False,
) -> OnnxModel:
    """Any embedder as an ONNX file (extra `onnx`): one input, one output (batch, dim), no operators of its maker's own.

    Args:
        weights: the ONNX file.
        size: height and width of a picture, or numbers of a vector; the input says it.
        channels: channels of a picture.
        dim: length of an embedding, where a bundle rebuilds the model.
        order: of the colours that the model wants, "rgb" or "bgr".
        layout: "nchw" (channels first) or "nhwc".
        output: the name of the output that is the embedding, where there are several.
        unit_norm: whether embeddings are brought to length 1; the cosine does not need it.

    Raises:
        RecipeError: no such file, or a model that cannot be taken; says why.
        MissingExtra: without the extra `onnx`.
    """
    for name, value, known in (("order", order, ORDERS), ("layout", layout, LAYOUTS)):
        if value not in known:
            raise RecipeError(f"{name} = {value!r} is not known: {nearest(value, known)}")
    if weights is None and dim is None:
        raise RecipeError("onnx_model needs encoder.weights: an ONNX file")
    content, output = checked_model(Path(weights), output) if weights else (b"", output)
    made = OnnxModel(content, order=order, layout=layout, output=output, unit_norm=unit_norm)
    if weights:
        _refuse_input(made)
        shape = [channels, *_sides(size)]
        if len(made.input_shape) == 2:
            shape = [size] if isinstance(size, int) else [*size]
        with torch.no_grad():
            dim = made(torch.zeros([1, *shape])).shape[1]
    made.dim = dim or 0
    made.learned = {"dim": made.dim, "output": output}
    return made


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _refuse_input(made: OnnxModel) -> None:
    given = made.session.get_inputs()
    if len(given) != 1:
        names = ", ".join(each.name for each in given)
        raise RecipeError(f"the ONNX model has {len(given)} inputs ({names}): it must have one")
    if given[0].type not in TYPES:
        raise RecipeError(
            f"the ONNX model takes {given[0].type}: it must be one of {', '.join(TYPES)}"
        )
    if len(given[0].shape) not in (2, 4):
        raise RecipeError(
            f"the ONNX model takes {len(given[0].shape)} axes: pictures have 4, vectors 2"
        )


def _session(content: bytes) -> Any:
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra(
            "an ONNX model needs the package onnxruntime: pip install 'twofold[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what is wrong is raised, and said once
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each of its codes
        raise RecipeError(f"the ONNX model cannot be run: {first_line(error)}") from None
