"""Track: landmarks of one face over all frames of an input."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from thvideo.errors import InputError
from thvideo.shapes import F32Array
from thvideo.stages.base import Job, Notice, Progress, Resources, StageEvent
from thvideo.stages.footage import open_footage

if TYPE_CHECKING:
    from thvideo.landmarks.tracker import Tracker

TrackerName = Literal["bundled", "face-alignment"]
NoFace = Literal["interpolate", "hold", "fail"]

LANDMARKS = "landmarks.npz"


@dataclass(frozen=True)
class Track:
    """Track one face.

    Inputs: ``frames`` (extract). Files: ``like`` (optional picture of the face to choose).

    Args:
        tracker: Which tracker finds the landmarks.
        face: "largest", "left", "right" or a number from 0 in order of size; "like" when a
            picture of the wanted face is given.
        no_face: What to do with frames in which no face is found.
        smooth: Strength of the jitter filter, 0 (off) to 2; 1 is the measured default.
    """

    name: ClassVar[str] = "track"
    version: ClassVar[int] = 1
    tracker: TrackerName = "bundled"
    face: str = "largest"
    no_face: NoFace = "interpolate"
    smooth: float = 1.0

    def skip_reason(self) -> str | None:
        """Track always has work."""
        return None

    def run(self, job: Job) -> Iterator[StageEvent]:
        """Make ``landmarks.npz``."""
        from thvideo.landmarks.choice import parse_choice
        from thvideo.landmarks.follow import follow
        from thvideo.landmarks.gaps import GapContext, fill_gaps
        from thvideo.landmarks.smooth import smooth
        from thvideo.landmarks.tracked import Tracked

        footage = open_footage(job.inputs["frames"])
        tracker = make_tracker(self.tracker, job.resources)
        like = job.files.get("like")
        choice = parse_choice(self.face, None if like is None else _likeness(like, tracker))
        batches = []
        done = 0
        for batch in follow(footage.frames(), tracker, choice, footage.cuts, name=footage.name):
            batches.append(batch)
            done += len(batch.found)
            yield Progress(done, footage.n_frames)
        raw = np.concatenate([batch.points for batch in batches])
        found = np.concatenate([batch.found for batch in batches])
        times_s = np.zeros(1) if footage.times is None else footage.times.seconds()
        filled, spans = fill_gaps(
            raw, found, self.no_face, GapContext(footage.cuts, times_s, footage.name)
        )
        tracked = Tracked(
            points=smooth(filled, times_s, footage.cuts, self.smooth),
            raw=raw,
            confidence=np.concatenate([batch.confidence for batch in batches]),
            found=found,
            times_s=times_s,
        )
        with job.chunks.writing(LANDMARKS) as path:
            tracked.save(path)
        no_face = [
            [first, last, float(times_s[first]), float(times_s[last])] for first, last in spans
        ]
        if no_face:
            n_lost = sum(last - first + 1 for first, last in spans)
            yield Notice(
                f"{footage.name}: no face in {n_lost} of {footage.n_frames} frames "
                f"({len(spans)} gaps); filled by --no-face {self.no_face}"
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


def make_tracker(name: TrackerName, resources: Resources) -> "Tracker":
    """Load a tracker onto the device.

    Raises:
        DeviceError: The device is not there.
        InputError: The tracker's package or weights are not there.
    """
    import torch

    from thvideo.synthesis.device import choose_device

    if resources.threads:
        torch.set_num_threads(resources.threads)
    device = str(choose_device(resources.device))
    if name == "face-alignment":
        from thvideo.landmarks.face_alignment import FaceAlignmentTracker

        return FaceAlignmentTracker(device)
    from thvideo.landmarks.bundled import BundledTracker

    return BundledTracker(device, resources.precision)


def _likeness(path: Path, tracker: "Tracker") -> F32Array:
    """Describe the face that ``--face-like`` shows."""
    from thvideo.imaging.picture import load_picture
    from thvideo.landmarks.careful import detect_carefully, landmarks_precisely
    from thvideo.landmarks.likeness import describe
    from thvideo.landmarks.tracker import box_from_detection

    picture = load_picture(path, 2048)
    faces = detect_carefully(picture, tracker)
    if len(faces) == 0:
        raise InputError(
            f"no face was found in {path}", hint="give --face-like a picture that shows the face"
        )
    box = box_from_detection(faces[0])
    points, _ = landmarks_precisely(picture, box, tracker)
    return describe(picture, points[0])
