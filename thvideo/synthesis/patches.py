"""The foveal networks at work: mouth and eyes drawn over frames of any size.

Patches are cut from the frames as they are; what the networks add to them is brought back to the
frames' size and added there, so that the frames' own finer detail stays.

Shapes: B frames, S pixels along a side, h and w a patch's height and width.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from thvideo.draft.cast import without_cast
from thvideo.landmarks.patches import (
    EYES,
    MOUTH,
    Place,
    covered,
    cut_patch,
    draw_shapes,
    most_open,
    patch_frames,
)
from thvideo.models.shown import DrawnPatches, Patch, Patches
from thvideo.shapes import F32Array, F64Array, U8Array
from thvideo.synthesis.networks import signed

_PLACES = (MOUTH, *EYES)


class PatchPainter:
    """Cuts the patches of frames, and paints what was drawn in them.

    Args:
        crops: ``[K, S, S, 3]`` RGB, the source crops.
        landmarks: ``[K, 70, 2]`` in pixels of the crops; all known.
        cast: ``[3]`` by what the networks' pictures are multiplied.
        device: Where the networks are.
    """

    def __init__(
        self, crops: U8Array, landmarks: F64Array, cast: F32Array, device: torch.device
    ) -> None:
        self._cast, self._device = cast, device
        self._own = [self._of_source(crops, landmarks, place) for place in _PLACES]

    def shown(self, frames: U8Array, points: F64Array) -> Patches:
        """Return what the foveal networks are shown.

        Args:
            frames: ``[B, S, S, 3]`` as the generator drew them.
            points: ``[B, 70, 2]`` their landmarks.
        """
        mouth, *eyes = (
            self._shown(frames, points, *each) for each in zip(_PLACES, self._own, strict=True)
        )
        both = (torch.stack(pair, dim=1).flatten(0, 1) for pair in zip(*eyes, strict=True))
        return Patches(mouth, Patch(*both))

    def paint(self, frames: U8Array, points: F64Array, shown: Patches, drawn: DrawnPatches) -> None:
        """Add what was drawn to the frames ``[B, S, S, 3]``, in place."""
        eyes = drawn.eyes - shown.eyes.base
        added = (drawn.mouth - shown.mouth.base, eyes[::2], eyes[1::2])
        for place, patches in zip(_PLACES, added, strict=True):
            values = 127.5 * patches.float().permute(0, 2, 3, 1).cpu().numpy() / self._cast
            where = patch_frames(points, place)
            for frame, patch, matrix in zip(frames, values, where, strict=True):
                _add(frame, np.ascontiguousarray(patch, np.float32), matrix, place)

    def _of_source(
        self, crops: U8Array, landmarks: F64Array, place: Place
    ) -> tuple[Tensor, Tensor]:
        chosen = most_open(landmarks, place)
        one = slice(chosen, chosen + 1)
        return self._cut(crops[one], landmarks[one], place)

    def _shown(
        self, frames: U8Array, points: F64Array, place: Place, own: tuple[Tensor, Tensor]
    ) -> Patch:
        of_source = (one.expand(len(frames), -1, -1, -1) for one in own)
        return Patch(*self._cut(frames, points, place), *of_source)

    def _cut(self, frames: U8Array, points: F64Array, place: Place) -> tuple[Tensor, Tensor]:
        where = patch_frames(points, place)
        cut = np.stack([cut_patch(*pair, place) for pair in zip(frames, where, strict=True)])
        shapes = draw_shapes(points, where, place)
        return signed(without_cast(cut, self._cast), self._device), signed(shapes, self._device)


def _add(frame: U8Array, added: F32Array, matrix: F64Array, place: Place) -> None:
    """Add a patch's values ``[h, w, 3]`` to a frame ``[S, S, 3]`` where they belong."""
    box, back = covered(matrix, place, frame.shape[:2])
    back[:, 2] -= [box[1].start, box[0].start]
    seen = frame[box]
    raised = cv2.warpAffine(added, back, seen.shape[1::-1], flags=cv2.INTER_LINEAR)
    seen[...] = cv2.add(seen, raised, dtype=cv2.CV_8U)
