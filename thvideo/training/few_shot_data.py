"""What one person's source crops teach: pairs of them, and each against itself, deformed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.shapes import F32Array, U8Array
from thvideo.training.batch import Batch, Episode, stack
from thvideo.training.change import Change, EpisodeOptions
from thvideo.training.self_pairs import Deformed, Shots

#: Light changes: a person's own colours are what is learned, so they stay.
LIGHT = EpisodeOptions(flip=0.5, turn_deg=3.0, zoom=(0.9, 1.08), colour=0.0, noise=0.002)

#: Of the pairs of several crops, this share is still of one crop, deformed: it shows motions
#: that no crop does.
_SELF_SHARE = 0.25


@dataclass(frozen=True)
class Pairs:
    """Draws pairs of a source and the true picture to draw from it.

    Args:
        shots: The crops, in the size that is trained on.
        pretended: Of each crop, deformed ones of that size.
        options: How pairs are changed; flips, turns and zooms are shared by both sides.
        seed: With the batch's number, of everything that is drawn.
    """

    shots: Shots
    pretended: Sequence[Sequence[Deformed]]
    options: EpisodeOptions
    seed: int

    def batch(self, number: int, size: int) -> Batch:
        """Make a batch: the same number gives the same one."""
        masks = self.shots.masks()
        rngs = [np.random.default_rng([self.seed, number, index]) for index in range(size)]
        episodes = [self._episode(rng, masks) for rng in rngs]
        return stack(episodes, self.shots.size_px, with_drafts=self.options.with_drafts)

    def _episode(self, rng: np.random.Generator, masks: U8Array) -> Episode:
        size_px = self.shots.size_px
        target = int(rng.integers(len(self.shots)))
        others = [index for index in range(len(self.shots)) if index != target]
        if others and rng.random() >= _SELF_SHARE:
            source = self.shots.each[int(rng.choice(others))]
        else:
            made = self.pretended[target]
            source = made[int(rng.integers(len(made)))]
        change = Change.draw(rng, self.options, size_px)
        matrix = change.matrix_from(1.0)
        first, second = (
            Deformed(
                change.picture(side.crop, matrix, size_px), change.points(side.points[None])[0]
            )
            for side in (self.shots.each[target], source)
        )
        size = (size_px, size_px)
        mask = cv2.warpAffine(masks[target], matrix, size, flags=cv2.INTER_LINEAR)
        head = cv2.warpAffine(source.head, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        noise = rng.normal(0, self.options.noise, (2, schema.N_POINTS, 2))
        noise *= outer_eye_distance(first.points)
        where = np.asarray(mask, np.uint8), np.asarray(head, np.uint8)
        return _pair(first, second, *where, noise.astype(np.float32))


def held_out(
    kept: Shots,
    shots: Shots,
    pretended: Sequence[Sequence[Deformed]],
    size: int,
    *,
    with_drafts: bool = True,
) -> Batch:
    """Make unchanged pairs that measure: crops that are not trained on, or else deformations.

    Args:
        kept: Crops that are kept from training; each is drawn from those that are not.
        shots: Crops that are trained on.
        pretended: Of each of those, deformed ones that are not trained on; they serve where no
            crop is kept.
        size: How many pairs.
        with_drafts: Whether the generator is shown drafts.
    """
    episodes = []
    for index in range(size):
        turn, target = divmod(index, len(kept) or len(shots))
        if len(kept):
            first, second = kept.each[target], shots.each[index % len(shots)]
            mask = kept.masks()[target]
        else:
            first, second = shots.each[target], pretended[target][turn]
            mask = shots.masks()[target]
        episodes.append(_pair(first, second, mask, second.head))
    return stack(episodes, shots.size_px, with_drafts=with_drafts)


def _pair(
    first: Deformed,
    second: Deformed,
    mask: U8Array,
    head: U8Array,
    noise: F32Array | float = 0.0,
) -> Episode:
    """Let the first, of which a mask counts, be drawn from the second, whose head is known."""
    return Episode(
        pictures=np.stack([first.crop, second.crop]),
        points=np.stack([first.points, second.points]) + np.float32(noise),
        true_points=first.points,
        mask=mask,
        chosen=0,
        video=0,
        head=head,
    )
