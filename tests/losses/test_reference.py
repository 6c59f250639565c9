"""Every batch loss of `__all__`, value and gradient, against loops written from the equations in its docstring."""

import inspect
import math

import pytest
import torch

from twofold import losses
from twofold.comparison import Plain, WeightedL1
from twofold.losses import pairing

BATCH_LOSSES = [name for name in losses.__all__ if name.islower() and not name.startswith("pair_")]
LAYOUTS = {
    "p_times_k": [0, 1, 2, 3] * 3,
    "singletons": [0, 1, 2, 0, 1, 3, 0, 4, 5, 1, 6, 7],
    "two_classes": [0, 1] * 6,
}
COMPARISONS = {
    name: Plain(name) for name in ("cosine", "euclidean", "squared_euclidean", "manhattan")
}
COMPARISONS["WeightedL1"] = WeightedL1(4).double()
COMPARISONS["WeightedL1"].weight.data -= 0.45


def sides(d, labels, columns):
    """For each anchor the distances to its positives and to its negatives."""
    for i in range(len(d)):
        positive = [d[i, j] for j in range(d.shape[1]) if j != i and columns[j] == labels[i]]
        yield positive, [d[i, j] for j in range(d.shape[1]) if columns[j] != labels[i]]


def mean(values):
    return sum(values) / len(values)


def active_mean(values):
    active = [value for value in values if value > 0]
    return mean(active) if active else torch.zeros((), dtype=torch.float64)


def contrastive(rows, positive_margin=0.0, negative_margin=1.0, squared=False):
    power = 2 if squared else 1
    pull = [max(d - positive_margin, d * 0) ** power for positive, _ in rows for d in positive]
    push = [max(negative_margin - d, d * 0) ** power for _, negative in rows for d in negative]
    return active_mean(pull) + active_mean(push)


def binary_cross_entropy(rows, balanced=True):
    pull = [-torch.log(torch.sigmoid(-d)) for positive, _ in rows for d in positive]
    push = [-torch.log(1 - torch.sigmoid(-d)) for _, negative in rows for d in negative]
    return (mean(pull) + mean(push)) / 2 if balanced else mean(pull + push)


def triplet(rows, margin=0.2, mining="all", soft=False):
    if mining == "hard":
        rows = [
            ([max(positive)], [min(negative)])
            for positive, negative in rows
            if positive and negative
        ]
    listed = [(p, n) for positive, negative in rows for p in positive for n in negative]
    if mining == "semi_hard":
        listed = [(p, n) for p, n in listed if p < n < p + margin]
    if soft:
        return mean([torch.log1p(torch.exp(p - n + margin)) for p, n in listed])
    return active_mean([p - n + margin for p, n in listed])


def nt_xent(rows, temperature=0.07):
    each = [
        -torch.log(
            torch.exp(-p / temperature) / sum(torch.exp(-d / temperature) for d in [p, *negative])
        )
        for positive, negative in rows
        for p in positive
    ]
    return mean(each)


def supcon(rows, temperature=0.1):
    each = []
    for positive, negative in rows:
        if positive:
            everything = sum(torch.exp(-d / temperature) for d in positive + negative)
            each.append(
                -mean([torch.log(torch.exp(-p / temperature) / everything) for p in positive])
            )
    return mean(each)


def episodes(comparison, vectors, labels, rows):
    """For each query the distance to its own prototype, without it, and to those of the other classes."""

    def to_mean_of(i, chosen):
        middle = torch.stack([vectors[j] for j in chosen]).mean(0)
        return comparison.pairs(vectors[i][None], middle[None])[0]

    for i in range(rows):
        classes = {
            label: [j for j, each in enumerate(labels) if each == label and j != i]
            for label in set(labels)
        }
        if own := classes.pop(labels[i]):
            yield [to_mean_of(i, own)], [to_mean_of(i, others) for others in classes.values()]


def prototypical(rows, temperature=0.1):
    return nt_xent(rows, temperature)


def multi_similarity(rows, alpha=2.0, beta=50.0, base=0.5):
    each = []
    for positive, negative in rows:
        pull = (
            torch.log(
                1 + sum((torch.exp(alpha * (p - base)) for p in positive), torch.zeros(()).double())
            )
            / alpha
        )
        push = (
            torch.log(
                1 + sum((torch.exp(beta * (base - n)) for n in negative), torch.zeros(()).double())
            )
            / beta
        )
        each.append(pull + push)
    return mean(each)


