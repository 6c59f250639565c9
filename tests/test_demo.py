"""The demo: the whole way, on few characters and two epochs; and in full where slow tests run."""

import json
from pathlib import Path

import numpy as np
import pytest

from twofold.admission import known
from twofold.apps.identify import identify
from twofold.apps.verify import verify
from twofold.bundle import Bundle
from twofold.data.fonts import alphabets
from twofold.demo import TRAINED_SCRIPTS, DemoResult, demo, recipe
from twofold.errors import CannotWrite
from twofold.store.index import Index

SMALL = recipe().replace({"encoder.width": 8, "encoder.dim": 32, "p": 16, "epochs": 2})


@pytest.fixture(scope="module")
def drawn():
    return alphabets(("Latin", "Greek", "Armenian"), most=40)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, drawn) -> DemoResult:
    said: list[str] = []
    out = tmp_path_factory.mktemp("demo") / "out"
    done = demo(out, far=0.2, settings=SMALL, drawn=drawn, say=said.append)
    assert len(said) == len(done.seconds) == 7
    return done


def test_only_the_scripts_for_training_are_trained_on(result: DemoResult, drawn) -> None:
    records = Bundle.load(result.out / "model").provenance
    trained = known(records, drawn.items, ["train", "valid"])
    latin = drawn.items.where(groups=["Latin"]).identities
    assert [
        name for name, inside in zip(drawn.items.identities, trained, strict=True) if inside
    ] == list(latin)
    assert sum(result.identities.values()) == len(drawn.items.identities)


def test_the_bundle_and_the_index_that_it_leaves_answer_as_the_story_says(
    result: DemoResult,
) -> None:
    bundle = Bundle.load(result.out / "model")
    pictures = result.out / "pictures"
    again = [verify(bundle, pictures / f"{n}a.png", pictures / f"{n}b.png") for n in (1, 2, 3, 4)]
    assert [verdict.decision for verdict in again] == [
        verdict.decision for verdict in result.verdicts
    ]
    np.testing.assert_allclose(
        [v.score for v in again], [v.score for v in result.verdicts], atol=1e-5
    )
    with Index.open(result.out / "index") as index:
        found = identify(bundle, index, pictures / "query1.png")
    assert found.label == result.identifications[0].label
    assert found.gallery == result.identifications[0].gallery


def test_every_number_has_an_interval_that_holds_it(result: DemoResult) -> None:
    assert len(result.numbers) == 9
    assert all(0 <= number.low <= number.value <= number.high <= 1 for number in result.numbers)
    named = {number.name: number.value for number in result.numbers}
    enrolled = [value for name, value in named.items() if name.startswith("enrolled")]
    assert sum(enrolled) == pytest.approx(1.0)


def test_the_story_shows_the_worst_pairs_too(result: DemoResult) -> None:
    scores = [verdict.score for verdict in result.verdicts]
    assert scores[2] <= scores[0]
    assert scores[3] >= scores[1]


def test_the_page_and_the_json_are_there(result: DemoResult) -> None:
    page = (result.out / "page.html").read_text(encoding="utf-8")
    assert all(f"</span> {step.title}</h2>" in page for step in result.story.steps)
    assert json.loads((result.out / "demo.json").read_text()) == json.loads(
        json.dumps(result.plain())
    )
    assert "story" not in result.plain()


def test_the_commands_name_files_that_are_there(result: DemoResult) -> None:
    commands = [
        command
        for step in result.story.steps
        for command in step.commands
        if str(result.out) in command
    ]
    assert len(commands) == 4
    assert all(Path(word).exists() for command in commands for word in command.split()[2:])


def test_an_earlier_demo_is_replaced_and_anything_else_is_left_alone(
    tmp_path: Path, drawn, result: DemoResult
) -> None:
    with pytest.raises(CannotWrite):
        (tmp_path / "mine").write_text("precious")
        demo(tmp_path, settings=SMALL, drawn=drawn)
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.slow
def test_the_demo_in_full_certifies_one_in_a_hundred_and_keeps_its_word(tmp_path: Path) -> None:
    result = demo(tmp_path / "out")
    numbers = {number.name: number for number in result.numbers}
    assert result.calibration.certified
    assert numbers["different, but accepted as the same"].low <= result.calibration.far
    assert numbers["equal error rate"].value < 0.08
    assert set(TRAINED_SCRIPTS) <= {"Latin", "phonetic", "Cyrillic", "arrows", "mathematics"}
