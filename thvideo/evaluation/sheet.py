"""Which cases the page shows: the best, the median and the worst of the method that is judged."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from thvideo.evaluation.figures import PERCEPTUAL
from thvideo.evaluation.protocol import Take
from thvideo.evaluation.report import CROSS, SELF, Judged, Row
from thvideo.shapes import U8Array

#: Side of the pictures on the page, and their JPEG quality.
_SIDE_PX, _QUALITY = 160, 88
#: How many cases of each kind are shown.
_N_EACH = 2
_KINDS: tuple[Literal["best", "median", "worst"], ...] = ("best", "median", "worst")

#: Gives a frame ``[S, S, 3]`` of a take by a row's name: "source" and "truth" are always there.
Pictures = Callable[[Take, str, int], U8Array]


@dataclass(frozen=True)
class Case:
    """A strip of pictures.

    Args:
        kind: Best, median or worst.
        mode: Self- or cross-reenactment.
        take: The take's name.
        frame: Which of the driver's frames.
        ranked_by: The row and the figure that chose it, and the value.
        pictures: Names and pictures, as data URIs of JPEGs.
    """

    kind: str
    mode: str
    take: str
    frame: int
    ranked_by: tuple[str, str, float]
    pictures: tuple[tuple[str, str], ...]


class Sheet:
    """Chooses cases and shows them.

    Args:
        rows: The rows of the table.
        judged: What was measured.
        pictures: Gives their frames.
    """

    def __init__(self, rows: Sequence[Row], judged: Sequence[Judged], pictures: Pictures) -> None:
        self._rows, self._judged, self._frames = rows, judged, pictures

    def pictures(self) -> list[Case]:
        """Return the cases, self-reenactment first; none where no method draws."""
        subject = _subject(self._rows)
        if subject is None:
            return []
        return [case for mode in (SELF, CROSS) for case in self._cases(mode, subject)]

    def _cases(self, mode: str, subject: str) -> list[Case]:
        own = [one for one in self._judged if one.mode == mode and one.row == subject]
        figure, sign = _figure(own)
        own = sorted(
            (one for one in own if figure in one.figures),
            key=lambda one: sign * one.figures[figure],
        )
        chosen = _spread(len(own))
        return [self._case(kind, own[place], figure) for kind, place in chosen]

    def _case(self, kind: str, one: Judged, figure: str) -> Case:
        place = _frame(kind, one)
        names = ["source", *(row.name for row in self._rows), "truth"]
        names = list(dict.fromkeys(name for name in names if name != "truth"))
        there = {other.row for other in self._judged if other.take == one.take}
        shown = [name for name in names if name == "source" or name in there]
        last = "truth" if one.take.is_self else "driver"
        strip = [(name, _jpeg(self._frames(one.take, name, place))) for name in shown]
        strip.append((last, _jpeg(self._frames(one.take, "truth", place))))
        frame, ranked = one.take.wanted[place], (one.row, figure, one.figures[figure])
        return Case(kind, one.mode, one.take.name, frame, ranked, tuple(strip))


def _subject(rows: Sequence[Row]) -> str | None:
    """Return the row whose cases are shown: the first that learns, else the first that draws."""
    learned = [row.name for row in rows if row.method.n_shots is None]
    drawing = [row.name for row in rows if row.method.name not in ("source", "truth")]
    return next(iter((*learned, *drawing)), None)


def _figure(judged: Sequence[Judged]) -> tuple[str, int]:
    """Return what cases are ranked by, and 1 if little of it is best."""
    names = sorted({name for one in judged for name in one.figures})
    perceptual = [name for name in names if name.startswith(PERCEPTUAL)]
    if perceptual:
        return perceptual[0], 1
    for name in ("ssim", "csim", "mouth"):
        if name in names:
            return name, -1
    return "jitter", 1


def _spread(n_cases: int) -> list[tuple[str, int]]:
    """Return kinds and places in a ranking, each place once."""
    n_each = min(_N_EACH, max(1, n_cases // len(_KINDS)))
    middle = (n_cases - n_each) // 2
    starts = {"best": 0, "median": middle, "worst": n_cases - n_each}
    taken: dict[int, str] = {}
    for kind in ("best", "worst", "median"):
        for place in range(starts[kind], starts[kind] + n_each):
            if 0 <= place < n_cases:
                taken.setdefault(place, kind)
    return [(taken[place], place) for place in sorted(taken)]


def _frame(kind: str, one: Judged) -> int:
    """Return the place of a frame as good within its clip as the clip is among the others."""
    if one.frame_ssim is None:
        return len(one.take.wanted) // 2
    order = np.argsort(-np.nan_to_num(one.frame_ssim, nan=-1.0), kind="stable")
    return int(order[{"best": 0, "median": len(order) // 2, "worst": -1}[kind]])


def _jpeg(frame: U8Array) -> str:
    small = cv2.resize(frame, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
