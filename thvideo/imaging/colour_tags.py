"""What a picture file says of its colours, where Pillow does not tell."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from thvideo.imaging.gamut import ADOBE_RGB, SRGB, ColourSpace, space_of_code_points

# Nothing that tells of colours lies behind so much of a file.
_HEAD_BYTES = 1 << 20
# EXIF's interoperability index of a camera's file in Adobe RGB (DCF 2.0).
_INTEROP_IFD, _INTEROP_INDEX, _ADOBE_RGB = 0xA005, 1, "R03"
# Programs write sRGB's curve as this power; within libpng's tolerance it is meant.
_SRGB_GAMMA, _SAME_GAMMA = 1 / 2.2, 0.05
# Boxes of ISO/IEC 14496-12 and 23008-12 that hold others, and what precedes these.
_HOLDERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}


class Tags(NamedTuple):
    """A picture's colours.

    Args:
        space: What the numbers mean; None for sRGB, or for what the profile says.
        bits: Bits of a number where they matter, because ``space`` is not None; else 8.
        unknown: What is said of the colours and not known here, else empty.
    """

    space: ColourSpace | None = None
    bits: int = 8
    unknown: str = ""


def colour_tags(path: Path, image: Image.Image) -> Tags:
    """Return what a picture says of its colours, save an ICC profile of SDR."""
    head = b""
    if image.format in ("PNG", "AVIF"):
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    profile = image.info.get("icc_profile") or b""
    points, bits = _code_points(head, image)
    if profile and image.format != "PNG":
        points = _profile_code_points(profile)  # a profile goes before code points
    if points is not None:
        space = space_of_code_points(*points)
        if space is None:
            return Tags(unknown=f"primaries {points[0]} with transfer {points[1]}")
        return Tags() if space == SRGB else Tags(space, bits)
    if profile or "srgb" in image.info:
        return Tags()
    if image.format == "PNG":
        space = _of_png(image)
        return Tags() if space is None else Tags(space, bits)
    return Tags(ADOBE_RGB if _is_adobe_rgb(image) else None)


def _code_points(head: bytes, image: Image.Image) -> tuple[tuple[int, int] | None, int]:
    """Return primaries and transfer by ITU-T H.273 that the container tells, and its bits."""
    if image.format == "PNG":
        found = next((data for name, data in _png_chunks(head) if name == b"cICP"), b"")
        bits = head[24] if len(head) > 24 else 8
        profile = image.info.get("icc_profile")
        if len(found) >= 2:
            return (found[0], found[1]), bits
        return _profile_code_points(profile) if profile else None, bits
    if image.format == "AVIF":
        boxes = list(_boxes(head, 0, len(head)))
        colours = [data for name, data in boxes if name == b"colr" and data[:4] == b"nclx"]
        depths = [data[5] for name, data in boxes if name == b"pixi" and len(data) > 5]
        points = struct.unpack(">HH", colours[0][4:8]) if colours else None
        return points, max(depths, default=8)
    told = image.info.get("nclx_profile")  # pillow-heif's
    if isinstance(told, dict):
        return (int(told["color_primaries"]), int(told["transfer_characteristics"])), 8
    return None, 8


def _png_chunks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position + 8 <= len(head):
        size, name = struct.unpack(">I4s", head[position : position + 8])
        if name == b"IDAT":
            return
        yield name, head[position + 8 : position + 8 + size]
        position += 12 + size


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    while start + 8 <= end:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        stop = end if size == 0 else start + size
        if size == 1 or stop > end or (size and size < 8):
            return
        if name in _HOLDERS:
            yield from _boxes(data, start + 8 + _HOLDERS[name], stop)
        else:
            yield name, data[start + 8 : stop]
        start = stop


def _profile_code_points(profile: bytes) -> tuple[int, int] | None:
    """Return the code points in an ICC profile of HDR (ICC.1:2022, 9.2.17), else None.

    Such a profile's curves end at SDR's white; other profiles say all themselves.
    """
    n_tags = int.from_bytes(profile[128:132], "big")
    for position in range(132, min(132 + 12 * n_tags, len(profile) - 11), 12):
        name, offset, size = struct.unpack(">4sII", profile[position : position + 12])
        if name == b"cicp" and size >= 12 and len(profile) >= offset + 12:
            points = profile[offset + 8], profile[offset + 9]
            space = space_of_code_points(*points)
            return points if space is not None and space.is_hdr else None
    return None


def _of_png(image: Image.Image) -> ColourSpace | None:
    """Return the colour space of a PNG's gAMA and cHRM, None where it is sRGB."""
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    transfer: ColourSpace = SRGB
    if isinstance(gamma, float) and gamma > 0 and abs(gamma / _SRGB_GAMMA - 1) > _SAME_GAMMA:
        transfer = ColourSpace(SRGB.red, SRGB.green, SRGB.blue, transfer=1 / gamma)
    if not points or len(points) != 8 or not all(0 < value < 1 for value in points):
        return None if transfer == SRGB else transfer
    white, red, green, blue = (
        (round(points[i], 4), round(points[i + 1], 4)) for i in range(0, 8, 2)
    )
    space = ColourSpace(red, green, blue, white, transfer.transfer)
    return None if space == SRGB else space


def _is_adobe_rgb(image: Image.Image) -> bool:
    try:
        interop = image.getexif().get_ifd(_INTEROP_IFD)
    except Exception:
        return False  # a broken EXIF block says nothing
    return str(interop.get(_INTEROP_INDEX, "")).strip("\0 ") == _ADOBE_RGB
