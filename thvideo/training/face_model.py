"""Derive the 3-D mean face from the landmarks of many clips.

Run it as ``python -m thvideo.training.face_model DATA_FOLDER OUTPUT.safetensors``, where
DATA_FOLDER holds ``clips.tsv`` and ``clips/NAME.npz``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from thvideo.landmarks import schema
from thvideo.landmarks.pose import RIGID_WEIGHTS, Pose, project
from thvideo.landmarks.pose import _fit_block as fit_block
from thvideo.shapes import F64Array

#: Stored labels are sixteenths of a pixel.
_LABEL_STEPS_PER_PX = 16.0

#: Frames taken from a clip, evenly spaced: neighbours tell nothing new.
_FRAMES_PER_CLIP = 60

_N_ROUNDS = 60


def load_training_landmarks(folder: Path) -> list[F64Array]:
    """Return landmarks ``[T, 70, 2]`` in pixels of every training clip, evenly thinned."""
    with (folder / "clips.tsv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["split"] == "train"]
    clips = []
    for row in rows:
        with np.load(folder / "clips" / f"{row['clip']}.npz") as stored:
            points = stored["points"].astype(np.float64) / _LABEL_STEPS_PER_PX
        step = max(1, len(points) // _FRAMES_PER_CLIP)
        clips.append(points[::step])
    return clips


def first_face(frontal: F64Array) -> F64Array:
    """Give a frontal face ``[70, 2]`` a rough relief ``[70, 3]`` to start from.

    The depths, in outer eye distances, only choose between the face and its hollow mirror;
    the factorisation replaces them.
    """
    depth = np.full(schema.N_POINTS, -0.1)
    depth[schema.JAW] = 0.6 * np.abs(np.linspace(-1, 1, 17)) ** 1.5
    depth[schema.NOSE_BRIDGE] = [-0.15, -0.25, -0.35, -0.45]
    depth[schema.NOSE_BASE] = -0.25
    depth[[36, 45]] = 0.1
    depth[schema.MOUTH] = -0.2
    return np.concatenate([frontal, depth[:, None]], axis=1)


def normalised(face: F64Array) -> F64Array:
    """Make a face symmetric, upright, of unit eye distance, centred amid the rigid points."""
    centred = face - np.average(face, axis=0, weights=RIGID_WEIGHTS)
    mirrored = centred[schema.FLIP] * np.array([-1.0, 1.0, 1.0])
    even = (centred + mirrored) / 2
    scaled: F64Array = even / np.linalg.norm(even[45] - even[36])
    return scaled


def factorise(clips: list[F64Array]) -> tuple[F64Array, float]:
    """Alternate poses and shape until both agree.

    Args:
        clips: Landmarks ``[T, 70, 2]`` of each clip; every clip counts the same.

    Returns:
        The mean face ``[70, 3]`` in its own frame, and the median residual of the rigid points
        in outer eye distances.
    """
    points = np.concatenate(clips)
    clip_weight = np.concatenate([np.full(len(clip), 1 / len(clip)) for clip in clips])
    size = schema.outer_eye_distance(points)
    centre = np.einsum("n,tnc->tc", RIGID_WEIGHTS / RIGID_WEIGHTS.sum(), points)
    frontal = np.median((points - centre[:, None]) / size[:, None, None], axis=0)
    face = normalised(first_face(frontal))
    used = np.flatnonzero(RIGID_WEIGHTS)
    for _ in range(_N_ROUNDS):
        pose = fit_block(points[:, used], face[used], RIGID_WEIGHTS[used])
        face = normalised(_solve_shape(points, pose, clip_weight, face))
    residual = np.linalg.norm(project(face, pose) - points, axis=-1) / pose.scale[:, None]
    return face, float(np.median(residual[:, used]))


def _solve_shape(points: F64Array, pose: Pose, weight: F64Array, face: F64Array) -> F64Array:
    """Least squares for every point over all frames; residuals far off count little."""
    camera = pose.rotation[:, :2]  # [T, 2, 3]
    seen = (points - pose.translation[:, None]) / pose.scale[:, None, None]
    off = np.linalg.norm(seen - face @ np.swapaxes(camera, 1, 2), axis=-1)
    trust = weight[:, None] / (1 + (off / 0.1) ** 2)  # [T, 70]
    normal = np.einsum("tn,tia,tib->nab", trust, camera, camera)
    right = np.einsum("tn,tia,tni->na", trust, camera, seen)
    solved: F64Array = np.linalg.solve(normal, right[..., None])[..., 0]
    return solved


def main(folder: Path, output: Path) -> None:
    """Derive the mean face and store it."""
    clips = load_training_landmarks(folder)
    face, residual = factorise(clips)
    n_frames = sum(len(clip) for clip in clips)
    save_file(
        {"mean_face": face.astype(np.float32)},
        output,
        metadata={
            "n_clips": str(len(clips)),
            "n_frames": str(n_frames),
            "residual": f"{residual:.4f}",
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
