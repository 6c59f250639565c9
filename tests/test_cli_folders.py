"""Folders that may not be read and links that lead in a circle: every command that reads a folder names them."""

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import small_bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    place = tmp_path_factory.mktemp("folders") / "m"
    small_bundles.of_pictures().save(place)
    return place


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Three identities, a folder that the system does not open, and a link to the data."""
    for identity in "abc":
        for number in range(2):
            path = tmp_path / "data" / identity / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([ord(identity), number]).integers(
                0, 255, (24, 24), np.uint8
            )
            PIL.Image.fromarray(pixels).save(path)
    (tmp_path / "data" / "lost+found").mkdir()
    (tmp_path / "data" / "round").symlink_to(tmp_path / "data")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    monkeypatch.chdir(tmp_path)
    return Path("data")


def named(err):
    return "lost+found/ (Permission denied)" in err and "round (a link to a folder above)" in err


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "DATA"),
        ("plan", "DATA"),
        ("index", "BUNDLE", "DATA", "i"),
        ("index", "BUNDLE", "DATA", "i", "--levels", "0"),
        ("embed", "BUNDLE", "DATA", "e"),
        ("dedup", "DATA"),
        ("evaluate", "BUNDLE", "DATA"),
    ],
)
def test_what_cannot_be_followed_is_named_and_left_out(run, bundle, data, words):
    code, _, err = run(*[{"BUNDLE": bundle, "DATA": data}.get(word, word) for word in words])
    assert named(err)
    assert "internal error" not in err and "Traceback" not in err
    assert code in (0, 1) or words[0] == "evaluate"


def test_a_search_over_a_folder_leaves_it_out(run, bundle, data):
    run("index", bundle, data / "a", "i", "--levels", "0")
    code, out, err = run("search", bundle, "i", data, "--json")
    assert code in (0, 3)
    assert named(err) and out.count("/0.png") >= 3


@pytest.mark.parametrize("words", [("train", "generic", "DATA", "-o", "new"), ("doctor", "DATA")])
def test_strict_refuses_it(run, data, words):
    code, out, err = run(*[data if word == "DATA" else word for word in words], "--strict")
    assert (code, out) == (2, "")
    assert named(err) and "or leave out --strict" in err and err.count("\n") == 1
    assert not Path("new").exists()


def test_prune_deletes_nothing_that_lies_where_nobody_can_look(run, bundle, data):
    assert run("index", bundle, data, "i")[0] == 0
    code, _, err = run("index", bundle, data, "i", "--prune")
    assert code == 2
    assert named(err) and "or leave out --prune" in err
