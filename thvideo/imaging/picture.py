"""Read any still picture as upright 8-bit sRGB, and write PNG."""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from thvideo.errors import InputError
from thvideo.shapes import U8Array, check_shape

MIN_SIDE_PX = 64
MAX_PIXELS = 100_000_000
# Only formats for pictures: Pillow also knows documents that start other programs (EPS) and
# recognises MPEG streams that it cannot read.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
# What Pillow's decoders raise on damaged files: whatever the bytes lead them to.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, AssertionError, struct.error, zlib.error),
)
# Transparent parts of a picture show white, as on paper.
PAPER = (255, 255, 255)


def is_picture(path: Path) -> bool:
    """Say by its content whether a file is one still picture; an animation is a video."""
    try:
        with _open(path) as image:
            # Phones store a second view or a depth map beside a JPEG (MPO): still one picture.
            animated = image.format in ("GIF", "WEBP", "PNG", "AVIF")
            return not (animated and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return False


def load_picture(path: Path, max_side: int) -> U8Array:
    """Read a picture as it is meant to be seen.

    Colours are converted to sRGB from the embedded profile, EXIF rotation is applied,
    transparent parts show white, 16-bit greys are scaled, an animation gives its first frame.

    Args:
        path: JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, AVIF or JPEG 2000.
        max_side: A larger picture is reduced so that its longer side has this many pixels.

    Returns:
        `[H, W, 3]` RGB.

    Raises:
        InputError: The file is missing, empty, damaged, not a picture, less than 64 pixels on a
            side, or more than 100 megapixels.
    """
    _check_file(path)
    try:
        with _open(path) as image:
            _check_size(path, *image.size)
            # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; twice the wanted size leaves
            # the fine reduction to a proper filter.
            longer = max(image.size)
            if longer > 2 * max_side:
                shrink = 2 * max_side / longer
                image.draft(None, (int(image.width * shrink), int(image.height * shrink)))
            image.load()
            return _finish(path, image, max_side)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has more than {MAX_PIXELS // 1_000_000} megapixels", hint=_REDUCE_HINT
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not a picture that can be read",
            hint="give a JPEG, PNG, WebP or TIFF; convert other formats (HEIC, RAW, SVG) first",
        ) from error
    except DAMAGE as error:
        raise InputError(
            f"{path} is damaged or cut short: {error}",
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


def _open(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from 89 megapixels on; our own limit is checked from the header.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=FORMATS)


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


def _finish(path: Path, image: Image.Image, max_side: int) -> U8Array:
    """Make a decoded picture small, upright, sRGB and opaque, in that order of cost."""
    profile = image.info.get("icc_profile")
    plain = _eight_bits(path, image)
    longer = max(plain.size)
    if longer > max_side:
        size = tuple(max(1, round(side * max_side / longer)) for side in plain.size)
        plain = plain.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    plain = _upright(image, plain)
    alpha = plain.getchannel("A") if plain.mode in ("RGBA", "LA") else None
    if alpha is not None:
        plain = plain.convert("RGB" if plain.mode == "RGBA" else "L")
    colour = _to_srgb(plain, profile)
    if alpha is not None:
        colour = Image.composite(colour, Image.new("RGB", colour.size, PAPER), alpha)
    return np.asarray(colour, dtype=np.uint8).copy()


def _eight_bits(path: Path, image: Image.Image) -> Image.Image:
    """Turn every mode into L, LA, RGB, RGBA, CMYK or LAB with 8 bits."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        if "transparency" in image.info and image.mode in ("L", "RGB"):
            return image.convert("RGBA")
        return image
    if image.mode.startswith("I"):
        # Pillow would clip these to 255.
        values = np.asarray(image).astype(np.float64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{path} has pixel values outside 0 to 65535",
                hint="convert it to an ordinary 8-bit or 16-bit picture",
            )
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.mode == "F":
        raise InputError(
            f"{path} holds floating-point pixels, whose brightness range is unknown",
            hint="convert it to an ordinary 8-bit or 16-bit picture",
        )
    if image.mode in ("P", "PA"):
        transparent = image.mode == "PA" or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _upright(original: Image.Image, plain: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says; a broken EXIF block says nothing."""
    try:
        orientation = original.getexif().get(0x0112, 1)
    except DAMAGE:
        return plain
    if orientation not in range(2, 9):
        return plain
    tagged = plain.copy()
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged.info = {"exif": exif.tobytes()}
    return ImageOps.exif_transpose(tagged)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB with the embedded profile; one that does not fit is left out."""
    if profile:
        try:
            return _convert_profile(image, profile)
        except (ImageCms.PyCMSError, *DAMAGE):
            pass
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(
            image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB"
        ) or image.convert("RGB")
    return image.convert("RGB")


def _convert_profile(image: Image.Image, profile: bytes) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ValueError("no converted picture")
    return converted
