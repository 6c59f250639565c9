"""The benchmark of sounds runs on words of our own making; time warping is what its definition says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sounds import RATE, word
from twofold.package_files import installed

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    import signals_sounds

    return signals_sounds


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "speech_fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(10):
        for speaker in range(6):
            for take in range(4):
                sound = word(digit, speaker, take)
                soundfile.write(folder / f"{digit}_s{speaker}_{take}.wav", sound, RATE)
    return tmp_path


def slow_warping(a: np.ndarray, b: np.ndarray) -> float:
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            before = min(total[i, j], total[i, j + 1], total[i + 1, j])
            total[i + 1, j + 1] = np.linalg.norm(a[i] - b[j]) + before
    return float(total[-1, -1]) / (len(a) + len(b))


def test_time_warping_by_its_definition(bench):
    random = np.random.default_rng(0)
    series = [random.random((length, 3)) for length in (5, 9, 7)]
    a, b = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 2])
    expected = [slow_warping(series[i], series[j]) for i, j in zip(a, b, strict=True)]
    np.testing.assert_allclose(bench.warping(series, a, b, most=3), expected, atol=1e-3)


def test_trials_show_each_word_once_by_one_speaker(bench, data):
    digits = bench.Digits(data / "speech_fsdd" / "recordings")
    test = digits.where(list("01234"), ["s0", "s1"])
    trials, own = bench.one_shot_trials(digits, test, seed=0)
    said, spoken = digits.words[test][trials], digits.speakers[test][trials]
    assert (said[:, 0] == said[:, 1]).all()
    assert all(len(set(line[1:])) == 5 for line in said)
    assert all(len(set(line[1:])) == 1 for line in spoken)
    assert ((spoken[:, 0] == spoken[:, 1]) == own).all() and own.mean() == pytest.approx(
        0.5, abs=0.05
    )
    assert (trials[:, 0] != trials[:, 1]).all()


def test_an_interval_leaves_out_a_speaker_at_a_time(bench):
    pairs = [(a, b) for a in "abcdef" for b in "abcdef" if a < b]
    values = np.array([0.2 if "a" in pair else 0.1 for pair in pairs])
    low, high = bench.over_speakers(values, pairs)
    assert low < values.mean() < high
    assert bench.over_speakers(values[:2], pairs[:2]) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsdd_words", "fsdd_speakers"])
def test_it_runs(bench, data, name):
    if name == "fsdd_speakers" and not installed("Resemblyzer"):
        pytest.skip("the weights of resemblyzer are not installed")
    rows = {row["name"]: row["value"] for row in bench.sounds(name, data, quick=True)}
    wanted = {"fsdd_words": "fsdd_words_one_shot_dtw", "fsdd_speakers": "fsdd_speakers_eer_ge2e"}
    assert 0 <= rows[wanted[name]] <= 1
    assert sys.modules["signals_sounds"] is bench
