"""Finished videos as a method, so that other tools are judged by the same ruler.

DIR/TAKE.mp4, TAKE being the clip's name in ``clips.tsv``, or for cross-reenactment
``SOURCE--DRIVER``. Its frames are either as many as the driver's clip has, and frame i then stands
for the clip's frame i; or as many as are held out, in the plan's order. Frames of another size are
brought to the clip's; they have to be square and show the same crop.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thvideo.errors import InputError
from thvideo.evaluation.methods import Drawn
from thvideo.evaluation.protocol import Take
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
        """Read the frames that stand for the held-out ones.

        Raises:
            InputError: The video is damaged, not square, or of another number of frames.
        """
        del n_shots
        take, path = scene.take, self._path(scene.take.name)
        frames = _standing_for(take, path, scene.size_px)
        return Drawn(frames, scene.wanted.astype(np.float32))

    def check_names(self, takes: Sequence[Take]) -> None:
        """Check that there is a video of at least one take.

        Raises:
            InputError: There is none: they are probably called otherwise.
        """
        if takes and not any(self._place(take.name).is_file() for take in takes):
            raise InputError(
                f"{self._folder} holds no video of the {len(takes)} that are judged",
                hint=f"a video is called as its clip in clips.tsv: {self._place(takes[0].name)}",
            )

    def _place(self, take_name: str) -> Path:
        return self._folder / f"{take_name}.mp4"

    def _path(self, take_name: str) -> Path:
        path = self._place(take_name)
        if not path.is_file():
            raise InputError(f"there is no {path}", hint="a video a take: NAME.mp4")
        return path


def _standing_for(take: Take, path: Path, size_px: int) -> U8Array:
    """Read the frames ``[T, S, S, 3]`` of a video that stand for a take's wanted ones."""
    # Only the end of the video tells by which of the two ways it counts.
    of_clip, of_plan = [], []
    wanted, n_wanted, n_frames = set(take.wanted), len(take.wanted), 0
    for batch in read_frames(path, probe(path)):
        for frame in batch:
            if n_frames in wanted or n_frames < n_wanted:
                kept = _sized(frame[None], size_px, path).copy()
                of_clip += [kept] if n_frames in wanted else []
                of_plan += [kept] if n_frames < n_wanted else []
            n_frames += 1
    if n_frames == take.driver.n_frames:
        return np.concatenate(of_clip)
    if n_frames == n_wanted:
        return np.concatenate(of_plan)
    raise InputError(
        f"{path} has {n_frames} frames",
        hint=f"as many as the clip, {take.driver.n_frames}, or as are held out, {n_wanted}, "
        "say which frame each stands for",
    )


def _sized(frames: U8Array, size_px: int, path: Path) -> U8Array:
    height, width = frames.shape[1:3]
    if height != width:
        raise InputError(
            f"{path} is {width} x {height} pixels", hint="cut the clip's own square crop out"
        )
    return resized(frames, size_px)
