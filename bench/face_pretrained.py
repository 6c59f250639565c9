"""Faces out of the box: the bundle `face` on Labeled Faces in the Wild, View 1 (Huang et al. 2007), and on ORL.

    python bench/face_pretrained.py --data DIR [--lfw DIR] [--orl DIR] [--cache DIR] [--quick]

LFW: DIR/lfw_view1_112 with `images/NAME/NAME_0001.jpg`, `pairsDevTrain.txt` and `pairsDevTest.txt`;
the threshold is the best one on the pairs of DevTrain. A random tenth of the people calibrates, two
hundred times, and the rate at its certified threshold is measured on the other nine tenths, which
are so many that their own luck hardly counts. The same with halves, fifty times, where it counts as
much as that of the half that calibrates (see `violations`). ORL: DIR/orl_faces, all 40 people.
`--cache` keeps the vectors, for further runs. Nothing is trained here. Beside it stands the distance
of .6 at which dlib's own examples call two faces the same. Intervals resample people.
"""

import argparse
import hashlib
import io
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from scipy import stats

from last_line import print_last_line, row
from real_people import HALVES, Scored
from twofold import Items
from twofold.bundle import Bundle
from twofold.embedding import embed_values
from twofold.errors import SeveralFaces, UnreadableInput
from twofold.inputs import Face
from twofold.inputs.face_alignment import aligned
from twofold.inputs.face_detector import detector
from twofold.inputs.image_decoding import decode
from twofold.metrics.certification import certify
from twofold.metrics.fewshot import n_way_accuracy
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.verification import best_threshold, estimates, tally
from twofold.nn import face_resnet
from twofold.recipes import pretrained_face
from twofold.results import Estimate
from twofold.twin import Twin

FAR = 1e-2

DLIBS_THRESHOLD = 0.6
"""Euclidean distance below which the examples of dlib call two faces the same."""

TENTHS = 200
"""Samples of a tenth of the people: a share of .05 is told to .03."""

SELDOM = 0.05
"""Of the samples, at most, whose threshold may let through more than was asked: what a certificate of 95 % says."""


def main() -> None:
    """Embed, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--orl", type=Path, default=None)
    parser.add_argument("--lfw", type=Path, default=None)
    parser.add_argument("--cache", type=Path, default=None, help="a folder for the vectors")
    parser.add_argument("--quick", action="store_true", help="few pictures, to see that all runs")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SeveralFaces)
    started, results = time.monotonic(), []
    torch.set_num_threads(1)
    cache = options.cache
    folder = options.orl or options.data / "orl_faces"
    results += orl(folder, people=8 if options.quick else 40, cache=cache)
    show(results)
    results += pipeline(
        options.lfw or options.data / "lfw_view1_112", times=3 if options.quick else 30
    )
    folder = options.lfw or options.data / "lfw_view1_112"
    results += lfw(folder, quick=options.quick, cache=cache)
    show(results)
    print_last_line("face_pretrained", started, results)


def show(results: list[dict[str, Any]]) -> None:
    """What has been measured so far."""
    print(*(f"{each['name']} {each['value']:.4f}" for each in results), sep="\n", flush=True)


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Faces of some people, embedded; pictures in which none was found are left out.

    Attributes:
        raw: dlib's vectors, without unit length. missed: pictures without a face that was found.
    """

    raw: np.ndarray
    person: np.ndarray
    place: dict[str, int]
    missed: int

    @property
    def unit(self) -> np.ndarray:
        """The vectors of the bundle `face`."""
        return self.raw / np.linalg.norm(self.raw, axis=1, keepdims=True)


