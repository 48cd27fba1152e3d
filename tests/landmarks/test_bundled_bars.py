"""The tracker that ships, held to its bars on people it has never seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import skimage.io

from thvideo.landmarks.bundled import BundledTracker
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.landmarks.tracker import box_from_detection, box_from_points
from thvideo.shapes import F32Array, U8Array
from thvideo.training.tracker_data import Face, eye_opening, read_clips, read_portraits

#: Pictures without a face that scikit-image ships in its wheel.
FACE_FREE = (
    "brick.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "page.png",
    "phantom.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)


@pytest.fixture(scope="module")
def tracker() -> BundledTracker:
    return BundledTracker("cpu")


def place(tracker: BundledTracker, faces: list[Face]) -> F32Array:
    """Landmarks of each face after a look from a rough box and one from those landmarks."""
    found = []
    for face in faces:
        corners = np.concatenate([face.points[:68].min(0), face.points[:68].max(0)])
        rough, _ = tracker.landmarks(face.picture[None], box_from_detection(corners)[None])
        fine, _ = tracker.landmarks(face.picture[None], box_from_points(rough))
        found.append(fine[0])
    return np.stack(found)


def errors_percent(tracker: BundledTracker, faces: list[Face]) -> F32Array:
    truth = np.stack([face.points for face in faces])
    off = np.linalg.norm(place(tracker, faces) - truth, axis=-1).mean(axis=1)
    return 100 * off / outer_eye_distance(truth)


def test_landmarks_on_unseen_people_in_clips_are_within_their_bars(
    tracker: BundledTracker, shared_data: Path
) -> None:
    errors = errors_percent(tracker, read_clips(shared_data, "val", 25))
    assert errors.mean() <= 3.5
    assert np.median(errors) <= 2.5


def test_landmarks_on_unseen_portraits_and_paintings_are_within_their_bars(
    tracker: BundledTracker, shared_data: Path
) -> None:
    errors = errors_percent(tracker, read_portraits(shared_data, "val"))
    assert errors.mean() <= 4.0
    assert np.median(errors) <= 3.0


def test_closed_eyes_are_seen_to_be_closed(tracker: BundledTracker, shared_data: Path) -> None:
    faces = read_clips(shared_data, "val", 3, keep_blinks=True)
    shares = []
    for person in sorted({face.group for face in faces}):
        own = [face for face in faces if face.group == person]
        openings = eye_opening(np.stack([face.points for face in own]))
        usual = float(np.median(openings))
        shut = [own[i] for i in np.flatnonzero(openings < 0.3 * usual)[:5]]
        wide = [own[i] for i in np.argsort(np.abs(openings - usual))[:5]]
        if len(shut) >= 2:
            found_wide = np.median(eye_opening(place(tracker, wide)))
            shares.append(np.median(eye_opening(place(tracker, shut))) / found_wide)
    assert len(shares) >= 8
    assert np.median(shares) <= 0.45


def test_nearly_every_face_in_drivers_and_pictures_is_found(
    tracker: BundledTracker, shared_data: Path
) -> None:
    n_found, n_frames = 0, 0
    for path in sorted((shared_data / "drivers").glob("*.mp4")):
        frames = every(path, 20)
        n_frames += len(frames)
        n_found += sum(len(boxes) > 0 for boxes in tracker.detect(frames))
    pictures = [*(shared_data / "sources").iterdir(), *(shared_data / "portraits").glob("*.jpg")]
    for path in sorted(pictures):
        n_frames += 1
        n_found += len(tracker.detect(rgb(path)[None])[0]) > 0
    assert n_found / n_frames >= 0.99


@pytest.mark.parametrize("name", FACE_FREE)
def test_no_face_is_found_where_there_is_none(tracker: BundledTracker, name: str) -> None:
    path = Path(skimage.data.__file__).parent / name
    if not path.exists():
        pytest.skip(f"this scikit-image does not ship {name}")
    picture = np.asarray(skimage.io.imread(path))
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    assert len(tracker.detect(np.ascontiguousarray(picture[None, ..., :3]))[0]) == 0


def test_no_face_is_found_in_noise(tracker: BundledTracker) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 360, 480, 3), dtype=np.uint8)
    assert [len(boxes) for boxes in tracker.detect(noise)] == [0, 0]


def test_an_astronauts_face_is_found_where_it_is(tracker: BundledTracker) -> None:
    x0, y0, x1, y1, score = tracker.detect(skimage.data.astronaut()[None])[0][0]
    assert score > 0.6
    assert 170 < x0 < 205
    assert 240 < x1 < 285
    assert 70 < y0 < 115
    assert 160 < y1 < 195


def test_a_still_face_keeps_still(tracker: BundledTracker, shared_data: Path) -> None:
    picture = rgb(shared_data / "sources" / "photo.jpg")
    rng = np.random.default_rng(1)
    noisy = np.stack(
        [np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255) for _ in range(12)]
    ).astype(np.uint8)
    rough = box_from_detection(tracker.detect(picture[None])[0][:1])
    points, _ = tracker.landmarks(picture[None], rough)
    boxes = np.repeat(box_from_points(points), len(noisy), axis=0)
    seen, _ = tracker.landmarks(noisy, boxes)
    jitter = seen.std(axis=0).mean() / float(outer_eye_distance(points[0]))
    assert jitter <= 0.003


def test_batches_of_one_and_of_seven_agree(tracker: BundledTracker) -> None:
    picture = skimage.data.astronaut()
    rough = box_from_detection(tracker.detect(picture[None])[0][:1])
    together, _ = tracker.landmarks(
        np.repeat(picture[None], 7, axis=0), np.repeat(rough, 7, axis=0)
    )
    alone, _ = tracker.landmarks(picture[None], rough)
    assert np.abs(together - alone).max() < 0.25


def every(path: Path, step: int) -> U8Array:
    capture, frames, index = cv2.VideoCapture(str(path)), [], 0
    while capture.grab():
        if index % step == 0:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        index += 1
    return np.stack(frames).astype(np.uint8)


def rgb(path: Path) -> U8Array:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)
