"""The landmark check: how much speaks against points being those of a face as it stands.

A network places its points on whatever it is shown: on a face that lies on its side, a hand or a
page of print too. There they form no face, and the network is less sure of it.

Shapes: T frames.
"""

import numpy as np

from thvideo.landmarks import schema
from thvideo.landmarks.expression import unposed
from thvideo.landmarks.pose import face_model, fit_pose, project
from thvideo.shapes import F32Array, F64Array, check_shape

#: Up to this doubt a face is sure: 95 % of 237 upright pictures are, and of 208 that are turned
#: and looked at as if they were upright none is.
SURE = 1.5
#: Up to this doubt there is a face beside a sure one; all 237 pictures are below.
BESIDE_SURE = 2.8
#: From this doubt on there is no face: all 237 pictures, and the oddest grimaces of 6 drivers,
#: stay below.
NO_FACE = 4.5

# Distance from the mean face, and between both halves, in outer eye distances, that is one doubt.
_USUAL_MISFIT, _USUAL_ASYMMETRY = 0.1, 0.1
# Doubts for each ten times that a tracker is less sure than of a clear face.
_UNSURE_DOUBTS = 2.0
_IBUG = slice(0, schema.N_IBUG_POINTS)


def face_doubt(points: F32Array, confidence: F32Array, clear: float) -> F64Array:
    """Weigh what speaks against faces: their fit, their symmetry and the tracker's confidence.

    The mean face is fitted and projected again; symmetry is that of the face seen from its front.

    Args:
        points: ``[T, 70, 2]`` pixels; irises may be NaN.
        confidence: ``[T]`` in 0..1.
        clear: The tracker's confidence of a clear face (``Tracker.clear``).

    Returns:
        Doubts ``[T]``: about 0.5 for a clear face, see ``SURE`` and ``NO_FACE``; infinite where
        points are unknown.
    """
    check_shape(points, "T 70 2", **check_shape(confidence, "T"))
    doubts = np.full(len(points), np.inf)
    known = np.flatnonzero(np.isfinite(points[:, _IBUG]).all(axis=(1, 2)))
    if len(known) == 0:
        return doubts
    faces = schema.amid_eyes(points[known])
    pose, model = fit_pose(faces), face_model()
    off = np.linalg.norm((faces - project(model, pose))[:, _IBUG], axis=-1)
    misfit = np.sqrt((off**2).mean(axis=1)) / pose.scale
    flat = unposed(faces, model, pose)
    mirrored = flat[:, schema.FLIP] * (-1, 1)
    asymmetry = np.linalg.norm((flat - mirrored)[:, _IBUG], axis=-1).mean(axis=1)
    unsure = np.log10((1.0001 - confidence[known]) / (1.0001 - clear))
    doubts[known] = misfit / _USUAL_MISFIT + asymmetry / _USUAL_ASYMMETRY + _UNSURE_DOUBTS * unsure
    return doubts