def faces_of(items: Items, *, detect: bool = True, cache: Path | None = None) -> Faces:
    """The vectors of the items, by dlib's network without unit length; computed once, where there is a cache."""
    if cache is None:
        return embedded(items, detect=detect)
    contents = "".join([*items.content_hashes(), str(detect)])
    kept = cache / f"{hashlib.sha256(contents.encode()).hexdigest()[:16]}.npz"
    if not kept.is_file():
        found = embedded(items, detect=detect)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, raw=found.raw, rows=[items.ids.index(name) for name in found.place])
    with np.load(kept) as stored:
        raw, rows = stored["raw"], stored["rows"].tolist()
    return placed(items, raw, rows)


def embedded(items: Items, *, detect: bool) -> Faces:
    """As `faces_of`, computed."""
    encoder = face_resnet(weights="dlib", unit_norm=False).eval()
    bundle = Bundle(
        twin=Twin(Face(detect=detect), encoder, "euclidean").eval(), recipe=pretrained_face()
    )
    vectors, kept = [], []
    for number, value in enumerate(items.values):
        try:
            vectors.append(embed_values(bundle, [value])[0])
        except UnreadableInput:
            continue
        kept.append(number)
    return placed(items, np.array(vectors), kept)


def placed(items: Items, raw: np.ndarray, kept: list[int]) -> Faces:
    """Vectors of the items at these places."""
    return Faces(
        raw=raw,
        person=items.identity[kept],
        place={items.ids[number]: row for row, number in enumerate(kept)},
        missed=len(items) - len(kept),
    )


def orl(folder: Path, *, people: int, cache: Path | None) -> list[dict[str, Any]]:
    """All pairs of all people, one-shot identification, and what dlib's threshold lets through."""
    items = Items.from_folder(folder)
    items = items.where(identities=list(items.identities)[:people])
    found = faces_of(items, cache=cache)
    unit, pairs = found.unit, all_pairs(found.unit, found.person)
    measured = estimates(pairs, unit="person")
    one_shot = n_way_accuracy(
        lambda rows, cols: unit[rows] @ unit[cols].T,
        found.person,
        n_way=min(10, people),
        episodes=1000,
    )
    anchor = f"all {people} people, {len(items)} pictures, {found.missed} without a face"
    return [
        figure("orl_pretrained_eer", measured["eer"], goal=0.01, anchor=anchor),
        figure(
            "orl_pretrained_one_shot_accuracy",
            one_shot,
            goal=0.995,
            anchor="10-way, 1,000 episodes, all people",
        ),
        row("orl_missed_faces", found.missed, unit=f"of {len(items)} pictures", goal=0),
        *threshold_of_dlib("orl", found),
    ]


def all_pairs(vectors: np.ndarray, person: np.ndarray) -> AllPairs:
    """Every pair of the vectors, by the cosine."""
    return AllPairs(lambda rows, cols: vectors[rows] @ vectors[cols].T, person)


def threshold_of_dlib(name: str, found: Faces) -> list[dict[str, Any]]:
    """False matches and non-matches at a distance of .6, of pairs of pictures and of pairs of people."""
    raw = found.raw.astype(np.float64)
    squares = (raw**2).sum(axis=1)
    near = squares[:, None] + squares - 2 * raw @ raw.T < DLIBS_THRESHOLD**2
    same = found.person[:, None] == found.person
    several = same & ~np.eye(len(raw), dtype=bool)
    scored = Scored(scores=near.astype(np.float32), identity=found.person)
    each = scored.rate(0.5, np.unique(found.person))
    told = f"pairs of pictures; each two people once: {each:.4f}"
    return [
        row(f"{name}_false_match_rate_at_0.6", float(near[~same].mean()), unit=told),
        row(f"{name}_false_non_match_rate_at_0.6", float((~near)[several].mean()), unit="pairs"),
    ]