def circle(rows, margin=0.4, scale=80.0):
    each = []
    for positive, negative in rows:
        if positive and negative:
            pull = torch.stack(
                [scale * (p + margin).detach().clamp(min=0) * (p - margin) for p in positive]
            )
            push = torch.stack(
                [
                    scale * (1 + margin - n).detach().clamp(min=0) * (1 - margin - n)
                    for n in negative
                ]
            )
            each.append(torch.nn.functional.softplus(pull.logsumexp(0) + push.logsumexp(0)))
    return mean(each)


def smooth_ap(rows, temperature=0.01):
    each = []
    for positive, negative in rows:
        if positive:
            precision = []
            for i, p in enumerate(positive):
                ahead = [
                    torch.sigmoid((p - q) / temperature) for j, q in enumerate(positive) if j != i
                ]
                beyond = [torch.sigmoid((p - n) / temperature) for n in negative]
                precision.append((1 + sum(ahead)) / (1 + sum(ahead) + sum(beyond)))
            each.append(1 - mean(precision))
    return mean(each)


def roadmap(rows, temperature=0.01, calibration=0.5, positive_margin=0.1, negative_margin=0.4):
    each = []
    for positive, negative in rows:
        if positive:
            bound = []
            for i, p in enumerate(positive):
                rank = 1 + sum(float(q < p) for j, q in enumerate(positive) if j != i)
                ahead = torch.zeros((), dtype=torch.float64)
                for x in ((p - n) / temperature for n in negative):
                    step = torch.sigmoid(x) if x <= 0 else torch.sigmoid(x) + 0.5
                    ahead = ahead + (
                        step if x <= 5 else x - 5 + torch.sigmoid(torch.tensor(5.0).double()) + 0.5
                    )
                bound.append(ahead / (rank + ahead))
            each.append(mean(bound))
    margins = contrastive(rows, positive_margin, negative_margin)
    return (1 - calibration) * mean(each) + calibration * margins


CASES = [(name, {}) for name in BATCH_LOSSES] + [
    ("contrastive", {"positive_margin": 0.3, "negative_margin": 1.5}),
    ("contrastive", {"squared": True}),
    ("binary_cross_entropy", {"balanced": False}),
    ("triplet", {"mining": "hard"}),
    ("triplet", {"mining": "semi_hard"}),
    ("triplet", {"soft": True, "margin": 0.0}),
    ("triplet", {"soft": True, "mining": "hard"}),
    ("roadmap", {"temperature": 0.2, "calibration": 0.0}),
    ("roadmap", {"calibration": 1.0, "positive_margin": 0.2, "negative_margin": 1.0}),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("with_references", [False, True])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_value_and_gradient(name, settings, with_references, layout, batch, monkeypatch):
    # blocks of eight rows: more than one block
    monkeypatch.setattr(pairing, "_block_bytes", lambda device: 1)
    monkeypatch.setattr("twofold.losses.triplets.HALVED", 2)
    if name == "smooth_ap":  # at 0.01 its sigmoids are 0 or 1, and gradients say nothing
        settings = {"temperature": 0.1}
    labels, rows = torch.tensor(LAYOUTS[layout]), 9 if with_references else 12
    for title, comparison in COMPARISONS.items():
        inputs = [
            batch(12).requires_grad_(),
            *(comparison.parameters() if title == "WeightedL1" else ()),
        ]
        references = (inputs[0][rows:], labels[rows:]) if with_references else None
        loss = getattr(losses, name)(
            inputs[0][:rows],
            labels[:rows],
            comparison=comparison,
            references=references,
            **settings,
        )
        if name == "prototypical":
            told = episodes(comparison, inputs[0], labels.tolist(), rows)
        else:
            d = comparison.pairs(
                inputs[0][:rows].repeat_interleave(12, 0), inputs[0].repeat(rows, 1)
            ).reshape(rows, 12)
            told = sides(d, labels.tolist(), labels.tolist())
        slow = globals()[name](list(told), **settings)
        torch.testing.assert_close(
            loss, slow, rtol=1e-9, atol=1e-12, msg=lambda text, title=title: f"{title}: {text}"
        )
        if slow.requires_grad:
            fast, loop = (
                torch.autograd.grad(one, inputs, retain_graph=True, materialize_grads=True)
                for one in (loss, slow)
            )
            torch.testing.assert_close(
                fast, loop, rtol=1e-7, atol=1e-10, msg=lambda text, title=title: f"{title}: {text}"
            )


def test_every_batch_loss_has_a_slow_definition():
    for name in BATCH_LOSSES:
        assert name in globals(), f"{name}: write its definition as a loop, here"
        mine = inspect.signature(globals()[name]).parameters
        theirs = inspect.signature(getattr(losses, name)).parameters
        for setting in list(mine)[1:]:
            assert mine[setting].default == theirs[setting].default or math.isnan(
                mine[setting].default
            )
