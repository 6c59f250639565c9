"""The benchmark of sentences runs on sets of our own making in the public layouts; figures are not looked at."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from twofold.errors import MissingExtra
from twofold.nn.bert import WEIGHTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WHO, DOES = (
    ("A man", "Two dogs", "The girl", "Some people"),
    ("sing", "runs fast", "is asleep", "eat bread", "jumps"),
)
SENTENCES = [
    f"{who} {does} in the {place}"
    for who in WHO
    for does in DOES
    for place in ("park", "house", "street")
]
PAIRS = [(SENTENCES[n % 60], SENTENCES[(n * 7 + 3) % 60], n % 5) for n in range(60)]


@pytest.fixture
def sick(tmp_path):
    heading = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"
    rows = [
        f"{number}\t{a}\t{b}\t{1 + score}\tNEUTRAL" for number, (a, b, score) in enumerate(PAIRS)
    ]
    for part in ("train", "trial", "test_annotated"):
        (tmp_path / f"SICK_{part}.txt").write_text("\n".join([heading, *rows]))
    return tmp_path


@pytest.fixture
def stsb(tmp_path):
    for part in ("train", "dev", "test"):
        (tmp_path / f"stsb-en-{part}.csv").write_text(
            "\n".join(f'"{a}","{b}",{score}' for a, b, score in PAIRS)
        )
    return tmp_path


def run(name, folder, part):
    command = [
        sys.executable,
        str(ROOT / "bench" / "text.py"),
        "--set",
        name,
        "--data",
        str(folder),
        "--only",
        part,
    ]
    command += ["--quick", "--seeds", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        row["name"]: row["value"] for row in json.loads(done.stdout.splitlines()[-1])["results"]
    }


def test_steps(sick):
    assert run("sick", sick, "steps").keys() == {
        "lstm_step_over_bare",
        "transformer_step_over_bare",
    }


def test_minilm(stsb):
    try:
        WEIGHTS["all-minilm-l6-v2"].path()
    except MissingExtra as error:
        pytest.skip(str(error))
    assert "stsb_minilm_spearman" in run("stsb", stsb, "minilm")
