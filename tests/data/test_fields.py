"""One parser of answers and numbers: what one table takes, every table takes."""

import pytest

from twofold.data.fields import number, truth
from twofold.data.pairs import Pairs
from twofold.data.production import ProductionScores
from twofold.data.scores import Scores
from twofold.errors import DataError

SAME = ["1", "1.0", "1.00", "True", "TRUE", "yes", "Same", "t", "Y"]
DIFFERENT = ["0", "0.0", "false", "No", "different", "-0"]


@pytest.mark.parametrize(("words", "answer"), [(SAME, True), (DIFFERENT, False)])
def test_every_table_takes_the_same_words(tmp_path, words, answer):
    for name in ("x.png", "y.png"):
        (tmp_path / name).write_bytes(b"")
    for word in words:
        assert truth(word, "t.csv, line 2") is answer
        (tmp_path / "p.csv").write_text(f"A,B,Same\nx.png,y.png,{word}\nx.png,y.png,0\n")
        assert Pairs.from_table(tmp_path / "p.csv").targets[0] == answer
        (tmp_path / "s.csv").write_text(f"Score,SAME\n0.5,{word}\n0.4,0\n")
        (block,) = Scores.open(tmp_path / "s.csv").pairs
        assert block.same[0] == answer
        assert ProductionScores.open(tmp_path / "s.csv").same[0] == answer


@pytest.mark.parametrize("word", ["", "2", "0.5", "nan", "maybe", "inf"])
def test_other_answers_are_refused(word):
    with pytest.raises(DataError, match=r"t\.csv, line 2: same=.*is neither 1 nor 0"):
        truth(word, "t.csv, line 2")


def test_a_decimal_comma_is_explained():
    with pytest.raises(DataError, match="write the decimal point as a point"):
        number("0,71", "t.csv, line 2")
