"""Every number beside plain loops written from its definition: unequal identities, ties, both weights."""

from itertools import combinations

import numpy as np
import pytest

from twofold.metrics.openset import galleries, open_set
from twofold.metrics.pairs import AllPairs, PairList
from twofold.metrics.retrieval import map_at_r, recall_at_k
from twofold.metrics.verification import auc, eer, rates_at, tally, tar_at_far, threshold_at_far

pytestmark = pytest.mark.slow

SEEDS = range(4)


def people(seed, *, decimals=1):
    """Labels of unequal identities, and a symmetric matrix of scores with many ties."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(9), generator.integers(1, 7, 9)))
    scores = generator.normal(size=(len(labels),) * 2) + 1.2 * (labels[:, None] == labels)
    scores = np.round(scores, decimals)
    return labels, np.maximum(scores, scores.T)


def weighed(labels, scores, weigh):
    """Every pair as (score, genuine, weight), by loops."""
    pairs = [(i, j) for i in range(len(labels)) for j in range(i + 1, len(labels))]
    number = {}
    for i, j in pairs:
        couple = frozenset((labels[i], labels[j]))
        number[couple] = number.get(couple, 0) + 1
    return [
        (
            scores[i, j],
            bool(labels[i] == labels[j]),
            1.0 if weigh == "pairs" else 1.0 / number[frozenset((labels[i], labels[j]))],
        )
        for i, j in pairs
    ]


def share(pairs, genuine, accepted):
    """Weighted share of the genuine or of the impostor pairs that are accepted."""
    total = sum(weight for _, same, weight in pairs if same == genuine)
    return (
        sum(weight for score, same, weight in pairs if same == genuine and accepted(score)) / total
    )


def curve(pairs):
    """(threshold, false-match rate, false-non-match rate) from accepting all to accepting none."""
    levels = sorted({score for score, *_ in pairs})
    return [
        (
            at,
            share(pairs, False, lambda s, at=at: s >= at),
            share(pairs, True, lambda s, at=at: s < at),
        )
        for at in [*levels, float("inf")]
    ]


def found(seed, weigh, kind):
    labels, scores = people(seed)
    source = AllPairs(lambda rows, cols: scores[np.ix_(rows, cols)], labels, weigh=weigh, block=50)
    if kind == "listed":
        blocks = list(source)
        score, same, first, second = (
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("scores", "same", "first", "second")
        )
        source = PairList(score, same, first=second, second=first, weigh=weigh)
    return tally(source), weighed(labels, scores, weigh)


@pytest.fixture(params=[(seed, weigh, kind) for seed in SEEDS for weigh in ("identities", "pairs")
                        for kind in ("all", "listed")], ids=str)  # fmt: skip
def both(request):
    return found(*request.param)


def test_rates_at_every_threshold(both):
    counted, pairs = both
    for at, match, non_match in curve(pairs)[:-1]:
        assert rates_at(counted, at) == (pytest.approx(match), pytest.approx(non_match))


def test_equal_error_rate(both):
    counted, pairs = both
    before = None
    for _, match, non_match in curve(pairs):
        if non_match >= match:
            break
        before = match, non_match
    part = (before[0] - before[1]) / (before[0] - before[1] + non_match - match)
    assert eer(counted) == pytest.approx(before[0] + part * (match - before[0]))


def test_area_under_the_curve(both):
    counted, pairs = both
    won = total = 0.0
    for score, same, weight in pairs:
        for other, is_same, its_weight in pairs:
            if same and not is_same:
                total += weight * its_weight
                won += (
                    weight * its_weight * (1.0 if score > other else 0.5 if score == other else 0.0)
                )
    assert auc(counted) == pytest.approx(won / total)


def test_true_accepts_at_a_false_accept_rate(both):
    counted, pairs = both
    for far in (0.01, 0.05, 0.2, 0.5):
        at, _, non_match = next(point for point in curve(pairs) if point[1] <= far)
        assert tar_at_far(counted, far) == pytest.approx(1.0 - non_match)
        assert threshold_at_far(counted, far) == (at if np.isfinite(at) else counted.thresholds[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_search_numbers(seed):
    """Ties count as their mean over the places that they share: the slots of a query's tied items, one set each."""
    labels, scores = people(seed)

    def score(rows, cols):
        return scores[np.ix_(rows, cols)]

    for k in (1, 3, 5):
        hits = [hit_among_first(labels, scores, query, k) for query in range(len(labels))]
        assert recall_at_k(score, labels, k=k) == pytest.approx(
            np.mean([hit for hit in hits if hit is not None])
        )
    each = [average_precision(labels, scores, query) for query in range(len(labels))]
    assert map_at_r(score, labels) == pytest.approx(
        np.mean([value for value in each if value is not None])
    )


