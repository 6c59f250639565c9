"""Pairs in blocks: each unordered pair once, units as codes, bad scores refused."""

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.metrics import sampled_pairs
from twofold.metrics.pairs import AllPairs, OneKind, PairList
from twofold.metrics.sampled_pairs import SampledPairs
from twofold.metrics.verification import auc, eer, estimates, tally


def listed(source):
    return [
        (float(score), bool(same), int(first), int(second))
        for block in source
        for score, same, first, second in zip(
            block.scores, block.same, block.first, block.second, strict=True
        )
    ]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_all_pairs_are_those_of_the_double_loop(block):
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 4, 13), generator.normal(size=(13, 13))
    scores = scores + scores.T
    found = listed(AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels, block=block))
    codes = np.unique(labels, return_inverse=True)[1]
    wanted = [
        (scores[i, j], labels[i] == labels[j], *sorted((int(codes[i]), int(codes[j]))))
        for i in range(13)
        for j in range(i + 1, 13)
    ]
    assert sorted(found) == sorted(wanted)


def test_a_forgery_is_an_impostor_of_its_writer():
    # two signatures of writer 0, a forgery of them, one of writer 1
    labels, writer = np.array([0, 0, 1, 2]), np.array([5, 5, 5, 9])
    source = AllPairs(lambda rows, cols: np.zeros((len(rows), len(cols))), labels, identity=writer)
    assert source.units == 2
    assert sorted(listed(source)) == [
        (0.0, False, 0, 0), (0.0, False, 0, 0), (0.0, False, 0, 1), (0.0, False, 0, 1), (0.0, False, 0, 1),
        (0.0, True, 0, 0),
    ]  # fmt: skip


def weighed(source):
    return sorted(
        (bool(same), int(first), int(second), float(weight))
        for block in source
        for same, first, second, weight in zip(
            block.same, block.first, block.second, block.weights, strict=True
        )
    )


def test_forgeries_are_compared_with_what_they_imitate_and_with_nothing_else():
    # writer 5: two signatures and two forgeries of one forger; writer 9: two signatures and a
    # forgery
    labels, writer = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([5, 5, 5, 5, 9, 9, 9])
    forged = np.array([False, False, True, True, False, False, True])

    def score(rows, cols):
        return np.zeros((len(rows), len(cols)))

    for source in (AllPairs, SampledPairs):
        made = source(score, labels, identity=writer, forged=forged)
        kinds = [(same, *sorted((first, second))) for _, same, first, second in listed(made)]
        assert sorted(kinds) == sorted([(True, 0, 0), (True, 1, 1)] + 4 * [(False, 0, 1)] + 4 * [(False, 0, 0)]
                                       + 2 * [(False, 1, 1)])  # fmt: skip
        random = [each for each in listed(OneKind(made, "random")) if not each[1]]
        skilled = [each for each in listed(OneKind(made, "skilled")) if not each[1]]
        assert {tuple(sorted(each[2:])) for each in random} == {(0, 1)} and len(random) == 4
        assert {each[2:] for each in skilled} == {(0, 0), (1, 1)} and len(skilled) == 6
        assert len(listed(OneKind(made, "skilled"))) == 8  # with both genuine pairs


