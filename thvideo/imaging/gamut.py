"""Wide-gamut and HDR colours as sRGB: what sRGB can show stays as it is, the rest comes near."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from thvideo.shapes import F32Array, F64Array, U8Array, check_shape

Transfer = Literal["srgb", "pq", "hlg"]
Point = tuple[float, float]

_D65 = (0.3127, 0.3290)
# Luminance of SDR white in an HDR picture, in cd/m2 (ITU-R BT.2408).
_SDR_WHITE_NITS = 203.0
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
# Brighter light is pressed together between this share of SDR white and white.
_KNEE = 0.8
# Rows that are converted at once: temporary arrays stay small.
_BAND = 128
# Bradford's cone responses of CIE XYZ, for another white.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class ColourSpace:
    """What the numbers of a picture mean.

    Args:
        red: Chromaticity (x, y) of the primary; ``green``, ``blue`` and ``white`` likewise.
        transfer: The curve from number to light, or the exponent of a plain power of it.
    """

    red: Point
    green: Point
    blue: Point
    white: Point = _D65
    transfer: Transfer | float = "srgb"

    @property
    def is_hdr(self) -> bool:
        """Whether there may be light brighter than SDR's white."""
        return self.transfer in ("pq", "hlg")


SRGB = ColourSpace((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = ColourSpace((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), transfer=563 / 256)
# Tables 2 and 3 of ITU-T H.273. Video's own curves are shown as sRGB's is, as players do.
_PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65),
    2: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_TRANSFERS: dict[int, Transfer | float] = dict.fromkeys((1, 2, 6, 13, 14, 15), "srgb")
_TRANSFERS |= {4: 2.2, 5: 2.8, 8: 1.0, 16: "pq", 18: "hlg"}


def space_of_code_points(primaries: int, transfer: int) -> ColourSpace | None:
    """Return the colour space of ITU-T H.273's code points, or None for one not known here."""
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    return ColourSpace(*_PRIMARIES[primaries], transfer=_TRANSFERS[transfer])


def to_srgb(picture: np.ndarray, space: ColourSpace, largest: int = 255) -> U8Array:
    """Convert a picture to sRGB.

    Light up to 0.8 of SDR white keeps its colour to the last step; what is brighter, of HDR,
    keeps its hue and its order. Colours that sRGB lacks are cut off channel by channel.

    Args:
        picture: `[H, W, 3]` whole numbers.
        space: What they mean.
        largest: The number of full light.

    Returns:
        `[H, W, 3]`.
    """
    check_shape(picture, "H W 3")
    matrix = _to_srgb_matrix(space).astype(np.float32)
    linear = np.empty(picture.shape, np.float32)
    bands = [slice(row, row + _BAND) for row in range(0, len(picture), _BAND)]
    for band in bands:
        values = picture[band].astype(np.float32) / np.float32(largest)
        linear[band] = np.clip(_light(values, space.transfer) @ matrix.T, 0, None)
    peak = float(linear.max())
    result = np.empty(picture.shape, np.uint8)
    for band in bands:
        light = _pressed(linear[band], peak) if space.is_hdr and peak > 1 else linear[band]
        result[band] = np.rint(_srgb_numbers(light) * 255)
    return result


def _light(values: F32Array, transfer: Transfer | float) -> F32Array:
    """Return the light of numbers 0 to 1; 1 is SDR's white."""
    if transfer == "srgb":
        return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    if transfer == "pq":  # SMPTE ST 2084
        root = values ** (1 / 78.84375)
        fraction = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return np.asarray(fraction ** (1 / 0.1593017578125) * (10_000 / _SDR_WHITE_NITS))
    if transfer == "hlg":  # ITU-R BT.2100
        dark, bright = values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12
        scene = np.where(values <= 0.5, dark, bright)
        luminance = np.maximum(scene @ _LUMINANCE_2020, 1e-9)[..., None]
        shown = scene * luminance ** (_HLG_GAMMA - 1)
        return np.asarray(shown * (_HLG_PEAK_NITS / _SDR_WHITE_NITS), np.float32)
    return np.asarray(values**transfer, np.float32)


def _srgb_numbers(light: F32Array) -> F32Array:
    light = np.clip(light, 0, 1)
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


def _pressed(light: F32Array, peak: float) -> F32Array:
    """Bring light up to ``peak`` below white, pixels as a whole, by Reinhard's curve moved up."""
    strongest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    over = np.maximum(strongest - _KNEE, 0) / (1 - _KNEE)
    most = (peak - _KNEE) / (1 - _KNEE)
    # It leaves the knee as steep as the straight line before it, and reaches white at the peak.
    bent = over * (1 + over / most**2) / (1 + over)
    return np.asarray(light * (np.minimum(strongest, _KNEE) + (1 - _KNEE) * bent) / strongest)


def _to_srgb_matrix(space: ColourSpace) -> F64Array:
    """Return the matrix from a space's linear light to sRGB's."""
    ours, theirs = _xyz_matrix(SRGB), _xyz_matrix(space)
    white, wanted = _BRADFORD @ theirs.sum(axis=1), _BRADFORD @ ours.sum(axis=1)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(wanted / white) @ _BRADFORD
    return np.asarray(np.linalg.inv(ours) @ adapted @ theirs)


def _xyz_matrix(space: ColourSpace) -> F64Array:
    """Return the matrix from linear light to CIE XYZ; its columns add up to the white."""
    red, green, blue, white = (
        np.array([x / y, 1.0, (1 - x - y) / y])
        for x, y in (space.red, space.green, space.blue, space.white)
    )
    primaries = np.stack([red, green, blue], axis=1)
    return np.asarray(primaries * np.linalg.solve(primaries, white))
