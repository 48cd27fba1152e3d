"""CSIM by dlib's descriptors, where the extra is installed."""

from pathlib import Path

import numpy as np
import pytest

from thvideo.evaluation import likeness
from thvideo.evaluation.likeness import EVERY, FaceDescriptor, csim, missing_extra
from thvideo.training.dataset import ClipTable, read_frames, read_labels


def test_similarity_is_the_cosine_of_what_is_known() -> None:
    a = np.array([[1, 0], [1, 1], [np.nan, 0]], np.float32)
    assert csim(a, np.array([[1, 0]], np.float32)) == pytest.approx((1 + np.sqrt(0.5)) / 2)
    assert np.isnan(csim(a[2:], a[2:]))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness.importlib.util, "find_spec", lambda name: None)
    assert missing_extra() == "dlib-bin"
    monkeypatch.setattr(
        likeness.importlib.util, "find_spec", lambda name: name if name == "dlib" else None
    )
    assert missing_extra() == "face-recognition-models"


@pytest.mark.skipif(missing_extra() is not None, reason="the extra evaluate is not installed")
def test_frames_of_a_person_are_alike_and_of_two_people_less_so(shared_data: Path) -> None:
    descriptor, faces = FaceDescriptor(), []
    table = ClipTable(shared_data)
    for index in table.indices("val")[[0, 3]]:
        row = table[int(index)]
        chosen = [0] * EVERY + [row.n_frames // 2]
        points = read_labels(shared_data, row).points[chosen]
        faces.append(descriptor.describe(read_frames(shared_data, row, chosen), points))
    assert faces[0].shape == (2, 128)
    same = [csim(face[:1], face[1:]) for face in faces]
    other = csim(faces[0], faces[1])
    assert min(same) > 0.92
    assert other < 0.9
    unknown = np.full((1, 70, 2), np.nan, np.float32)
    assert np.isnan(descriptor.describe(np.zeros((1, 64, 64, 3), np.uint8), unknown)).all()
