"""Embed: the source identity as the generator needs it."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thvideo.shapes import F32Array, F64Array, I64Array, U8Array
from thvideo.stages.base import GeneratorName, Job, Notice, Progress, StageEvent
from thvideo.stages.footage import Footage, open_footage

if TYPE_CHECKING:
    from thvideo.imaging.crop import Crop
    from thvideo.synthesis.identity import Identity

IDENTITY = "identity.npz"
#: Frames of a source video that are looked at, spread evenly over it.
CANDIDATES = 48

#: Side of the crops by which candidates are compared.
_LOOKED_AT_PX = 512


@dataclass(frozen=True)
class Embed:
    """Choose and crop the source frames that carry the identity, turned until they are upright.

    The first source gives the picture that is animated; of a video, its best frame does: sharp,
    frontal, eyes open, mouth at rest.

    Inputs: ``frames_0 .. frames_n`` (extract) and ``landmarks_0 .. landmarks_n`` (track), one
    pair for each source. Files: ``weights`` where the generator is learned.

    Args:
        generator: Which generator the identity serves; a learned one gets its embedding too.
        size_px: Side of the source crops; 0 makes them as large as the output shows the first one,
            pixel for pixel, within bounds.
        max_side: The longer side of that output is at most this many pixels.
        shots: At most this many crops are kept, best first.
    """

    name: ClassVar[str] = "embed"
    version: ClassVar[int] = 7
    generator: GeneratorName = "swift"
    size_px: int = 0
    max_side: int = 1080
    shots: int = 8

    def skip_reason(self) -> str | None:
        """Embed always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``identity.npz``."""
        from thvideo.imaging.crop import to_crop
        from thvideo.landmarks.pose import angles_deg, fit_pose
        from thvideo.synthesis.identity import Identity

        n_sources = sum(role.startswith("frames_") for role in job.inputs)
        shots: list[_Shot] = []
        for index in range(n_sources):
            shots += _candidates(job, index, self.size_px or _LOOKED_AT_PX)
            yield Progress(index + 1, n_sources, "sources")
        chosen = _choose(shots, self.shots)
        [(_, picture)] = _pictures_of(job, chosen[:1])
        if not self.size_px:
            chosen = self._as_shown(chosen, picture, job)
        landmarks = np.stack([to_crop(shot.points, shot.crop) for shot in chosen])
        identity = Identity(
            crops=np.stack([shot.pixels for shot in chosen]),
            landmarks=landmarks.astype(np.float32),
            angles_deg=angles_deg(fit_pose(landmarks).rotation).astype(np.float32),
            valid=np.stack([shot.valid for shot in chosen]).astype(np.float32),
            picture=picture,
            crop=chosen[0].crop,
            quarter=chosen[0].quarter,
        )
        if self.generator != "warp":
            identity = self._embedded(identity, job)
        with job.chunks.writing(IDENTITY) as temporary:
            identity.save(temporary)
        if identity.quarter:
            name = open_footage(job.inputs[f"frames_{chosen[0].source}"]).name
            yield Notice(f"the video will lie as {name} does; turn {name} to have it upright")
        job.facts.update(
            n_shots=len(chosen),
            face_px=float(np.ptp(chosen[0].points[:68], axis=0).max()),
            turned_deg=90 * chosen[0].quarter,
            shots=[{"source": shot.source, "frame": shot.frame} for shot in chosen],
        )

    def _as_shown(self, chosen: "list[_Shot]", picture: U8Array, job: Job) -> "list[_Shot]":
        """Cut the crops anew, as large as the output shows the first one."""
        from thvideo.imaging.blend import output_plan, resize_to_plan
        from thvideo.imaging.crop import crop_as_shown, scale_crop, take_crop

        first, *others = chosen
        plan = output_plan(picture.shape[0], picture.shape[1], self.max_side)
        crop = crop_as_shown(first.crop, plan.scale)
        # From the picture that composite puts it back into: what rests is the same to the bit.
        pixels, valid = take_crop(resize_to_plan(picture, plan), scale_crop(crop, plan.scale))
        cut = dataclasses.replace(first, crop=crop, pixels=pixels, valid=np.asarray(valid))
        again = {}
        for shot, seen in _pictures_of(job, others):
            own = dataclasses.replace(shot.crop, size_px=crop.size_px)
            pixels, valid = take_crop(seen, own)
            again[shot.source, shot.frame] = dataclasses.replace(
                shot, crop=own, pixels=pixels, valid=np.asarray(valid)
            )
        return [cut, *(again[shot.source, shot.frame] for shot in others)]

    def _embedded(self, identity: "Identity", job: Job) -> "Identity":
        from thvideo.synthesis.device import choose_device, cpu_threads
        from thvideo.synthesis.networks import embed_crops, load_networks

        device = choose_device(job.resources.device)
        networks = load_networks(job.files["weights"], self.generator, device)
        # In fp32 whatever --precision says: what is embedded is drawn in both.
        with cpu_threads(job.resources.threads):
            embedding = embed_crops(networks, identity.crops, identity.landmarks)
        return dataclasses.replace(identity, embedding=embedding)


@dataclass(frozen=True)
class _Shot:
    """A source frame that could carry the identity; ``points`` lie in the upright picture."""

    source: int
    frame: int
    quarter: int
    points: F32Array
    crop: "Crop"
    pixels: U8Array
    valid: F32Array
    angles_deg: F64Array
    quality: float


def _candidates(job: Job, index: int, size_px: int) -> list[_Shot]:
    """Cut crops from evenly spread frames of one source, best first."""
    from thvideo.imaging.crop import crop_for_face, take_crop
    from thvideo.imaging.turn import points_upright, quarter_of, turn_upright
    from thvideo.landmarks.pose import angles_deg, fit_pose
    from thvideo.landmarks.tracked import load_tracked
    from thvideo.landmarks.tracker import box_from_points

    footage = open_footage(job.inputs[f"frames_{index}"])
    tracked = load_tracked(job.inputs[f"landmarks_{index}"].file("landmarks.npz"))
    seen = np.flatnonzero(tracked.found)
    frames = np.unique(seen[np.linspace(0, len(seen) - 1, CANDIDATES).round().astype(int)])
    rolls = box_from_points(tracked.points[frames])[:, 3]
    shots = []
    for frame, roll, picture in zip(frames, rolls, _pictures(footage, frames), strict=True):
        quarter = quarter_of(float(roll))
        points = tracked.points[frame]
        if quarter:
            points = points_upright(points, quarter, footage.size).astype(np.float32)
        crop = crop_for_face(points, size_px)
        pixels, valid = take_crop(turn_upright(picture, quarter), crop)
        angles = angles_deg(fit_pose(points[None].astype(np.float64)).rotation)[0]
        quality = _quality(pixels, points, angles)
        shots.append(
            _Shot(
                index, int(frame), quarter, points, crop, pixels, np.asarray(valid), angles, quality
            )
        )
    return sorted(shots, key=lambda shot: -shot.quality)


def _pictures(footage: Footage, frames: I64Array) -> Iterator[U8Array]:
    """Yield the named frames, in order, from one pass over the footage."""
    wanted = iter(frames.tolist())
    target = next(wanted, None)
    position = 0
    for batch in footage.frames(stop=int(frames[-1]) + 1):
        while target is not None and target < position + len(batch):
            yield batch[target - position].copy()
            target = next(wanted, None)
        position += len(batch)


def _quality(pixels: U8Array, points: F32Array, angles_deg: F64Array) -> float:
    """Score a shot: sharp, frontal, eyes open, mouth at rest.

    The weights put 10 degrees of turn, a doubling of blur, a half-closed eye and a mouth
    opened by a tenth of the eye distance on about the same footing.
    """
    import cv2

    from thvideo.landmarks.schema import LEFT_LIDS, RIGHT_LIDS, outer_eye_distance

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    sharpness = float(np.log2(cv2.Laplacian(grey, cv2.CV_64F)[64:192, 64:192].var() + 1.0))
    eye_px = float(outer_eye_distance(points))
    lids = [np.linalg.norm(points[a] - points[b]) for a, b in (*RIGHT_LIDS, *LEFT_LIDS)]
    # 0.1 of the outer-eye distance is an eye that is open in the usual way.
    closed = max(0.0, 1.0 - float(np.mean(lids)) / (0.1 * eye_px))
    mouth = float(np.linalg.norm(points[62] - points[66])) / eye_px
    turn = float(np.abs(angles_deg[:2]).sum())
    return 0.5 * sharpness - turn / 10.0 - 2.0 * closed - 10.0 * mouth


def _choose(shots: list[_Shot], n_shots: int) -> list[_Shot]:
    """Return the best shot of the first source, then good shots of ever different pose."""
    first = next(shot for shot in shots if shot.source == 0)
    chosen, rest = [first], [shot for shot in shots if shot is not first]
    while rest and len(chosen) < n_shots:

        def gain(shot: _Shot) -> float:
            apart = min(float(np.abs(shot.angles_deg - c.angles_deg).sum()) for c in chosen)
            return shot.quality + min(apart, 30.0) / 5.0

        best = max(rest, key=gain)
        chosen.append(best)
        rest.remove(best)
    return chosen


def _pictures_of(job: Job, shots: list[_Shot]) -> "Iterator[tuple[_Shot, U8Array]]":
    """Yield shots with their upright pictures, from one pass over each source."""
    from thvideo.imaging.turn import turn_upright

    in_order = sorted(shots, key=lambda shot: (shot.source, shot.frame))
    for source, of_source in groupby(in_order, key=lambda shot: shot.source):
        own = list(of_source)
        frames = np.array([shot.frame for shot in own])
        pictures = _pictures(open_footage(job.inputs[f"frames_{source}"]), frames)
        for shot, picture in zip(own, pictures, strict=True):
            yield shot, turn_upright(picture, shot.quarter)
