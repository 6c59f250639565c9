"""JPEG: bounded, decoded at a reduced size where that is enough, and refused where part of the picture is missing.

libjpeg fills what is missing with grey and only warns, and Pillow drops the warning. So the data is
handed to the decoder piece by piece, and what it asks for tells whether each scan was as long as
its picture.
"""

import io

import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile

from twofold.errors import UnreadableInput
from twofold.inputs.image_jpeg_markers import (
    BASELINE,
    PROGRESSIVE,
    Scan,
    Structure,
    check_restarts,
    check_whole,
    structure,
)
from twofold.inputs.image_limits import check_size

__all__ = ["jpeg_image"]

REDUCTIONS = (8, 4, 2, 1)
"""libjpeg decodes at these fractions of the size without computing the rest."""

LARGEST_REDUCED = 16
"""A baseline file may have this many times the pixels of the limit when it is decoded at a reduced size."""

LARGEST_REDUCED_PROGRESSIVE = 2
"""A progressive one less: libjpeg holds the coefficients of the whole picture, two bytes for each sample."""

HELD_BACK = 256
"""Bytes of a scan given last: a decoder that is done without them has met wrong data. Encoders pad with a few."""

FILLER = b"\xff\x00" * 9
"""libjpeg reads up to 8 bytes ahead of the code that it decodes. All ones is the code of nothing: where the scan was
too short, these bytes do not complete it."""

PROBE = b"\x55"

ZEROS = bytes(64)
"""More zero bits than two blocks of coefficients have, if each coefficient takes three."""


_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}
"""Components -> the mode, and how the samples are stored: CMYK is inverted in JPEG, as Adobe writes it."""


def jpeg_image(data: bytes, *, side: int, limit: int) -> PIL.Image.Image:
    """The picture, at a half, a quarter or an eighth of its size where that leaves twice `side`, or is needed to stay
    within `limit` pixels and leaves `side`.

    Raises:
        UnreadableInput: too large, or incomplete.
    """
    parsed = structure(data, limit)
    frame = parsed.frame
    width, height = frame.width, frame.height
    reduction = _reduction((width, height), side, limit)
    reduced = -(-width // reduction) * -(-height // reduction)
    if reduced > limit or width * height > limit * (
        LARGEST_REDUCED if frame.kind in BASELINE else LARGEST_REDUCED_PROGRESSIVE
    ):
        check_size(width, height, limit)
    # arithmetic coding cannot be handed over in pieces
    if frame.kind not in (*BASELINE, PROGRESSIVE):
        image = JpegImageFile(io.BytesIO(data))
        image.load()
        return image
    check_whole(frame, parsed.scans)
    image = _decoded(data, parsed, reduction)
    image.info = {"exif": parsed.exif} if parsed.exif else {}
    if parsed.profile:
        image.info["icc_profile"] = b"".join(part[2:] for part in sorted(parsed.profile))
    return image


def _reduction(size: tuple[int, int], side: int, limit: int) -> int:
    """The largest reduction that leaves twice `side`; a larger one, down to `side`, to stay within the limit."""
    ratio = min(size) // (2 * side)
    reduction = next(each for each in REDUCTIONS if ratio >= each or each == 1)
    while (
        size[0] * size[1] > limit * reduction**2
        and reduction < 8
        and min(size) >= 2 * reduction * side
    ):
        reduction *= 2
    return reduction


def _decoded(data: bytes, parsed: Structure, reduction: int) -> PIL.Image.Image:
    frame = parsed.frame
    if len(frame.sampling) not in _MODES:
        raise UnreadableInput(f"has {len(frame.sampling)} components: save it as grey, RGB or CMYK")
    mode, stored = _MODES[len(frame.sampling)]
    image = PIL.Image.new(mode, (-(-frame.width // reduction), -(-frame.height // reduction)))
    decoder = _Decoder(image, stored, reduction, data)
    try:
        for scan in parsed.scans:
            if not scan.zeros and data.find(ZEROS, scan.start, scan.end) >= 0:
                raise UnreadableInput(
                    "is damaged: zeros stand in place of data; replace it or leave it out"
                )
            check_restarts(data, frame, scan)
            decoder.scan(scan)
        decoder.finish(parsed.end)
    finally:
        decoder.close()
    return image


class _Decoder:
    """Pillow's own decoder, with sight of how much it takes.

    While libjpeg decodes, it takes bytes into a register of eight, and only if they fill it: of two
    bytes that are given one by one, it leaves one. When a scan is complete, it looks for a marker
    and takes whatever it is given.
    """

    def __init__(self, image: PIL.Image.Image, stored: str, reduction: int, data: bytes) -> None:
        self.decoder = PIL.Image._getdecoder(image.mode, "jpeg", (stored, ""), (reduction, 0))
        self.decoder.setimage(image.im, (0, 0, *image.size))
        self.data = data
        self.given = 0
        self.pending = b""
        self.finished = False

    def scan(self, scan: Scan) -> None:
        """Hand on the file up to the end of a scan, and see that this is the end of its picture."""
        cut = self._safe_cut(scan)
        self._give(self.data[self.given : cut])
        if scan.end - cut >= 2:
            if self._idle(self.data[cut : cut + 1], self.data[cut + 1 : cut + 2]):
                raise UnreadableInput(
                    "is damaged: its data goes on after the picture is complete; replace it"
                )
            cut += 2
        self._give(self.data[cut : scan.end])
        self._give(FILLER)
        if not self._idle(PROBE, PROBE):
            raise UnreadableInput(
                "is damaged: its data ends before the picture is complete; replace it"
            )
        self.given = scan.end

    def finish(self, end: int) -> None:
        """Hand on the rest up to the end of the picture."""
        self._give(self.data[self.given : end])
        if not self.finished:
            raise UnreadableInput("is cut: its data has no end; replace it or leave it out")

    def close(self) -> None:
        self.decoder.cleanup()

    def _safe_cut(self, scan: Scan) -> int:
        """A place shortly before the end that splits no marker and no escaped byte, with two plain bytes behind it."""
        cut = scan.end - min(HELD_BACK, (scan.end - scan.start) // 4)
        while cut > scan.start and 0xFF in self.data[cut - 1 : cut + 2]:
            cut -= 1
        return cut

    def _give(self, data: bytes) -> bool:
        """Hand on some bytes; True if all were taken."""
        if self.finished:
            return True
        given = self.pending + data
        taken, code = self.decoder.decode(given)
        if taken < 0:
            self.finished, self.pending = True, b""
            if code < 0:
                raise UnreadableInput(
                    "cannot be decoded (broken data stream): replace it or leave it out"
                )
        else:
            self.pending = given[taken:]
        return not self.pending

    def _idle(self, first: bytes, second: bytes) -> bool:
        """Whether two bytes given one by one are both taken: no more data is wanted."""
        return self._give(first) & self._give(second)
