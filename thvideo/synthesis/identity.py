"""The source identity: what embed keeps and reenact and composite need."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thvideo.imaging.crop import Crop
from thvideo.shapes import F32Array, U8Array, check_shape


@dataclass(frozen=True)
class Identity:
    """K source crops of one person, the best first.

    Args:
        crops: ``[K, S, S, 3]`` uint8 RGB.
        landmarks: ``[K, 70, 2]`` in pixels of the crop.
        angles_deg: ``[K, 3]`` yaw, pitch and roll of the head.
        valid: ``[K, 4]`` x0, y0, x1, y1: the part of the crop that lies inside its picture.
        picture: ``[H, W, 3]``, the whole picture that the first crop was taken from, turned by
            quarters until its face is upright.
        crop: Where in ``picture`` the first crop lies.
        quarter: By how many quarters clockwise the picture was turned as it was given
            (:mod:`thvideo.imaging.turn`).
        embedding: ``[N]`` of a learned generator's embedder; empty where there is none.
    """

    crops: U8Array
    landmarks: F32Array
    angles_deg: F32Array
    valid: F32Array
    picture: U8Array
    crop: Crop
    quarter: int = 0
    embedding: F32Array = field(default_factory=lambda: np.zeros(0, np.float32))

    def save(self, path: Path) -> None:
        """Write an npz file."""
        place = np.array([self.crop.centre_x, self.crop.centre_y, self.crop.side_px])
        with path.open("wb") as file:
            np.savez(
                file,
                crops=self.crops,
                landmarks=self.landmarks,
                angles_deg=self.angles_deg,
                valid=self.valid,
                picture=self.picture,
                place=place,
                quarter=self.quarter,
                embedding=self.embedding,
            )


def load_identity(path: Path) -> Identity:
    """Read what :meth:`Identity.save` wrote.

    Raises:
        ValueError: The arrays do not belong together.
    """
    with np.load(path, allow_pickle=False) as data:
        sizes = check_shape(data["crops"], "K S S 3")
        check_shape(data["landmarks"], "K 70 2", K=sizes["K"])
        check_shape(data["angles_deg"], "K 3", K=sizes["K"])
        check_shape(data["valid"], "K 4", K=sizes["K"])
        centre_x, centre_y, side_px = (float(value) for value in data["place"])
        return Identity(
            crops=data["crops"],
            landmarks=data["landmarks"],
            angles_deg=data["angles_deg"],
            valid=data["valid"],
            picture=data["picture"],
            crop=Crop(centre_x, centre_y, side_px, sizes["S"]),
            quarter=int(data["quarter"]),
            embedding=data["embedding"],
        )
