"""Labelled faces for training the bundled tracker: reading, sampling and spoiling pictures.

The format on disk: a dataset of clips (see `dataset`), and beside it `portraits.tsv`,
`portraits/NAME.jpg` and `portraits/points.npz` (`[70, 2]` under each name). The table of portraits
has a column `split`, too.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from thvideo.errors import InputError
from thvideo.landmarks.schema import LEFT_LIDS, RIGHT_LIDS, outer_eye_distance
from thvideo.shapes import F32Array, U8Array
from thvideo.training.dataset import ClipRow, ClipTable, inset_slices, read_frames, read_labels

LID_PAIRS = (*RIGHT_LIDS, *LEFT_LIDS)
LIDS_AND_LIPS = slice(36, 68)
# An eye opened less than this share of the clip's median opening is closed or closing.
CLOSED_SHARE = 0.55


@dataclass(frozen=True)
class Face:
    """One labelled picture.

    Attributes:
        picture: `[H, W, 3]` RGB.
        points: `[70, 2]` pixels.
        group: person or picture name; sampling draws groups, then faces.
        closed: whether it is a clip's frame with closed or closing eyes.
    """

    picture: U8Array
    points: F32Array
    group: str
    closed: bool = False


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a tab-separated table with a header.

    Raises:
        InputError: the file is not there.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing", hint="give the folder that holds clips.tsv and portraits.tsv"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_portraits(root: Path, split: Literal["train", "val"]) -> list[Face]:
    """All portraits of a split, sorted by name."""
    points = np.load(root / "portraits" / "points.npz", allow_pickle=False)
    faces = []
    for row in read_table(root / "portraits.tsv"):
        name = row["picture"]
        if row["split"] != split:
            continue
        picture = cv2.imread(str(root / "portraits" / f"{name}.jpg"), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(
                f"{root / 'portraits' / name}.jpg cannot be read", hint="remove it from the table"
            )
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        faces.append(Face(np.asarray(rgb, np.uint8), points[name].astype(np.float32), name))
    return faces


def read_clips(
    root: Path, split: Literal["train", "val"], step: int, *, keep_blinks: bool = False
) -> list[Face]:
    """Every `step`-th frame of a split's clips, with steadied labels, and all blinks if wanted."""
    faces: list[Face] = []
    table = ClipTable(root)
    for index in table.indices(split):
        faces.extend(_read_clip(root, table[int(index)], step, keep_blinks))
    return faces


def _read_clip(root: Path, row: ClipRow, step: int, keep_blinks: bool) -> Iterator[Face]:
    points = read_labels(root, row).points
    # The labeller trembles from frame to frame; neighbours halve that.
    padded = np.concatenate([points[:1], points, points[-1:]])
    steady = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    # Lids and lips are faster than that: averaged, no eye would ever close.
    steady[:, LIDS_AND_LIPS] = points[:, LIDS_AND_LIPS]
    opening = eye_opening(np.asarray(steady, np.float32))
    closed = opening < CLOSED_SHARE * np.median(opening)
    wanted = [i for i in range(row.n_frames) if i % step == 0 or (keep_blinks and closed[i])]
    for index, rgb in zip(wanted, read_frames(root, row, wanted), strict=True):
        if row.kind == "synthetic":
            cover_inset(rgb)
        # A copy, lest one kept frame keep its whole clip in memory.
        yield Face(rgb.copy(), steady[index], row.identity, bool(closed[index]))


def read_pictures(folder: Path, longest_px: int = 480) -> list[U8Array]:
    """All JPEG and PNG pictures of a folder, sorted by name, shrunk to `longest_px`."""
    pictures = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
            continue
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(f"{path} cannot be read", hint="remove it from the folder")
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        scale = longest_px / max(rgb.shape[:2])
        if scale < 1:
            rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(rgb, np.uint8))
    return pictures


def cover_inset(picture: U8Array) -> None:
    """Paint the lower left corner of a synthetic clip's frame over, in place."""
    rows, columns = inset_slices(len(picture))
    above = picture[rows.start - 8 : rows.start, columns]
    picture[rows, columns] = above.mean(axis=(0, 1)).astype(np.uint8)


class FaceSampler:
    """Draws faces: portraits with a fixed chance, otherwise a person, then one of their frames.

    Args:
        clips: frames of clips.
        portraits: single pictures.
        portrait_share: chance of a portrait.
        blink_share: chance that a person's frame is one with closed eyes.
    """

    def __init__(
        self,
        clips: list[Face],
        portraits: list[Face],
        portrait_share: float = 0.4,
        blink_share: float = 0.3,
    ) -> None:
        self._people = _by_person(clips)
        self._blinking = _by_person([face for face in clips if face.closed])
        self._blink_share = blink_share if self._blinking else 0.0
        self._portraits = portraits
        self._share = portrait_share if clips else 1.0
        if not portraits:
            self._share = 0.0

    def draw(self, rng: np.random.Generator) -> Face:
        """One face."""
        if rng.random() < self._share:
            return self._portraits[rng.integers(len(self._portraits))]
        people = self._blinking if rng.random() < self._blink_share else self._people
        frames = people[rng.integers(len(people))]
        return frames[rng.integers(len(frames))]


def _by_person(clips: list[Face]) -> list[list[Face]]:
    people: dict[str, list[Face]] = {}
    for face in clips:
        people.setdefault(face.group, []).append(face)
    return [people[name] for name in sorted(people)]


def eye_opening(points: F32Array) -> F32Array:
    """Mean distance of upper and lower lids over the outer-eye distance, `[T]` of `[T, 70, 2]`."""
    upper, lower = zip(*LID_PAIRS, strict=True)
    gaps = np.linalg.norm(points[:, list(upper)] - points[:, list(lower)], axis=-1)
    return np.asarray(gaps.mean(1) / outer_eye_distance(points), np.float32)
