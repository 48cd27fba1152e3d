"""The face-alignment package as a tracker, without its weights and without a network."""

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from tests.landmarks.made_faces import face_at
from thvideo.errors import StageError, UsageError
from thvideo.landmarks import face_alignment
from thvideo.landmarks.face_alignment import FaceAlignmentTracker, read_heat_maps
from thvideo.landmarks.schema import N_POINTS

# The files the package looks for under torch's hub folder.
FAN_FILE, S3FD_FILE = "2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth"


def maps_with_peaks(places: np.ndarray) -> np.ndarray:
    """Heat maps ``[B, 68, 64, 64]`` with a spot at each place ``[B, 68, 2]`` (cells)."""
    y, x = np.mgrid[:64, :64]
    gap = (x - places[..., 0, None, None]) ** 2 + (y - places[..., 1, None, None]) ** 2
    return np.exp(-0.5 * gap / 1.5**2).astype(np.float32)


class BlobNet:
    """Sees red blobs: the n-th map's peak is where the picture has the n-th shade of red."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(crops))
        assert crops.shape[1:] == (3, 256, 256)
        assert 0 <= float(crops.min()) <= float(crops.max()) <= 1
        red = crops.permute(0, 2, 3, 1).numpy()
        places = np.full((len(crops), 68, 2), 31.5)
        for row, picture in enumerate(red):
            for point, colour in enumerate(COLOURS):
                hit = np.abs(picture * 255 - colour).max(axis=-1) < 12
                if hit.any():
                    y, x = np.nonzero(hit)
                    places[row, point] = ((x.mean() + 0.5) / 4 - 0.5, (y.mean() + 0.5) / 4 - 0.5)
        return torch.from_numpy(maps_with_peaks(places))


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]


class BoxDetector:
    """Reports one box per picture, in the picture's own pixels."""

    def __init__(self, faces: list[list[float]]) -> None:
        self.faces = faces
        self.shapes: list[tuple[int, ...]] = []

    def detect_from_batch(self, tensor: torch.Tensor) -> list:
        self.shapes.append(tuple(tensor.shape))
        scale = tensor.shape[3] / 1280
        return [
            [np.array([*(scale * v for v in face[:4]), face[4]]) for face in self.faces]
            for _ in tensor
        ]


@pytest.fixture
def package(monkeypatch) -> SimpleNamespace:
    fake = SimpleNamespace(face_alignment_net=BlobNet(), face_detector=BoxDetector([]))
    monkeypatch.setattr(face_alignment, "load_package", lambda device: fake)
    return fake


