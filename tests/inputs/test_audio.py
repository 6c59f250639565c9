"""Sounds: files of all kinds, what is refused, the features, and that an item depends on itself alone."""

import io
import sys

import numpy as np
import pytest
import soundfile
import torch

from sounds import RATE, word
from twofold.errors import MissingExtra, RecipeError, UnreadableInput
from twofold.inputs import Audio
from twofold.inputs.audio_resampling import resampled


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def wav(samples: np.ndarray, rate: int = RATE, **kinds: str) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate, **({"format": "WAV"} | kinds))
    return content.getvalue()


@pytest.mark.parametrize(
    "rates", [(8_000, 16_000), (44_100, 16_000), (22_050, 8_000), (16_000, 11_025)]
)
def test_a_tone_is_the_same_tone_at_another_rate(rates):
    rate, wanted = rates
    found = np.concatenate(list(resampled([tone(440, 0.5, rate)], rate, wanted)))
    expected = tone(440, 0.51, wanted)[: len(found)]
    assert len(found) == -(-round(0.5 * rate) * wanted // rate)
    middle = slice(len(found) // 5, -len(found) // 5)
    np.testing.assert_allclose(found[middle], expected[middle], atol=2e-4)


def test_what_the_lower_rate_cannot_hold_is_gone():
    found = np.concatenate(list(resampled([tone(6_000, 0.5, 16_000)], 16_000, 8_000)))
    assert np.abs(found[400:-400]).max() < 1e-3


def test_blocks_change_nothing():
    sound = word(1, rate=44_100)
    whole = np.concatenate(list(resampled([sound], 44_100, 16_000)))
    for size in (1, 7, 500, 9_999):
        sizes = range(0, min(len(sound), 3_000) if size == 1 else len(sound), size)
        blocks = [sound[start : start + size] for start in sizes]
        if size == 1:
            blocks.append(sound[3_000:])
        parts = np.concatenate(list(resampled(blocks, 44_100, 16_000)))
        np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize(
    ("kinds", "close"),
    [
        ({"subtype": "PCM_16"}, 1e-3),
        ({"subtype": "PCM_24"}, 1e-5),
        ({"subtype": "FLOAT"}, 1e-6),
        ({"subtype": "PCM_U8"}, 2e-2),
        ({"format": "FLAC"}, 1e-3),
        ({"format": "AIFF"}, 1e-3),
        ({"format": "OGG"}, None),
        ({"format": "MP3"}, None),
    ],
)
def test_files_of_all_kinds(kinds, close, tmp_path):
    sound = word(2, rate=16_000)
    content = wav(sound, 16_000, **kinds)
    path = tmp_path / "sound"
    path.write_bytes(content)
    found = Audio().read(path)
    np.testing.assert_array_equal(found, Audio().read(content))
    assert found.dtype == np.float32
    if close is not None:
        np.testing.assert_allclose(found, sound, atol=close)
    else:  # lossy: the same sound, perhaps a little later
        size = min(len(found), len(sound))
        both = np.fft.rfft([found[:size], sound[:size]])
        at_best = np.fft.irfft(both[0] * both[1].conj()).max()
        assert at_best > 0.9 * np.square(sound).sum()


def test_channels_are_averaged_and_rates_may_differ():
    left, right = word(3), word(4)[: len(word(3))]
    left = left[: len(right)]
    mono = Audio(rate=8_000).read(wav(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(mono, (left + right) / 2, atol=1e-6)
    assert len(Audio().read(wav(left))) == 2 * len(left)
    np.testing.assert_array_equal(
        Audio(rate=8_000).read(np.stack([left, left], axis=1)), Audio(rate=8_000).read(left)
    )
    whole = (left * 2**15).astype(np.int16)
    np.testing.assert_allclose(Audio(rate=8_000).read(whole), left, atol=1e-4)


def broken_flac() -> bytes:
    content = wav(word(5), format="FLAC")
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (wav(np.zeros(0, np.float32)), "0 samples"),
        (wav(np.ones(1, np.float32)), "2 samples at 16,000 per second, 0.1 ms: at least 25 ms"),
        (wav(np.zeros(RATE, np.float32)), "is silence"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a sound that can be read"),
        (b"path,label\n", "is not a sound that can be read"),
        (wav(word(5))[:-1000], "is truncated"),
        (wav(word(5), format="OGG")[:-100], "is truncated"),
        (broken_flac(), "trunca|can be read"),
        (wav(np.full(RATE, np.nan, np.float32), subtype="FLOAT"), "NaN or infinity"),
    ],
)
def test_what_is_refused(content, said, tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableInput, match=said) as error:
        Audio().read(path)
    assert "\n" not in str(error.value)
    with pytest.raises(UnreadableInput, match=said):
        Audio().read(content)


def test_other_values_are_refused(tmp_path):
    for value in (
        tmp_path,
        tmp_path / "none.wav",
        3,
        np.zeros((2, 2, 2)),
        np.array([np.inf] * 999),
    ):
        with pytest.raises(UnreadableInput):
            Audio().read(value)


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[audio\]'"):
        Audio().read(tmp_path / "a.wav")
    assert len(Audio(rate=8_000).read(word(1)))  # arrays need nothing


def test_wav_of_unknown_length_is_read():
    content = bytearray(wav(word(5)))
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    assert len(Audio(rate=RATE).read(bytes(content))) == len(word(5))


def test_silence_at_both_ends_is_trimmed():
    sound = np.concatenate([np.zeros(4_000), word(6), np.zeros(8_000)]).astype(np.float32)
    trimmed = Audio(rate=RATE, trim=40.0).read(sound)
    assert abs(len(trimmed) - len(word(6))) < 0.1 * RATE
    assert len(Audio(rate=RATE, longest=10.0).read(sound)) == len(sound)


def test_soft_sounds_are_raised_to_the_level_and_loud_ones_stay():
    soft, loud = 0.001 * word(1), word(1)
    found = Audio(rate=RATE, level=-30.0).read(soft)
    assert 20 * np.log10(np.sqrt(np.mean(found**2))) == pytest.approx(-30, abs=0.01)
    np.testing.assert_allclose(Audio(rate=RATE, level=-30.0).read(loud), loud)


def test_long_sounds_are_cut_or_divided_and_short_ones_filled():
    sound = np.tile(word(1), 6)
    assert len(Audio(rate=RATE, longest=1.0).read(sound)) == RATE
    several = Audio(rate=RATE, longest=1.0, windows=3)
    parts = several.windows_of(several.read(sound))
    assert [len(part) for part in parts] == [RATE] * 3
    assert several.stack([several.read(sound)]).values.shape[1] == RATE
    short = word(1)
    zeros = Audio(rate=RATE, longest=1.0, fill="zeros").read(short)
    again = Audio(rate=RATE, longest=1.0, fill="repeat").read(short)
    assert len(zeros) == len(again) == RATE
    assert not zeros[len(short) :].any()
    np.testing.assert_array_equal(again, np.resize(short, RATE))


KINDS = [
    Audio(rate=RATE),
    Audio(rate=RATE, features="mfcc", norm="mean"),
    Audio(rate=RATE, norm="mean_std", frames=20),
    Audio(rate=RATE, features="mel"),
]


@pytest.mark.parametrize("input", KINDS, ids=str)
def test_an_item_depends_on_itself_alone(input):
    sounds = [input.read(word(number, take=number)) for number in range(4)]
    together = input.normalise(input.stack(sounds))
    for place, sound in enumerate(sounds):
        alone = input.normalise(input.stack([sound]))
        if input.frames:
            torch.testing.assert_close(together[place], alone[0], atol=1e-5, rtol=1e-5)
            continue
        size = int(alone.lengths[0])
        assert int(together.lengths[place]) == size == -(-len(sound) // 80)
        torch.testing.assert_close(
            together.values[place, :size], alone.values[0], atol=1e-5, rtol=1e-5
        )


def test_bands_by_the_definition():
    """One frame by a slow Fourier sum, and its bands by triangles on Slaney's mel scale."""
    input = Audio(rate=RATE, features="mel", bands=12)
    sound = word(7)
    found = input.normalise(input.stack([sound])).values[0, 20].numpy()
    size, centre = 200, 20 * 80
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frame = sound[centre - 100 : centre + 100] * window
    turns = np.exp(-2j * np.pi * np.outer(np.arange(101), np.arange(size)) / size)
    power = np.abs(turns @ frame) ** 2

    def hertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * np.exp((mel - 15) * np.log(6.4) / 27)

    top = 15 + np.log(4) * 27 / np.log(6.4)
    edges = [hertz(mel) for mel in np.linspace(0, top, 14)]
    for band in range(12):
        low, middle, high = edges[band : band + 3]
        total = 0.0
        for place, each in enumerate(power):
            at = place * RATE / size
            rise, fall = (at - low) / (middle - low), (high - at) / (high - middle)
            total += max(0.0, min(rise, fall)) * 2 / (high - low) * each
        assert found[band] == pytest.approx(total, rel=1e-3, abs=1e-9)


def test_cepstra_are_the_cosine_transform_of_logarithmic_bands():
    plain, other = Audio(rate=RATE), Audio(rate=RATE, features="mfcc", coefficients=40)
    batch = plain.stack([word(8)])
    bands, found = plain.normalise(batch).values[0], other.normalise(batch).values[0]
    # orthonormal: lengths stay
    torch.testing.assert_close(bands.square().sum(1), found.square().sum(1), rtol=1e-4, atol=1e-3)
    assert found[0, 0] == pytest.approx(float(bands[0].sum()) / 40**0.5, rel=1e-4)


def test_normed_bands_have_mean_0_and_deviation_1():
    input = Audio(rate=RATE, norm="mean_std")
    found = input.normalise(input.stack([word(9)])).values[0]
    torch.testing.assert_close(found.mean(0), torch.zeros(40), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(40), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "fields",
    [
        {"features": "chroma"},
        {"norm": "max"},
        {"fill": "noise"},
        {"rate": 10},
        {"step": 0.05},
        {"longest": 0.001},
        {"windows": 0},
        {"high": 9_000.0},
        {"low": 5_000.0, "high": 4_000.0},
        {"level": 3.0},
        {"trim": -1.0},
        {"bands": 400},
        {"features": "mfcc", "coefficients": 60},
    ],
)
def test_fields_that_do_not_fit(fields):
    with pytest.raises(RecipeError):
        Audio(**fields)


def keys_of(count: int, *, epoch: int = 0, variant: int = 0) -> np.ndarray:
    return np.stack([np.array([5, epoch, item, variant]) for item in range(count)])


EVERYTHING = {
    "speed": 0.2,
    "crop": 0.3,
    "shift": 0.2,
    "gain": 6.0,
    "noise": 0.2,
    "warp": 0.2,
    "channel": 6.0,
    "mask_bands": 0.3,
    "mask_time": 0.3,
}


@pytest.mark.parametrize("input", KINDS, ids=str)
def test_a_change_depends_on_the_key_alone(input):
    augment = input.augmentation(**EVERYTHING)
    sounds = [input.read(word(number)) for number in range(3)]
    together = input.normalise(augment(input.stack(sounds), keys_of(3)))
    alone = input.normalise(augment(input.stack(sounds[1:2]), keys_of(3)[1:2]))
    one = together[1:2]
    if input.frames:
        torch.testing.assert_close(one, alone, atol=1e-4, rtol=1e-4)
    else:
        torch.testing.assert_close(one.values, alone.values, atol=1e-4, rtol=1e-4)
    later = input.normalise(augment(input.stack(sounds), keys_of(3, epoch=1)))
    assert input.frames == 0 or not torch.equal(later, together)


def test_spec_augment_hides_bands_and_frames():
    input = Audio(rate=RATE, norm="mean")
    augment = input.augmentation(mask_bands=0.5, mask_time=0.5)
    batch = input.stack([word(1)] * 30)
    found = input.normalise(augment(batch, keys_of(30))).values
    hidden = (found.abs() < 1e-4).float()
    bands, frames = hidden.mean(dim=1) > 0.99, hidden.mean(dim=2) > 0.99
    assert bands.any(dim=1).float().mean() > 0.5
    assert frames.any(dim=1).float().mean() > 0.5
    assert 0.1 < bands.float().mean() < 0.4


def test_speed_changes_length_and_pitch():
    input = Audio(rate=RATE, longest=2.0)
    augment = input.augmentation(voices_as_classes=True)
    assert augment.variants == 5
    sound = tone(400, 1.0, RATE)
    batch = input.stack([sound])
    slow = augment(batch, keys_of(1, variant=1))
    assert int(slow.lengths[0]) == round(RATE / 0.86)
    spectrum = np.abs(np.fft.rfft(slow.values[0].numpy()))
    assert spectrum.argmax() / len(slow.values[0]) * RATE == pytest.approx(344, abs=2)


def test_words_played_backwards():
    input = Audio(rate=RATE)
    augment = input.augmentation(reversed_as_classes=True)
    assert augment.variants == 2
    sound = word(3)
    back = augment(input.stack([sound]), keys_of(1, variant=1)).values[0].numpy()
    np.testing.assert_array_equal(back, sound[::-1])


@pytest.mark.parametrize(
    "settings",
    [{"blur": 1}, {"speed": 2.0}, {"gain": -1.0}, {"noise": True}, {"voices_as_classes": 1}],
)
def test_settings_that_do_not_fit(settings):
    with pytest.raises(RecipeError, match=r"augment\."):
        Audio().augmentation(**settings)


def test_what_a_page_shows():
    look = Audio().show(wav(word(1)))
    assert look is not None and look.picture.shape == (120, 240, 3)
    samples, rate = soundfile.read(io.BytesIO(look.sound))
    assert rate == 16_000 and len(samples) == 2 * len(word(1))
    assert Audio().show(b"no sound") is None
    known = Audio(rate=RATE).quality(np.ones(RATE, np.float32))
    assert known == {"seconds": 1.0, "level": 0.0, "clipped": 1.0}
