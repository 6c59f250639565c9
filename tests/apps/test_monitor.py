"""monitor: what is read, what is compared with what, and what is said."""

import json
from dataclasses import replace

import numpy as np
import pytest

from twofold import monitor
from twofold.apps.monitor import opened
from twofold.calibration.groups import calibrate_groups, with_groups
from twofold.calibration.pairs import calibrate, calibrate_scores
from twofold.contract import Contract
from twofold.data.production import ProductionScores
from twofold.data.scores import Scores
from twofold.data.synthetic import clusters
from twofold.errors import DataError, NotCalibrated, NotEnoughData, UnknownName, UsageError
from vectors import bundle, renamed


def vectors(identities=110, seed=0, **settings):
    items = clusters(identities, 4, spread=0.7, uneven=0.3, seed=seed, **settings)
    return Scores.from_vectors(np.stack(items.values).astype(np.float64), items.labels)


@pytest.fixture(scope="module")
def contract():
    return calibrate_scores(vectors(), far=1e-2)


def rows(scores, count=2000, seed=0):
    """Some of the pairs, half of them genuine, as objects."""
    (block,) = list(scores.pairs)
    generator = np.random.default_rng(seed)
    chosen = [
        generator.choice(np.flatnonzero(block.same == kind), count // 2, replace=False)
        for kind in (0, 1)
    ]
    return [
        {"score": float(block.scores[i]), "a": f"p{block.first[i]}", "b": f"p{block.second[i]}"}
        for i in np.concatenate(chosen)
    ]


def written(path, objects):
    path.write_text("\n".join(json.dumps(each) for each in objects) + "\n")
    return path


def test_healthy_scores_and_moved_ones(contract, tmp_path):
    objects = rows(vectors(seed=1), 600)
    _, listed = opened(contract.save(tmp_path / "c.json"), written(tmp_path / "s.jsonl", objects))
    found = monitor(contract, listed)
    assert (found.decision, found.unit, found.pairs, found.false_alarms) == (
        "no drift",
        "thing",
        600,
        0.01,
    )
    (part,) = found.parts
    assert part.kind == "mixed" and part.genuine_share[0] < 0.5 < part.genuine_share[1]
    assert any("only a sample of known truth" in note for note in found.notes)
    moved = [each | {"score": each["score"] + 0.25} for each in objects]
    again = monitor(contract, ProductionScores.open(written(tmp_path / "m.jsonl", moved)))
    assert again.decision == "drift" and again.parts[0].genuine_share is None
    assert (
        monitor(contract, ProductionScores.of(np.array([each["score"] for each in moved]))).unit
        == "pair"
    )


def test_known_truth_is_judged_by_kind(contract, tmp_path):
    found = monitor(contract, vectors(60, seed=1))
    assert [part.kind for part in found.parts] == [
        "genuine",
        "impostor",
    ] and found.unit == "identity"
    assert found.decision == "no drift"
    near = monitor(contract, vectors(60, seed=1, kin=0.7))
    decisions = {part.kind: part.decision for part in near.parts}
    assert near.decision == "drift" and decisions["impostor"] == "drift"
    objects = [
        each | {"same": each["a"] == each["b"], "at": f"2026-11-{1 + i % 9:02d}"}
        for i, each in enumerate(rows(vectors(seed=2), 400))
    ]
    told = monitor(contract, ProductionScores.open(written(tmp_path / "s.jsonl", objects)))
    assert [part.kind for part in told.parts] == ["genuine", "impostor"]
    assert told.notes[0] == "pairs from 2026-11-01 to 2026-11-09"


def test_more_looks_are_more_careful(contract):
    once, often = (monitor(contract, vectors(60, seed=1), looks=looks) for looks in (1, 52))
    assert once.parts[0].smallest < often.parts[0].smallest


def test_files_of_every_kind(contract, tmp_path):
    objects = rows(vectors(seed=1), 200)
    scores = np.array([each["score"] for each in objects])
    np.save(tmp_path / "s.npy", scores)
    (tmp_path / "s.csv").write_text(
        "score,identity_a,identity_b,same\n"
        + "".join(f"{each['score']},{each['a']},{each['b']},\n" for each in objects)
    )
    (tmp_path / "s.json").write_text(json.dumps(objects))
    by_number, by_table, by_list = (
        ProductionScores.open(tmp_path / f"s.{end}") for end in ("npy", "csv", "json")
    )
    assert (by_number.unit, by_table.unit, by_list.unit) == ("pair", "identity", "thing")
    assert np.allclose(by_table.scores, scores) and (by_number.scores == scores).all()
    assert by_table.same.mean() == pytest.approx(0.5) and (by_list.same == -1).all()
    items = clusters(5, 3)
    np.save(tmp_path / "v.npy", np.stack(items.values))
    (tmp_path / "v.csv").write_text("label\n" + "".join(f"{label}\n" for label in items.labels))
    assert ProductionScores.open(tmp_path / "v.npy").dim == 32


def test_vectors_of_nobody_known(contract, tmp_path):
    items = clusters(75, 4, spread=0.7, uneven=0.3, seed=1)
    some = np.stack(items.values).astype(np.float64)
    np.save(tmp_path / "v.npy", some)
    listed = ProductionScores.open(tmp_path / "v.npy")
    assert (listed.unit, len(listed.scores), listed.dim) == ("thing", 300 * 299 // 2, 32) and (
        listed.same == -1
    ).all()
    found = monitor(contract, listed)
    assert found.decision == "no drift" and found.units == 300
    assert any("labels of vectors" in note for note in found.notes)
    assert 60 <= found.parts[0].units <= 90  # 75 persons, told from the share of genuine pairs
    # all of them go one way, as a dirty lens makes them
    np.save(tmp_path / "moved.npy", some + 0.35 * some.std())
    assert monitor(contract, ProductionScores.open(tmp_path / "moved.npy")).decision == "drift"
    rows = [[f'"{vector.tolist()}"'] for vector in some[:40]]
    (tmp_path / "t.csv").write_text("vector\n" + "".join(f"{row[0]}\n" for row in rows))
    assert np.allclose(ProductionScores.open(tmp_path / "t.csv").scores[:39], listed.scores[:39])


@pytest.mark.parametrize(
    ("people", "each", "said"), [(20, 20, "too little data"), (40, 20, "no drift")]
)
def test_many_vectors_of_few_people_are_not_counted_as_independent(contract, people, each, said):
    vectors = [
        np.stack(clusters(people, each, spread=0.7, uneven=0.3, seed=seed).values)
        for seed in range(100, 105)
    ]
    found = [
        monitor(contract, ProductionScores.from_vectors(some.astype(np.float64)))
        for some in vectors
    ]
    assert [drift.decision for drift in found] == [said] * 5
    assert all(0.75 * people <= drift.parts[0].units <= 1.33 * people for drift in found)
    assert "people, who were counted in place of vectors" in found[0].notes[0]


@pytest.mark.slow
def test_false_alarms_of_unlabelled_vectors_are_as_rare_as_stated():
    """13 % at twenty people with twenty vectors each when every vector counted as a person of its own; 1 % stated."""
    alarms = 0
    for seed in range(20):
        known = calibrate_scores(vectors(seed=seed), far=1e-2)
        for each in range(10):
            some = np.stack(
                clusters(20, 20, spread=0.7, uneven=0.3, seed=1000 * seed + each + 500).values
            )
            alarms += (
                monitor(known, ProductionScores.from_vectors(some.astype(np.float64))).decision
                == "drift"
            )
    assert alarms <= 5  # 200 x .01 and two standard errors of it


def test_many_vectors_are_drawn_by_chance(monkeypatch, contract):
    monkeypatch.setattr("twofold.data.production.VECTORS", 50)
    some = np.stack(clusters(75, 4, seed=1).values).astype(np.float64)
    listed = ProductionScores.from_vectors(some)
    assert listed.undrawn == 250 and len(listed.scores) == 50 * 49 // 2
    assert monitor(contract, listed).notes[0].startswith("250 vectors were left out")
    assert (ProductionScores.from_vectors(some, seed=1).scores != listed.scores).any()


def test_vectors_that_cannot_be_compared(contract):
    with pytest.raises(DataError, match="1 of 3 vectors have numbers that are not finite"):
        ProductionScores.from_vectors(np.array([[0.0, 1.0], [np.nan, 1.0], [1.0, 0.0]]))
    with pytest.raises(NotEnoughData, match="1 vector makes no pair"):
        ProductionScores.from_vectors(np.ones((1, 4)))
    with pytest.raises(DataError, match="vectors of 4 numbers, and the calibration is of 32"):
        monitor(contract, ProductionScores.from_vectors(np.eye(4)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"score": 1}\n{"score": "x"}\n', "line 2: score='x' is not a finite number"),
        ('{"score": 1}\n{"scores": 2}\n', "line 2: the field 'score' is empty"),
        ("{", "line 1: no JSON"),
        ("3\n", "line 1: '3' is not an object"),
        ('{"score": 1, "same": "perhaps"}', "same='perhaps' is neither 1 nor 0"),
        (
            '{"score": 1, "same": 1, "identity_a": "x", "identity_b": "y"}',
            "said to be the same, but of two identities",
        ),
        ('{"score": NaN}', "score='nan' is not a finite number"),
        ('{"value": 1}', "has no column 'score'"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path, text, said):
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        ProductionScores.open(tmp_path / "s.jsonl")


def test_an_empty_file_and_wrong_numbers(contract, tmp_path):
    (tmp_path / "s.jsonl").write_text("\n")
    with pytest.raises(NotEnoughData, match=r"s\.jsonl is empty"):
        ProductionScores.open(tmp_path / "s.jsonl")
    with pytest.raises(NotEnoughData, match="there are no scores"):
        monitor(contract, np.zeros(0))
    with pytest.raises(DataError, match="1 of 2 scores are not finite"):
        monitor(contract, np.array([0.5, np.nan]))
    with pytest.raises(UsageError, match="at least one look"):
        monitor(contract, np.zeros(3), looks=0)
    assert monitor(contract, np.zeros(3)).decision == "too little data"


def test_calibrations_that_cannot_tell(contract):
    with pytest.raises(NotCalibrated, match="there is no calibration to compare with"):
        monitor(Contract(fingerprint="", dim=0, distance="score"), np.zeros(3))
    older = replace(contract, calibration=replace(contract.calibration, reference=None))
    with pytest.raises(
        NotCalibrated,
        match="does not record what scores were like: it was made by an earlier version",
    ):
        monitor(older, np.zeros(3))


def test_groups_are_judged_by_their_own_calibration():
    items = clusters(110, 4, spread=0.7)
    items = replace(items, group=items.identity % 2, groups=("day", "night"))
    done = with_groups(
        calibrate(bundle(), items, far=0.1), calibrate_groups(bundle(), items, far=0.1)
    )
    known = renamed(clusters(60, 4, spread=0.7, seed=1))
    plain = ProductionScores.of(
        Scores.from_vectors(np.stack(known.values).astype(float), known.labels)
    )
    day = replace(plain, groups=("day",) * len(plain.scores))
    found = monitor(done, day)
    assert [(part.group, part.kind) for part in found.parts] == [
        ("day", "genuine"),
        ("day", "impostor"),
    ]
    with pytest.raises(
        UnknownName,
        match="production scores of a group that was not calibrated: group 'noon' is not",
    ):
        monitor(done, replace(plain, groups=("noon",) * len(plain.scores)))