def picture_of(points: np.ndarray, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    frame = np.zeros((*size, 3), dtype=np.uint8)
    for point, colour in zip(points, COLOURS, strict=False):
        centre = tuple(int(v) for v in np.round(point * 16))
        cv2.circle(frame, centre, 6 * 16, colour, -1, cv2.LINE_8, 4)
    return frame


@pytest.mark.parametrize("roll", [0.0, 0.4, -0.7])
@pytest.mark.parametrize("side", [90.0, 150.0])
def test_heat_map_peaks_come_back_to_their_place_in_the_picture(package, roll, side):
    points = face_at(200, 150, 120)[[0, 16, 30, 48, 54]]
    box = np.array([[196, 154, side, roll]], dtype=np.float32)
    found, confidence = FaceAlignmentTracker().landmarks(picture_of(points)[None], box)
    np.testing.assert_allclose(found[0, :5], points, atol=0.8)
    assert confidence[0] > 0.85


def test_the_irises_are_unknown(package):
    box = np.array([[200, 150, 100, 0]], dtype=np.float32)
    found, _ = FaceAlignmentTracker().landmarks(np.zeros((1, 300, 400, 3), np.uint8), box)
    assert np.isnan(found[0, 68:]).all()
    assert np.isfinite(found[0, :68]).all()
    assert found.shape == (1, N_POINTS, 2)


def test_crops_go_through_the_network_in_batches_and_frames_without_a_box_are_left_out(package):
    boxes = np.tile(np.array([200, 150, 100, 0], np.float32), (7, 1))
    boxes[2] = np.nan
    frames = np.zeros((7, 300, 400, 3), np.uint8)
    found, confidence = FaceAlignmentTracker(batch_size=4).landmarks(frames, boxes)
    assert package.face_alignment_net.batches == [4, 2]
    assert np.isnan(found[2]).all()
    assert confidence[2] == 0
    assert (confidence[[0, 1, 3, 4, 5, 6]] > 0).all()


def test_flat_heat_maps_give_no_confidence(package):
    package.face_alignment_net = lambda crops: [torch.zeros(len(crops), 68, 64, 64)]
    box = np.array([[200, 150, 100, 0]], dtype=np.float32)
    _, confidence = FaceAlignmentTracker().landmarks(np.zeros((1, 300, 400, 3), np.uint8), box)
    assert confidence[0] == 0


def test_large_frames_are_detected_small_and_boxes_come_back_large_best_first(package):
    package.face_detector = BoxDetector([[100, 100, 200, 200, 0.6], [600, 200, 900, 500, 0.9]])
    found = FaceAlignmentTracker().detect(np.zeros((5, 720, 1280, 3), np.uint8))
    assert len(found) == 5
    assert max(max(shape[2:]) for shape in package.face_detector.shapes) <= 640
    np.testing.assert_allclose(found[0][0, [0, 2, 3]], [600.5, 900.5, 500.5], atol=1)
    # From the hairline down to the brows.
    assert 250 < found[0][0, 1] < 290
    assert found[0][:, 4].tolist() == pytest.approx([0.9, 0.6])


def test_no_faces_are_empty_arrays(package):
    found = FaceAlignmentTracker().detect(np.zeros((2, 100, 100, 3), np.uint8))
    assert [boxes.shape for boxes in found] == [(0, 5), (0, 5)]


def test_peaks_are_read_to_a_fraction_of_a_cell():
    places = np.random.default_rng(0).uniform(4, 59, (3, 68, 2))
    read, heights = read_heat_maps(maps_with_peaks(places))
    np.testing.assert_allclose(read, places, atol=0.1)
    assert (heights > 0.85).all()


def test_peaks_at_the_edge_are_read_too():
    places = np.tile([0.0, 63.0], (1, 68, 1))
    read, _ = read_heat_maps(maps_with_peaks(places))
    np.testing.assert_allclose(read, places, atol=0.7)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "face_alignment"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        FaceAlignmentTracker()
    assert "pip install 'thvideo[face-alignment]'" in caught.value.hint


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty torch hub folder on a machine without a network."""
    pytest.importorskip("face_alignment", reason="the face-alignment extra is not installed")

    def offline(url: str, *args, **kwargs) -> None:
        raise OSError(f"no route to {url}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr("face_alignment.utils.download_url_to_file", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def save_random_weights(folder: Path) -> None:
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    torch.save(s3fd().state_dict(), folder / S3FD_FILE)
    torch.save(FAN(4).state_dict(), folder / FAN_FILE)


def test_offline_the_error_says_where_to_put_the_file(hub):
    with pytest.raises(StageError, match="could not be fetched from https://") as caught:
        FaceAlignmentTracker()
    assert str(hub / FAN_FILE) in caught.value.hint or str(hub / S3FD_FILE) in caught.value.hint


def test_damaged_weights_are_named(hub):
    (hub / FAN_FILE).write_bytes(b"half a file")
    (hub / S3FD_FILE).write_bytes(b"half a file")
    with pytest.raises(StageError, match="cannot be read") as caught:
        FaceAlignmentTracker()
    assert str(hub / S3FD_FILE) in caught.value.hint


@pytest.mark.slow
def test_the_packages_own_networks_load_and_run_with_weights_at_their_place(hub):
    save_random_weights(hub)
    tracker = FaceAlignmentTracker("cpu", batch_size=2)
    frames = np.random.default_rng(0).integers(0, 255, (2, 96, 128, 3)).astype(np.uint8)
    # A random detector sees faces everywhere, and the package sorts them one by one.
    assert tracker.detect(frames[:1, :32, :32])[0].shape[1] == 5
    box = np.tile(np.array([64, 48, 40, 0.1], np.float32), (2, 1))
    points, confidence = tracker.landmarks(frames, box)
    assert points.shape == (2, 70, 2)
    assert np.isfinite(points[:, :68]).all()
    # Random weights find nothing, but what they find lies in the crop.
    assert np.abs(points[:, :68] - (64, 48)).max() < 100
    assert ((confidence >= 0) & (confidence <= 1)).all()
