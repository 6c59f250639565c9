"""track on the command line: files, interruptions, and everything that is refused in one line."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

import change_bundles
import drawn_tracks
import small_bundles
import track_bundles
from drawn_films import write_film
from twofold.track_bundle import TrackBundle


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return track_bundles.of_network().save(tmp_path_factory.mktemp("models") / "track")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    frames, _ = drawn_tracks.moving(8)
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", np.array(frames))


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def refused(run, *words):
    """The one line with which a command refuses."""
    code, out, said = run("track", *words)
    assert code == 2 and out == "" and said.startswith("twofold: ") and said.count("\n") == 1, said
    return said


def test_a_row_per_frame(run, model, film, tmp_path):
    code, out, _ = run("track", model, film, "--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    assert code == 0 and "8 frames of 160 x 120 pixels" in out and "not probabilities" in out
    rows = rows_of(tmp_path / "t.csv")
    assert list(rows[0]) == ["frame", "seconds", "x", "y", "w", "h", "confidence", "lost"]
    assert [row["frame"] for row in rows] == [str(number) for number in range(8)]
    assert [float(rows[0][name]) for name in "xywh"] == [108, 48, 24, 24]
    assert rows[1]["seconds"] == "0.100" and rows[0]["confidence"] == "1.0000"
    for row in rows:
        assert (row["x"] == "") == (row["lost"] == "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv"]


def test_several_objects_a_film_and_a_page(run, model, film, tmp_path):
    boxes = ("--box", "108,48,24,24", "--box", "20,20,30,20")
    files = ("-o", tmp_path / "t.csv", "--video", tmp_path / "t.mp4", "--page", tmp_path / "t.html")
    code, out, _ = run("track", model, film, *boxes, *files, "--json")
    told = json.loads(out)
    assert code == 0 and told["frames"] == 8 and len(told["objects"]) == 2
    rows = rows_of(tmp_path / "t.csv")
    assert [row["object"] for row in rows] == ["1", "2"] * 8
    page = (tmp_path / "t.html").read_text()
    assert page.count("<polyline") == 2 and "data:video/mp4;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    from twofold.inputs.video_decoding import film as opened

    with opened(tmp_path / "t.mp4") as written:
        frames = list(written.frames())
    assert len(frames) == 8 and frames[0].picture.shape == (120, 160, 3)
    assert frames[1].seconds == pytest.approx(0.1, abs=1e-3)


def test_a_folder_of_frames(run, model, tmp_path):
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(drawn_tracks.moving(3)[0]):
        PIL.Image.fromarray(frame).save(tmp_path / "frames" / f"{number}.png")
    words = ("--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    assert run("track", model, tmp_path / "frames", *words)[0] == 0
    assert len(rows_of(tmp_path / "t.csv")) == 3


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("500,10,20,20", "the box 500,10,20,20 lies outside the frame, which is 160 x 120 pixels"),
        ("10,10,0,20", "has no area"),
        ("nan,10,20,20", "four finite numbers"),
        ("10,10,20", "--box 10,10,20: write it as x,y,w,h"),
        ("here", "--box here: write it as x,y,w,h"),
    ],
)
def test_boxes_that_are_none(run, model, film, tmp_path, box, said):
    assert said in refused(run, model, film, "--box", box, "-o", tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


def test_no_box(run, model, film, tmp_path):
    assert "--box" in refused(run, model, film, "-o", tmp_path / "t.csv")


def test_a_film_of_one_frame(run, model, tmp_path):
    frames, _ = drawn_tracks.moving(1)
    film = write_film(tmp_path / "one.mp4", np.array(frames))
    code, out, _ = run("track", model, film, "--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    assert code == 0 and "1 frame of" in out and len(rows_of(tmp_path / "t.csv")) == 1


def test_frames_that_change_their_size_keep_what_is_done(run, model, tmp_path):
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(drawn_tracks.moving(4)[0]):
        shown = frame if number < 2 else frame[:100]
        PIL.Image.fromarray(shown).save(tmp_path / "frames" / f"{number}.png")
    words = ("--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    said = refused(run, model, tmp_path / "frames", *words)
    assert "frame 2 is 160 x 100 pixels" in said and f"2 frames of it are in {tmp_path}" in said
    assert len(rows_of(tmp_path / "t.csv")) == 2


def test_a_film_that_breaks_off_keeps_what_is_done(run, model, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    film = write_film(tmp_path / "film.mkv", noise)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    files = ("-o", tmp_path / "t.csv", "--page", tmp_path / "t.html")
    said = refused(run, model, film, "--box", "10,10,20,20", *files)
    assert "is truncated" in said and "frames of it are in" in said
    assert 5 <= len(rows_of(tmp_path / "t.csv")) < 20 and (tmp_path / "t.html").is_file()


def test_an_interruption_keeps_what_is_done(run, model, film, tmp_path, monkeypatch):
    from twofold.apps import track as app

    before = app.Tracker.step

    def step(self, frame, seconds=None):
        if self._frame == 4:
            raise KeyboardInterrupt
        return before(self, frame, seconds)

    monkeypatch.setattr(app.Tracker, "step", step)
    words = ("--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    code, _, said = run("track", model, film, *words)
    assert code == 130 and "interrupted. 5 frames of it are in" in said
    assert len(rows_of(tmp_path / "t.csv")) == 5


def test_cameras_and_files_that_are_not_there(run, model, tmp_path):
    words = ("--box", "1,1,5,5", "-o", tmp_path / "t.csv")
    assert "camera 97 cannot be read" in refused(run, model, "97", *words)
    assert "there is no file" in refused(run, model, tmp_path / "none.mp4", *words)
    (tmp_path / "text.mp4").write_text("no film")
    assert "is not a film that can be read" in refused(run, model, tmp_path / "text.mp4", *words)


def test_bundles_of_another_kind(run, film, tmp_path):
    words = (film, "--box", "1,1,5,5", "-o", tmp_path / "t.csv")
    small_bundles.of_pictures().save(tmp_path / "embedding")
    change_bundles.of_network().save(tmp_path / "change")
    assert "of kind embedding" in refused(run, tmp_path / "embedding", *words)
    assert "of kind change" in refused(run, tmp_path / "change", *words)
    assert "is not a bundle" in refused(run, tmp_path / "nothing", *words)


def test_a_bundle_of_tracking_where_another_is_wanted(run, model, film):
    code, _, said = run("verify", model, film, film)
    assert code == 2 and "of kind track" in said


def test_nothing_is_overwritten_unasked(run, model, film, tmp_path):
    (tmp_path / "t.csv").write_text("mine")
    words = (model, film, "--box", "108,48,24,24", "-o", tmp_path / "t.csv")
    assert "exists already" in refused(run, *words)
    assert (tmp_path / "t.csv").read_text() == "mine"
    assert run("track", *words, "--overwrite")[0] == 0


def test_one_file_for_two_things(run, model, film, tmp_path):
    words = (model, film, "--box", "108,48,24,24", "-o")
    same = (tmp_path / "t.mp4", "--video", tmp_path / "t.mp4")
    assert "is the table and would hold the film" in refused(run, *words, *same)
    assert "is the input" in refused(run, *words, film, "--overwrite")
    wrong = (tmp_path / "t.csv", "--video", tmp_path / "t.gif")
    assert "is not the name of a film" in refused(run, *words, *wrong)


def sequences(folder):
    """Two sequences as OTB has them."""
    for number in range(2):
        place = folder / f"walk{number}"
        (place / "img").mkdir(parents=True)
        frames, boxes = drawn_tracks.moving(5, seed=number)
        for at, frame in enumerate(frames, 1):
            PIL.Image.fromarray(frame).save(place / "img" / f"{at:04}.png")
        lines = [",".join(f"{value:g}" for value in box + np.array([1, 1, 0, 0])) for box in boxes]
        (place / "groundtruth_rect.txt").write_text("\n".join(lines))
    return folder


def test_evaluation_of_sequences_writes_result_files(run, model, tmp_path):
    data, results = sequences(tmp_path / "data"), tmp_path / "results"
    code, out, _ = run("evaluate", model, data, "--set", f"results={results}")
    assert code == 0 and "success_auc" in out and "walk1" in out and "CPU second" in out
    lines = (results / "otb" / "walk0.txt").read_text().splitlines()
    assert len(lines) == 5 and lines[0] == "109.00,49.00,24.00,24.00"
    assert len((results / "got10k" / "walk1" / "walk1_time.txt").read_text().split()) == 5
    code, out, _ = run("evaluate", model, data, "--json")
    told = json.loads(out)
    assert {each["name"] for each in told["estimates"]} >= {"success_auc", "precision_at_20"}
    assert told["lost_auroc"] is None or 0 <= told["lost_auroc"] <= 1


@pytest.mark.parametrize("option", [("--far", "0.01"), ("--levels", "2"), ("--report", "p.html")])
def test_options_that_tracking_does_not_have(run, model, tmp_path, option):
    data = sequences(tmp_path / "data")
    code, _, said = run("evaluate", model, data, *option)
    assert code == 2 and option[0] in said


def test_results_are_of_tracking_alone(run, tmp_path):
    small_bundles.of_pictures().save(tmp_path / "embedding")
    code, _, said = run("evaluate", tmp_path / "embedding", tmp_path, "--set", "results=x")
    assert code == 2 and "is for bundles of tracking" in said


def test_the_bundle_is_the_one_that_was_saved(model):
    assert TrackBundle.load(model).fingerprint == track_bundles.of_network().fingerprint
