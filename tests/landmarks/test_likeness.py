"""Telling people in one video apart."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.landmarks.made_faces import Square, face_at, paint
from tests.landmarks.real_clips import real_clips
from thvideo.landmarks.likeness import describe, similarity

N_TRIALS = 60


def frame_of(data: Path, clip: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame of a clip and its labels."""
    capture = cv2.VideoCapture(str(data / "clips" / f"{clip}.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, index)
    _, frame = capture.read()
    points = np.load(data / "clips" / f"{clip}.npz")["points"][index] / 16.0
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), points


def test_the_same_picture_is_alike():
    frame = paint([Square(60, 60, 40, (30, 0))])
    looks = describe(frame, face_at(60, 60, 40))
    assert similarity(looks, looks) == pytest.approx(1.0, abs=1e-6)


def test_size_place_and_roll_do_not_matter(shared_data):
    picture, points = frame_of(shared_data, "p001_0", 0)
    turn = cv2.getRotationMatrix2D((128, 128), 25, 1.7)
    turned = cv2.warpAffine(picture, turn, (500, 500), borderMode=cv2.BORDER_REPLICATE)
    looks = describe(picture, points)
    assert similarity(looks, describe(turned, points @ turn[:, :2].T + turn[:, 2])) > 0.9


def test_a_face_with_unknown_points_cannot_be_described():
    points = face_at(60, 60, 40)
    points[30] = np.nan
    with pytest.raises(ValueError, match="unknown points"):
        describe(paint([]), points)


def test_unknown_irises_do_not_matter():
    points = face_at(60, 60, 40)
    points[68:] = np.nan
    assert np.isfinite(describe(paint([Square(60, 60, 40)]), points)).all()


def test_one_person_is_told_from_others_in_another_moment_of_the_same_video(shared_data):
    clips = {row["identity"]: row for row in real_clips(shared_data) if int(row["frames"]) > 30}
    rng = np.random.default_rng(0)
    n_right = 0
    for _ in range(N_TRIALS):
        people = rng.choice(sorted(clips), size=int(rng.integers(2, 5)), replace=False)
        # A strip of faces at different sizes, as several people in one picture are.
        side = int(rng.integers(96, 256))
        strip, points = [], []
        for place, person in enumerate(people):
            row = clips[person]
            frame, labels = frame_of(shared_data, row["clip"], int(row["frames"]) - 8)
            strip.append(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA))
            points.append(labels * side / 256 + (place * side, 0))
        wanted = describe(*frame_of(shared_data, clips[people[0]]["clip"], 4))
        scene = np.concatenate(strip, axis=1)
        alike = [similarity(wanted, describe(scene, face)) for face in points]
        n_right += int(np.argmax(alike) == 0)
    assert n_right >= 0.95 * N_TRIALS
