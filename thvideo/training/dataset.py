"""Labelled clips of faces on disk, read as they are needed.

The format: a folder with a tab-separated table `clips.tsv`, `clips/CLIP.mp4` and `clips/CLIP.npz`
(`points` int16 `[T, 70, 2]` in sixteenths of a pixel, `valid` `[4]`: x0, y0, x1, y1 of the pixels
that lie inside the original picture). A clip is one face, its crop fixed over all T frames of S by
S pixels; its name may hold one folder level. A table of a million rows is never held in memory.
"""

import codecs
import hashlib
import os
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np

from thvideo.errors import InputError, reason_of
from thvideo.shapes import BoolArray, F32Array, I64Array, U8Array

TABLE = "clips.tsv"
COLUMNS = ("clip", "identity", "split", "kind", "frames", "crop_px", "source")
POINT_UNIT_PX = 1 / 16
# What NumPy raises on damaged files of arrays, and on files of another kind.
ARRAY_DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, SyntaxError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
# More than four days: a larger number is no clip's, and nothing could hold its frames.
_MOST_FRAMES = 10_000_000
# The inset picture of synthetic clips lies in the lower left corner (fractions of the crop).
INSET_HEIGHT, INSET_WIDTH = 0.28, 0.28

_REMAKE = (
    "put a whole one there, or leave it out of clips.tsv: a run that knew it goes on as a new one, "
    "--init RUN"
)


@dataclass(frozen=True)
class ClipRow:
    """One row of the table.

    Attributes:
        clip: name of its files below `clips`.
        identity: whose face.
        split: "train" or "val".
        kind: "real", "picture" for clips of one frame, or "synthetic" for clips with an inset
            picture in the lower left corner.
        n_frames: how many frames it has.
        crop_px: side of the crop in the original picture, pixels.
        source: where it comes from.
    """

    clip: str
    identity: str
    split: str
    kind: str
    n_frames: int
    crop_px: int
    source: str


@dataclass(frozen=True)
class Labels:
    """What is known of a clip's frames.

    Attributes:
        points: `[T, 70, 2]` crop pixels.
        valid: `[4]` x0, y0, x1, y1 of the crop pixels inside the original picture.
    """

    points: F32Array
    valid: I64Array


