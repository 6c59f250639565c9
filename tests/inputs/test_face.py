"""Faces are found, turned upright and cut out; what shows none is refused by name. All faces here are drawn."""

import json
import warnings

import numpy as np
import PIL.Image
import pytest

from drawn_faces import drawn_face, on_page
from twofold.apps.survey import survey
from twofold.errors import DamagedBundle, MissingExtra, RecipeError, SeveralFaces, UnreadableInput
from twofold.inputs import Face, Image, Input
from twofold.inputs import face as module
from twofold.inputs.face_alignment import TEMPLATE, aligned
from twofold.inputs.face_detector import DETECTOR, DetectedFace, Detector, detector
from twofold.package_files import PackageFile


@pytest.fixture
def _extra():
    try:
        detector()
    except MissingExtra:
        pytest.skip("needs the extra faces")


@pytest.fixture
def found(monkeypatch):
    """A detector that finds what a test tells it: boxes, whose landmarks lie as in the template."""
    boxes: list[tuple[float, float, float, float]] = []

    def detect(picture, smallest):
        return [
            DetectedFace(
                box=box,
                landmarks=tuple(
                    (
                        box[0] + x / 150 * (box[2] - box[0]),
                        box[1] + y / 150 * (box[3] - box[1]),
                    )
                    for x, y in TEMPLATE
                ),
                confidence=0.9,
            )
            for box in boxes
        ]

    monkeypatch.setattr(module, "detector", lambda: detect)
    return boxes