@pytest.mark.parametrize("source", ["all", "sampled", "listed"])
def test_every_identity_and_every_two_of_them_count_once(source):
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), [1, 2, 3, 9, 2, 5])
    scores = generator.normal(size=(len(labels),) * 2)

    def score(rows, cols):
        return scores[np.ix_(rows, cols)]

    made = AllPairs(score, labels) if source != "sampled" else SampledPairs(score, labels)
    if source == "listed":
        (block,) = made
        made = PairList(block.scores, block.same, first=block.second, second=block.first)
    sums = {}
    for same, first, second, weight in weighed(made):
        key = same, *sorted((first, second))
        sums[key] = sums.get(key, 0.0) + weight
    genuine, impostor = (
        [value for key, value in sums.items() if key[0] == kind] for kind in (True, False)
    )
    assert len(genuine) == 5 and len(impostor) == 15
    assert genuine == pytest.approx([genuine[0]] * 5) and impostor == pytest.approx(
        [impostor[0]] * 15
    )
    # of the mean 1, so that totals are numbers of pairs
    assert sum(genuine) == pytest.approx(1 + 3 + 36 + 1 + 10)
    assert sum(impostor) == pytest.approx(len(labels) * (len(labels) - 1) // 2 - 51)
    each = [weight for *_, weight in weighed(AllPairs(score, labels, weigh="pairs"))]
    assert each == [1.0] * len(each)


@pytest.mark.parametrize("source", [AllPairs, SampledPairs])
def test_items_of_one_recording_count_as_one(source):
    """Bursts are counted as if each pair of recordings were one pair: the mean over the pairs of their items."""
    generator = np.random.default_rng(4)
    labels = np.repeat(np.arange(4), [2, 6, 5, 3])
    recording = np.array([0, 1, 2, 2, 2, 3, 3, 4, 0, 0, 0, 0, 1, 9, 9, 9])
    scores = generator.normal(size=(len(labels),) * 2)
    made = source(
        lambda rows, cols: np.maximum(scores, scores.T)[np.ix_(rows, cols)],
        labels,
        source=recording,
    )
    shares = {True: {}, False: {}}
    for a in range(len(labels)):
        for b in range(a + 1, len(labels)):
            same = labels[a] == labels[b]
            if not (same and recording[a] == recording[b]):
                couple = tuple(sorted([(labels[a], recording[a]), (labels[b], recording[b])]))
                hit = max(scores[a, b], scores[b, a]) >= 0.5
                shares[bool(same)].setdefault(couple, []).append(hit)
    for kind, couples in shares.items():
        by_couple = {}
        for (one, other), hits in couples.items():
            by_couple.setdefault((one[0], other[0]), []).append(np.mean(hits))
        wanted = np.mean([np.mean(each) for each in by_couple.values()])
        total = reached = 0.0
        for block in made:
            chosen = block.same == kind
            total += block.weights[chosen].sum()
            reached += block.weights[chosen & (block.scores >= 0.5)].sum()
        assert reached / total == pytest.approx(wanted)
        recordings = [2, 3, 2, 1]
        pairs_of = {True: 1 + 3 + 1, False: (8**2 - sum(each**2 for each in recordings)) / 2}
        assert total == pytest.approx(pairs_of[kind])


def test_recordings_of_one_item_each_change_nothing():
    labels = np.repeat(np.arange(5), [2, 3, 1, 4, 2])

    def score(rows, cols):
        return np.zeros((len(rows), len(cols)))

    assert weighed(AllPairs(score, labels, source=np.arange(12))) == weighed(
        AllPairs(score, labels)
    )


def test_equal_numbers_of_items_weigh_exactly_one():
    labels = np.repeat(np.arange(7), 3)
    made = AllPairs(lambda rows, cols: np.zeros((len(rows), len(cols))), labels)
    assert {weight for *_, weight in weighed(made)} == {1.0}


def test_rates_are_rates_over_identities():
    # ten identities with one hard pair each way; the first has many easy items, and counts once all
    # the same
    scores = np.array([1.0] * 90 + [0.0] * 9 + [0.9, 0.1])
    same = np.array([True] * 99 + [False, False])
    owner = np.append(np.where(np.arange(99) < 90, 0, np.arange(99) - 89), [1, 1])
    other = np.append(owner[:99], [2, 3])
    found = tally(PairList(scores, same, first=owner, second=other))
    assert float(
        found.false_non_match_rate[np.searchsorted(found.thresholds, 0.5)]
    ) == pytest.approx(0.9)
    by_pairs = tally(PairList(scores, same, first=owner, second=other, weigh="pairs"))
    assert float(
        by_pairs.false_non_match_rate[np.searchsorted(by_pairs.thresholds, 0.5)]
    ) == pytest.approx(1 / 11)


def test_who_was_compared_with_whom_is_known():
    labels = np.repeat(np.arange(5), 2)

    def score(rows, cols):
        return np.zeros((len(rows), len(cols)))

    assert AllPairs(score, labels).crossed == 5
    assert SampledPairs(score, labels).crossed == 0
    (block,) = AllPairs(score, labels)
    every = PairList(block.scores, block.same, first=block.first, second=block.second)
    assert every.crossed == 5
    kept = (block.first != 0) | (block.second != 4)
    some = PairList(
        block.scores[kept], block.same[kept], first=block.first[kept], second=block.second[kept]
    )
    assert some.crossed == 0


def test_a_list_can_be_gone_through_twice():
    source = PairList(
        np.array([0.5, 0.1]),
        np.array([True, False]),
        first=np.array([30, 30]),
        second=np.array([30, -4]),
    )
    assert source.units == 2
    assert listed(source) == listed(source) == [(0.5, True, 1, 1), (0.1, False, 1, 0)]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(
        DataError, match=r"1 of 2 scores are not finite \(the first is nan\): check the vectors"
    ):
        PairList(
            np.array([0.5, np.nan]),
            np.array([True, False]),
            first=np.array([0, 0]),
            second=np.array([0, 1]),
        )
    source = AllPairs(
        lambda rows, cols: np.full((len(rows), len(cols)), np.inf), np.array([0, 0, 1])
    )
    with pytest.raises(DataError, match="3 of 3 scores"):
        listed(source)


def sizes_and_labels(seed=0, classes=60):
    generator = np.random.default_rng(seed)
    return generator, generator.permutation(
        np.repeat(np.arange(classes), generator.integers(1, 9, classes))
    )


def test_a_sample_large_enough_is_every_pair(monkeypatch):
    generator, labels = sizes_and_labels()
    scores = generator.normal(size=(len(labels), len(labels)))
    scores, writer, log = scores + scores.T, labels // 2, []
    for name, value in (("BLOCK", 300), ("HAND", 7)):
        monkeypatch.setattr(sampled_pairs, name, value)

    def score(rows, cols):
        return scores[np.ix_(rows, cols)]

    sampled = SampledPairs(score, labels, identity=writer, progress=lambda *at: log.append(at))
    every = AllPairs(score, labels, identity=writer)
    ends = [
        [(s, g, *sorted((a, b))) for s, g, a, b in listed(source)] for source in (sampled, every)
    ]
    assert sorted(ends[0]) == sorted(ends[1])
    assert (sampled.units, sampled.genuine + sampled.impostor) == (every.units, len(ends[1]))
    assert sampled.genuine == sum(genuine for _, genuine, *_ in ends[1])
    assert log[-1] == (2 * len(labels), 2 * len(labels))


SEEDS = 50
"""Draws of a sample: of some thousand impostor pairs, each taken as often as chance has it."""


def test_a_sample_holds_all_genuine_pairs_and_impostors_drawn_alike():
    _, labels = sizes_and_labels(1)
    items = len(labels)
    drawn, taken = np.zeros((items, items)), []
    for seed in range(SEEDS):
        source = SampledPairs(
            lambda rows, cols: rows[:, None] * 1e3 + cols, labels, seed=seed, most=700
        )
        found = [(int(score // 1e3), int(score % 1e3), same) for score, same, *_ in listed(source)]
        assert len({tuple(sorted(pair[:2])) for pair in found}) == len(found)
        assert all(same == (labels[a] == labels[b]) for a, b, same in found)
        assert sum(same for *_, same in found) == source.genuine
        taken.append(len(found) - source.genuine)
        if not seed:  # the second time round as the first
            assert found == [
                (int(score // 1e3), int(score % 1e3), same) for score, same, *_ in listed(source)
            ]
        for a, b, _ in found:
            drawn[a, b] += 1
            drawn[b, a] += 1
    impostor = labels[:, None] != labels[None, :]
    share = np.mean(taken) / source.impostor
    assert 400 < np.mean(taken) <= 700
    assert drawn[impostor].mean() / SEEDS == pytest.approx(share)
    assert drawn[impostor].std() / SEEDS == pytest.approx(
        np.sqrt(share * (1 - share) / SEEDS), rel=0.15
    )


def test_too_many_genuine_pairs_are_drawn_alike_too():
    labels = np.repeat([0, 1, 2], [40, 10, 3])
    found = [
        [
            same
            for _, same, *_ in listed(
                SampledPairs(lambda r, c: np.zeros((len(r), len(c))), labels, seed=seed, most=200)
            )
        ]
        for seed in range(200)
    ]
    source = SampledPairs(lambda r, c: np.zeros((len(r), len(c))), labels)
    assert (source.genuine, source.impostor) == (828, 550)
    # each draws one of 5 numbers
    assert np.mean([sum(each) for each in found]) == pytest.approx(828 / 5, rel=0.05)


def test_a_sample_gives_the_numbers_of_all_pairs_within_its_intervals():
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(400), 4)
    vectors = generator.normal(size=(400, 12))[labels] + 0.7 * generator.normal(size=(1600, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def score(rows, cols):
        return vectors[rows] @ vectors[cols].T

    whole, part = tally(AllPairs(score, labels)), tally(SampledPairs(score, labels, most=100_000))
    assert len(list(SampledPairs(score, labels, most=100_000))) == 2  # in whole blocks
    assert eer(part) == pytest.approx(eer(whole), rel=0.02)
    assert auc(part) == pytest.approx(auc(whole), rel=1e-3)
    found = estimates(SampledPairs(score, labels, most=100_000), far=0.01)
    for name, number in (("eer", eer), ("auc", auc)):
        assert found[name].low < number(whole) < found[name].high
        assert found[name].resampled == 400
