"""Whose face it is: dlib's face descriptors, and how alike two of them are (CSIM)."""

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from thvideo.landmarks.schema import N_IBUG_POINTS
from thvideo.shapes import F32Array, U8Array

_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
#: Half a second each on one core: every so many frames are looked at.
EVERY = 8
N_DESCRIPTOR = 128


def missing_extra() -> str | None:
    """Say which package faces cannot be described without, if one is missing."""
    for module, package in (("dlib", "dlib-bin"), ("face_recognition_models",) * 2):
        if importlib.util.find_spec(module) is None:
            return package.replace("_", "-")
    return None


class FaceDescriptor:
    """dlib's face recognition network (CC0), aligned by landmarks that are known already.

    Its companion that places landmarks is for research only, and is not needed.
    """

    def __init__(self) -> None:
        self._dlib: Any = import_module("dlib")
        spec = importlib.util.find_spec("face_recognition_models")
        assert spec is not None and spec.submodule_search_locations is not None
        # The package itself is not imported: it asks for setuptools to find its own files.
        path = Path(spec.submodule_search_locations[0]) / "models" / _NETWORK
        self._network = self._dlib.face_recognition_model_v1(str(path))

    def describe(self, frames: U8Array, points: F32Array) -> F32Array:
        """Describe the face of some frames.

        Args:
            frames: ``[T, S, S, 3]`` RGB.
            points: ``[T, 70, 2]`` where the face lies.

        Returns:
            ``[ceil(T / EVERY), 128]`` of frames 0, ``EVERY`` and so on; NaN where no face is
            known.
        """
        described: dict[bytes, F32Array] = {}
        found = []
        for frame, face in zip(frames[::EVERY], points[::EVERY], strict=True):
            seen = frame.tobytes() + face.tobytes()
            if seen not in described:
                described[seen] = self._one(frame, face[:N_IBUG_POINTS])
            found.append(described[seen])
        return np.stack(found)

    def _one(self, frame: U8Array, face: F32Array) -> F32Array:
        if not np.isfinite(face).all():
            return np.full(N_DESCRIPTOR, np.nan, np.float32)
        whole = np.round(face).astype(int)
        box = self._dlib.rectangle(*whole.min(axis=0).tolist(), *whole.max(axis=0).tolist())
        places = [self._dlib.point(x, y) for x, y in whole.tolist()]
        shape = self._dlib.full_object_detection(box, places)
        described = self._network.compute_face_descriptor(np.ascontiguousarray(frame), shape)
        return np.asarray(described, np.float32)


def csim(found: F32Array, wanted: F32Array) -> float:
    """Return the mean cosine similarity of descriptors, pair by pair.

    Args:
        found: ``[N, 128]``.
        wanted: ``[N, 128]``, or ``[1, 128]`` for all.
    """
    length = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    alike = (found * wanted).sum(axis=1) / length
    alike = alike[np.isfinite(alike)]
    return float(alike.mean()) if len(alike) else float("nan")
