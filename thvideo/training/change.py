"""How an episode is changed: turned, zoomed, mirrored and recoloured, all its frames alike.

Shapes: N frames, S pixels along a side.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.shapes import F32Array, F64Array, U8Array


@dataclass(frozen=True)
class EpisodeOptions:
    """How episodes are drawn and changed.

    Args:
        max_shots: K is drawn from 1 to this, smaller K more often (by 1 / K): one source picture
            is the usual case.
        fixed_shots: K itself, as the paper has it; 0 draws it.
        flip: Chance of mirroring.
        turn_deg: Standard deviation of a turn of the whole picture.
        zoom: Least and greatest zoom; below 1 there is room around the head.
        colour: Strength of the shared change of colours, 0 to 1.
        noise: Standard deviation of the landmarks' noise over the outer-eye distance.
        any_source: Chance that a random source is moved, not the nearest one in pose.
        with_drafts: Whether the generator is shown drafts by geometry, which take time to make.
        picture_share: Chance that an episode is of a picture, where the dataset has any: a target
            in its own paint, and sources that geometry has moved.
        telling: Chance that a target is chosen for a mouth or eyes that are far from as open as
            a source's.
    """

    max_shots: int = 8
    fixed_shots: int = 0
    flip: float = 0.5
    turn_deg: float = 5.0
    zoom: tuple[float, float] = (0.75, 1.1)
    colour: float = 0.5
    noise: float = 0.004
    any_source: float = 0.3
    with_drafts: bool = True
    picture_share: float = 0.1
    telling: float = 0.0


#: The frames as they are.
PLAIN = EpisodeOptions(
    flip=0.0,
    turn_deg=0.0,
    zoom=(1.0, 1.0),
    colour=0.0,
    noise=0.0,
    any_source=0.0,
    picture_share=0.0,
)


@dataclass(frozen=True)
class Change:
    """A change shared by all frames of an episode.

    Args:
        matrix: ``[2, 3]`` from pixels of the plain picture to those of the changed one.
        flip: Whether it mirrors.
        table: ``[256, 3]`` new values by channel; None changes no colours.
        saturation: Colours' distance from grey is multiplied by this.
    """

    matrix: F64Array
    flip: bool
    table: U8Array | None
    saturation: float

    @classmethod
    def draw(cls, rng: np.random.Generator, options: EpisodeOptions, size_px: int) -> "Change":
        """Draw a change."""
        flip = bool(rng.random() < options.flip)
        zoom = float(np.exp(rng.uniform(*np.log(options.zoom))))
        turn = float(rng.normal(0, options.turn_deg)) if options.turn_deg else 0.0
        middle = (size_px - 1) / 2
        matrix = np.vstack([cv2.getRotationMatrix2D((middle, middle), turn, zoom), [0, 0, 1]])
        if options.turn_deg:
            matrix[:2, 2] += rng.normal(0, 0.02 * size_px, 2)
        if flip:
            matrix = matrix @ np.array([[-1.0, 0, size_px - 1], [0, 1, 0], [0, 0, 1]])
        table, saturation = None, 1.0
        if options.colour and rng.random() < 0.8:
            strength = options.colour
            gamma = np.exp(rng.normal(0, 0.3 * strength) + rng.normal(0, 0.1 * strength, 3))
            # Paintings have casts that no camera has: teeth that are white in photos are not there.
            gain = np.exp(rng.normal(0, 0.15 * strength) + rng.normal(0, 0.3 * strength, 3))
            values = (np.linspace(0, 1, 256)[:, None] ** gamma) * gain
            table = np.clip(255 * values, 0, 255).round().astype(np.uint8)
            saturation = float(np.clip(rng.normal(1, 0.4 * strength), 0, 1.6))
            if rng.random() < 0.15 * strength:
                saturation = 0.0
        return cls(matrix[:2], flip, table, saturation)

    def points(self, points: F32Array) -> F32Array:
        """Move landmarks ``[N, 70, 2]``; mirrored, each keeps its own name."""
        moved = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return (moved[:, schema.FLIP] if self.flip else moved).astype(np.float32)

    def matrix_from(self, scale: float) -> F64Array:
        """Return the map from pixels of a frame that is ``1 / scale`` as large."""
        grow = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5], [0, 0, 1]])
        return self.matrix @ grow

    def picture(self, frame: U8Array, matrix: F64Array, size_px: int) -> U8Array:
        """Change one frame."""
        size = (size_px, size_px)
        changed = cv2.warpAffine(
            frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if self.saturation != 1:
            grey = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            changed = cv2.addWeighted(changed, self.saturation, grey, 1 - self.saturation, 0)
        if self.table is not None:
            changed = cv2.LUT(changed, self.table[None])
        return np.asarray(changed, np.uint8)


def landmark_noise(rng: np.random.Generator, points: F32Array, strength: float) -> F32Array:
    """Draw noise for landmarks ``[N, 70, 2]``, as a share of the outer-eye distance."""
    if not strength:
        return np.zeros_like(points)
    size = outer_eye_distance(points)[:, None, None] * strength
    return (rng.normal(0, 1, points.shape) * size).astype(np.float32)
