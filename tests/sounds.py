"""Words that tests speak: two formants that move, on the pulses of a voice."""

from pathlib import Path

import numpy as np

RATE = 8_000


def word(number: int, speaker: int = 0, take: int = 0, *, rate: int = RATE) -> np.ndarray:
    """A word by a speaker, about half a second; each take differs a little in length, pitch and noise."""
    own = np.random.default_rng([1, number])
    voice = np.random.default_rng([2, speaker])
    random = np.random.default_rng([3, number, speaker, take])
    count = int(rate * 0.5 * random.uniform(0.9, 1.1))
    time = np.arange(count) / rate
    share = np.linspace(0, 1, count)
    pitch = voice.uniform(90, 220) * random.uniform(0.97, 1.03)
    tract = voice.uniform(0.9, 1.1)
    starts, ends = own.uniform((300, 900), (800, 2600)), own.uniform((300, 900), (800, 2600))
    formants = (starts + (ends - starts) * share[:, None]) * tract
    harmonics = np.arange(1, int(rate / 2 / pitch))
    sound = np.zeros(count)
    for harmonic in harmonics:
        apart = (harmonic * pitch - formants) / 120
        sound += (1 / (1 + apart**2)).sum(axis=1) * np.sin(2 * np.pi * harmonic * pitch * time)
    sound *= np.hanning(count) ** 0.3
    return (0.3 * sound / np.abs(sound).max() + 0.002 * random.standard_normal(count)).astype(
        np.float32
    )


def spoken(folder: Path, words: range, speakers: range, takes: int = 3) -> Path:
    """Files named WORD_SPEAKER_TAKE.wav in one folder, as the Free Spoken Digit Dataset has them."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for number in words:
        for speaker in speakers:
            for take in range(takes):
                name = folder / f"w{number}_s{speaker}_{take}.wav"
                soundfile.write(name, word(number, speaker, take), RATE)
    return folder
