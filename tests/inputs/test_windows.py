"""Windows of long things: of one length, evenly spread, each with its marks."""

import numpy as np
import pytest

from twofold.inputs.text import Text
from twofold.inputs.windows import windows


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 100])
@pytest.mark.parametrize("marks", [(0, 0), (1, 1)])
def test_windows_cover_all_places_with_as_few_as_do(length, marks):
    array = np.arange(length)
    found = windows(array, 8, marks=marks)
    assert set(np.concatenate(found)) == set(array)
    assert all(len(part) == min(8, length) for part in found)
    inside = 8 - sum(marks)
    assert len(found) == (1 if length <= 8 else -(-(length - sum(marks)) // inside))
    for part in found:
        assert part[0] == 0 if marks[0] or part is found[0] else part[0] > 0
        assert part[-1] == length - 1 if marks[1] or part is found[-1] else part[-1] < length - 1


def test_windows_are_part_of_the_description_where_there_are_several():
    assert "windows" not in Text().arguments()
    text = Text(unit="words", longest=3, windows=2)
    assert text.arguments()["windows"] == 2 and Text(**text.arguments()) == text
    read = text.read("a b c d e f g")
    assert len(read) == 6 and [len(part) for part in text.windows_of(read)] == [3, 3]
