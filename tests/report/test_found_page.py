"""The page of a search: complete in itself, and honest about what no threshold decides."""

import re

import numpy as np

from twofold.report.found_page import Shown, found_page
from twofold.results import Found, Hit

GREY = np.full((20, 30), 128, np.uint8)
HITS = (
    Hit(
        id="a/1.png",
        label="a & b",
        score=0.9,
        probability=0.97,
        metadata={"price": 3, "content": "0123abcd"},
    ),
    Hit(id="c", label="c", score=0.2, probability=0.01),
)


def page(decision="same", threshold=0.5, hits=HITS, pictures=(GREY, None), **more):
    found = Found(
        query="q<1>.png",
        hits=hits,
        decision=decision,
        threshold=threshold,
        far=0.01,
        standing=None if threshold is None else "certified",
    )
    shown = [Shown(found=found, asked=GREY, hits=pictures)]
    return found_page(shown, title="What is like these", facts={"index": "i"}, **more)


def test_a_probability_that_contradicts_the_threshold_is_not_shown():
    found = Found(query="q", hits=(), decision="same", threshold=0.5)
    assert found.probability_of(Hit(id="a", label="a", score=0.7, probability=0.2)) is None
    assert found.probability_of(Hit(id="a", label="a", score=0.7, probability=0.8)) == 0.8
    assert found.probability_of(Hit(id="a", label="a", score=0.3, probability=0.2)) == 0.2


def test_nothing_leaves_the_page_and_all_text_is_escaped():
    made = page()
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", made)
    assert "<script" not in made
    assert "q&lt;1&gt;.png" in made and "a &amp; b" in made
    assert made.count("data:image/jpeg;base64,") == 2


def test_what_the_threshold_decides_is_marked():
    made = page()
    assert (
        "From a score of 0.5000 on, two things count as the same" in made
        and "(certified, of one" in made
    )
    assert made.count('class="hit same"') == 1 and "✓ a &amp; b" in made
    assert '<span class="badge same">found</span>' in made
    assert "probability 0.97" in made
    assert "nothing like it" in page("different", hits=(HITS[1],), pictures=(None,))


def test_without_a_threshold_nothing_is_marked():
    made = page(None, None)
    assert "the bundle has no threshold yet" in made
    assert 'class="badge' not in made and 'class="hit same"' not in made


def test_metadata_is_told_but_for_hashes_and_places():
    made = page()
    assert "<dt>price</dt><dd>3</dd>" in made and "0123abcd" not in made
    assert '<span class="id" title="a/1.png">1.png</span>' in made


def test_no_hits_and_too_many_queries_are_said():
    assert "no item passes the filter" in page("different", hits=(), pictures=())
    assert "7 further queries are not on this page" in page(left_out=7)


def test_pictures_that_nobody_can_find_are_told_with_the_remedy():
    told = "does not keep their paths"
    assert told in page(pictures=(None, None)) and "--keep-source" in page(pictures=(None, None))
    assert told not in page() and told not in page(hits=(), pictures=())
