"""Trivial traits as scores: AUC from its definition."""

import numpy as np
import pytest

from twofold.data.confounds import confounds, forgery_confounds


def test_auc_is_that_of_all_pairs() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 5)
    values = generator.normal(size=(60, 2)) + generator.normal(size=(12, 2))[labels]
    found = confounds({"colour": values, "constant": np.ones((60, 1))}, labels, identity=labels)
    first, second = np.triu_indices(60, 1)
    score = -np.linalg.norm(values[first] - values[second], axis=1)
    genuine, impostor = (
        score[labels[first] == labels[second]],
        score[labels[first] != labels[second]],
    )
    assert list(found) == ["colour"]
    assert found["colour"].value == pytest.approx(
        (genuine[:, None] > impostor[None]).mean(), abs=1e-9
    )
    assert found["colour"].low < found["colour"].value < found["colour"].high


def test_names_are_equal_or_not() -> None:
    labels = np.repeat(np.arange(10), 4)
    source = np.where(np.arange(40) % 4 < 2, labels, 99)[:, None]
    genuine = 2 / 6  # of six pairs of a class one has its own source, one the common one
    impostor = 4 / 16
    expected = 0.5 + (genuine - impostor) / 2
    assert confounds({"source": source}, labels, identity=labels)["source"].value == pytest.approx(
        expected
    )


def test_nothing_is_said_without_genuine_pairs() -> None:
    labels = np.arange(20)
    assert (
        confounds({"x": np.random.default_rng(0).normal(size=(20, 1))}, labels, identity=labels)
        == {}
    )


def test_forgeries_of_another_colour() -> None:
    identity = np.repeat(np.arange(8), 10)
    forged = np.tile(np.arange(10) >= 6, 8)
    labels = np.where(forged, 100 + np.arange(80), identity)
    values = np.random.default_rng(0).normal(size=(80, 1)) + 9.0 * forged[:, None]
    told = forgery_confounds(
        {"ink": values, "noise": values * 0 + identity[:, None]},
        labels,
        identity=identity,
        forged=forged,
    )
    assert told["ink"].value > 0.99 and told["noise"].value == pytest.approx(0.5)
    assert (
        forgery_confounds(
            {"ink": values}, identity, identity=identity, forged=np.zeros(80, dtype=bool)
        )
        == {}
    )
