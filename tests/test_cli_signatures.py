"""Signatures at the command line: confounds of the ink, bad pages, forgeries without their writer."""

import json

import numpy as np
import PIL.Image

from drawn_signatures import signed, write
from exit_codes import exit_code

GRADIENTS = ["encoder.network=false", "input.size=[32, 64]", "p=4", "k=2"]
SET = [word for setting in GRADIENTS for word in ("--set", setting)]


def told(capsys, data) -> dict[str, dict]:
    """The doctor's findings by their code, and what was found out by looking."""
    assert exit_code("doctor", data, "--recipe", "signature", "--json") == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    return {finding["code"]: finding for finding in findings}


def test_the_doctor_says_that_the_ink_alone_tells_forgeries(capsys, tmp_path):
    blue = write(tmp_path / "blue", 14, each=3, forgeries=3, forger_ink=(60, 80, 230))
    findings = told(capsys, blue)
    assert findings["confound-forgeries"]["level"] == "warning"
    assert "ink colour 1.000" in findings["confound-forgeries"]["message"]
    same = told(capsys, write(tmp_path / "same", 14, each=3, forgeries=3))
    assert "ink colour" not in str(same)


def test_blank_pages_and_lines_are_named_and_coloured_strokes_read(capsys, tmp_path):
    root = write(tmp_path / "data", 4, each=3)
    PIL.Image.new("RGB", (240, 120), (255, 255, 255)).save(root / "w000" / "blank.png")
    lines = np.full((120, 240, 3), 255, np.uint8)
    lines[80:83] = (70, 70, 255)
    PIL.Image.fromarray(lines).save(root / "w001" / "lines.png")
    points = np.array([[0.1, 0.8], [0.4, 0.1], [0.6, 0.7], [0.9, 0.3]])
    signed(points, ink=(200, 60, 60)).save(root / "w002" / "red.png")
    (found,) = (one for one in told(capsys, root).values() if "unreadable" in one["code"])
    assert sorted(found["files"]) == ["w000/blank.png", "w001/lines.png"]
    assert "shows no ink" in found["message"]


def test_forgeries_without_their_writer_are_told(capsys, tmp_path):
    root = write(tmp_path, 4, each=3, forgeries=2)
    (root / "w003_forg").rename(root / "w009_forg")
    exit_code("doctor", root, "--recipe", "signature")
    said = " ".join(capsys.readouterr().out.split())
    assert "w009_forg: named like forgeries, but no genuine folder of that name" in said


def test_one_reference_has_its_own_threshold_and_several_theirs(capsys, tmp_path):
    root = write(tmp_path / "data", 16, each=8, forgeries=4)
    bundle = tmp_path / "bundle"
    shares = ["split.train=0.4", "split.calibrate=0.5", "split.valid=0", "split.folds=0"]
    more = [word for share in shares for word in ("--set", share)]
    assert exit_code("train", "signature", root, "-o", bundle, *SET, *more) == 0
    rule = ["--set", "references=3", "--set", "fusion=relative", "--estimate"]
    assert exit_code("calibrate", bundle, root, "--far", "0.05", *rule) == 0
    capsys.readouterr()
    files = [root / "w000" / f"{number}.png" for number in range(4)]
    found = {}
    for count in (1, 3):
        code = exit_code("verify", bundle, *files[:count], files[3], "--json")
        found[count] = json.loads(capsys.readouterr().out)
        assert code == 0 and found[count]["decision"] == "same"
    assert found[1]["threshold"] != found[3]["threshold"]
    code = exit_code("verify", bundle, *files[:3], root / "w000_forg" / "0.png", "--json")
    assert code == 1 and json.loads(capsys.readouterr().out)["decision"] == "different"
    assert exit_code("calibrate", bundle, root, "--set", "references=3", "--set", "fusion=own") == 2
    assert "give mean, best, learned or relative" in capsys.readouterr().err
