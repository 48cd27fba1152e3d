"""Turn a decoded picture upright and opaque, its colours into 8-bit sRGB, in the order of cost."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from thvideo.errors import InputError
from thvideo.imaging.colour_tags import Tags, colour_tags
from thvideo.imaging.gamut import to_srgb
from thvideo.shapes import U8Array, reduced

# What Pillow's decoders raise on damaged files: whatever the bytes lead them to.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, AssertionError, struct.error, zlib.error),
)
# Transparent parts of a picture show white, as on paper.
PAPER = (255, 255, 255)


def finish(path: Path, image: Image.Image, max_side: int) -> tuple[U8Array, tuple[str, ...]]:
    """Load a picture and return it `[H, W, 3]` as it is meant to be seen, and what to tell of it.

    Args:
        path: Its file.
        image: Opened; of an animation, at one frame.
        max_side: A larger picture is reduced so that its longer side has this many pixels.

    Raises:
        InputError: It holds numbers whose meaning nobody can know.
    """
    tags = colour_tags(path, image)
    notices = []
    if tags.unknown:
        notices.append(f"its colours are of a kind not known here ({tags.unknown}); taken for sRGB")
    if tags.space is not None and tags.space.is_hdr:
        notices.append("it is HDR; what is brighter than white is shown as white, or nearly so")
    is_deep = tags.bits > 8 and getattr(image, "n_frames", 1) == 1
    plain = _from_deep(path, tags, max_side) if is_deep else None
    # Also then: Pillow tells of damage that OpenCV passes over.
    image.load()
    space = tags.space if plain is None else None
    if plain is None:
        plain = _eight_bits(path, image)
        size = reduced(plain.size, max_side)
        if size != plain.size:
            plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    plain = _upright(image, plain)
    alpha = plain.getchannel("A") if plain.mode in ("RGBA", "LA") else None
    if alpha is not None:
        plain = plain.convert("RGB" if plain.mode == "RGBA" else "L")
    profile = None if tags.space is not None else image.info.get("icc_profile")
    if space is not None:
        colour = Image.fromarray(to_srgb(np.asarray(plain.convert("RGB")), space))
    else:
        colour, fault = _by_profile(plain, profile)
        notices += [fault] if fault else []
    if alpha is not None:
        colour = Image.composite(colour, Image.new("RGB", colour.size, PAPER), alpha)
    return np.asarray(colour, dtype=np.uint8).copy(), tuple(notices)


def _from_deep(path: Path, tags: Tags, max_side: int) -> Image.Image | None:
    """Return a picture of more than 8 bits in sRGB, reduced, or None if OpenCV cannot read it.

    Pillow gives 8 bits of each number, which are too few where they stand for light or for HDR.
    """
    import cv2

    assert tags.space is not None  # bits are told of such pictures alone
    # Mapped, as the file may be as large as its pixels; by its bytes, as its name may be no text.
    values = cv2.imdecode(np.memmap(path, np.uint8, "r"), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        return None
    if values.ndim == 2:
        values = values[..., None].repeat(3, axis=2)
    height, width = values.shape[:2]
    size = reduced((width, height), max_side)
    if size != (width, height):
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    colour = Image.fromarray(to_srgb(values[..., 2::-1], tags.space, (1 << tags.bits) - 1))
    if values.shape[2] == 4:
        colour.putalpha(Image.fromarray((values[..., 3] >> (tags.bits - 8)).astype(np.uint8)))
    return colour


def _eight_bits(path: Path, image: Image.Image) -> Image.Image:
    """Turn every mode into L, LA, RGB, RGBA, CMYK or LAB with 8 bits."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        if "transparency" in image.info and image.mode in ("L", "RGB"):
            return image.convert("RGBA")
        return image
    if image.mode.startswith("I"):
        # Pillow would clip these to 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{path} has pixel values outside 0 to 65535",
                hint="convert it to an ordinary 8-bit or 16-bit picture",
            )
        grey = np.empty(values.shape, np.uint8)
        for row, wide in zip(grey, values, strict=True):
            row[:] = (wide.astype(np.int32) + 128) // 257
        return Image.fromarray(grey)
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


def _by_profile(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Convert to sRGB with the embedded profile, and tell if it does not fit and is left out."""
    fault = ""
    if profile:
        try:
            return _convert_profile(image, profile), ""
        except (ImageCms.PyCMSError, *DAMAGE):
            fault = "its colour profile cannot be used; its colours are taken for sRGB"
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return converted or image.convert("RGB"), fault
    return image.convert("RGB"), fault


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
