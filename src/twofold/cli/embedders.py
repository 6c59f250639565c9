"""import: a bundle of an embedder that others have made, with nothing learned and no threshold yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twofold.cli.options import YES, Flag, Json, Out, Set, print_json, setting, show
from twofold.cli.values import MaybeCount
from twofold.errors import UsageError, nearest

if TYPE_CHECKING:
    from twofold.bundle import Bundle

__all__ = ["import_"]

OF_PICTURES = ("size", "channels", "mean", "std", "fit", "background")
"""What --set knows of pictures: fields of the input type Image."""

OF_MODELS = ("order", "layout", "output", "unit_norm")
"""What --set knows of an ONNX model."""

RANGES = (1, 255)


def import_(
    model: str,
    /,
    *,
    out: Out,
    input: Literal["image", "vector"] = "image",
    size: MaybeCount = None,
    distance: str = "cosine",
    settings: Set = (),
    force: Flag = False,
    json: Json = False,
) -> int:
    """Make a bundle of an embedder that others have made: then calibrate it, index with it, search.

    Args:
        model: an ONNX file with one input and one output (batch, dim), with any data beside it; or
            hf:FOLDER, a picture model of Hugging Face (config.json, *.safetensors); or timm:FOLDER
            or timm:NAME:FILE, a picture model of timm with its safetensors file.
        out: where to write the bundle.
        input: what the model takes, image or vector.
        size: side of a picture in pixels, or numbers of a vector; by default what the file says.
        distance: what compares two embeddings: cosine, euclidean, squared_euclidean or manhattan.
        settings: --set mean=[0.485,0.456,0.406], std=[0.229,0.224,0.225] (of the model's pixels,
            in its order of colours; by default 0.5 and 0.5), range=255 (pixels from 0 to 255,
            where the model does not take 0 to 1), order=bgr, layout=nhwc, channels=1, fit=pad,
            size=[112,96] (height and width), output=NAME (of several), unit_norm=true; may be
            repeated.
        force: replace an existing bundle at OUT.
        json: print one JSON object.
    """
    from twofold.bundle import Bundle

    chosen = _chosen(settings)
    if size is not None:
        chosen["size"] = size
    Bundle.check_place(out, replace=force)
    word = next((each for each in ("hf:", "timm:") if model.startswith(each)), None)
    made = None if word is None else _of_pictures(model, word, chosen, distance)
    if made is None:
        of_model = {name: chosen.pop(name) for name in OF_MODELS if name in chosen}
        reader = _reader(Path(model), input, chosen, of_model)
        made = Bundle.from_onnx(model, input=reader, distance=distance, **of_model)
    made.save(out)
    if json:
        print_json({"bundle": str(out), "fingerprint": made.fingerprint, "dim": made.twin.dim})
    else:
        facts = made.facts()
        show(
            f"{facts['network']}, compared by {facts['comparison']}\nwritten to {out}, fingerprint "
            f"{facts['fingerprint']}\nnext: twofold calibrate {out} DATA"
        )
    return YES


def _of_pictures(model: str, word: str, chosen: dict[str, Any], distance: str) -> "Bundle":
    """A picture model of Hugging Face or timm from its files."""
    from twofold.bundle import Bundle
    from twofold.embedders import name_and_weights
    from twofold.inputs.image import Image
    from twofold.nn.hugging_face_pictures import preprocessing_of
    from twofold.nn.timm_pictures import preprocessing_of_timm

    place = model.removeprefix(word)
    if strange := [name for name in chosen if name not in OF_PICTURES]:
        raise UsageError(f"--set {strange[0]} is for ONNX files: leave it out")
    if distance != "cosine":
        raise UsageError(f"--distance {distance} is for ONNX files: leave it out")
    said: dict[str, Any] = {}
    if not {"size", "mean", "std"} <= chosen.keys():
        of_timm = word == "timm:"
        said = (
            preprocessing_of_timm(*name_and_weights(place))
            if of_timm
            else preprocessing_of(Path(place))
        )
    make = Bundle.from_timm if word == "timm:" else Bundle.from_hugging_face
    return make(place, input=Image(**said | chosen))


def _chosen(settings: tuple[str, ...]) -> dict[str, Any]:
    chosen = dict(map(setting, settings))
    known = (*OF_PICTURES, *OF_MODELS, "range")
    if strange := [name for name in chosen if name not in known]:
        raise UsageError(f"--set {strange[0]}: {nearest(strange[0], known)}")
    if (top := chosen.get("range", 1)) not in RANGES:
        raise UsageError(
            f"--set range={top}: pixels go from 0 to 1 (range=1) or to 255 (range=255)"
        )
    return chosen


def _reader(file: Path, kind: str, chosen: dict[str, Any], of_model: dict[str, Any]) -> Any:
    """The input type that the model wants; what is not chosen is what the file says."""
    from twofold.inputs.image import Image
    from twofold.inputs.vector import Vector
    from twofold.nn.onnx_file import picture_of

    said = picture_of(file, str(of_model.get("layout", "nchw")))
    if (kind == "vector") != ("vector" in said) and said:
        takes = "vectors" if "vector" in said else "pictures"
        raise UsageError(
            f"--input {kind}: {file} takes {takes}, so give --input {takes[:-1].replace('picture', 'image')}"
        )
    top = chosen.pop("range", 1)
    size = chosen.pop("size", None) or said.get("size") or said.get("vector")
    if size is None:
        raise UsageError(f"{file} does not say how large its input is: give --size")
    if kind == "vector":
        if chosen:
            raise UsageError(f"--set {next(iter(chosen))} is for pictures: leave it out")
        return Vector(size=size)
    colours = {
        name: _scaled(chosen.pop(name, 0.5 * top), top, turned=of_model.get("order") == "bgr")
        for name in ("mean", "std")
    }
    channels = chosen.pop("channels", None) or said.get("channels") or 3
    return Image(size=size, channels=channels, **colours, **chosen)


def _scaled(value: Any, top: int, *, turned: bool) -> Any:
    """A constant for pixels from 0 to 1 in the order red, green, blue."""
    if isinstance(value, list | tuple):
        scaled = [_scaled(each, top, turned=False) for each in value]
        return scaled[::-1] if turned else scaled
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(
            f"--set mean or std: {value!r} is not a number, or a list like [0.5,0.5,0.5]"
        )
    return value / top
