"""Sounds for `signals.py`: spoken digits of the Free Spoken Digit Dataset (six speakers), words and voices.

Words (`--set fsdd_words`): neither the speakers nor the digits of a trial were trained on. The digits are
dealt into two halves and the speakers into three pairs: six folds, so that each speaker says each
digit in the test once. A trial shows one example of each of the five unseen digits, all by one unseen
speaker, and a query; half of the queries are by the speaker of the examples, half by the other one.
The peer is dynamic time warping of cepstra (MFCC and their slopes) in the same trials. `ours` is the recipe
`speech` with Google's keyword network, whose own training may have held digits (its 5,000 keywords are
not published): the figures "from scratch" are of words and speakers that nothing was trained on.

Voices (`--set fsdd_speakers`): two speakers are left out, in all fifteen ways; the digits of the
test are not trained on, either. The peer is the frozen GE2E network, padded to 1.6 s as its authors
do. Six speakers are a closed set: the figures say nothing of other people, and intervals leave out
one speaker at a time.

`sounds_cost`: the memory of an hour of sound, and what a training step of a CNN below an LSTM over
spectrograms takes over the bare network.
"""

import resource
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from last_line import row
from signals_series import step_over_bare
from twofold import Items, build, recipes
from twofold.apps.spot import spot
from twofold.bundle import Bundle
from twofold.config import Recipe
from twofold.data.splits import shuffled_names
from twofold.embedding import embed_arrays, pair_scores, read_all
from twofold.inputs import Audio
from twofold.inputs.padded import Padded
from twofold.sound_recipes import speech_from_scratch
from twofold.train.fit import fit

SOUNDS = ("fsdd_words", "fsdd_speakers", "sounds_cost")

TAKES = 20
"""Recordings of each word by each speaker, of fifty."""

WAYS = 5
TRIALS = 1500
"""Of each fold."""

REPEATS = 1000
"""Resamplings for an interval."""

RATE = 16_000
"""Samples a second of the sounds that cost is measured on."""

GOALS = {"ours": 0.9}
"""Shares of right answers that were asked for beforehand."""

KNOWN = "Google's keyword network about the mean of the fold's training; what it was trained on may have held digits"

CEPSTRA = {"rate": 8_000, "features": "mfcc", "coefficients": 13, "bands": 26, "trim": 35.0}
"""The usual features of dynamic time warping: 13 coefficients of 25 ms every 10 ms."""

SLOPE = 2
"""Frames at each side by which the slope of a coefficient is found."""


