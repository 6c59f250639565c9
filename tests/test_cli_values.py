"""Every option of every command, taken from the app itself: a value out of range is refused before anything is read."""

from pathlib import Path

import pytest

from twofold.cli.commands import NAMES, app

BAD = {
    int: [
        "-1",
        "-99999999999999999999",
        "99999999999999999999",
        "nan",
        "1e3",
        "0x10",
        "banana",
        "1.5",
    ],
    float: ["nan", "inf", "-inf", "1e400", "banana", "1,5"],
}
BELOW_ALL = {
    "--p": ["0", "1"],
    "--k": ["0", "1"],
    "--count": ["0"],
    "--levels": ["3"],
    "--max-time": ["0", "-1"],
}
RATES = ["0", "1", "2", "-0.1", "5e-324"]
RATE_NAMES = {"--far", "--frr", "--false-alarms"}


def arguments(command):
    return list(app[command].assemble_argument_collection())


def kind(argument):
    return next((each for each in (int, float) if argument.hint in (each, each | None)), None)


def needed(command):
    """Words for what a command must have; nothing of it exists."""
    words = []
    for argument in arguments(command):
        if argument.required:
            words += ["m"] if argument.names[0].isupper() else [argument.names[0], "m"]
    return words


def values(argument):
    extra = RATES if RATE_NAMES & {*argument.names} else []
    return BAD[kind(argument)] + BELOW_ALL.get(argument.names[-1], []) + extra


CASES = [
    (command, argument.names, value)
    for command in sorted(NAMES)
    for argument in arguments(command)
    if kind(argument) is not None
    for value in BAD[kind(argument)]
    + BELOW_ALL.get(argument.names[-1], [])
    + RATES * bool(RATE_NAMES & {*argument.names})
]


def test_the_commands_have_options_with_numbers():
    assert len({(command, names) for command, names, _ in CASES}) >= 18


def test_numbers_out_of_range_are_refused_by_the_name_of_their_option(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, names, value in CASES:
        code, out, err = run(command, *needed(command), f"{names[0]}={value}")
        said = (command, names, value, err)
        assert (code, out) == (2, ""), said
        assert "Invalid value" in err and any(name in err for name in names), said
        assert err.count("\n") == 1 and len(err) < 400, said


def test_every_device_is_checked_before_anything_else(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_device = [
        command
        for command in sorted(NAMES)
        if any("--device" in a.names for a in arguments(command))
    ]
    assert {
        "calibrate",
        "dedup",
        "embed",
        "enrol",
        "evaluate",
        "identify",
        "index",
        "migrate",
        "search",
        "train",
    } <= {*with_device}
    for command in with_device:
        words = {
            "train": ["face", "m", "-o", "m"],
            "verify": ["m", "a", "b"],
            "enrol": ["m", "i", "l", "f"],
        }
        words |= {
            "migrate": ["i", "m", "n"],
            "evaluate": ["m", "d"],
            "calibrate": ["m", "d"],
            "embed": ["m", "d", "o"],
        }
        words |= {"dedup": ["m", "d"], "plan": ["d"]}
        words |= {"change": ["m", "a", "b", "-o", "x.png"], "tune": ["face", "m", "-o", "x.toml"]}
        words |= {"track": ["m", "film.mp4", "--box", "1,2,3,4", "-o", "x.csv"]}
        code, _, err = run(command, *words.get(command, ["m", "d", "i"]), "--device", "banana")
        assert code == 2, (command, err)
        assert "banana" in err or "does not exist" in err or "no index" in err, (command, err)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["train", "face", "d", "--out"], "a/file/m"),
        (["train", "face", "d", "-o"], "a/file"),
        (["embed", "b", "d"], "a/file"),
        (["verify", "b", "x", "y", "--out"], "none/there.csv"),
        (["verify", "b", "x", "y", "--out"], "a"),
        (["evaluate", "b", "d", "--report"], "none/page.html"),
        (["search", "b", "i", "q", "--report"], "none/page.html"),
        (["dedup", "d", "--report"], "none/page.html"),
        (["doctor", "d", "--fix"], "none/clean.csv"),
        (["forget", "b", "i", "x", "--out"], "none/receipt.json"),
        (["purge", "i", "--out"], "none/receipt.json"),
        (["demo", "--out"], "a/file/demo"),
        (["verify", "b", "x", "y", "--out"], "x" * 300),
        (["verify", "b", "x", "y", "--out"], "circle/file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_first(run, tmp_path, monkeypatch, words, option):
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    Path("a/file").write_text("mine")
    Path("circle").symlink_to("circle")
    code, _, err = run(*words, option)
    assert code == 2
    assert err.count("\n") == 1
    assert option[:20] in err
    assert any(
        word in err
        for word in (
            "is a folder",
            "is a file",
            "is no folder",
            "there is no folder",
            "shorter",
            "circle",
        )
    )
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "circle", "file"]
    assert Path("a/file").read_text() == "mine"


def test_settings_have_bounds(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, setting in [
        ("calibrate", "confidence=2"),
        ("calibrate", "seed=-1"),
        ("calibrate", "prior=nan"),
        ("calibrate", "cohort=-5"),
        ("evaluate", "confidence=0.0"),
        ("monitor", "looks=0"),
        ("monitor", "genuine=nan"),
        ("monitor", 'genuine="much"'),
    ]:
        code, _, err = run(command, "b", "d", "--set", setting)
        assert code == 2
        assert f"--set {setting.split('=')[0]}" in err and "ust be" in err