def gradient(width: int = 200, height: int = 100) -> PIL.Image.Image:
    """A picture whose red tells x and whose green tells y."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return PIL.Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))


class TestAlignment:
    def test_landmarks_come_to_lie_as_in_the_template(self):
        turn = 0.5 * np.exp(0.3j)
        points = np.array([complex(x, y) for x, y in TEMPLATE]) * turn + complex(60, 20)
        face = np.asarray(
            aligned(gradient(), [(p.real, p.imag) for p in points], size=150), dtype=float
        )
        for (x, y), point in zip(TEMPLATE, points, strict=True):
            told = [point.real - 0.5, point.imag - 0.5]  # a pixel's colour tells its left edge
            assert face[int(y), int(x), :2] == pytest.approx(told, abs=1.5)

    def test_a_large_face_is_averaged_and_not_sampled(self):
        """A board of single pixels becomes grey where six of them go into one."""
        board = np.indices((900, 900)).sum(axis=0) % 2 * 255
        picture = PIL.Image.fromarray(board.astype(np.uint8)).convert("RGB")
        face = np.asarray(aligned(picture, [(6 * x, 6 * y) for x, y in TEMPLATE], size=150))
        assert np.abs(face[5:-5, 5:-5].astype(int) - 127).max() < 8

    def test_what_lies_beyond_the_picture_is_black(self):
        white = PIL.Image.new("RGB", (75, 150), "white")
        face = np.asarray(aligned(white, TEMPLATE, size=150))
        assert face[:, :73].min() > 200
        assert face[:, 78:].max() == 0


class TestRead:
    def test_it_is_an_input_and_rebuilds_itself(self):
        face = Face(size=96, detect=False)
        assert isinstance(face, Input)
        assert Face(**json.loads(json.dumps(face.arguments()))) == face
        assert face.facts() == {"kind": "pictures", "channels": 3, "size": (96, 96)}

    def test_the_face_is_cut_out(self, found):
        found.append((40, 10, 115, 85))
        face = Face(size=150).read(gradient())
        assert face.shape == (150, 150, 3)
        assert face[75, 75, :2].astype(int) == pytest.approx([77, 47], abs=2)

    def test_of_several_the_largest_and_that_is_said(self, found):
        found += [(40, 10, 115, 85), (0, 0, 30, 30)]
        with pytest.warns(SeveralFaces, match=r"200 x 100 in mode RGB shows 2 faces: the largest"):
            face = Face().read(gradient())
        assert face[75, 75, 0] == pytest.approx(77, abs=2)

    def test_all_of_them(self, found):
        found += [(40, 10, 115, 85), (0, 0, 30, 30)]
        faces = Face().faces(gradient())
        assert [face.place.box for face in faces] == found
        assert faces[1].array[75, 75, :2].astype(int) == pytest.approx([15, 15], abs=2)

    def test_a_face_of_several_can_be_read_again(self, found):
        found += [(40, 10, 115, 85), (0, 0, 30, 30)]
        parts = Face().parts(gradient())
        assert list(parts) == ["face 1 of 2 at 0, 0", "face 2 of 2 at 40, 10"]
        small = parts["face 1 of 2 at 0, 0"]
        assert np.array_equal(Face().read(small), small.array)

    def test_damage_is_looked_for_in_the_whole_picture(self, found):
        """What is black beyond the border of a picture is no part that was lost."""
        found.append((-60, 10, 75, 145))
        seen = survey([gradient(100, 100)], Face())
        assert Face().read(gradient(100, 100))[:, 0].max() == 0
        assert np.array_equal(seen.planes, survey([gradient(100, 100)], Image(size=150)).planes)

    def test_no_face_is_an_error_that_names_the_picture(self, found, tmp_path):
        path = tmp_path / "wall.png"
        gradient().save(path)
        with pytest.raises(UnreadableInput, match=r"wall\.png shows no face.*detect=false"):
            Face().read(path)

    def test_cut_outs_need_no_detector(self, monkeypatch):
        monkeypatch.setattr(module, "detector", lambda: pytest.fail("the detector was asked"))
        face = Face(detect=False).read(gradient(150, 150))
        assert np.array_equal(face, np.asarray(gradient(150, 150)))

    def test_a_large_picture_is_looked_at_small_and_cut_out_in_full(self, found):
        found.append((100, 100, 200, 200))  # in the picture of 1024 pixels, half as large
        assert Face().faces(PIL.Image.new("RGB", (2048, 1024)))[0].place.box == (200, 200, 400, 400)

    def test_a_picture_without_a_face_is_looked_at_with_a_border(self, monkeypatch):
        asked = []
        monkeypatch.setattr(
            module, "detector", lambda: lambda picture, _: asked.append(picture.size) or []
        )
        with pytest.raises(UnreadableInput):
            Face().read(gradient(100, 100))
        assert asked == [(100, 100), (150, 150)]

    def test_unknown_rules_are_refused(self):
        with pytest.raises(RecipeError, match="rules = 9"):
            Face(rules=9)


class TestDetectorFiles:
    def test_the_missing_extra_is_named(self, monkeypatch):
        def absent(self):
            raise MissingExtra(f"{self.holds}: {self.remedy}")

        monkeypatch.setattr(PackageFile, "path", absent)
        detector.cache_clear()
        with pytest.raises(MissingExtra, match=r'pip install "twofold\[faces\]"'):
            Face().read(gradient())

    def test_other_bytes_are_not_read(self, monkeypatch, tmp_path):
        path = tmp_path / "pnet.onnx"
        path.write_bytes(b"something else")
        monkeypatch.setattr(PackageFile, "path", lambda self: path)
        detector.cache_clear()
        with pytest.raises(DamagedBundle, match="SHA-256"):
            detector()

    def test_three_files_of_one_package(self):
        assert len({file.sha256 for file in DETECTOR}) == 3


def test_a_detector_of_random_weights_answers_for_any_shape():
    """No weights needed: sizes fit from one network to the next, also at the border and for thin pictures."""
    made = Detector()
    for size in ((40, 40), (300, 35), (12, 12), (5, 200)):
        assert isinstance(made(PIL.Image.new("RGB", size, "grey"), 20), list)


@pytest.mark.usefixtures("_extra")
class TestDrawnFaces:
    @pytest.mark.parametrize("seed", range(4))
    def test_eyes_nose_and_mouth_are_where_they_were_drawn(self, seed):
        face, *others = Face().faces(on_page(640, 480, [(100, 80, 240)], seed=seed))
        assert not others
        points = face.place.landmarks
        eyes, nose, mouth = points[:2], points[2], points[3:]
        assert eyes[0] == pytest.approx((184, 189), abs=8)
        assert eyes[1] == pytest.approx((256, 189), abs=8)
        assert nose == pytest.approx((220, 224), abs=12)
        assert [y for _, y in mouth] == pytest.approx([254, 254], abs=10)

    def test_ten_faces(self):
        places = [(20 + 170 * (n % 5), 20 + 240 * (n // 5), 130 + 3 * n) for n in range(10)]
        page = on_page(900, 500, places)
        with pytest.warns(SeveralFaces, match="10 faces"):
            Face().read(page)
        faces = Face().faces(page)
        areas = [face.place.area for face in faces]
        assert areas == sorted(areas, reverse=True)

    def test_a_face_of_40_pixels(self):
        face, *_ = Face().faces(on_page(300, 200, [(100, 60, 72)]))
        assert face.place.box[2] - face.place.box[0] == pytest.approx(40, abs=8)

    def test_a_face_that_the_border_cuts(self):
        """A fifth of it is beyond the left border: it is found, and what is missing is black."""
        whole = on_page(400, 300, [(100, 40, 220)])
        face, *_ = Face().faces(whole.crop((100 + 60, 0, 400, 300)))
        assert face.place.landmarks[0][0] == pytest.approx(100 + 78 - 160, abs=10)
        assert face.array[:, 0].max() == 0

    @pytest.mark.parametrize("turn", range(1, 9))
    def test_exif_orientation_is_honoured(self, turn, tmp_path):
        """A photograph that is stored turned or mirrored, and says so, gives the same face."""
        upright = on_page(320, 240, [(90, 40, 150)])
        stored = {
            1: None,
            2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
            3: PIL.Image.Transpose.ROTATE_180,
            4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
            5: PIL.Image.Transpose.TRANSPOSE,
            6: PIL.Image.Transpose.ROTATE_90,
            7: PIL.Image.Transpose.TRANSVERSE,
            8: PIL.Image.Transpose.ROTATE_270,
        }[turn]
        exif = PIL.Image.Exif()
        exif[0x0112] = turn
        path = tmp_path / "turned.png"
        (upright if stored is None else upright.transpose(stored)).save(path, exif=exif)
        assert np.array_equal(Face().read(path), Face().read(upright))

    @pytest.mark.parametrize("angle", [-20, 20])
    def test_a_tilted_head_is_turned_upright(self, angle):
        page = on_page(400, 400, [(100, 100, 200)])
        tilted = page.rotate(
            angle, resample=PIL.Image.Resampling.BICUBIC, fillcolor=(120, 125, 130)
        )
        (left, top), (right, bottom) = Face().faces(tilted)[0].place.landmarks[:2]
        assert np.degrees(np.arctan2(top - bottom, right - left)) == pytest.approx(angle, abs=5)
        upright, turned = Face().read(page).astype(float), Face().read(tilted).astype(float)
        assert np.abs(upright - turned)[30:120, 30:120].mean() < 20

    def test_a_drawing_without_a_face_and_noise_are_refused(self):
        board = PIL.Image.fromarray(
            (np.indices((300, 300)).sum(axis=0) // 30 % 2 * 255).astype(np.uint8)
        )
        noise = PIL.Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        )
        for picture in (
            board,
            noise,
            PIL.Image.new("RGB", (8, 8)),
            PIL.Image.new("RGB", (3000, 10)),
        ):
            with pytest.raises(UnreadableInput, match="shows no face"):
                Face().read(picture)

    def test_a_tight_cut_out_is_found(self):
        tight = drawn_face(112).crop((20, 14, 92, 104))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Face().read(tight).shape == (150, 150, 3)

    def test_the_same_picture_always_gives_the_same_face(self):
        page = on_page(640, 480, [(100, 80, 240), (400, 200, 120)])
        with pytest.warns(SeveralFaces):
            assert np.array_equal(Face().read(page), Face().read(page))