def sounds(name: str, data: Path, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of a set; quick: few recordings, folds and steps."""
    if name == "sounds_cost":
        return cost(seconds=60 if quick else 3600)
    digits = Digits(data / "speech_fsdd" / "recordings", takes=4 if quick else TAKES)
    if name == "fsdd_speakers":
        return speakers(digits, folds=2 if quick else None)
    few = {"fewest_steps": 4, "epochs": 1, "encoder.width": 8} if quick else {}
    trained = {"ours": recipes.speech(), "scratch": speech_from_scratch().replace(few)}
    return words(digits, trained, folds=1 if quick else None)


class Digits:
    """Recordings named DIGIT_SPEAKER_TAKE.wav."""

    def __init__(self, folder: Path, takes: int | None = None):
        self.files = [
            file
            for file in sorted(folder.glob("*.wav"))
            if takes is None or int(file.stem.split("_")[2]) < takes
        ]
        fields = [file.stem.split("_") for file in self.files]
        self.words = np.array([field[0] for field in fields])
        self.speakers = np.array([field[1] for field in fields])

    def where(self, words: Sequence[str], speakers: Sequence[str]) -> np.ndarray:
        """Places of the recordings of these words by these speakers."""
        return np.flatnonzero(np.isin(self.words, words) & np.isin(self.speakers, speakers))

    def items(self, places: np.ndarray, labels: np.ndarray) -> Items:
        """Some recordings with labels."""
        return Items.from_arrays([self.files[place] for place in places], labels[places])


def halves(names: Sequence[str], parts: int) -> list[list[str]]:
    """Names dealt by their hashes."""
    dealt = shuffled_names(tuple(names), 0)
    return [sorted(dealt[part::parts]) for part in range(parts)]


def words(
    digits: Digits, trained: dict[str, Recipe], *, folds: int | None = None
) -> list[dict[str, Any]]:
    """One-shot recognition of unseen words by unseen speakers, by some recipes and by time warping."""
    pairs = halves(np.unique(digits.speakers).tolist(), 3)
    cases = [(test, pair) for pair in pairs for test in halves(np.unique(digits.words).tolist(), 2)]
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*trained, "dtw", "own", "cell")}
    minutes: dict[str, list[float]] = {name: [] for name in trained}
    for number, (unseen, pair) in enumerate(cases[:folds]):
        others = sorted(set(digits.words) - set(unseen))
        rest = sorted(set(digits.speakers) - set(pair))
        train = digits.items(digits.where(others, rest), digits.words)
        test = digits.where(unseen, pair)
        trials, own = one_shot_trials(digits, test, seed=number)
        for name, recipe in trained.items():
            began = time.process_time()
            bundle = fit(build.twin(recipe, seed=0), train, None, recipe=recipe, seed=0)
            minutes[name].append((time.process_time() - began) / 60)
            found[name].append(right(scored(bundle, digits, test, trials)))
        found["dtw"].append(right(-warped(digits, test, trials)))
        found["own"].append(own)
        asked = test[trials[:, 0]]
        found["cell"].append(
            np.array([f"{digits.speakers[one]} {digits.words[one]}" for one in asked])
        )
        print(
            f"words {unseen} by {pair}: {found['ours'][-1].mean():.4f}, from scratch "
            f"{found['scratch'][-1].mean():.4f}, warping {found['dtw'][-1].mean():.4f}",
            flush=True,
        )
    whole = {name: np.concatenate(each) for name, each in found.items()}
    return word_rows(whole, {name: float(np.mean(each)) for name, each in minutes.items()})


def word_rows(found: dict[str, np.ndarray], minutes: dict[str, float]) -> list[dict[str, Any]]:
    """The figures of the words.

    Args:
        minutes: of a processor, of training by each recipe in a fold.
    """
    own = found["own"].astype(bool)
    _, cell = np.unique(found["cell"], return_inverse=True)
    first = "fsdd_words_one_shot"
    folds = (
        f"{WAYS}-way, {len(own)} trials; words and speakers of the trials not in the training data "
        f"(4 speakers, 5 words); interval over speaker x word ({cell.max() + 1}), six speakers: a "
        "closed set"
    )
    said = {
        "ours": f"{folds}; {KNOWN}; {minutes['ours']:.1f} CPU minutes each fold",
        "scratch": f"the same trials; nothing pretrained; {minutes['scratch']:.1f} CPU minutes each fold",
        "dtw": "the same trials; MFCC and their slopes, dynamic time warping",
    }
    names = {"ours": first, "scratch": f"{first}_from_scratch", "dtw": f"{first}_dtw"}

    def measured(name: str, values: np.ndarray, chosen: np.ndarray, **more: Any) -> dict[str, Any]:
        between = over_cells(values[chosen], cell[chosen])
        return row(name, values[chosen].mean(), interval=between, **more)

    every = np.ones(len(own), bool)
    rows = [
        measured(names[each], found[each], every, anchor=said[each], goal=GOALS.get(each))
        for each in names
    ]
    for each, name in (("ours", "gain_over_dtw"), ("scratch", "from_scratch_gain_over_dtw")):
        gain = found[each] - found["dtw"]
        paired = "the same trials; paired"
        rows.append(measured(f"{first}_{name}", gain, every, goal=0.0, anchor=paired))
    for name, part in (("same_speaker", own), ("other_speaker", ~own)):
        for each, which in (("ours", ""), ("scratch", "_from_scratch"), ("dtw", "_dtw")):
            rows.append(measured(f"{first}_{name}{which}", found[each], part))
    return rows


def scored(
    bundle: Bundle, digits: Digits, test: np.ndarray, trials: np.ndarray
) -> Float[np.ndarray, "trials examples"]:
    """Score of the query with each example, by the bundle's comparison."""
    vectors = embedded(bundle, digits, test)
    first = np.repeat(trials[:, 0], trials.shape[1] - 1)
    return pair_scores(bundle, vectors[first], vectors[trials[:, 1:].reshape(-1)]).reshape(
        len(trials), -1
    )


def one_shot_trials(
    digits: Digits, test: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of places in `test`: a query, an example of its word, one of each other; is it one speaker."""
    random = np.random.default_rng([17, seed])
    said, spoken = digits.words[test], digits.speakers[test]
    names, people = np.unique(said), np.unique(spoken)
    of = {(w, s): np.flatnonzero((said == w) & (spoken == s)) for w in names for s in people}
    rows, own = [], []
    for trial in range(TRIALS):
        word, speaker = names[trial % len(names)], people[trial // len(names) % len(people)]
        other = next(each for each in people if each != speaker)
        owns = bool(trial // (len(names) * len(people)) % 2 == 0)
        teacher = speaker if owns else other
        query, twin = random.choice(of[word, speaker], 2, replace=False)
        example = twin if owns else random.choice(of[word, teacher])
        rest = [random.choice(of[name, teacher]) for name in names if name != word]
        rows.append([query, example, *rest])
        own.append(owns)
    return np.array(rows), np.array(own)


def embedded(bundle: Bundle, digits: Digits, places: np.ndarray) -> np.ndarray:
    """The vectors of some recordings."""
    arrays = list(read_all(bundle.twin.input, [digits.files[place] for place in places]))
    return embed_arrays(bundle.twin, arrays)


def right(scores: np.ndarray) -> np.ndarray:
    """Whether each trial is right: the first example is the most alike; a tie is half right."""
    best = scores[:, 1:].max(axis=1)
    return np.where(scores[:, 0] == best, 0.5, scores[:, 0] > best)


def warped(digits: Digits, test: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Distance of the query to each example, by dynamic time warping."""
    input = Audio(**CEPSTRA)
    series = [cepstra_of(input, digits.files[place]) for place in test]
    first = np.repeat(trials[:, 0], trials.shape[1] - 1)
    return warping(series, first, trials[:, 1:].reshape(-1)).reshape(len(trials), -1)


def cepstra_of(input: Audio, file: Path) -> np.ndarray:
    """Coefficients and their slopes, each with a mean of 0 and a deviation of 1 over the recording."""
    batch = input.normalise(input.stack([input.read(file)]))
    assert isinstance(batch, Padded)
    found = batch.values[0].numpy()
    ends = np.pad(found, ((SLOPE, SLOPE), (0, 0)), mode="edge")
    steps = np.arange(-SLOPE, SLOPE + 1)
    slopes = sum(step * ends[SLOPE + step : len(found) + SLOPE + step] for step in steps)
    both = np.concatenate([found, slopes / np.square(steps).sum()], axis=1)
    return (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-6)


def warping(
    series: Sequence[np.ndarray], a: np.ndarray, b: np.ndarray, most: int = 500
) -> np.ndarray:
    """Sum of distances along the best path of steps (1, 0), (0, 1), (1, 1), over both lengths (Sakoe & Chiba 1978).

    Args:
        a, b: which series are compared. most: pairs at once.
    """
    lengths = np.array([len(each) for each in series])
    whole = np.zeros((len(series), lengths.max(), series[0].shape[1]), np.float32)
    for line, each in zip(whole, series, strict=True):
        line[: len(each)] = each
    found = []
    for start in range(0, len(a), most):
        one, other = a[start : start + most], b[start : start + most]
        squares = np.square(whole).sum(axis=2)
        apart = squares[one][:, :, None] + squares[other][:, None]
        apart -= 2 * whole[one] @ whole[other].transpose(0, 2, 1)
        cost = np.sqrt(np.maximum(apart, 0))
        total = np.full((len(one), cost.shape[1] + 1, cost.shape[2] + 1), np.inf, np.float32)
        total[:, 0, 0] = 0
        for line in range(1, total.shape[1]):
            for place in range(1, total.shape[2]):
                before = np.minimum(total[:, line - 1, place - 1], total[:, line - 1, place])
                before = np.minimum(before, total[:, line, place - 1])
                total[:, line, place] = cost[:, line - 1, place - 1] + before
        ends = total[np.arange(len(one)), lengths[one], lengths[other]]
        found.append(ends / (lengths[one] + lengths[other]))
    return np.concatenate(found)


def over_cells(values: np.ndarray, cell: np.ndarray) -> tuple[float, float]:
    """95 % of the means over resampled cells of speaker x word."""
    _, place = np.unique(cell, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(sums), (REPEATS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def speakers(digits: Digits, *, folds: int | None = None) -> list[dict[str, Any]]:
    """Equal error rates of two unseen speakers by unseen words, of the recipe and of the frozen network."""
    people = np.unique(digits.speakers).tolist()
    (known_words, new_words) = halves(np.unique(digits.words).tolist(), 2)
    recipe = recipes.speaker().replace({"p": len(people) - 2, "k": 16})
    heard = digits.where(new_words, people)
    frozen = np.zeros((len(digits.files), 256), np.float32)
    frozen[heard] = embedded(Bundle.pretrained("speaker"), digits, heard)
    rates, minutes = [], []
    for pair in list(combinations(people, 2))[:folds]:
        rest = [each for each in people if each not in pair]
        train = digits.items(digits.where(known_words, rest), digits.speakers)
        began = time.process_time()
        bundle = fit(build.twin(recipe, seed=0), train, None, recipe=recipe, seed=0)
        minutes.append((time.process_time() - began) / 60)
        test = digits.where(new_words, pair)
        labels = digits.speakers[test]
        rate = error_rate(embedded(bundle, digits, test), labels)
        rates.append((pair, rate, error_rate(frozen[test], labels)))
        print(f"speakers {pair}: {rate:.4f}, frozen {rates[-1][2]:.4f}", flush=True)
    ours = np.array([rate for _, rate, _ in rates])
    other = np.array([rate for _, _, rate in rates])
    who = [pair for pair, *_ in rates]
    said = (
        f"{len(rates)} folds, each of two unseen speakers by unseen words, {2 * len(heard) // len(people)} recordings; "
        f"centre learned from four other speakers; {np.mean(minutes):.2f} CPU minutes each; "
        "interval leaves out one speaker at a time (6: a closed set)"
    )
    peer = "the same recordings; GE2E as its authors run it (zeros up to 1.6 s)"
    gain = other - ours
    return [
        row("fsdd_speakers_eer", ours.mean(), interval=over_speakers(ours, who), anchor=said),
        row(
            "fsdd_speakers_eer_ge2e", other.mean(), interval=over_speakers(other, who), anchor=peer
        ),
        row(
            "fsdd_speakers_eer_gain_over_ge2e",
            gain.mean(),
            interval=over_speakers(gain, who),
            goal=0.0,
            anchor="the same recordings; paired",
        ),
    ]


def error_rate(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Equal error rate of all pairs of the recordings."""
    first, second = np.triu_indices(len(vectors), 1)
    same = labels[first] == labels[second]
    best_first = np.argsort(-(vectors @ vectors.T)[first, second], kind="stable")
    rejected = 1 - np.cumsum(same[best_first]) / same.sum()
    accepted = np.cumsum(~same[best_first]) / (~same).sum()
    place = int(np.abs(rejected - accepted).argmin())
    return float(rejected[place] + accepted[place]) / 2


T_975 = {6: 2.571}
"""Quantile of Student's t with one degree less than there are speakers."""


def over_speakers(
    values: np.ndarray, pairs: Sequence[tuple[str, ...]]
) -> tuple[float, float] | None:
    """95 % interval of a mean over folds: each speaker left out once (jackknife), Student's t."""
    people = sorted({name for pair in pairs for name in pair})
    if len(people) not in T_975 or len(pairs) < len(people):
        return None
    kept = np.array([[one not in pair for pair in pairs] for one in people])
    without = (kept @ values) / kept.sum(axis=1)
    spread = np.square(without - without.mean()).sum() * (len(people) - 1) / len(people)
    reach = T_975[len(people)] * float(np.sqrt(spread))
    return float(values.mean()) - reach, float(values.mean()) + reach


def cost(*, seconds: int) -> list[dict[str, Any]]:
    """The memory of a long recording, and a training step of the hybrid over spectrograms."""
    with TemporaryDirectory() as folder:
        rows = [long_recording(Path(folder) / "long.wav", seconds)]  # a peak never falls
    share = step_over_bare(*spectrograms())
    said = (
        "cnn_lstm, 64 sounds of half a second, log-mel bands; median of steps in turns, one thread"
    )
    return [*rows, row("spectrogram_hybrid_step_over_bare", share, goal=1.2, anchor=said)]


def long_recording(path: Path, seconds: int) -> dict[str, Any]:
    """Peak memory of the process in looking for a word in a recording of so many seconds."""
    draw = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", samplerate=RATE, channels=1) as file:
        for _ in range(seconds):
            file.write(0.1 * draw.normal(size=RATE).astype(np.float32))
    recipe = recipes.speech()
    bundle = Bundle(twin=build.twin(recipe, seed=0).eval(), recipe=recipe)
    example = 0.1 * draw.normal(size=RATE // 2).astype(np.float32)
    before, began = peak_mb(), time.process_time()
    spot(bundle, path, [example])
    taken = time.process_time() - began
    said = (
        f"spot in {seconds:,} seconds of noise at {RATE:,} Hz, windows of half a second; the process "
        f"had {before:.0f} MB before; {taken:.0f} CPU seconds"
    )
    return row("long_audio_peak_mb", peak_mb(), unit="MB", goal=1000.0, anchor=said)


def spectrograms() -> tuple[Recipe, Items]:
    """A recipe of a CNN below an LSTM over frames, and noises for it."""
    draw = np.random.default_rng(0)
    noises = [0.1 * draw.normal(size=RATE // 2).astype(np.float32) for _ in range(1024)]
    items = Items.from_arrays(noises, [f"c{place // 8}" for place in range(1024)])
    settings = {"encoder": {"name": "cnn_lstm"}, "input": {"name": "Audio", "rate": RATE}}
    return Recipe.model_validate(settings), items


def peak_mb() -> float:
    """The most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
