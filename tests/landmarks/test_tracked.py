"""Which frames of a tracked face may say how the person looks at rest."""

import numpy as np

from thvideo.landmarks.tracked import Tracked


def test_frames_not_found_or_much_less_sure_than_usual_are_not_sure() -> None:
    confidence = np.full(10, 0.98, np.float32)
    confidence[2], confidence[3], confidence[4] = 0.93, 0.6, 0.98
    found = np.ones(10, dtype=bool)
    found[4] = False
    points = np.zeros((10, 70, 2), np.float32)
    tracked = Tracked(points, points, confidence, found, np.arange(10) / 25)
    assert np.flatnonzero(~tracked.sure).tolist() == [3, 4]


def test_where_no_face_was_found_no_frame_is_sure() -> None:
    points, none = np.zeros((3, 70, 2), np.float32), np.zeros(3, dtype=bool)
    assert not Tracked(points, points, np.zeros(3, np.float32), none, np.arange(3.0)).sure.any()
