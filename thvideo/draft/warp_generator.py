"""From adapted landmarks to pictures by geometry alone.

It is a generator in its own right, the instant one, and the draft that the swift generator
starts from.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thvideo.draft.eye import draw_eye
from thvideo.draft.folds import FOLDED_SHARE, face_fold_shares, unfolded
from thvideo.draft.mouth import TEETH_BELOW_LIP, draw_mouth, mouth_at, mouth_colours
from thvideo.draft.openings import (
    OPENINGS,
    REACH,
    Frame,
    Opening,
    change_of,
    edges_of,
    frame_of,
    lids_at,
)
from thvideo.imaging.lookup import four_channels, look_up, three_channels, twice_as_fine
from thvideo.imaging.warp import (
    Spline,
    fetch,
    pixel_grid,
    solve_spline,
    spline_flow,
    upsample_flow,
)
from thvideo.landmarks import schema
from thvideo.landmarks.control import SPLINE_POINTS, control_points, head_inside, head_points
from thvideo.landmarks.expression import single_shape
from thvideo.landmarks.pose import Pose, fit_pose, pose_between, project
from thvideo.landmarks.schema import amid_eyes
from thvideo.shapes import F32Array, F64Array, I64Array, U8Array, check_shape

#: Smooths the spline a trace: landmarks closer than their own error must not crease the skin.
_STIFFNESS = 1e-4

#: The spline is evaluated every so many pixels; between them it is straight to 1/20 pixel.
_GRID_PX = 8

#: Larger crops show the same faces: no more points along a side than this tell more of them.
_MOST_STEPS = 65

#: Over this share of the side the flow falls to exactly 0 at the border.
_RIM = 0.05

#: Strengths that are tried in turn on frames that fold.
_STRENGTHS = (0.85, 0.7, 0.55, 0.4, 0.25, 0.1, 0.0)

#: A mouth seen from the side opens less, or its far lips, which the picture hardly shows, would be
#: torn into a wall: how far off its middle is seen (`Frame.turned`), and its greatest strength.
_MOUTH_TURNED, _MOUTH_STRENGTH = (0.4, 0.75), (1.0, 0.45)

#: Strength changes over this many frames, so that no frame is seen to be held back.
_SETTLE_FRAMES = 6

#: Rounds of smoothing and checking again; the third is hardly ever needed.
_SETTLE_ROUNDS = 8

#: Folds are looked for on a grid of so many points along a side.
_FOLD_STEPS = 33

#: Frames whose folds are looked for at once.
_FOLD_BATCH = 64


class Draft(NamedTuple):
    """Frames drawn by geometry.

    Attributes:
        frames: ``[B, S, S, 3]`` RGB.
        flow: ``[B, n, n, 2]`` how far away in the crop the pixels come from, in half sides of
            the crop, on an even grid from the first pixel to the last; the head's spline alone.
    """

    frames: U8Array
    flow: Tensor


class _Faces(NamedTuple):
    """Landmarks of frames, ``[B, 73, 2]`` in pixels: 70, and three at the upper teeth's edge.

    Attributes:
        targets: Where they have to go.
        unposed: The same with the head's motion taken away.
        seen_at: Where they are seen, if the frames are moved once more.
    """

    targets: Tensor
    unposed: Tensor
    seen_at: Tensor


class WarpGenerator:
    """Moves the source crop by a thin-plate spline, lids and lips in layers.

    One crop serves a whole video: changing between crops shows as a flicker.

    Args:
        crops: ``[K, S, S, 3]`` RGB, best first; the first is drawn.
        landmarks: ``[K, 70, 2]`` in pixels of the crops.
        device: Where splines are solved and flows are given; pixels are drawn by the processor.

    Raises:
        ValueError: Shapes do not fit or landmarks are not finite.
    """

    def __init__(
        self, crops: U8Array, landmarks: F64Array | F32Array, device: torch.device
    ) -> None:
        sizes = check_shape(crops, "K S S 3")
        check_shape(landmarks, "K 70 2", K=sizes["K"])
        self.size_px = sizes["S"]
        self.device = device
        source = amid_eyes(landmarks[:1])[0]
        self.source = source
        self.face, _ = single_shape(source)
        self._pose = fit_pose(source[None], self.face)
        self._controls = control_points(source[None], self.face, self._pose, self.size_px)
        head = project(head_points(self.face), self._pose)[0]
        # Landmarks follow fully, the border not at all, the hair as far as the border lets it.
        n_border = self._controls.shape[1] - len(SPLINE_POINTS) - len(head)
        self._freedom = np.concatenate(
            [np.ones(len(SPLINE_POINTS)), head_inside(head, self.size_px), np.zeros(n_border)]
        )
        picture = four_channels(crops[0])
        self._picture = twice_as_fine(picture)
        self._image = picture[None].astype(np.float32)
        self._points = torch.from_numpy(source).float()
        self._frames = [frame_of(self._points, opening) for opening in OPENINGS]
        turned = max(abs(frame.turned) for frame in self._frames)
        self._mouth_room = float(np.interp(turned, _MOUTH_TURNED, _MOUTH_STRENGTH))
        self._colours = mouth_colours(self._image, self._points)
        self._n_steps = min(_MOST_STEPS, max(17, round(self.size_px / _GRID_PX) + 1))

    def settle(self, points: F64Array, cuts: Sequence[int] = ()) -> F64Array:
        """Hold frames back in which the face would fold, smoothly in time.

        Args:
            points: ``[T, 70, 2]`` adapted landmarks of the whole video.
            cuts: First frames of new shots; holding back does not reach across them.

        Returns:
            ``[T, 70, 2]`` that can be drawn without folds to be seen in the face.
        """
        points = amid_eyes(points)
        if len(points) == 0:
            return points
        turn, mouth = np.ones(len(points)), np.full(len(points), self._mouth_room)
        freely = points if self._mouth_room == 1 else self._held(points, turn, mouth)
        folded = np.flatnonzero(self._fold_shares_of(freely) > FOLDED_SHARE)
        at_rest, those = np.zeros(len(folded)), points[folded]
        # Mouths open as far as they can on a head at rest; then heads turn as far as they can.
        opened = self._strengths(those, lambda part, strength: (at_rest[part], strength))
        mouth[folded] = opened = np.minimum(opened, self._mouth_room)
        turn[folded] = self._strengths(those, lambda part, strength: (strength, opened[part]))
        edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(points)), len(points)]
        for _ in range(_SETTLE_ROUNDS):
            smooth = [
                np.concatenate([_settled(strength[a:b]) for a, b in pairwise(edges)])
                for strength in (turn, mouth)
            ]
            held = np.flatnonzero(np.minimum(*smooth) < 1)
            # A little less motion folds less, nearly always: what still does is held back more.
            tried = self._held(points[held], smooth[0][held], smooth[1][held])
            folded = held[self._fold_shares_of(tried) > FOLDED_SHARE]
            if len(folded) == 0:
                break
            turn[folded] = 0.75 * smooth[0][folded]
            stuck = folded[smooth[0][folded] < _STRENGTHS[-2]]
            mouth[stuck] = 0.75 * smooth[1][stuck]
        settled = points.copy()
        settled[held] = self._held(points[held], smooth[0][held], smooth[1][held])
        return settled

    def choose(self, points: F64Array, cuts: Sequence[int] = ()) -> I64Array:
        """Choose the first crop for every frame."""
        del cuts
        return np.zeros(len(points), np.int64)

    def generate(self, points: F64Array, sources: I64Array | None = None) -> U8Array:
        """Draw adapted landmarks.

        Args:
            points: ``[B, 70, 2]`` in pixels of the crop.
            sources: There is only the first.

        Returns:
            ``[B, S, S, 3]`` RGB.

        Raises:
            ValueError: A point is not finite.
        """
        del sources
        return self.draw(points).frames

    def draw(self, points: F64Array, then: Tensor | None = None) -> Draft:
        """Draw adapted landmarks ``[B, 70, 2]``, and say where the pixels come from.

        Args:
            points: ``[B, 70, 2]`` in pixels of the crop.
            then: ``[B, m, m, 2]`` where the drawn frames are fetched from once more, in -1..1: both
                ways are joined, and every pixel is fetched once.

        Raises:
            ValueError: A point is not finite.
        """
        check_shape(points, "B 70 2")
        points = amid_eyes(points)
        with torch.inference_mode():
            pose = fit_pose(points, self.face)
            spline = self._spline(points, pose)
            coarse = _calm_rim(spline_flow(spline, self.size_px, self._n_steps))
            coarse = unfolded(coarse, self.size_px)
            joined = coarse if then is None else _joined(coarse, then, self.size_px)
            place = joined + pixel_grid(joined.shape[1], self.size_px, joined)
            # In pixels of the picture that is twice as fine, [B, 2, S, S].
            places = upsample_flow(2 * place, self.size_px).cpu().permute(0, 3, 1, 2)
            frames = [look_up(self._picture, *frame) for frame in places.numpy()]
            # The teeth sit in the skull: they keep the place that the resting lip gives them.
            skull = self.face[[61, 62, 63]] + np.array([0.0, TEETH_BELOW_LIP, 0.0])
            marks = np.concatenate([points, project(skull, pose)], axis=1)
            targets = torch.from_numpy(marks).to(self.device, torch.float32)
            unposed = targets + _at(coarse, targets, self.size_px)
            seen_at = targets
            if then is not None:
                # Nearly as far the other way as their pixels are then fetched from.
                seen_at = unposed - _at(joined, targets, self.size_px)
            faces = _Faces(targets.cpu(), unposed.cpu(), seen_at.cpu())
            for opening, frame in zip(OPENINGS, self._frames, strict=True):
                self._draw(frames, opening, frame, faces, places)
        drawn = np.stack([three_channels(frame) for frame in frames])
        return Draft(drawn, coarse * (2.0 / (self.size_px - 1)))

    def fold_shares(self, points: F64Array) -> F64Array:
        """Return the share ``[B]`` of the face that folds, of adapted landmarks ``[B, 70, 2]``."""
        with torch.inference_mode():
            points = np.asarray(points, np.float64)
            spline = self._spline(points, fit_pose(points, self.face))
            coarse = _calm_rim(spline_flow(spline, self.size_px, _FOLD_STEPS))
        return face_fold_shares(coarse, points, self.size_px)

    def _held(self, points: F64Array, strength: F64Array, mouth: F64Array) -> F64Array:
        """Weaken frames ``[T, 70, 2]`` by strengths ``[T]`` of the head and of mouth and jaw.

        Of the head turns out of the picture's plane come first, last where it is, how large and how
        leaning: what moves within the plane hardly ever folds. Lids and irises never: they are not
        part of the spline, and a blink that stays half open is seen at once.
        """
        if len(points) == 0:
            return points
        pose = fit_pose(points, self.face)
        weaker = np.repeat(strength[:, None, None], schema.N_POINTS, axis=1)
        weaker[:, schema.JAW] = weaker[:, schema.MOUTH] = mouth[:, None, None]
        weaker[:, 36:48] = weaker[:, schema.IRISES] = 1.0
        turn, within = 1 - (1 - strength) ** 2, 1 - (1 - strength) ** 8
        rigid = project(self.face, pose_between(self._pose, pose, turn, within))
        own = self.source - project(self.face, self._pose)
        held: F64Array = rigid + (1 - turn[:, None, None]) * own
        held += weaker * (points - project(self.face, pose))
        return held

    def _fold_shares_of(self, points: F64Array) -> F64Array:
        shares = [
            self.fold_shares(points[i : i + _FOLD_BATCH])
            for i in range(0, len(points), _FOLD_BATCH)
        ]
        return np.concatenate(shares) if shares else np.zeros(0)

    def _strengths(
        self, points: F64Array, weakened: Callable[[I64Array, F64Array], tuple[F64Array, F64Array]]
    ) -> F64Array:
        """Return the greatest strength ``[T]`` with which each frame does not fold.

        Args:
            points: ``[T, 70, 2]``.
            weakened: Tells the strengths of head and mouth in some frames where the strength that
                is looked for is given.
        """
        strength = np.ones(len(points))
        folded = np.arange(len(points))
        for weaker in (1.0, *_STRENGTHS):
            strength[folded] = weaker
            held = self._held(points[folded], *weakened(folded, strength[folded]))
            folded = folded[self._fold_shares_of(held) > FOLDED_SHARE]
            if len(folded) == 0:
                break
        return strength

    def _spline(self, points: F64Array, pose: Pose) -> Spline:
        target = control_points(points, self.face, pose, self.size_px)
        moved = self._freedom[:, None] * (target - self._controls)
        centres = torch.from_numpy(self._controls + moved).to(self.device, torch.float32)
        back = torch.from_numpy(-moved).to(self.device, torch.float32)
        return solve_spline(centres, back, _STIFFNESS, self.size_px / 2)

    def _draw(
        self,
        frames: list[U8Array],
        opening: Opening,
        frame: Frame,
        faces: "_Faces",
        places: Tensor,
    ) -> None:
        """Draw one opening into the frames ``B`` times ``[S, S, 4]``, in place.

        Args:
            frames: The frames.
            opening: Which.
            frame: Its coordinates.
            faces: Of the frames.
            places: ``[B, 2, S, S]`` where the frames' pixels come from, times two.
        """
        spots = faces.seen_at[
            :, [*opening.corners, *opening.upper, *opening.lower, *opening.around]
        ]
        unposed = faces.unposed
        reach = (REACH if opening.kind == "eye" else 0.2) * frame.half_px
        low = (spots.amin(dim=1) - reach).floor().clamp(0, self.size_px - 1).int()
        high = (spots.amax(dim=1) + reach).ceil().clamp(1, self.size_px).int()
        # Patches of one size, each where its own frame has the opening.
        width, height = (high - low).amax(dim=0).clamp(1, self.size_px).tolist()
        corners = torch.minimum(low, self.size_px - torch.tensor([width, height]))
        boxes = [(slice(y, y + height), slice(x, x + width)) for x, y in corners.tolist()]
        fetched = [place[:, *box] / 2 for place, box in zip(places, boxes, strict=True)]
        lids_of = edges_of(opening, frame, self._points, unposed)
        lids = lids_at(lids_of, *frame.to_local(torch.stack(fetched).permute(0, 2, 3, 1)))
        if opening.iris is not None:
            x, y = frame.to_local(unposed[:, opening.iris])
            own_x, own_y = frame.to_local(self._points[opening.iris])
            shift = torch.stack([x - own_x, y - own_y], dim=-1)
            patch = draw_eye(self._image, frame, lids_of, lids, shift)
            change = change_of(lids, frame, shift)
        else:
            mouth = mouth_at(frame, self._points, faces.targets, unposed, lids, self._colours)
            patch, change = draw_mouth(self._image, frame, lids, mouth)
        layers = torch.cat([patch, change], dim=1).permute(0, 2, 3, 1).numpy()
        for pixels, box, layer in zip(frames, boxes, layers, strict=True):
            seen = pixels[*box, :3]
            seen[...] = seen + layer[..., 3:] * (layer[..., :3] - seen) + 0.5


def _calm_rim(flow: Tensor) -> Tensor:
    line = torch.linspace(0, 1, flow.shape[1], device=flow.device)
    inward = (torch.minimum(line, 1 - line) / _RIM).clamp(0, 1)
    smooth = inward * inward * (3 - 2 * inward)
    return flow * (smooth[:, None] * smooth[None, :])[None, :, :, None]


def _joined(coarse: Tensor, then: Tensor, size_px: int) -> Tensor:
    """Join a coarse flow ``[B, n, n, 2]`` in pixels with the way that its frames are moved then.

    Returns:
        ``[B, k, k, 2]`` in pixels, as fine as the finer of both.
    """
    n_steps = max(coarse.shape[1], then.shape[1])
    places = upsample_flow(then.float().to(coarse), n_steps)
    first = fetch(coarse.permute(0, 3, 1, 2), places).permute(0, 2, 3, 1)
    pixels = (places + 1) * ((size_px - 1) / 2)
    return first + pixels - pixel_grid(n_steps, size_px, pixels)


def _at(flow: Tensor, points: Tensor, size_px: int) -> Tensor:
    """Read a coarse flow ``[B, n, n, 2]`` at points ``[B, N, 2]`` in pixels, ``[B, N, 2]``."""
    found = fetch(flow.permute(0, 3, 1, 2), (points * (2.0 / (size_px - 1)) - 1)[:, None])
    return found[:, :, 0].mT


def _settled(strength: F64Array) -> F64Array:
    """Smooth strengths ``[T]`` in time, nowhere above what they were."""
    if len(strength) == 1 or (strength >= 1).all():
        return strength
    # Here alone: whoever holds nothing back needs no SciPy.
    from scipy.ndimage import gaussian_filter1d, minimum_filter1d

    # The lowest nearby, then an average that reaches no further.
    low = minimum_filter1d(strength, 2 * _SETTLE_FRAMES + 1)
    smooth: F64Array = gaussian_filter1d(
        low, _SETTLE_FRAMES / 3, radius=_SETTLE_FRAMES, mode="nearest"
    )
    return smooth