def lfw(folder: Path, *, quick: bool, cache: Path | None) -> list[dict[str, Any]]:
    """DevTest pairs at the threshold of DevTrain; certified thresholds on halves of all people."""
    train, test = (pairs_in(folder / f"pairsDev{part}.txt") for part in ("Train", "Test"))
    if quick:
        train, test = train[:10] + train[-10:], test[:10] + test[-10:]
    names = sorted(ends_of(train + test))
    items = Items.from_arrays(
        [folder / "images" / name for name in names],
        [name.split("/")[0] for name in names],
        ids=names,
    )
    found = faces_of(items, cache=cache)
    threshold = float(best_threshold(tally(listed(found, train))))
    measured = estimates(listed(found, test), threshold=threshold, far=FAR, unit="person")
    anchor = "DevTest, threshold from DevTrain, nothing trained; from scratch .845"
    rows = [
        figure("lfw_pretrained_accuracy", measured["accuracy"], goal=0.98, anchor=anchor),
        figure("lfw_pretrained_eer", measured["eer"], goal=0.02, anchor=anchor),
        figure("lfw_pretrained_auc", measured["auc"], anchor=anchor),
        figure("lfw_pretrained_tar_at_far_1e-2", measured["tar_at_far"], goal=0.97, anchor=anchor),
        row("lfw_missed_faces", found.missed, unit=f"of {len(items)} pictures", goal=0),
        *public_rate(found),
        *threshold_of_dlib("lfw", found),
    ]
    tested = items.take([n for n, name in enumerate(names) if name in ends_of(test)])
    as_cut = listed(faces_of(tested, detect=False, cache=cache), test)
    measured = estimates(as_cut, far=FAR, unit="person")
    rows.append(figure("lfw_cut_outs_eer", measured["eer"], anchor="input.detect=false: as cut"))
    asked = (3, 3, 0.3) if quick else (TENTHS, HALVES, FAR)
    return rows + violations(found, *asked)


def public_rate(found: Faces) -> list[dict[str, Any]]:
    """The score that one in a hundred pairs of different people reaches: what `verify` quotes."""
    unit = found.unit
    scored = Scored(scores=unit @ unit.T, identity=found.person)
    low, high = 0.5, 1.0
    everybody = np.unique(found.person)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if scored.rate(middle, everybody) > FAR else (low, middle)
    return [row("lfw_score_at_far_1e-2", high, unit=f"cosine; {len(everybody)} people")]


