"""Thresholds for several references: measured as they are used, and the worse of two kinds of impostors."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from small_bundles import of_vectors
from twofold.apps.identify import identify
from twofold.apps.templates import sets_of_identities
from twofold.apps.verify import verify
from twofold.calibration.cohort import calibrate_cohort
from twofold.calibration.pairs import calibrate
from twofold.calibration.references import calibrate_references, reference_pairs
from twofold.data.synthetic import clusters
from twofold.errors import (
    CannotCertify,
    NotCalibrated,
    NotEnoughData,
    UnknownName,
    UsageError,
)
from twofold.fusion import Rule, mean_embedding
from twofold.metrics.skilled import of_kind
from twofold.metrics.verification import eer, tally
from twofold.results import Embeddings
from twofold.store import Index
from vectors import bundle

PEOPLE = clusters(75, 8, spread=1.2)


@pytest.fixture(scope="module")
def plain():
    return calibrate(bundle(), PEOPLE, far=0.05)


@pytest.fixture(scope="module", params=["mean", "best", "learned", "relative"])
def judging(request, plain):
    return calibrate_references(plain, PEOPLE, count=3, fusion=request.param)


def test_each_number_has_a_threshold_of_its_own_at_the_rate_of_the_bundle(judging, plain):
    known = judging.calibration
    assert [each.count for each in known.references] == [2, 3]
    assert replace(known, references=()) == plain.calibration
    for each in known.references:
        assert each.calibration.far == 0.05 and each.calibration.upper_bound <= 0.05
        assert len(each.rule.weights) == (each.count if each.rule.fusion == "learned" else 0)
    learned = known.references[0].rule.fusion == "learned"
    assert known.references[0].calibration.identities == (50 if learned else 75)


def test_more_references_tell_more(judging):
    rule = judging.calibration.references[1].rule
    vectors = np.stack(PEOPLE.values)
    several = tally(reference_pairs(judging, PEOPLE, vectors, count=3, rule=rule))
    known = judging.calibration
    single = known.false_non_match.value
    if rule.fusion != "relative":
        assert known.references[1].calibration.false_non_match.value < 0.7 * single
    # where all people vary alike, how well three references agree is mostly chance
    share = 0.7 if rule.fusion != "relative" else 1.1
    assert eer(several) < share * eer(tally(_single_pairs()))


def _single_pairs():
    from twofold.embedding import deciding
    from twofold.recruitment import pairs_of

    return pairs_of(PEOPLE, deciding(bundle(), np.stack(PEOPLE.values)))


def test_verify_scores_as_the_rule_says_at_the_threshold_for_so_many(judging):
    probe, *references = PEOPLE.values[:4]
    known = judging.calibration.of_references(3)
    found = verify(judging, probe, references=references)
    assert (found.references, found.threshold) == (3, known.calibration.threshold)
    each = np.array([verify(judging, probe, one).score for one in references])
    if known.rule.fusion == "mean":
        mean = mean_embedding(np.stack(references), "cosine").astype(np.float64)
        wanted = float(mean @ probe / np.linalg.norm(probe))
    elif known.rule.fusion == "relative":
        own = [verify(judging, *two).score for two in combinations(references, 2)]
        wanted = each.mean() - np.mean(own)
    else:
        wanted = float(known.rule.fused(each))
    assert found.score == pytest.approx(wanted, abs=1e-6)
    assert found.score == pytest.approx(verify(judging, probe, references=references[::-1]).score)
    one = verify(judging, probe, references=references[:1])
    assert (one.references, one.threshold) == (1, judging.calibration.threshold)
    with pytest.raises(UnknownName, match=r"no threshold for 4 references .* those for 2, 3"):
        verify(judging, probe, references=PEOPLE.values[1:5])
    with pytest.raises(UsageError, match=r"two things to compare, or one thing and references"):
        verify(judging, probe)
    with pytest.raises(UsageError, match=r"two things to compare, or one thing and references"):
        verify(judging, probe, references[0], references=references)
    with pytest.raises(UsageError, match="group 'day': thresholds of groups are for two things"):
        verify(judging, probe, references=references, group="day")


def test_identify_judges_each_by_as_many_references_as_it_has(judging, tmp_path):
    enrolled = {"one": [0], "two": [8, 9], "three": [16, 17, 18], "five": [24, 25, 26, 27, 28]}
    rows = [row for places in enrolled.values() for row in places]
    labels = tuple(label for label, places in enrolled.items() for _ in places)
    with Index.create(tmp_path / "index", judging.contract) as index:
        index.add(
            Embeddings(
                ids=tuple(map(str, rows)),
                labels=labels,
                vectors=np.stack([PEOPLE.values[row] for row in rows]),
                fingerprint=judging.fingerprint,
            )
        )
        sets = sets_of_identities(judging, index, judging.calibration.references)
        counts = {known and known.count: names for known, (names, _) in sets.items()}
        assert counts[None] == ["one"] and counts[2] == ["two"]
        assert sorted(counts[3]) == ["five", "three"], "more than are known count as so many"
        for label, probe, count in (("one", 1, 1), ("two", 10, 2), ("three", 19, 3)):
            found = identify(judging, index, PEOPLE.values[probe])
            known = judging.calibration
            known = known if count == 1 else known.of_references(count).calibration
            assert found.candidates[0].label == label
            assert (found.references, found.threshold) == (count, known.threshold)
            assert found.standing == known.standing and found.warning is None
            if count > 1:
                references = [PEOPLE.values[row] for row in enrolled[label]]
                alone = verify(judging, PEOPLE.values[probe], references=references)
                assert found.score == pytest.approx(alone.score, abs=1e-6)
        other = identify(judging, index, PEOPLE.values[40])
        assert other.label is None and len(other.candidates) == 4
        if judging.calibration.references[0].rule.fusion != "relative":
            with pytest.raises(NotCalibrated, match="relative has no threshold yet: twofold calib"):
                identify(judging, index, PEOPLE.values[1], template="relative")
        if judging.calibration.references[0].rule.fusion != "learned":
            with pytest.raises(NotCalibrated, match="weights of the learned rule are not known"):
                identify(judging, index, PEOPLE.values[1], template="learned")


def test_forgeries_raise_the_threshold_to_the_worse_of_two_rates(plain):
    """Forgeries of each writer that lie nearer than strangers: a rate of random impostors would mislead."""
    generator = np.random.default_rng(0)
    writers = clusters(60, 6, spread=0.8)
    centres = np.stack([np.mean(writers.values[6 * n : 6 * n + 6], axis=0) for n in range(60)])
    forged = np.arange(len(writers)) % 6 == 5
    values = [
        (0.6 * centres[n // 6] + 1.0 * generator.normal(size=32) / 32**0.5).astype(np.float32)
        if fake
        else value
        for n, (value, fake) in enumerate(zip(writers.values, forged, strict=True))
    ]
    labels = np.where(forged, 1000 + np.arange(len(writers)), writers.labels)
    _, labels = np.unique(labels, return_inverse=True)
    names = tuple(f"class {n}" for n in range(labels.max() + 1))
    items = replace(
        writers, values=tuple(values), labels=labels, names=names, forged=forged, strays=()
    )
    known = calibrate(bundle(), items, far=0.1)
    done = calibrate_references(known, items, count=2).calibration.references[0].calibration
    genuine = items.take(np.flatnonzero(~forged))
    without = calibrate_references(
        calibrate(bundle(), genuine, far=0.1), genuine, count=2
    ).calibration.references[0]
    assert done.threshold > without.calibration.threshold
    assert done.skilled_false_match.value <= 0.1 and done.false_match.value < 0.01
    assert done.certified and done.upper_bound <= 0.1


def test_a_cohort_normalises_sets_too():
    people = clusters(90, 5, spread=0.9)
    known = calibrate_cohort(calibrate(bundle(), people, far=0.1), people, identities=30)
    done = calibrate_references(known, people, count=2)
    assert done.calibration.references == () and len(done.calibration.deciding.references) == 1
    probe, *references = people.values[:3]
    assert verify(done, probe, references=references).references == 2


def test_what_several_references_need(plain):
    with pytest.raises(NotCalibrated, match="calibrate for one comparison first"):
        calibrate_references(bundle(), PEOPLE, count=2)
    for count in (1, 21):
        with pytest.raises(UsageError, match=f"references is {count}: give 2 to 20"):
            calibrate_references(plain, PEOPLE, count=count)
    with pytest.raises(NotEnoughData, match=r"8 references and a probe take 9 items .* has 8"):
        calibrate_references(plain, PEOPLE, count=8)
    few = calibrate(of_vectors(), clusters(20, 4), far=0.1, standing="estimate")
    with pytest.raises(CannotCertify, match="2 references: 20 identities cannot show"):
        calibrate_references(few, clusters(20, 4), count=2)
    estimated = calibrate_references(few, clusters(20, 4), count=2, standing="estimate")
    assert not estimated.calibration.references[0].calibration.certified


def test_a_rule_is_kept_by_the_bundle(judging, tmp_path):
    assert isinstance(judging.calibration.references[0].rule, Rule)
    again = type(judging.contract).from_dict(judging.contract.to_dict())
    assert again.calibration.references == judging.calibration.references


def test_relative_holds_each_writer_to_their_own_spread():
    """Half of the writers vary four times as much; forgeries lie twice as far out as the writer's own signatures."""
    generator = np.random.default_rng(1)
    values, labels, writer, forged = [], [], [], []
    for number in range(60):
        spread = 0.1 if number % 2 else 0.4
        centre = generator.normal(size=32)
        for item in range(16):
            fake = item >= 8
            away = spread * (2 if fake else 1) * generator.normal(size=32)
            values.append((centre + away).astype(np.float32))
            labels.append(1000 + len(values) if fake else number)
            writer.append(number)
            forged.append(fake)
    _, codes = np.unique(labels, return_inverse=True)
    items = replace(
        clusters(60, 16, spread=1.0),
        values=tuple(values),
        labels=codes,
        names=tuple(f"class {n}" for n in range(codes.max() + 1)),
        forged=np.array(forged),
        strays=(),
    )
    found = {
        fusion: eer(
            tally(
                of_kind(
                    reference_pairs(
                        bundle(), items, np.stack(values), count=5, rule=Rule(fusion=fusion)
                    ),
                    "skilled",
                )
            )
        )
        for fusion in ("mean", "best", "relative")
    }
    assert found["relative"] < 0.5 * min(found["mean"], found["best"])
