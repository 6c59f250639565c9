"""An encoder of one's own on the command line: trained, and read again only with code that is named and trusted."""

import sys

import pytest
from PIL import Image as Picture

from twofold.bundle import Bundle
from twofold.data.synthetic import glyphs
from twofold.errors import UsageError

CODE = """
from torch import nn

def tiny():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def other():
    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def breaks(size):
    return None

def empty():
    return None
"""
SETTINGS = (
    "epochs=1",
    "p=4",
    "k=2",
    "input.size=16",
    "copies=1",
    "split.folds=0",
    "split.train=0.4",
    "split.calibrate=0.3",
)
QUICK = [word for setting in (*SETTINGS, "split.test=0.2") for word in ("--set", setting)]
OWN = ["--encoder", "own_code_of_a_test:tiny", "--trust-code"]


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "own_code_of_a_test.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own_code_of_a_test", None)


@pytest.fixture
def people(tmp_path):
    items = glyphs(classes=20, each=3, size=16, seed=0)
    for number, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        folder = tmp_path / "people" / items.names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(value[:, :, 0]).save(folder / f"{number}.png")
    return tmp_path / "people"


def test_the_whole_way_with_code_that_is_trusted(run, code, people):
    status, _, err = run("train", "character", people, "-o", "m", *QUICK, *OWN)
    assert status == 0, err
    assert run("calibrate", "m", people, "--far", "0.2", "--estimate", *OWN)[0] == 0
    assert run("evaluate", "m", people, *OWN)[0] == 0
    first, second = sorted(people.rglob("*.png"))[:2]
    assert run("verify", "m", first, second, *OWN)[0] in (0, 1)
    assert run("enrol", "m", "gallery", "anna", first, *OWN)[0] == 0
    assert run("identify", "m", "gallery", first, *OWN)[0] == 0
    assert run("index", "m", people, "found", *OWN)[0] == 0
    assert run("search", "m", "found", first, *OWN)[0] == 0
    assert run("info", "m", *OWN)[0] == 0
    status, _, err = run("verify", "m", first, second)
    assert (status, err.count("\n")) == (2, 1)
    assert (
        "a bundle never names code to run" in err
        and "--encoder MODULE:FUNCTION --trust-code" in err
    )
    status, _, err = run(
        "verify", "m", first, second, "--encoder", "own_code_of_a_test:other", "--trust-code"
    )
    assert status == 2 and "differ in name or shape" in err
    assert "own_code_of_a_test" not in "".join(
        path.read_text() for path in people.parent.glob("m/*.json")
    )
    with pytest.raises(UsageError, match="--trust-code"):
        Bundle.load("m")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--encoder", "own_code_of_a_test:tiny"], "add --trust-code"),
        (["--trust-code"], "--encoder MODULE:FUNCTION"),
        (["--encoder", "resnet_small"], "--set encoder.name=resnet_small"),
        (["--encoder", "not_there_at_all:tiny", "--trust-code"], "cannot be imported"),
        (
            ["--encoder", "own_code_of_a_test:none", "--trust-code"],
            "has no function or class 'none'",
        ),
        (["--encoder", "own_code_of_a_test:breaks", "--trust-code"], "takes no arguments"),
        (["--encoder=own_code_of_a_test:empty", "--trust-code"], "must return a torch.nn.Module"),
    ],
)
def test_what_is_said_where_it_cannot_be(run, code, people, words, remedy):
    status, _, err = run("train", "character", people, "-o", "m", *QUICK, *words)
    assert (status, err.count("\n")) == (2, 1)
    assert remedy in err