def violations(found: Faces, tenths: int, halves: int, far: float) -> list[dict[str, Any]]:
    """How often a certified threshold lets through more than was asked.

    A certificate speaks about people who were not there when it was made. Those of LFW are few. Of
    two halves of them, one has a high rate where the other has a low one: the difference of the two
    has twice the variance of that between a half and everybody. Nine tenths differ from everybody
    by a ninth of what the other tenth does.
    """
    unit = found.unit
    ours = Scored(scores=unit @ unit.T, identity=found.person)
    raw = found.raw.astype(np.float32)
    squares = (raw**2).sum(axis=1)
    dlibs = Scored(scores=2 * raw @ raw.T - squares[:, None] - squares, identity=found.person)
    people = np.unique(found.person)
    told: dict[str, list[float]] = {"": [], "_of_halves": [], "_dlib": []}
    for seed in range(max(tenths, halves)):
        order = np.random.default_rng(seed).permutation(people)
        for name, part, count in (("", 10, tenths), ("_of_halves", 2, halves)):
            if seed < count:
                some, others = np.split(order, [len(order) // part])
                told[name].append(ours.rate(certify(ours.pairs(some), far).threshold, others))
        if seed < halves:
            told["_dlib"].append(dlibs.rate(-(DLIBS_THRESHOLD**2), order[len(order) // 2 :]))
    units = {
        "": f"of {tenths} samples of {len(people) // 10} of {len(people)} people, certified at {far:g}",
        "_of_halves": f"of {halves} random halves, certified at {far:g}, on the other half",
        "_dlib": f"at dlib's .6, of {halves} halves",
    }
    rows = [
        violation(f"lfw_far_violation_rate{name}", np.array(rates), units[name], far=far)
        for name, rates in told.items()
    ]
    rows[0]["goal"] = SELDOM
    return rows


def violation(name: str, rates: np.ndarray, unit: str, *, far: float) -> dict[str, Any]:
    """The share of the rates above the asked one, with an exact interval."""
    above = int((rates > far).sum())
    ends = stats.binomtest(above, len(rates)).proportion_ci()
    return row(
        name,
        above / len(rates),
        interval=(float(ends.low), float(ends.high)),
        unit=unit,
        anchor=f"mean rate {rates.mean():.4f}, largest {rates.max():.4f}",
    )


def pairs_in(listing: Path) -> list[tuple[str, str, bool]]:
    """The pairs of a list: `NAME 1 2` is genuine, `NAME 1 OTHER 3` is not."""
    lines = [line.split("\t") for line in listing.read_text().splitlines()]

    def file(name: str, number: str) -> str:
        return f"{name}/{name}_{int(number):04}.jpg"

    return [
        (
            file(line[0], line[1]),
            file(line[0] if len(line) == 3 else line[2], line[-1]),
            len(line) == 3,
        )
        for line in lines
        if len(line) in (3, 4)
    ]


def ends_of(pairs: list[tuple[str, str, bool]]) -> set[str]:
    """The pictures that stand in pairs."""
    return {end for a, b, _ in pairs for end in (a, b)}


def listed(found: Faces, pairs: list[tuple[str, str, bool]]) -> PairList:
    """The scores of listed pairs; a pair with a picture in which no face was found is left out."""
    pairs = [pair for pair in pairs if pair[0] in found.place and pair[1] in found.place]
    a = np.array([found.place[first] for first, _, _ in pairs])
    b = np.array([found.place[second] for _, second, _ in pairs])
    unit = found.unit.astype(np.float64)
    return PairList(
        (unit[a] * unit[b]).sum(axis=1),
        np.array([pair[2] for pair in pairs]),
        first=found.person[a],
        second=found.person[b],
        weigh="pairs",
    )


def pipeline(folder: Path, *, times: int) -> list[dict[str, Any]]:
    """Processor milliseconds of each step for a photograph of 640 x 480 with one face."""
    photograph = PIL.Image.new("RGB", (640, 480), (110, 120, 130))
    face = PIL.Image.open(sorted((folder / "images").glob("*/*.jpg"))[0])
    photograph.paste(face.resize((224, 224)), (200, 120))
    stream = io.BytesIO()
    photograph.save(stream, "JPEG", quality=90)
    bundle = Bundle.pretrained("face")
    spent: dict[str, list[float]] = {}

    def step(name: str, work: Any) -> Any:
        began = time.process_time()
        done = work()
        spent.setdefault(name, []).append(1000 * (time.process_time() - began))
        return done

    for _ in range(times):
        picture = step(
            "decode", lambda: decode(stream.getvalue(), side=1024, background=255).convert("RGB")
        )
        found = step("detect", lambda picture=picture: detector()(picture, 32))
        cut = step(
            "align",
            lambda picture=picture, found=found: aligned(picture, found[0].landmarks, size=150),
        )
        step(
            "embed",
            lambda cut=cut: bundle.twin.embed(bundle.twin.input.stack([np.array(cut)])).detach(),
        )
    medians = {name: float(np.median(each)) for name, each in spent.items()}
    told = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
    return [
        row(
            "face_pipeline_ms",
            sum(medians.values()),
            unit="CPU ms",
            goal=200,
            anchor=f"640 x 480, one face, one thread: {told}",
        )
    ]


def figure(name: str, found: Estimate, *, anchor: str, goal: float | None = None) -> dict[str, Any]:
    """An estimate as a row of the last line."""
    unit = f"interval over {found.resampled} {found.unit}s"
    return row(
        name, found.value, interval=(found.low, found.high), unit=unit, goal=goal, anchor=anchor
    )


if __name__ == "__main__":
    main()
