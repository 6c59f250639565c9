"""Counts in sentences."""

import pytest

from twofold.plurals import counted


@pytest.mark.parametrize(
    ("number", "noun", "verb", "said"),
    [
        (1, "file", "", "1 file"),
        (0, "file", "is", "0 files are"),
        (2, "identity", "has", "2 identities have"),
        (1, "class", "stays", "1 class stays"),
        (12_000, "class", "stays", "12,000 classes stay"),
        (3, "batch", "was", "3 batches were"),
        (2, "key", "", "2 keys"),
        (100, "epoch", "", "100 epochs"),
    ],
)
def test_counts(number, noun, verb, said):
    assert counted(number, noun, verb) == said
