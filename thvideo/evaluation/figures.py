"""What each figure is: its name for people, which way is better, how a change of it is said."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PERCEPTUAL = "perceptual:"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: Its key in the report.
        title: Its name for people.
        meaning: What it says, for one who has not met it.
        is_higher_better: Whether more is better.
        change: How a change is told: a share of the baseline's, or the plain difference.
        scale: What people are shown is the value times this.
        decimals: Digits that people are shown.
    """

    name: str
    title: str
    meaning: str
    is_higher_better: bool
    change: Literal["share", "difference"]
    scale: float = 1.0
    decimals: int = 3


_FIXED = (
    Figure("ssim", "SSIM", "structural similarity to the true frame", True, "difference"),
    Figure("psnr", "PSNR, dB", "peak signal to noise", True, "difference", decimals=2),
    Figure("l1", "L1", "mean difference of pixels, of a range of 2", False, "share"),
    Figure("region_l1", "L1 of mouth and eyes", "the same where people look", False, "share"),
    Figure("csim", "CSIM", "cosine of face descriptors: to the true frame, in "
           "cross-reenactment to the source; different people have about 0.8", True, "difference"),
    Figure("landmark_error", "landmark error, %", "mean distance over the outer-eye distance, "
           "tracked in drawn and in true frames", False, "share", 100.0, 2),
    Figure("mouth", "mouth follows", "correlation of the lips' gap with the driver's", True,
           "difference"),
    Figure("blink", "blink follows", "correlation of the eyes' opening", True, "difference"),
    Figure("yaw", "yaw follows", "correlation of turns to the side", True, "difference"),
    Figure("pitch", "pitch follows", "correlation of nods", True, "difference"),
    Figure("gaze", "gaze follows", "correlation of the irises' place in the eye", True,
           "difference"),
    Figure("jitter", "jitter beyond the driver's, %", "mean acceleration of landmarks over the "
           "outer-eye distance, less the driver's own", False, "difference", 100.0, 2),
    Figure("seam", "seam contrast", "difference to the resting crop along its border, of 255: "
           "what a paste has to hide", False, "difference", decimals=2),
    Figure("fid", "FID", "Fréchet distance of Inception's features; of few frames it is biased, "
           "so that only rows of one table compare", False, "share", decimals=1),
)  # fmt: skip
_BEFORE_PERCEPTUAL = 4


def known_figures(perceptual: Iterable[str]) -> list[Figure]:
    """Return all figures in the order of a table, those of perceptual networks among them."""
    measured = [
        Figure(
            f"{PERCEPTUAL}{name}",
            f"distance, {name}",
            "how different it looks to this network",
            False,
            "share",
        )
        for name in perceptual
    ]
    return [*_FIXED[:_BEFORE_PERCEPTUAL], *measured, *_FIXED[_BEFORE_PERCEPTUAL:]]
