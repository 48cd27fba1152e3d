"""Track: landmarks of one face over all frames of an input."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from thvideo.errors import InputError
from thvideo.models.precision import Precision
from thvideo.shapes import F32Array
from thvideo.stages.base import Job, Notice, Progress, Resources, StageEvent, loading
from thvideo.stages.footage import Footage, open_footage
from thvideo.stages.streaming import ahead

if TYPE_CHECKING:
    from thvideo.landmarks.choice import FaceChoice
    from thvideo.landmarks.follow import FollowedBatch, FollowState
    from thvideo.landmarks.tracker import Tracker

TrackerName = Literal["bundled", "face-alignment"]
NoFace = Literal["interpolate", "hold", "fail"]

LANDMARKS = "landmarks.npz"


@dataclass(frozen=True)
class Track:
    """Track one face.

    Inputs: ``frames`` (extract). Files: ``like`` (optional picture of the face to choose);
    ``tracker_detector`` and ``tracker_landmarks``, the bundled tracker's weights.

    Args:
        tracker: Which tracker finds the landmarks.
        face: "largest", "left", "right" or a number from 0 in order of size; "like" when a
            picture of the wanted face is given.
        no_face: What to do with frames in which no face is found, or its mouth is covered.
        smooth: Strength of the jitter filter, 0 (off) to 2; 1 is the measured default.
        precision: Arithmetic of the bundled tracker; others have their own, "fp32" here.
        package: Version of the package that another tracker comes from.
    """

    name: ClassVar[str] = "track"
    version: ClassVar[int] = 4
    tracker: TrackerName = "bundled"
    face: str = "largest"
    no_face: NoFace = "interpolate"
    smooth: float = 1.0
    precision: Precision = "fp32"
    package: str = ""

    def skip_reason(self) -> str | None:
        """Track always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``landmarks.npz``."""
        with loading():
            from thvideo.landmarks.choice import parse_choice
            from thvideo.landmarks.cover import covered_frames
            from thvideo.landmarks.gaps import GapContext, fill_gaps
            from thvideo.landmarks.smooth import smooth
            from thvideo.landmarks.tracked import Tracked
            from thvideo.synthesis.device import cpu_threads

        footage = open_footage(job.inputs["frames"])
        with cpu_threads(job.resources.threads):
            tracker = self._tracker(job)
            like = job.files.get("like")
            choice = parse_choice(self.face, None if like is None else _likeness(like, tracker))
            yield from _follow_in_parts(job, footage, tracker, choice)
        parts, _ = _finished_parts(job)
        raw, confidence, found, log_odds = (
            np.concatenate([part[name] for part in parts])
            for name in ("points", "confidence", "found", "covered")
        )
        covered = covered_frames(log_odds, raw, footage.cuts)
        found &= ~covered
        times_s = np.zeros(1) if footage.times is None else footage.times.seconds()
        filled, spans = fill_gaps(
            raw, found, self.no_face, GapContext(footage.cuts, times_s, footage.name)
        )
        tracked = Tracked(
            points=smooth(filled, times_s, footage.cuts, self.smooth),
            raw=raw,
            confidence=confidence,
            found=found,
            times_s=times_s,
        )
        with job.chunks.writing(LANDMARKS) as path:
            tracked.save(path)
        job.chunks.keep_only(LANDMARKS)
        no_face = [
            [first, last, float(times_s[first]), float(times_s[last])] for first, last in spans
        ]
        if no_face:
            n_lost = sum(last - first + 1 for first, last in spans)
            n_covered = int(covered.sum())
            why = f"no face, or a covered one ({n_covered})," if n_covered else "no face"
            yield Notice(
                f"{footage.name}: {why} in {n_lost} of {footage.n_frames} frames "
                f"({len(spans)} gap{'s'[: len(spans) > 1]}); filled by --no-face {self.no_face}"
            )
        turned = _turned(raw[found])
        if turned:
            n_turned, angle_deg = turned
            frames = "" if footage.n_frames == 1 else f" in {n_turned} of {footage.n_frames} frames"
            yield Notice(
                f"{footage.name}: the face is turned by {angle_deg} degrees{frames}; "
                "it is taken as if it were upright"
            )
        job.facts.update(
            name=footage.name,
            kind=footage.kind,
            n_frames=footage.n_frames,
            cuts=list(footage.cuts),
            no_face_spans=no_face,
            tracker=self.tracker,
            face=self.face,
        )

    def _tracker(self, job: Job) -> "Tracker":
        """Load the tracker onto the device.

        Raises:
            DeviceError: The device is not there.
            InputError: The tracker's package or weights are not there.
        """
        from thvideo.synthesis.device import choose_device

        device = str(choose_device(job.resources.device))
        if self.tracker == "face-alignment":
            from thvideo.landmarks.face_alignment import FaceAlignmentTracker

            return FaceAlignmentTracker(device)
        from thvideo.landmarks.bundled import DETECTOR_WEIGHT, LANDMARK_WEIGHT, BundledTracker

        # The files that the key is made of; without them those that ship.
        detector, landmarks = job.files.get(DETECTOR_WEIGHT), job.files.get(LANDMARK_WEIGHT)
        return BundledTracker(device, self.precision, detector=detector, landmarks=landmarks)


def _follow_in_parts(
    job: Job, footage: Footage, tracker: "Tracker", choice: "FaceChoice"
) -> Iterator[StageEvent]:
    """Follow the face, publishing part after part, from where an interrupted run stopped."""
    from thvideo.landmarks.follow import follow

    _, state = _finished_parts(job)
    yield Progress(state.next_frame, footage.n_frames)
    if state.next_frame == footage.n_frames:
        return
    frames = ahead(footage.frames(state.next_frame, footage.n_frames))
    follow_on = partial(follow, frames, tracker, choice, footage.cuts, name=footage.name)
    waiting: list[FollowedBatch] = []
    with _looking_aside(job.resources) as pool:
        for batch in follow_on(state=state, pool=pool):
            waiting.append(batch)
            done = batch.state.next_frame
            n_waiting = sum(len(part.found) for part in waiting)
            if n_waiting >= job.resources.chunk_frames or done == footage.n_frames:
                _keep_part(job, waiting, done - n_waiting)
                waiting = []
            yield Progress(done, footage.n_frames)


@contextmanager
def _looking_aside(resources: Resources) -> Iterator[Executor | None]:
    """Share the processor: threads look at frames beside the one that searches key frames.

    Small networks side by side finish sooner than each of them split over all cores. Each takes
    half of the cores, the three together more than there are: they wait for each other in turns.

    Yields:
        The threads; None where a device computes, or one thread alone.
    """
    import torch

    from thvideo.synthesis.device import choose_device, cpu_thread_count, cpu_threads

    n_each = cpu_thread_count() // 2
    if choose_device(resources.device).type != "cpu" or n_each == 0:
        yield None
        return
    with (
        cpu_threads(n_each),
        ThreadPoolExecutor(2, "look", torch.set_num_threads, (n_each,)) as pool,
    ):
        yield pool


def _keep_part(job: Job, batches: "list[FollowedBatch]", first: int) -> None:
    """Publish followed frames as one chunk, with all that is needed to go on after it."""
    arrays: dict[str, Any] = {
        "points": np.concatenate([batch.points for batch in batches]),
        "confidence": np.concatenate([batch.confidence for batch in batches]),
        "found": np.concatenate([batch.found for batch in batches]),
        "covered": np.concatenate([batch.covered for batch in batches]),
    }
    state = vars(batches[-1].state)
    known = {f"state_{name}": value for name, value in state.items() if value is not None}
    with (
        job.chunks.writing(f"part-{first:06d}-{state['next_frame']:06d}.npz") as path,
        path.open("wb") as file,
    ):
        np.savez(file, **arrays, **known)


def _finished_parts(job: Job) -> "tuple[list[dict[str, Any]], FollowState]":
    """Read what an interrupted run has published."""
    from thvideo.landmarks.follow import FollowState

    parts: list[dict[str, Any]] = []
    state = FollowState()
    for name in job.chunks.names():
        if name.startswith(f"part-{state.next_frame:06d}-"):
            with np.load(job.chunks.path(name), allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            known: dict[str, Any] = {
                key.removeprefix("state_"): value if value.ndim else int(value)
                for key, value in arrays.items()
                if key.startswith("state_")
            }
            state = FollowState(**known)
            parts.append(arrays)
    return parts, state


def _turned(points: F32Array) -> tuple[int, int] | None:
    """Count faces ``[N, 70, 2]`` that lie nearer to a side than upright, and say how far."""
    from thvideo.landmarks.upright import stand, turns_deg

    lying = turns_deg(points)[~stand(points)]
    return (len(lying), round(float(np.median(lying)))) if len(lying) else None


def _likeness(path: Path, tracker: "Tracker") -> F32Array:
    """Describe the face that ``--face-like`` shows."""
    from thvideo.imaging.picture import load_picture
    from thvideo.landmarks.careful import find_carefully, landmarks_precisely
    from thvideo.landmarks.likeness import describe

    picture = load_picture(path, 2048)
    faces = find_carefully(picture, tracker)
    if not faces:
        raise InputError(
            f"no face was found in {path}", hint="give --face-like a picture that shows the face"
        )
    surest = min(faces, key=lambda face: face.doubt)
    points, _ = landmarks_precisely(picture, surest.box, tracker)
    return describe(picture, points[0])