def hit_among_first(labels, scores, query, k):
    """Share of the choices among ties that put a genuine item among the first k; None: there is no genuine item."""
    others = [i for i in range(len(labels)) if i != query]
    if not any(labels[i] == labels[query] for i in others):
        return None
    edge = sorted((scores[query, i] for i in others), reverse=True)[min(k, len(others)) - 1]
    sure = [i for i in others if scores[query, i] > edge]
    tied = [i for i in others if scores[query, i] == edge]
    chosen = list(combinations(tied, min(k, len(others)) - len(sure)))
    return np.mean([any(labels[i] == labels[query] for i in (*sure, *some)) for some in chosen])


def average_precision(labels, scores, query):
    """Mean over the first R ranks of P(a genuine item stands there) times the expected precision there."""
    others = [i for i in range(len(labels)) if i != query]
    genuine = [i for i in others if labels[i] == labels[query]]
    if not genuine:
        return None
    total = 0.0
    for level in sorted({scores[query, i] for i in others}, reverse=True):
        above = [i for i in others if scores[query, i] > level]
        tied = [i for i in others if scores[query, i] == level]
        here, before = (
            len([i for i in tied if i in genuine]),
            len([i for i in above if i in genuine]),
        )
        for place in range(len(tied)):
            rank = len(above) + place + 1
            if rank <= len(genuine) and here:
                earlier = place * (here - 1) / (len(tied) - 1) if len(tied) > 1 else 0.0
                total += here / len(tied) * (before + earlier + 1) / rank
    return total / len(genuine)


@pytest.mark.parametrize("seed", SEEDS)
def test_strangers_taken_for_somebody(seed):
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 6, 60)
    labels = np.repeat(np.arange(60), sizes)
    scores = np.round(generator.normal(size=(len(labels),) * 2), 2)
    scores = np.maximum(scores, scores.T)
    made = galleries(
        lambda rows, cols: scores[np.ix_(rows, cols)], labels, size=5, repeats=12, seed=seed
    )
    rates = open_set(made, 0.2, estimate=True)
    # an identity's probes of one gallery count as one: all its items, or those beside the one
    # enrolled
    once = [1.0 / (sizes[made.probe[trial]] - made.mated[trial]) for trial in range(len(made.best))]
    strangers = [trial for trial in range(len(made.best)) if not made.mated[trial]]

    def taken(at):
        return sum(once[trial] for trial in strangers if made.best[trial] >= at) / sum(
            once[t] for t in strangers
        )

    assert (
        rates.false_positive.value == pytest.approx(taken(rates.threshold))
        and taken(rates.threshold) <= 0.2 + 1e-9
    )
    mates = [trial for trial in range(len(made.best)) if made.mated[trial]]
    lost = [once[t] for t in mates if not (made.right[t] and made.best[t] >= rates.threshold)]
    assert rates.false_negative.value == pytest.approx(sum(lost) / sum(once[t] for t in mates))
    lower = max(score for score in made.best[~made.mated] if score < rates.threshold)
    assert taken(lower) > 0.2 - 1.0 / len(strangers)
