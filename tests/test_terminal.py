"""Pictures and stories in terminals of every kind; bars that know when to be silent."""

import io
import re
import signal
import time

import numpy as np
import pytest
from rich.console import Console

from twofold import recipes
from twofold.report.story import Row, Scores, Step, Story
from twofold.results import Difference, Estimate, Progress, Tuning
from twofold.terminal import bars, interruption, screen, wording
from twofold.train.tune import Candidate, Tuned


def shown(
    thing, *, colours=None, width: int = 80, encoding: str = "utf-8", soft_wrap: bool = False
) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    forced = colours is not None
    console = Console(
        file=stream, width=width, color_system=colours, force_terminal=forced, legacy_windows=False
    )
    console.print(thing, soft_wrap=soft_wrap)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def diagonal() -> np.ndarray:
    return np.where(np.eye(28, dtype=bool), 0, 255).astype(np.uint8)


def test_in_colour_a_picture_is_half_blocks_with_two_pixels_a_character() -> None:
    text = shown(screen.Picture(diagonal(), columns=28), colours="truecolor")
    assert text.count("▀") == 28 * 14
    assert "38;2;0;0;0" in text
    assert "48;2;255;255;255" in text


def test_without_colour_a_picture_is_braille_with_eight_dots_a_character() -> None:
    # the first cell of 4 x 2 dots of a black square is full, white paper has none
    black = np.zeros((8, 4), np.uint8)
    assert shown(screen.Picture(black, columns=2)).split() == ["⣿⣿", "⣿⣿"]
    white = np.full((8, 4), 255, np.uint8)
    assert set(shown(screen.Picture(white, columns=2)).strip("\n")) == {"⠀", "\n"}
    corner = white.copy()
    corner[0, 0] = 0
    assert shown(screen.Picture(corner, columns=2))[0] == "⠁"


def test_where_only_ascii_is_known_a_picture_is_shades() -> None:
    text = shown(screen.Picture(np.zeros((28, 28), np.uint8)), encoding="ascii")
    assert text.split() == ["#" * 14] * 7


def test_colour_pictures_are_shown_too() -> None:
    red = np.zeros((28, 28, 3), np.uint8)
    red[..., 0] = 255
    assert "38;2;255;0;0" in shown(screen.Picture(red), colours="truecolor")


def told() -> Story:
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
        pictures=(diagonal(),) * 2,
        captions=("one", "other"),
        said="the same",
        detail="score 1",
        mark="right",
    )
    words = "many words " * 20
    step = Step(
        title="Verify",
        text=words,
        rows=(row,),
        numbers=(number,),
        scores=scores,
        commands=("run " + "x" * 90,),
    )
    return Story(title="Title", lead=words, steps=(step,))


@pytest.mark.parametrize("soft_wrap", [False, True])
def test_a_story_has_all_its_parts_and_wraps_at_words(soft_wrap: bool) -> None:
    text = shown(screen.story(told()), soft_wrap=soft_wrap)
    for part in (
        "Title",
        "1 Verify",
        "✓ the same",
        "score 1",
        "one",
        "other",
        "90.00%",
        "80.00 to 95.00%",
        "^ threshold",
    ):
        assert part in text
    lines = [line for line in text.splitlines() if "words" in line]
    assert len(lines) >= 4
    assert all(len(line) <= 80 for line in lines)


def test_a_command_stays_on_one_line_to_be_copied() -> None:
    assert "run " + "x" * 90 in shown(screen.story(told()), soft_wrap=True)


def test_a_story_in_ascii_and_on_a_narrow_screen() -> None:
    ascii_story = Story(
        title="T", lead="l", steps=(Step(title="S", text="t", scores=told().steps[0].scores),)
    )
    assert "#" in shown(screen.story(ascii_story), encoding="ascii")
    assert all(len(line) <= 50 for line in shown(screen.story(told()), width=50).splitlines())


def progress(**changes) -> Progress:
    settings = {
        "epoch": 1,
        "epochs": 4,
        "step": 5,
        "steps": 10,
        "loss": 1.25,
        "monitor": "eer",
        "monitored": None,
        "best": None,
        "items_per_second": 100.0,
        "pairs_per_second": 1.25e6,
        "waiting": 0.01,
        "seconds": 3.0,
        "seconds_left": 75.0,
    }
    return Progress(**(settings | changes))


def test_training_numbers_are_loss_speed_validation_and_time_left() -> None:
    assert bars.training_numbers(progress()) == "loss 1.250, 100 items/s, 1.25 M pairs/s, 1:15 left"
    later = bars.training_numbers(progress(monitored=0.03, best=0.02, pairs_per_second=99.0))
    assert (
        later
        == "loss 1.250, 100 items/s, 99 pairs/s, eer on unseen 0.0300 (best 0.0200), 1:15 left"
    )
    assert "25% of it waiting for data" in bars.training_numbers(progress(waiting=0.25))


