"""The frames of an extract artifact, whether it holds a picture or a video."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thvideo.shapes import U8Array
from thvideo.video.probe import VideoInfo
from thvideo.video.timing import FrameTimes
from thvideo.workspace.store import Artifact

PICTURE = "frame.png"
FRAMES = "frames.mkv"
INFO = "video.json"
TIMES = "times.npz"


@dataclass(frozen=True)
class Footage:
    """A sealed input.

    Args:
        name: The person's name for the file, for messages.
        kind: "picture" or "video".
        size: (height, width) of its frames.
        n_frames: 1 for a picture.
        cuts: The first frame of every shot but the first.
        path: The sealed file.
        info: What ffmpeg says of a video; None for a picture.
        times: The exact times of a video's frames; None for a picture.
    """

    name: str
    kind: Literal["picture", "video"]
    size: tuple[int, int]
    n_frames: int
    cuts: tuple[int, ...]
    path: Path
    info: VideoInfo | None
    times: FrameTimes | None

    def frames(
        self, start: int = 0, stop: int | None = None, *, batch: int = 16
    ) -> Generator[U8Array, None, None]:
        """Yield frames ``start .. stop - 1`` in batches ``[B, H, W, 3]``."""
        from thvideo.imaging.picture import load_picture
        from thvideo.video.read import read_frames

        if self.info is None:
            yield load_picture(self.path, max(self.size))[None]
            return
        yield from read_frames(self.path, self.info, start=start, stop=stop, batch=batch)


def open_footage(artifact: Artifact) -> Footage:
    """Open what the extract stage made."""
    is_video = artifact.fact("kind", str) == "video"
    return Footage(
        name=artifact.fact("name", str),
        kind="video" if is_video else "picture",
        size=artifact.fact("size", tuple[int, int]),
        n_frames=artifact.fact("n_frames", int),
        cuts=tuple(artifact.fact("cuts", list[int])),
        path=artifact.file(artifact.fact("file", str)),
        info=VideoInfo.from_json(artifact.file(INFO).read_text()) if is_video else None,
        times=FrameTimes.load(artifact.file(TIMES)) if is_video else None,
    )
