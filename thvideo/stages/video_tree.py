"""The videos of a folder tree, one after another, and whose face each of them shows."""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from thvideo.errors import InputError, reason_of
from thvideo.reading import open_table

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"}
    | {".ts", ".mts", ".flv", ".wmv", ".3gp", ".ogv"}
)
#: Of all that `imaging.picture` reads.
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm"}
    | {".avif", ".heic", ".heif", ".jp2", ".j2k"}
)
# People of VoxCeleb; their folders may lie at any depth: dev/mp4/id00012/21Uxsk56VDQ/00001.mp4.
_VOXCELEB_ID = re.compile(r"id\d{5}")


def is_picture_name(name: str) -> bool:
    """Say by its name whether a file is a still picture."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def walk_videos(
    root: Path, leave_out: Path | None = None, *, with_pictures: bool = False
) -> Iterator[str]:
    """Yield the paths of all videos below a folder, with slashes, sorted within each folder.

    Only one folder's names are held at a time. Hidden files and folders are left out; links to
    folders are followed, but never in a circle.

    Args:
        root: where to look.
        leave_out: a folder that is not entered.
        with_pictures: whether still pictures count as videos of one frame.

    Raises:
        InputError: a folder cannot be read.
    """
    unwanted = None if leave_out is None else _real(leave_out)
    wanted = VIDEO_SUFFIXES | PICTURE_SUFFIXES if with_pictures else VIDEO_SUFFIXES
    yield from _walk(root, "", (_real(root),), unwanted, wanted)


def _real(path: Path) -> Path:
    """Return where links lead; a link in a circle leads nowhere, which is no error here."""
    return Path(os.path.realpath(path))


def _walk(
    folder: Path,
    prefix: str,
    above: tuple[Path, ...],
    unwanted: Path | None,
    wanted: frozenset[str],
) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
            )
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read ({error.strerror})", hint="check its permissions"
        ) from error
    for name, is_folder in found:
        if not is_folder:
            if Path(name).suffix.lower() in wanted:
                yield prefix + name
            continue
        below = folder / name
        real = _real(below)
        if real != unwanted and real not in above:
            yield from _walk(below, f"{prefix}{name}/", (*above, real), unwanted, wanted)


class Identities:
    """Says whose face a video shows.

    Without a table it is the VoxCeleb person's folder (`id` and five digits) where there is one,
    else the first folder below the videos' own; a video in no folder is a person of its own.

    Args:
        table: `--identity-from`: columns `video` (a video or a folder, relative to the videos'
            folder) and `identity`, separated by commas in a .csv and by tabs elsewhere.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """

    def __init__(self, table: Path | None = None) -> None:
        self._named = None if table is None else _read_identities(table)

    def of(self, video: str) -> str:
        """Return the identity; empty if there is a table and it does not name the video."""
        path = PurePosixPath(video)
        if self._named is not None:
            places = (video, *(str(folder) for folder in path.parents))
            return next((self._named[place] for place in places if place in self._named), "")
        folders = path.parts[:-1]
        known = [name for name in folders if _VOXCELEB_ID.fullmatch(name)]
        if known:
            return known[0]
        return folders[0] if folders else path.stem


def _read_identities(path: Path) -> dict[str, str]:
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with open_table(path) as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            missing = {"video", "identity"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(
                    f"{path} has no column {' and no column '.join(sorted(missing))}",
                    hint="its first line has to name video and identity, separated by "
                    + ("commas" if delimiter == "," else "tabs"),
                )
            named = {}
            for row in rows:
                video, identity = (row["video"] or "").strip(), (row["identity"] or "").strip()
                if video and identity:
                    named[str(PurePosixPath(video))] = identity
            return named
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a table ({reason_of(error)})",
            hint="--identity-from takes a text table with the columns video and identity",
        ) from error
