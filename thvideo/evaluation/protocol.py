"""Who is drawn, from which frames, and which frames are held out (section 4 of arXiv:1905.08233).

Different from the paper: held-out frames come in runs of consecutive ones, because jitter shows
in nothing else. Which frames they are depends on the clip's length alone, and the source frames
on its name and the seed: T = 8 has the source of T = 1 and seven more.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from thvideo.errors import InputError, UsageError, reason_of
from thvideo.evaluation.clip_landmarks import Landmarks
from thvideo.reading import open_table
from thvideo.shapes import I64Array
from thvideo.training.dataset import ClipRow, ClipTable

PAIR_COLUMNS = ("source", "driver")
_LEAST_FRAMES = 2


@dataclass(frozen=True)
class ProtocolOptions:
    """What is evaluated.

    Args:
        split: Whose clips: "val" or "train".
        shots: How many source frames, T, each a row of its own.
        n_frames: Frames of a clip that are held out, at most half of them.
        run_frames: Consecutive frames in a run of these.
        n_clips: Clips of each person at most.
        limit: People at most; 0 takes all.
        seed: Of the choice of source frames.
        landmarks: What is drawn from: landmarks that the bundled tracker finds, as in
            reenactment, or the dataset's labels.
    """

    split: Literal["train", "val"] = "val"
    shots: tuple[int, ...] = (1, 8, 32)
    n_frames: int = 32
    run_frames: int = 16
    n_clips: int = 1
    limit: int = 0
    seed: int = 0
    landmarks: Landmarks = "tracked"


@dataclass(frozen=True)
class Take:
    """Frames of a driver to be drawn from frames of a source.

    Args:
        source: The clip of the person who is drawn.
        driver: The clip whose motion is drawn; the source's own for self-reenactment.
        sources: Frames of the source in the order of their use.
        wanted: Frames of the driver, in runs of consecutive ones.
    """

    source: ClipRow
    driver: ClipRow
    sources: tuple[int, ...]
    wanted: tuple[int, ...]

    @property
    def is_self(self) -> bool:
        """Whether the driver is the source, so that the true frames are known."""
        return self.source.clip == self.driver.clip

    @property
    def name(self) -> str:
        """How files of it are called: the clip, or the source's and the driver's."""
        clip = self.source.clip
        return clip if self.is_self else f"{clip}--{self.driver.clip.replace('/', '-')}"

    @property
    def starts(self) -> list[int]:
        """Places in ``wanted`` at which runs begin."""
        return [0, *(int(place) for place in np.flatnonzero(np.diff(self.wanted) != 1) + 1)]


def held_out(n_clip: int, options: ProtocolOptions) -> list[int]:
    """Return the held-out frames of a clip of ``n_clip`` frames: runs, spread evenly over it."""
    n_held = min(options.n_frames, n_clip // 2)
    n_runs = max(1, round(n_held / options.run_frames))
    lengths = [n_held // n_runs + (index < n_held % n_runs) for index in range(n_runs)]
    free, used, frames = n_clip - n_held, 0, list[int]()
    for index, length in enumerate(lengths):
        start = int(free * (index + 0.5) / n_runs) + used
        frames += range(start, start + length)
        used += length
    return frames


def source_frames(row: ClipRow, options: ProtocolOptions) -> list[int]:
    """Return the frames of a clip that are not held out, in the order in which they are used."""
    others = np.setdiff1d(np.arange(row.n_frames), held_out(row.n_frames, options))
    own = int.from_bytes(hashlib.sha256(row.clip.encode()).digest()[:4], "big")
    return [int(frame) for frame in np.random.default_rng([options.seed, own]).permutation(others)]


def self_takes(table: ClipTable, options: ProtocolOptions) -> list[Take]:
    """Return the self-reenactments of a dataset's people, in the order of their names.

    Pictures, clips of one frame, are left out.

    Raises:
        InputError: Nobody is of the split.
    """
    people, lengths = table.people_and_lengths()
    rows = table.indices(options.split)
    rows = rows[lengths[rows] >= _LEAST_FRAMES]
    if not len(rows):
        raise InputError(
            f"{table.root} has no {options.split} clips of two frames",
            hint="--split train, or another dataset: its table says which clips are of which split",
        )
    chosen = _by_person(rows, people[rows], options)
    return [_self(table[int(index)], options) for index in chosen]


def _by_person(rows: I64Array, people: I64Array, options: ProtocolOptions) -> list[int]:
    names = np.unique(people)[: options.limit or None]
    return [int(row) for name in names for row in rows[people == name][: options.n_clips]]


def _self(row: ClipRow, options: ProtocolOptions) -> Take:
    frames = tuple(source_frames(row, options)), tuple(held_out(row.n_frames, options))
    return Take(row, row, *frames)


def cross_takes(table: ClipTable, pairs: Path, options: ProtocolOptions) -> list[Take]:
    """Return the cross-reenactments of a table of pairs.

    Args:
        table: The dataset.
        pairs: Tab-separated, its first line ``source`` and ``driver``, names of clips below.
        options: What is evaluated; of any split.

    Raises:
        InputError: The table cannot be read, or names a clip that is not there.
    """
    try:
        with open_table(pairs) as file:
            # Names of clips may hold quotes: tabs alone divide cells, as in clips.tsv.
            lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{pairs} cannot be read ({reason_of(error)})", hint="check the path"
        ) from error
    if not lines or any(name not in lines[0] for name in PAIR_COLUMNS):
        raise InputError(
            f"{pairs} has no pairs",
            hint=f"its first line has to name {' and '.join(PAIR_COLUMNS)}, separated by a tab",
        )
    named = {line[column] or "" for line in lines for column in PAIR_COLUMNS}
    rows = {row.clip: row for row in (table[i] for i in range(len(table))) if row.clip in named}
    if missing := sorted(named - rows.keys()):
        raise InputError(
            f"{pairs} names {missing[0]!r}, which is no clip of {table.root}",
            hint="clips are named as in the column clip of clips.tsv",
        )
    takes = []
    for line in lines:
        source, driver = (rows[line[column]] for column in PAIR_COLUMNS)
        if source.clip == driver.clip:
            raise InputError(
                f"{pairs} pairs {source.clip} with itself", hint="its own frames are drawn anyway"
            )
        sources = tuple(source_frames(source, options))
        takes.append(Take(source, driver, sources, tuple(held_out(driver.n_frames, options))))
    people = sorted({take.source.identity for take in takes})[: options.limit or None]
    return [take for take in takes if take.source.identity in people]


def too_short(take: Take, n_shots: int) -> str | None:
    """Say why a take cannot be drawn from so many source frames, if it cannot."""
    if take.driver.n_frames < _LEAST_FRAMES:
        return "a driver of one frame has none to be held out"
    if len(take.sources) < n_shots:
        return f"only {len(take.sources)} frames are left to be sources, {n_shots} are wanted"
    return None


def check_protocol(options: ProtocolOptions) -> None:
    """Check what was asked for.

    Raises:
        UsageError: A number is too small.
    """
    if not options.shots or min(options.shots) < 1:
        raise UsageError("--shots needs numbers of source frames", hint="such as --shots 1,8,32")
    for name, value in (
        ("frames", options.n_frames),
        ("run", options.run_frames),
        ("clips", options.n_clips),
    ):
        if value < 1:
            raise UsageError(f"--{name} cannot be {value}", hint="give a positive number")
    if options.limit < 0:
        raise UsageError(f"--limit cannot be {options.limit}", hint="0 takes all people")
    if options.landmarks not in ("tracked", "labels"):
        raise UsageError(
            f"there are no landmarks {options.landmarks!r}", hint="--landmarks tracked or labels"
        )
    if options.seed < 0:
        raise UsageError(f"--seed cannot be {options.seed}", hint="give 0 or a positive number")
