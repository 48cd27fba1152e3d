"""What each figure is: its name for people, which way is better, how a change of it is said."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PERCEPTUAL, OF_MOUTH = "perceptual:", "perceptual-mouth:"
Better = Literal["more", "less", "one"]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: Its key in the report.
        title: Its name for people.
        meaning: What it says, for one who has not met it.
        better: Whether more or less is better, or what is nearer to one.
        change: How a change is told: a share of the baseline's, or the plain difference.
        scale: What people are shown is the value times this.
        decimals: Digits that people are shown.
    """

    name: str
    title: str
    meaning: str
    better: Better
    change: Literal["share", "difference"]
    scale: float = 1.0
    decimals: int = 3


_FIXED = (
    Figure("ssim", "SSIM", "structural similarity to the true frame", "more", "difference"),
    Figure("psnr", "PSNR, dB", "peak signal to noise", "more", "difference", decimals=2),
    Figure("l1", "L1", "mean difference of pixels, of a range of 2", "less", "share"),
    Figure("region_l1", "L1 of mouth and eyes", "the same where people look", "less", "share"),
    Figure("mouth_detail", "mouth detail", "fine detail between the lips over the true frames', "
           "where they are open", "one", "difference"),
    Figure("eye_detail", "eye detail", "the same between the lids", "one", "difference"),
    Figure("csim", "CSIM", "cosine of face descriptors: to the true frame, in "
           "cross-reenactment to the source; different people have about 0.8", "more",
           "difference"),
    Figure("landmark_error", "landmark error, %", "mean distance over the outer-eye distance, "
           "tracked in drawn and in true frames", "less", "share", 100.0, 2),
    Figure("mouth", "mouth follows", "correlation of the lips' gap with the driver's", "more",
           "difference"),
    Figure("blink", "blink follows", "correlation of the eyes' opening", "more", "difference"),
    Figure("yaw", "yaw follows", "correlation of turns to the side", "more", "difference"),
    Figure("pitch", "pitch follows", "correlation of nods", "more", "difference"),
    Figure("gaze", "gaze follows", "correlation of the irises' place in the eye", "more",
           "difference"),
    Figure("roll", "roll follows", "correlation of leaning to the side", "more", "difference"),
    Figure("place", "place follows", "correlation of where the head is", "more", "difference"),
    *(
        Figure(f"{name}_gain", f"{title}, gain", f"how far {what} where the driver's goes by 1: a "
               "correlation does not see a motion that is halved", "one", "difference")
        for name, title, what in (
            ("mouth", "mouth", "the lips' gap goes"),
            ("blink", "eyes' opening", "the lids go"),
            ("yaw", "yaw", "the head turns to the side"),
            ("pitch", "pitch", "the head nods"),
            ("roll", "roll", "the head leans"),
            ("gaze", "gaze", "the irises go"),
            ("place", "place", "the head goes in the picture"),
        )
    ),
    Figure("jitter", "jitter beyond the driver's, %", "mean acceleration of landmarks over the "
           "outer-eye distance, less the driver's own", "less", "difference", 100.0, 2),
    Figure("seam", "seam contrast", "difference to the resting crop along its border, of 255: "
           "what a paste has to hide", "less", "difference", decimals=2),
    Figure("fid", "FID", "Fréchet distance of Inception's features; of few frames it is biased, "
           "so that only rows of one table compare", "less", "share", decimals=1),
)  # fmt: skip
_BEFORE_PERCEPTUAL = 4


def known_figures(perceptual: Iterable[str]) -> list[Figure]:
    """Return all figures in the order of a table, those of perceptual networks among them."""
    measured = [
        Figure(f"{kind}{name}", f"{title}, {name}", meaning, "less", "share")
        for name in perceptual
        for kind, title, meaning in (
            (PERCEPTUAL, "distance", "how different it looks to this network"),
            (OF_MOUTH, "distance of the mouth", "how different the mouth alone looks to it"),
        )
    ]
    return [*_FIXED[:_BEFORE_PERCEPTUAL], *measured, *_FIXED[_BEFORE_PERCEPTUAL:]]
