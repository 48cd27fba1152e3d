"""Finished videos as a method, so that other tools are judged by the same ruler.

DIR/TAKE.mp4, TAKE being the clip's name in ``clips.tsv``, or for cross-reenactment
``SOURCE--DRIVER``. Its frames are either as many as the driver's clip has, and frame i then stands
for the clip's frame i; or as many as are held out, in the plan's order. Frames of another size are
brought to the clip's; they have to be square and show the same crop.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thvideo.errors import InputError
from thvideo.evaluation.methods import Drawn
from thvideo.evaluation.scene import Scene, resized
from thvideo.shapes import U8Array
from thvideo.video.probe import probe
from thvideo.video.read import read_frames
from thvideo.workspace.keys import DigestMemo


class Finished:
    """Videos that another tool has made.

    Args:
        name: What its rows are called.
        folder: Where the videos lie.
        digests: Of files.
    """

    n_shots, is_kept = 0, False

    def __init__(self, name: str, folder: Path, digests: DigestMemo) -> None:
        self.name, self._folder, self._digests = name, folder, digests

    def made_of(self, take_name: str) -> Mapping[str, Any]:
        """Depend on the video.

        Raises:
            InputError: There is none.
        """
        return {"video": self._digests.digest(self._path(take_name))}

    def draw(self, scene: Scene, n_shots: int) -> Drawn:
        """Read the frames that stand for the held-out ones."""
        del n_shots
        take, path = scene.take, self._path(scene.take.name)
        frames = np.concatenate(list(read_frames(path, probe(path))))
        if len(frames) == take.driver.n_frames:
            frames = frames[list(take.wanted)]
        elif len(frames) != len(take.wanted):
            raise InputError(
                f"{path} has {len(frames)} frames",
                hint=f"as many as the clip, {take.driver.n_frames}, or as are held out, "
                f"{len(take.wanted)}, say which frame each stands for",
            )
        return Drawn(_sized(frames, scene.size_px, path), scene.wanted.astype(np.float32))

    def _path(self, take_name: str) -> Path:
        path = self._folder / f"{take_name}.mp4"
        if not path.is_file():
            raise InputError(f"there is no {path}", hint="a video a take: NAME.mp4")
        return path


def _sized(frames: U8Array, size_px: int, path: Path) -> U8Array:
    height, width = frames.shape[1:3]
    if height != width:
        raise InputError(
            f"{path} is {width} x {height} pixels", hint="cut the clip's own square crop out"
        )
    return resized(frames, size_px)