def test_bars_are_silent_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with bars.bar("reading") as report:
        report(1, 2)
    with bars.training() as watch:
        watch.say("drawing")
        watch(progress())
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    with bars.training() as watch:
        watch(progress())
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("training, epoch 1 of 4, step ") and err.count("\n") == 1
    with bars.training(quiet=True) as watch:
        watch(progress())
    assert capsys.readouterr() == ("", "")


def test_a_tuning_says_what_is_left_of_all(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    stands = {"stage": "trial", "number": 3, "total": 30, "monitor": "eer"}
    with bars.tuning() as watch:
        watch(Tuning(**stands, best=0.125, seconds_left=1205.0, training=progress(monitored=0.2)))
        watch(Tuning(**stands, best=None, seconds_left=None, training=progress()))
    assert capsys.readouterr().err.splitlines() == [
        "trial 3 of 30, best eer 0.1250, 20:05 left in all, epoch 1 of 4, step 5 of 10: 100 "
        "items/s, eer 0.2000",
        "trial 3 of 30, epoch 1 of 4, step 5 of 10: 100 items/s",
    ]


def candidate(gain: float | None, **settings) -> Candidate:
    difference = None
    if gain is not None:
        shown = {"name": "eer", "a": 0.2, "b": 0.2 - gain, "low": gain - 0.05, "high": gain + 0.05}
        difference = Difference(**shown, gain=gain, confidence=0.95, unit="identity", resampled=16)
    return Candidate(
        settings=settings, monitored=0.2, eer=0.2 - (gain or 0), gain=difference, seconds=1.0
    )


def test_the_evidence_of_a_tuning_says_better_and_worse() -> None:
    own = candidate(None)
    better = candidate(
        0.06, **{"augment.flip": 0.5, "augment.scale": 0.12345, "loss.name": "circle"}
    )
    worse = candidate(-0.01, p=8)

    def told(*candidates: Candidate) -> list[str]:
        chosen = min(candidates, key=lambda each: each.eer)
        counts = {"finished": 3, "ended": 1, "failed": 0, "identities": 24, "seconds": 9.0}
        return wording.evidence(
            Tuned(recipe=recipes.head(), candidates=candidates, chosen=chosen, **counts)
        )

    assert told(own, better, worse)[2:] == [
        "  0.2000  the recipe as it is",
        "  0.1400  better by 0.0600 [0.0100, 0.1100]: augment.flip=0.5 and 1 more alike, "
        "loss.name=circle",
        "  0.2100  worse by 0.0100 [-0.0400, 0.0600]: p=8",
        "recommended: the first of these trials. It is better by more than chance (95 % interval, "
        "paired over 16 identities)",
    ]
    assert "has not been shown" in told(own, candidate(0.04, p=8))[-1]
    assert told(own, worse)[-1].startswith("no trial was better")
    assert told(own)[-1].startswith("no other trial was finished")


def test_bars_show_what_goes_on_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    with bars.training() as watch:
        watch.say("drawing")
        watch(progress())
    with bars.bar("reading") as report:
        report(1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", err)
    assert "training, epoch 1 of 4" in plain
    assert "1/2" in plain


def test_quiet_is_quiet_even_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    with bars.training(quiet=True) as watch, bars.bar("reading", quiet=True) as report:
        watch(progress())
        report(1, 2)
    assert capsys.readouterr().err == ""


def test_stages_follow_one_another_and_are_silent_where_no_terminal_is(capsys) -> None:
    with bars.stages() as watch:
        for what in ("embedding", "search"):
            for done in range(1, 4):
                watch(what, done * 10**6, 3 * 10**6)
    assert capsys.readouterr() == ("", "")


def test_stages_show_what_is_done_now_with_its_speed(monkeypatch) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, legacy_windows=False)
    monkeypatch.setattr(bars, "Console", lambda stderr: console)
    with bars.stages() as watch:
        for what in ("embedding", "search"):
            for done in range(1, 9):
                watch(what, done * 10**6, 9 * 10**6)
                time.sleep(0.05)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "embedding" in text and re.search(r"search.*M/s", text)


def test_ctrl_c_is_noted_once_and_only_by_work_that_asks(capfd) -> None:
    with interruption.ending() as asked, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with interruption.ending() as asked:
        assert asked() == 0
        signal.raise_signal(signal.SIGINT)
        assert asked() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "Ctrl-C again ends at once" in capfd.readouterr().err
    with interruption.ending() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked() == signal.SIGTERM
