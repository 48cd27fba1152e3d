"""``track --preview``: the frames with their landmarks drawn over them, to see what was found."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from thvideo.errors import UsageError, WorkspaceError
from thvideo.pipeline.check import check_output
from thvideo.stages.base import Container
from thvideo.stages.footage import Footage, open_footage
from thvideo.stages.track import LANDMARKS
from thvideo.workspace.durable import scratch_folder
from thvideo.workspace.store import Workspace

if TYPE_CHECKING:
    from thvideo.landmarks.tracked import Tracked
    from thvideo.shapes import U8Array

_BATCH = 16
# Frames in which no face was found keep their filled-in landmarks, but lose their colours.
_METADATA = {"title": "thvideo track preview", "comment": "grey frames: no face was found"}


def check_preview(files: list[Path], preview: Path) -> None:
    """Refuse a preview that cannot be written before anything is tracked.

    Raises:
        UsageError: There are several files, the extension is unknown, or it is the input.
        WorkspaceError: The folder cannot be written.
    """
    if len(files) != 1:
        raise UsageError("--preview shows one file", hint="track the files one by one")
    if preview.exists() and files[0].exists() and preview.samefile(files[0]):
        raise UsageError(
            f"the preview {preview} is the same file as its input", hint="choose another --preview"
        )
    if preview.suffix.lower() != ".png":
        check_output(preview, {files[0]: "tracked file"})


def write_preview(workspace: Workspace, key: str, preview: Path) -> None:
    """Draw the landmarks of a track artifact over its frames.

    Args:
        workspace: Holds the frames.
        key: Key of the track artifact.
        preview: A video, or a PNG for a picture or a video's first frame.

    Raises:
        WorkspaceError: The frames are gone, or the place cannot be written.
    """
    from thvideo.imaging.picture import save_png
    from thvideo.landmarks.tracked import load_tracked
    from thvideo.video.encode import EncodeSettings
    from thvideo.video.write import encode_chunk, join

    tracked = workspace.find("track", key)
    extracted = tracked and workspace.find("extract", tracked.manifest.inputs["frames"])
    if tracked is None or extracted is None:
        raise WorkspaceError(
            "the landmarks or their frames are not in the workspace any more",
            hint="run the same command again",
        )
    footage, landmarks = open_footage(extracted), load_tracked(tracked.file(LANDMARKS))
    if footage.times is None and preview.suffix.lower() != ".png":
        raise UsageError(
            f"{footage.name} is a picture, so its preview is one too",
            hint=f"--preview {preview.with_suffix('.png')}",
        )
    frames = _drawn(footage, landmarks)
    try:
        with scratch_folder(preview.absolute().parent) as folder:
            beside = folder / f"preview{preview.suffix.lower()}"
            if beside.suffix == ".png" or footage.times is None:
                save_png(beside, next(frames)[0])
            else:
                times = footage.times
                settings = EncodeSettings(cast(Container, beside.suffix[1:]))
                chunk = folder / "chunk.mp4"
                encode_chunk(chunk, frames, times, 0, footage.n_frames, settings)
                join([chunk], beside, times, settings, None, _METADATA)
            beside.replace(preview)
    except OSError as error:
        raise WorkspaceError(
            f"{preview} cannot be written ({error.strerror})", hint="choose another --preview"
        ) from error


def _drawn(footage: Footage, landmarks: "Tracked") -> "Iterator[U8Array]":
    import numpy as np

    from thvideo.landmarks.draw import draw_landmarks

    start = 0
    for frames in footage.frames(batch=_BATCH):
        stop = start + len(frames)
        lines = draw_landmarks(landmarks.points[start:stop], footage.size)
        lost = ~landmarks.found[start:stop]
        shown = frames.copy()
        shown[lost] = shown[lost].mean(axis=-1, keepdims=True).astype(np.uint8)
        yield np.where(lines.any(axis=-1, keepdims=True), lines, shown)
        start = stop