class ClipTable:
    """The rows of `clips.tsv`, each read from the file when it is asked for.

    One pass finds where every row begins: nine bytes a row are kept. Columns may come in any
    order, and others than ours are left alone.

    Args:
        root: the dataset's folder.

    Raises:
        InputError: the table is missing, lacks a column or has a row of another length.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / TABLE
        try:
            self._scan()
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be read ({error.strerror})",
                hint="give the folder that holds clips.tsv, or make one with thvideo prepare",
            ) from error

    def _scan(self) -> None:
        with self._path.open("rb") as file:
            # Spreadsheets begin their tables with a mark.
            header = self._cells(file.readline().removeprefix(codecs.BOM_UTF8), 1)
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(
                    f"{self._path} has no column {', '.join(missing)}",
                    hint=f"its first line has to name {' '.join(COLUMNS)}, separated by tabs",
                )
            self._columns = {name: header.index(name) for name in COLUMNS}
            self._n_columns = len(header)
            offsets, codes = array("q"), array("B")
            self._splits: list[str] = []
            offset = file.tell()
            for line_number, line in enumerate(file, start=2):
                if line.strip():
                    split = self._row_cells(line, line_number)[self._columns["split"]]
                    if split not in self._splits:
                        self._splits.append(split)
                    if len(self._splits) > 255:
                        raise InputError(
                            f"{self._path} has more than 255 different splits",
                            hint="the column split holds train or val",
                        )
                    offsets.append(offset)
                    codes.append(self._splits.index(split))
                offset += len(line)
        self._offsets: I64Array = np.array(offsets, np.int64)
        self._codes: U8Array = np.array(codes, np.uint8)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> ClipRow:
        """Read one row.

        Raises:
            IndexError: there is no such row.
            InputError: a number in it is none, or the file has changed.
        """
        with self._path.open("rb") as file:
            file.seek(int(self._offsets[index]))
            cells = self._row_cells(file.readline(), f"row {index + 1}")
        named = {name: cells[column] for name, column in self._columns.items()}
        try:
            n_frames, crop_px = _n_frames(named.pop("frames")), round(float(named.pop("crop_px")))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"row {index + 1} of {self._path} has no whole number of frames or crop_px",
                hint="mend or remove the row",
            ) from error
        return ClipRow(n_frames=n_frames, crop_px=crop_px, **named)

    def indices(self, split: Literal["train", "val"]) -> I64Array:
        """Return the indices of all rows of a split, in the table's order."""
        if split not in self._splits:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._codes == self._splits.index(split)).astype(np.int64)

    def people_and_lengths(self) -> tuple[I64Array, I64Array]:
        """Return whose each row is, as a place in the sorted names, and how many frames it has.

        One pass over the file; of its texts only the names are held, and only meanwhile.

        Raises:
            InputError: a row has no whole number of frames.
        """
        places: dict[str, int] = {}
        codes, lengths = array("q"), array("q")
        with self._path.open("rb") as file:
            file.readline()
            for line_number, line in enumerate(file, start=2):
                if not line.strip():
                    continue
                cells = self._row_cells(line, line_number)
                codes.append(places.setdefault(cells[self._columns["identity"]], len(places)))
                try:
                    lengths.append(_n_frames(cells[self._columns["frames"]]))
                except ValueError as error:
                    raise InputError(
                        f"line {line_number} of {self._path} has no whole number of frames",
                        hint="mend or remove the line",
                    ) from error
        rank = np.zeros(len(places), np.int64)
        rank[[places[name] for name in sorted(places)]] = np.arange(len(places))
        return rank[np.array(codes, np.int64)], np.array(lengths, np.int64)

    def digest(self, rows: I64Array) -> str:
        """Return the SHA-256 of the names of some clips, in hex.

        Args:
            rows: `[N]` indices, increasing.
        """
        wanted = np.zeros(len(self), np.bool_)
        wanted[rows] = True
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            file.readline()
            lines = (line for line in file if line.strip())
            for is_wanted, line in zip(wanted.tolist(), lines, strict=False):
                if is_wanted:
                    digest.update(line.rstrip(b"\r\n").split(b"\t")[self._columns["clip"]] + b"\0")
        return digest.hexdigest()

    def _row_cells(self, line: bytes, where: int | str) -> list[str]:
        cells = self._cells(line, where)
        if len(cells) != self._n_columns:
            place = f"line {where}" if isinstance(where, int) else where
            raise InputError(
                f"{place} of {self._path} has {len(cells)} cells, not {self._n_columns}",
                hint="mend or remove the line; cells are separated by one tab",
            )
        return cells

    def _cells(self, line: bytes, where: int | str) -> list[str]:
        try:
            return line.decode("utf-8").rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._path} is not UTF-8 text (at {where})", hint="it has to be a table of text"
            ) from error


def _n_frames(text: str) -> int:
    n_frames = int(text)
    if not 0 <= n_frames <= _MOST_FRAMES:
        raise ValueError(f"{n_frames} is no number of frames")
    return n_frames


def clip_path(root: Path, clip: str, suffix: Literal[".mp4", ".npz"]) -> Path:
    """Return where one of a clip's two files lies.

    Raises:
        InputError: the name leads out of the dataset.
    """
    parts = PurePosixPath(clip)
    if not clip or "\0" in clip or parts.is_absolute() or ".." in parts.parts:
        raise InputError(
            f"{clip!r} is no name of a clip", hint="names are paths below the folder clips"
        )
    return root / "clips" / f"{clip}{suffix}"


