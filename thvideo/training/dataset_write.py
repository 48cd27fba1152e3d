"""What `thvideo prepare` keeps of every video, and the tables that are made of it.

Beside the dataset's clips lies `records/`, one small JSON file for each video that is finished:
its clips, and its rejects with their reasons. The tables are written from the records in the order
of their names, which are hashes: they do not depend on who was faster, and nothing but one folder
of records is ever held in memory.
"""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from thvideo.errors import InputError
from thvideo.reading import json_of
from thvideo.shapes import F32Array
from thvideo.training.dataset import COLUMNS, POINT_UNIT_PX, TABLE, clip_path
from thvideo.workspace.durable import fsync_file, fsync_folder, replacing

REJECTS = "rejects.tsv"
RECORDS = "records"
# The folder of files that are being written; a new run empties it.
UNFINISHED = "tmp"

Reason = Literal["unreadable", "no face", "face too small", "cut", "fault"]
REJECT_COLUMNS = ("video", "start_s", "end_s", "reason", "detail")
# Besides the columns that readers need.
MORE_COLUMNS = ("fps", "face_px", "start_s")


@dataclass(frozen=True)
class ClipEntry:
    """One clip that was made.

    Attributes:
        clip: its name, such as "3f/3f0c52d1e8a94b76-002".
        n_frames: how many frames it has.
        crop_px: side of the crop in the video.
        face_px: median height of the face in the video, brows to chin.
        start_s: time of its first frame in the video.
    """

    clip: str
    n_frames: int
    crop_px: float
    face_px: float
    start_s: float


@dataclass(frozen=True)
class Reject:
    """A video, or a part of one, that became no clip.

    Attributes:
        reason: why, in the words that are counted.
        detail: the same with values.
        start_s: where the part begins; 0 for a whole video.
        end_s: where it ends; 0 for a whole video.
    """

    reason: Reason
    detail: str
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True)
class Record:
    """What became of one video.

    Attributes:
        video: its path below the folder of videos, with slashes.
        n_bytes: its size; a file of another size is another video.
        identity: whose face it shows; empty if that is not known, and its clips are not used.
        fps: frames a second of its clips.
        clips: what was made of it.
        rejects: what was not.
    """

    video: str
    n_bytes: int
    identity: str
    fps: float
    clips: tuple[ClipEntry, ...] = ()
    rejects: tuple[Reject, ...] = ()

    @property
    def is_to_be_tried_again(self) -> bool:
        """Whether it was a fault of ours, or of the machine, that ended the work."""
        return any(reject.reason == "fault" for reject in self.rejects)


@dataclass
class Counts:
    """What a dataset holds; the parts are by split.

    Attributes:
        moving: people with a clip of more than one frame.
    """

    n_videos: int = 0
    n_used_videos: int = 0
    n_clips: Counter[str] = field(default_factory=Counter)
    n_frames: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "val": 0.0})
    people: dict[str, set[str]] = field(default_factory=lambda: {"train": set(), "val": set()})
    moving: set[str] = field(default_factory=set)
    rejects: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "videos": self.n_videos,
            "videos_used": self.n_used_videos,
            "splits": {
                split: {
                    "people": len(people),
                    "clips": self.n_clips[split],
                    "frames": self.n_frames[split],
                    "seconds": round(self.seconds[split], 2),
                }
                for split, people in self.people.items()
            },
            "rejects": dict(sorted(self.rejects.items())),
        }


def video_key(video: str) -> str:
    """Return the name of a video's record and the start of its clips' names: 16 hex digits."""
    return hashlib.sha256(os.fsencode(video)).hexdigest()[:16]


def clip_name(key: str, number: int) -> str:
    """Return a clip's name; the folder level keeps a million clips in 256 folders."""
    return f"{key[:2]}/{key}-{number:03d}"


