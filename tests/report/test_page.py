"""The page: complete in itself, valid, and nothing that is told is taken for markup."""

import re
from html.parser import HTMLParser

import numpy as np

from twofold.report.page import page
from twofold.report.story import Row, Scores, Step, Story
from twofold.results import Estimate

VOID = {"meta", "link", "img", "line"}


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def told() -> Story:
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    number = Estimate(
        name="true_rate",
        value=0.9,
        low=0.8,
        high=0.95,
        confidence=0.95,
        unit="identity",
        resampled=7,
    )
    shares = np.array([0.25, 0.75])
    scores = Scores(
        edges=np.array([0.0, 0.5, 1.0]), genuine=shares, impostor=shares[::-1].copy(), threshold=0.6
    )
    row = Row(
        pictures=(picture, picture),
        captions=("a<b", '"c"'),
        said="yes & no",
        detail="why",
        mark="wrong",
    )
    step = Step(
        title="<One>",
        text="first\nsecond",
        rows=(row,),
        numbers=(number,),
        scores=scores,
        commands=("a > b",),
    )
    return Story(title="T & T", lead="lead", steps=(step, Step(title="Two", text="end")))


def test_every_element_is_closed_and_nothing_is_fetched() -> None:
    html = page(told())
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert len(parser.links) == 3
    assert all(link.startswith("data:") for link in parser.links)
    assert not re.search(r"https?://|@import|url\(|<script", html)


def test_what_is_told_is_text_and_never_markup() -> None:
    html = page(told())
    for text in ("&lt;One&gt;", "T &amp; T", "yes &amp; no", "a&lt;b", "&quot;c&quot;", "a &gt; b"):
        assert text in html
    assert "<One>" not in html


def test_it_says_numbers_with_intervals_and_marks_a_mistake_by_a_sign() -> None:
    html = page(told())
    assert "<td>90.00%</td><td>80.00 to 95.00%</td>" in html
    assert "95% intervals; resampled is the identity (7 of them)" in html
    assert "✗ yes &amp; no" in html


def test_light_dark_and_phone() -> None:
    html = page(told())
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in html
