"""Detail of mouth and eyes, against blurs and bands that are known beforehand."""

import cv2
import numpy as np
import pytest

from tests.landmarks.made_faces import unit_face
from thvideo.evaluation.parts import mouths, part_details, whole_patch

SIDE = 200


def faces(gap: float, lids: float = 0.0) -> np.ndarray:
    points = unit_face()
    points[[65, 66, 67, 55, 56, 57, 58, 59], 1] += gap
    points[[40, 41, 46, 47], 1] += lids
    return np.stack([110 * points + 100] * 3).astype(np.float32)


def rough() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


def blurred(frames: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    frames = frames.copy()
    for frame in frames:
        frame[box] = cv2.GaussianBlur(frame, (0, 0), 2)[box]
    return frames


#: Around the mouth and around both eyes of these faces.
MOUTH_BOX, EYES_BOX = (slice(120, 180), slice(60, 140)), (slice(50, 90), slice(40, 160))


def test_true_frames_have_all_their_detail_and_shut_ones_none_to_measure() -> None:
    truth = rough()
    found = part_details(truth, truth, faces(0.2, 0.05))
    assert (found["mouth_detail"], found["eye_detail"]) == (1, 1)
    shut = part_details(truth, truth, faces(-0.02, -0.07))
    assert np.isnan([*shut["mouth_detail"], *shut["eye_detail"]]).all()


def test_a_blurred_mouth_is_seen_in_its_own_figure_alone_and_a_band_has_nothing() -> None:
    truth, points = rough(), faces(0.2, 0.05)
    mouth = part_details(blurred(truth, MOUTH_BOX), truth, points)
    assert mouth["mouth_detail"] < 0.3
    assert mouth["eye_detail"] == 1
    eyes = part_details(blurred(truth, EYES_BOX), truth, points)
    assert eyes["eye_detail"] < 0.3
    assert eyes["mouth_detail"] == 1
    band = truth.copy()
    band[:, *MOUTH_BOX] = 128
    assert part_details(band, truth, points)["mouth_detail"] == pytest.approx(0, abs=1e-6)


def test_noise_that_is_not_there_counts_as_more_than_one() -> None:
    truth = blurred(rough(), (slice(None), slice(None)))
    assert part_details(rough(), truth, faces(0.2, 0.05))["mouth_detail"] > 2


def test_mouths_are_cut_where_they_are() -> None:
    points = faces(0.2)
    frames = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    for frame, face in zip(frames, points, strict=True):
        cv2.fillPoly(frame, [np.round(face[60:68]).astype(np.int32)], (250, 250, 250))
    cut = mouths(frames, points)
    assert cut.shape[1:3] == whole_patch().shape
    middle = np.array(cut.shape[1:3]) // 2
    assert (cut[:, middle[0], middle[1]] == 250).all()
    assert not cut[:, 0].any()