def read_labels(root: Path, row: ClipRow) -> Labels:
    """Read a clip's points and valid box.

    Raises:
        InputError: the file is missing or damaged, or does not have a face for every frame with
            finite points.
    """
    path = clip_path(root, row.clip, ".npz")
    try:
        with np.load(path, allow_pickle=False) as data:
            points, valid = data["points"], data["valid"]
    except ARRAY_DAMAGE as error:
        raise InputError(
            f"{path} is missing or damaged ({reason_of(error)})", hint=_REMAKE
        ) from error
    if points.shape != (row.n_frames, 70, 2) or valid.shape != (4,):
        raise InputError(
            f"{path} has points {list(points.shape)} for {row.n_frames} frames", hint=_REMAKE
        )
    numbers = all(array.dtype.kind in "iuf" for array in (points, valid))
    if not (numbers and np.isfinite(points).all() and np.isfinite(valid).all()):
        raise InputError(f"{path} holds numbers that are none", hint=_REMAKE)
    return Labels(points.astype(np.float32) * np.float32(POINT_UNIT_PX), valid.astype(np.int64))


def read_frames(root: Path, row: ClipRow, indices: Sequence[int] | None = None) -> U8Array:
    """Decode frames of a clip.

    Args:
        root: the dataset's folder.
        row: the clip.
        indices: which frames, in the order wanted, repeats allowed; None for all.

    Returns:
        `[N, S, S, 3]` RGB.

    Raises:
        IndexError: there is no such frame, or none is wanted.
        InputError: the clip is missing, damaged or not square, or ends before a frame that is
            wanted.
    """
    path = clip_path(root, row.clip, ".mp4")
    wanted = list(range(row.n_frames)) if indices is None else [int(i) for i in indices]
    if not wanted or not 0 <= min(wanted) <= max(wanted) < row.n_frames:
        raise IndexError(f"{row.clip} has frames 0 to {row.n_frames - 1}, not {wanted}")
    needed = set(wanted)
    found: dict[int, U8Array] = {}
    # As bytes, which its types do not know: text that is not UTF-8 ends the whole process.
    capture = cv2.VideoCapture(os.fsencode(path))  # type: ignore[call-overload]
    try:
        # Frames are counted, not sought: what a container says of its key frames is not exact.
        for index in range(max(wanted) + 1):
            if not capture.grab():
                raise InputError(
                    f"{path} ends at frame {index} of {row.n_frames}"
                    if index
                    else f"{path} is missing or cannot be decoded",
                    hint=_REMAKE,
                )
            if index in needed:
                whole, picture = capture.retrieve()
                if not whole:
                    raise InputError(f"frame {index} of {path} is damaged", hint=_REMAKE)
                found[index] = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
    frames = np.stack([found[index] for index in wanted])
    if frames.shape[1] != frames.shape[2]:
        raise InputError(
            f"{path} is {frames.shape[2]} x {frames.shape[1]} pixels, not square", hint=_REMAKE
        )
    return frames


def inset_slices(size_px: int) -> tuple[slice, slice]:
    """Return rows and columns of the inset picture in a synthetic clip's frame."""
    top, right = int(size_px * (1 - INSET_HEIGHT)), int(size_px * INSET_WIDTH)
    return slice(top, size_px), slice(0, right)


def loss_mask(row: ClipRow, labels: Labels, size_px: int) -> BoolArray:
    """Return which pixels of a clip's frames are the face's own picture.

    Args:
        row: the clip.
        labels: its labels.
        size_px: side of its frames on disk.

    Returns:
        `[S, S]`, true where a pixel counts: inside the valid box and outside the inset picture.
    """
    x0, y0, x1, y1 = labels.valid
    mask = np.zeros((size_px, size_px), np.bool_)
    mask[y0:y1, x0:x1] = True
    if row.kind == "synthetic":
        mask[inset_slices(size_px)] = False
    return mask