def place_of(identity: str, seed: int) -> int:
    """Return a person's place among all that there could be, 0 to 2^64, by a hash.

    The first ones are for validation: whoever else comes or goes, people stay in their split.
    """
    digest = hashlib.sha256(f"{seed}\0{identity}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def record_path(root: Path, key: str) -> Path:
    """Return where a video's record lies."""
    return root / RECORDS / key[:2] / f"{key}.json"


def read_record(path: Path) -> Record | None:
    """Read a record; None where there is none, or it cannot be read."""
    try:
        values = json_of(path.read_text(encoding="utf-8"))
        values["clips"] = tuple(ClipEntry(**clip) for clip in values["clips"])
        values["rejects"] = tuple(Reject(**reject) for reject in values["rejects"])
        return Record(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(root: Path, record: Record) -> None:
    """Say that a video is finished; its clips are in their places by then."""
    path = record_path(root, video_key(record.video))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not beside the records: what a killed run left there would be read as one.
    beside = root / UNFINISHED / path.name
    beside.parent.mkdir(exist_ok=True)
    beside.write_text(json.dumps(asdict(record)), encoding="utf-8")
    fsync_file(beside)
    beside.replace(path)
    fsync_folder(path.parent)


def write_labels(path: Path, points: F32Array, valid: tuple[int, int, int, int]) -> None:
    """Write a clip's labels as `dataset.read_labels` reads them.

    Args:
        path: the npz to write.
        points: `[T, 70, 2]` crop pixels.
        valid: x0, y0, x1, y1 of the crop pixels inside the picture.
    """
    sixteenths = np.clip(np.rint(points / POINT_UNIT_PX), -(2**15), 2**15 - 1)
    with path.open("wb") as file:
        np.savez(file, points=sixteenths.astype(np.int16), valid=np.array(valid, np.int16))


def remove_clips(root: Path, record: Record) -> None:
    """Remove the clips of a video that is prepared anew."""
    for entry in record.clips:
        for suffix in (".mp4", ".npz"):
            clip_path(root, entry.clip, suffix).unlink(missing_ok=True)


def records(root: Path) -> Iterator[Record]:
    """Yield all records in the order of their keys.

    Raises:
        InputError: a record is damaged.
    """
    for path in record_paths(root):
        record = read_record(path)
        if record is None:
            raise InputError(f"{path} is damaged", hint="remove it and run the same command again")
        yield record


def record_paths(root: Path) -> Iterator[Path]:
    """Yield where all records lie, in the order of their keys."""
    for folder in sorted((root / RECORDS).glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.glob("*.json")):
            if not path.name.startswith("."):
                yield path


def write_tables(root: Path, val_share: float, seed: int) -> Counts:
    """Write `clips.tsv` and `rejects.tsv` from all records; the same records give the same bytes.

    Of two people or more, one is always left for `train` and one for `val`, unless the share is
    0 or 1: the one whose hash is next to it. People of whom there are still pictures alone are for
    training: nothing can be validated with them.

    Raises:
        InputError: a record is damaged.
        OSError: the disk refuses.
    """
    moving = {
        record.identity
        for record in records(root)
        if record.identity and any(clip.n_frames > 1 for clip in record.clips)
    }
    places = sorted(place_of(identity, seed) for identity in moving)
    first_train = val_share * 2**64
    if 0 < val_share < 1 and len(places) > 1:
        first_train = min(max(first_train, places[0] + 1), places[-1])
    return _write_tables(root, moving, first_train, seed)


def _write_tables(root: Path, moving: set[str], first_train: float, seed: int) -> Counts:
    """Write the tables; people from a place on are for training, and those who never move."""
    counts = Counts(moving=moving)
    with writing(root / TABLE) as clips, writing(root / REJECTS) as rejects:
        _write_row(clips, (*COLUMNS, *MORE_COLUMNS))
        _write_row(rejects, REJECT_COLUMNS)
        for record in records(root):
            is_for_val = record.identity in moving and place_of(record.identity, seed) < first_train
            split = "val" if is_for_val else "train"
            counts.n_videos += 1
            if not record.identity:
                counts.rejects["no identity"] += 1
                detail = "the table of identities does not name it"
                _write_row(rejects, (record.video, "0.000", "0.000", "no identity", detail))
                continue
            counts.n_used_videos += bool(record.clips)
            for clip in record.clips:
                counts.n_clips[split] += 1
                counts.n_frames[split] += clip.n_frames
                counts.seconds[split] += clip.n_frames / record.fps
                counts.people[split].add(record.identity)
                kind = "real" if clip.n_frames > 1 else "picture"
                _write_row(
                    clips,
                    (
                        *(clip.clip, record.identity, split, kind, clip.n_frames),
                        *(round(clip.crop_px), record.video),
                        *(f"{record.fps:g}", round(clip.face_px), f"{clip.start_s:.3f}"),
                    ),
                )
            for reject in record.rejects:
                counts.rejects[reject.reason] += 1
                span = (f"{reject.start_s:.3f}", f"{reject.end_s:.3f}")
                _write_row(rejects, (record.video, *span, reject.reason, reject.detail))
    return counts


@contextmanager
def writing(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing that gets its name when the block succeeds."""
    # Names that are no UTF-8 can be on a disk; they are shown escaped.
    with replacing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="\n")
        yield text
        text.detach()


def _write_row(file: IO[str], cells: tuple[object, ...]) -> None:
    # Tabs and line ends within a cell would be read as the table's own.
    file.write("\t".join(" ".join(str(cell).split()) for cell in cells) + "\n")
