"""An ONNX file, looked through before it is run: whole, no operators of somebody's own, external data beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.errors import MissingExtra, RecipeError, nearest
from twofold.places import file_at

__all__ = ["checked_model", "first_line", "picture_of"]

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operators that onnxruntime brings along; code of others is never loaded (law 9)."""

LARGEST = 2**31 - 1
"""Bytes of a model: protobuf, in which ONNX is written, holds no more."""

LONGEST_REASON = 200


def checked_model(path: Path, output: str = "") -> tuple[bytes, str]:
    """The bytes of a model, with its external data inside, and the name of its output.

    Raises:
        RecipeError: not an ONNX file, external data that is missing or elsewhere, operators of
            somebody's own, several outputs and none chosen.
        MissingExtra: without onnx.
    """
    onnx = _onnx()
    model = _read(onnx, path)
    for tensor in _external(onnx, model):
        _check_beside(path, tensor)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise RecipeError(
            f"the external data of {path} cannot be read: {first_line(error)}"
        ) from None
    own = sorted({node.domain for node in _nodes(model.graph) if node.domain not in DOMAINS})
    functions = {function.domain for function in model.functions}
    if strange := [domain for domain in own if domain not in functions]:
        raise RecipeError(
            f"{path} uses operators of its maker's own ({', '.join(strange)}), which would need "
            f"code that is not run here: export it with standard operators"
        )
    content = _with_data_inside(onnx, model, path)
    return content, _output(path, [each.name for each in model.graph.output], output)


def picture_of(path: Path, layout: str) -> dict[str, Any]:
    """What the file says of its pictures: size and channels, where they are fixed; `vector` where it takes vectors."""
    model = _read(_onnx(), path)
    held = {each.name for each in model.graph.initializer}
    given = [each for each in model.graph.input if each.name not in held]
    if len(given) != 1:
        return {}
    sides = [
        each.dim_value if each.HasField("dim_value") else None
        for each in given[0].type.tensor_type.shape.dim
    ]
    if len(sides) == 2:
        return {"vector": sides[1]}
    if len(sides) != 4:
        return {}
    channels, height, width = sides[1:] if layout == "nchw" else (sides[3], *sides[1:3])
    size = (
        None if height is None or width is None else height if height == width else (height, width)
    )
    return {"size": size, "channels": channels}


def first_line(error: Exception) -> str:
    """What a library says, in one line of bearable length."""
    return " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__


def _read(onnx: Any, path: Path) -> Any:
    if not file_at(path):
        raise RecipeError(f"there is no ONNX file {path}")
    if path.stat().st_size > LARGEST:
        raise RecipeError(
            f"{path} is larger than 2 GB, which no ONNX file is: keep its data beside"
        )
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception:
        model = None
    if model is None or not model.graph.node or not model.ir_version:
        raise RecipeError(f"{path} is not an ONNX file: export the model to ONNX first")
    return model


def _external(onnx: Any, model: Any) -> Iterator[Any]:
    from onnx.external_data_helper import (  # pyright: ignore[reportMissingImports]
        _get_all_tensors,
        uses_external_data,
    )

    return (tensor for tensor in _get_all_tensors(model) if uses_external_data(tensor))


def _check_beside(path: Path, tensor: Any) -> None:
    """Raise RecipeError where a tensor's data is not in a file in the model's folder."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    place = told.get("location", "")
    folder = path.parent.resolve()
    target = (folder / place).resolve()
    if not place or not target.is_relative_to(folder):
        raise RecipeError(
            f"{path} keeps its data in {place or 'no file'}, outside its folder: put both into "
            f"one folder, and export it again"
        )
    if not file_at(target):
        raise RecipeError(f"{path} keeps its data in {place}, which is not beside it: copy both")


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, those of its branches and loops among them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _with_data_inside(onnx: Any, model: Any, path: Path) -> bytes:
    for tensor in _external(onnx, model):
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
    try:
        return model.SerializeToString()
    except ValueError:
        raise RecipeError(
            f"{path} and its data are larger than 2 GB together, and cannot be one file"
        ) from None


def _output(path: Path, names: list[str], wanted: str) -> str:
    if wanted:
        if wanted not in names:
            raise RecipeError(f"{path} has no output {wanted!r}: {nearest(wanted, names)}")
        return wanted
    if len(names) != 1:
        raise RecipeError(
            f"{path} has {len(names)} outputs ({', '.join(names)}): say which is the embedding, "
            f"--set output=NAME"
        )
    return names[0]


def _onnx() -> Any:
    try:
        import onnx  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra(
            "to bring in an ONNX model takes the package onnx: pip install 'twofold[onnx]'"
        ) from None
    return onnx
