"""Read any picture, still or animated, as upright 8-bit sRGB, and write PNG."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, UnidentifiedImageError

from thvideo.errors import InputError
from thvideo.imaging.finish import DAMAGE, finish
from thvideo.shapes import MAX_PIXELS, U8Array, check_shape

MIN_SIDE_PX = 64
# Only formats for pictures: Pillow also knows documents that start other programs (EPS) and
# recognises MPEG streams that it cannot read.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
# Brands of ISO/IEC 23008-12; Pillow tells by itself which of the last two hold AVIF.
_HEIC = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
# Browsers show for this long what asks for no time at all.
_HARDLY_MS, _USUAL_MS = 10, 100

# Where the features of an extended WebP stand, and the one for transparency.
_WEBP_FLAGS, _WEBP_ALPHA = 20, 0x10

PictureKind = Literal["still", "animation"]


class Picture(NamedTuple):
    """A picture as it is meant to be seen.

    Args:
        pixels: `[H, W, 3]` RGB.
        notices: What the person should know of its colours, in sentences.
    """

    pixels: U8Array
    notices: tuple[str, ...]


def picture_kind(path: Path) -> PictureKind | None:
    """Say by its content whether a file is a still picture, an animation, or neither."""
    try:
        with _open(path) as image:
            # Phones store a second view or a depth map beside a JPEG (MPO): still one picture.
            moves = image.format in _ANIMATED and getattr(image, "is_animated", False)
            return "animation" if moves else "still"
    except Image.DecompressionBombError:
        return "still"
    except DAMAGE:
        return "still" if _is_heic(path) else None


def load_picture(path: Path, max_side: int) -> U8Array:
    """Return the pixels `[H, W, 3]` of ``read_picture``."""
    return read_picture(path, max_side).pixels


def read_picture(path: Path, max_side: int) -> Picture:
    """Read a picture as it is meant to be seen.

    Colours are converted to sRGB, EXIF rotation is applied, transparent parts show white, 16-bit
    greys are scaled, an animation gives its first frame.

    Args:
        path: JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF or JPEG 2000, and HEIC where
            pillow-heif is installed.
        max_side: A larger picture is reduced so that its longer side has this many pixels.

    Raises:
        InputError: The file is missing, empty, damaged, not a picture, less than 64 pixels on a
            side, or more than 100 megapixels.
    """
    _check_file(path)
    with _faults_explained(path), _open(path) as image:
        _check_size(path, *image.size)
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; twice the wanted size leaves
        # the fine reduction to a proper filter.
        longer = max(image.size)
        if longer > 2 * max_side:
            shrink = 2 * max_side / longer
            image.draft(None, (int(image.width * shrink), int(image.height * shrink)))
        return Picture(*finish(path, image, max_side))


class Animation:
    """The frames of a GIF, WebP, APNG or AVIF that moves.

    Args:
        path: The file.
        max_side: Larger frames are reduced as ``read_picture`` does.

    Raises:
        InputError: As ``read_picture``.
    """

    def __init__(self, path: Path, max_side: int) -> None:
        self._path, self._max_side = path, max_side
        self.durations_ms: list[float] = []
        self.notices: tuple[str, ...] = ()
        with _faults_explained(path), _open(self._content()) as image:
            _check_size(path, *image.size)
            # An APNG may begin with a still for those who know no animations.
            self._first = int(bool(image.info.get("default_image")))
            self.n_frames = getattr(image, "n_frames", 1) - self._first

    def frames(self) -> Iterator[U8Array]:
        """Yield each frame `[1, H, W, 3]`, and fill ``durations_ms`` and ``notices`` meanwhile.

        Raises:
            InputError: A frame is damaged.
        """
        self.durations_ms.clear()
        with _open(self._content()) as image:
            for number in range(self.n_frames):
                with _faults_explained(self._path, f" at frame {number}"):
                    image.seek(self._first + number)
                    pixels, self.notices = finish(self._path, image, self._max_side)
                asked_ms = float(image.info.get("duration") or 0)
                self.durations_ms.append(asked_ms if asked_ms > _HARDLY_MS else _USUAL_MS)
                yield pixels[None]

    def _content(self) -> Path | BytesIO:
        """Return the file, of a WebP marked as one with transparent parts.

        Writers leave the mark out where every frame is opaque, even if no frame covers a rim.
        """
        with self._path.open("rb") as file:
            if file.read(16)[8:] != b"WEBPVP8X":
                return self._path
            file.seek(0)
            data = bytearray(file.read())
        data[_WEBP_FLAGS] |= _WEBP_ALPHA
        return BytesIO(data)


@contextmanager
def _faults_explained(path: Path, where: str = "") -> Iterator[None]:
    """Turn what Pillow raises into our error."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has more than {MAX_PIXELS // 1_000_000} megapixels", hint=_REDUCE_HINT
        ) from error
    except UnidentifiedImageError as error:
        if _is_heic(path):
            raise InputError(
                f"{path} is HEIC, which needs pillow-heif", hint="pip install 'thvideo[heic]'"
            ) from error
        raise InputError(
            f"{path} is not a picture that can be read",
            hint="give a JPEG, PNG, WebP or TIFF; convert other formats (RAW, SVG) first",
        ) from error
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged or cut short{where}: {error}",
            hint="copy or download the file again, or open it and save it as PNG",
        ) from error


def save_png(path: Path, picture: U8Array) -> None:
    """Write a PNG.

    Args:
        path: Where to; the caller gives it its name when it is whole.
        picture: `[H, W, 3]` RGB.
    """
    check_shape(picture, "H W 3")
    Image.fromarray(picture).save(path, format="PNG", compress_level=2)


_REDUCE_HINT = "make it smaller first; 4096 pixels on the longer side are plenty"


def _open(file: Path | BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from 89 megapixels on; our own limit is checked from the header.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=(*FORMATS, *_heif_formats()))


@cache
def _heif_formats() -> tuple[str, ...]:
    """Teach Pillow HEIC where the extra for it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return ()
    register_heif_opener()
    return ("HEIF",)


def _is_heic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist", hint="check the spelling of the path")
    if not path.is_file():
        raise InputError(f"{path} is not a file", hint="give the path of one picture")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty", hint="copy or download the file again")


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{path} has {width} x {height} pixels; a side needs at least {MIN_SIDE_PX}",
            hint="give a larger picture of the face",
        )
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} has {width * height / 1e6:.0f} megapixels; at most "
            f"{MAX_PIXELS // 1_000_000} are read",
            hint=_REDUCE_HINT,
        )
