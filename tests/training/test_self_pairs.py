"""One picture makes its own sources: moved as faces move, labelled where its points went."""

import cv2
import numpy as np
import pytest
import torch

from tests.landmarks.made_faces import face_at
from thvideo.imaging.warp import pixel_grid
from thvideo.landmarks.adapt import MAX_TURN_DEG
from thvideo.landmarks.plausible import Motions, moved_faces
from thvideo.landmarks.pose import angles_deg, fit_pose
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.models.shown import Drawn
from thvideo.training.batch import Batch
from thvideo.training.self_pairs import Shots, asked, deformed

SIZE_PX = 96
FACE = face_at(48, 50, 50).astype(np.float32)


def test_a_still_motion_leaves_every_point_where_it_was() -> None:
    np.testing.assert_allclose(moved_faces(FACE, Motions.still(2)), [FACE, FACE], atol=0.05)


def test_drawn_motions_open_mouths_close_eyes_and_turn_heads_within_limits() -> None:
    faces = moved_faces(FACE, Motions.drawn(200, np.random.default_rng(0)))
    size = outer_eye_distance(FACE)
    gaps = np.linalg.norm(faces[:, 66] - faces[:, 62], axis=-1) / size
    lids = np.linalg.norm(faces[:, 41] - faces[:, 37], axis=-1) / size
    assert (gaps < 0.02).mean() > 0.1
    assert (gaps > 0.2).mean() > 0.1
    assert (lids < 0.4 * np.median(lids)).mean() > 0.05
    turn = angles_deg(fit_pose(faces).rotation) - angles_deg(fit_pose(FACE[None]).rotation)
    assert np.abs(turn[:, 0]).max() < MAX_TURN_DEG[0] + 3
    assert turn[:, 0].std() > 3


def test_unknown_irises_are_put_amid_the_eyes() -> None:
    blind = FACE.copy()
    blind[68:] = np.nan
    moved = moved_faces(blind, Motions.still(1))[0]
    np.testing.assert_allclose(moved[68], blind[[36, 39]].mean(axis=0), atol=0.5)


def draft_alone(batch: Batch) -> Drawn:
    """A generator that leaves drafts as they are."""
    shown = batch.shown()
    resting = pixel_grid(9, SIZE_PX, shown.draft) * (2 / (SIZE_PX - 1)) - 1
    flow = resting.expand(len(batch.video), -1, -1, -1)
    return Drawn(shown.draft, shown.draft, flow, torch.zeros(len(batch.video), 1, 9, 9))


def test_a_deformed_picture_shows_its_face_where_its_points_say() -> None:
    dots = np.zeros((1, 2 * SIZE_PX, 2 * SIZE_PX, 3), np.uint8)
    face = (FACE + 0.5) * 2 - 0.5
    for index in (8, 30):
        x, y = np.round(face[index] * 16).astype(int)
        cv2.circle(dots[0], (int(x), int(y)), 64, (255, 255, 255), -1, cv2.LINE_AA, 4)
    whole = np.float32([[0, 0, 2 * SIZE_PX, 2 * SIZE_PX]])
    shots = Shots(dots, face[None], whole)
    (made,) = deformed(shots, SIZE_PX, 3, np.random.default_rng(1), draft_alone)
    assert len({each.crop.tobytes() for each in made}) == 3
    for each in made:
        assert each.crop.shape == (SIZE_PX, SIZE_PX, 3)
        for index in (8, 30):
            x, y = np.round(each.points[index]).astype(int)
            near = each.crop[y - 6 : y + 7, x - 6 : x + 7, 0].astype(float)
            rows, columns = np.mgrid[-6:7, -6:7]
            centre = [(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()]
            # The spline is smooth: it need not meet a point exactly.
            assert np.abs(centre).max() < 1.5


def test_what_a_generator_leaves_still_stays_as_it_was() -> None:
    grains = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    side = 2 * SIZE_PX
    large = cv2.resize(grains, (side, side), interpolation=cv2.INTER_LINEAR)[None]
    shots = Shots(large, (FACE[None] + 0.5) * 2 - 0.5, np.float32([[0, 0, side, side]]))

    def still_on_the_left(batch: Batch) -> Drawn:
        drawn = draft_alone(batch)
        stays = torch.zeros_like(drawn.stays)
        stays[..., :4] = 1
        # The nodes are half a cell inside, as cells of a picture are.
        full = torch.nn.functional.interpolate(stays, (SIZE_PX, SIZE_PX), mode="bilinear")
        warped = torch.lerp(drawn.warped, batch.still(), full)
        return drawn._replace(image=warped, warped=warped, stays=stays)

    ((made,),) = deformed(shots, SIZE_PX, 1, np.random.default_rng(1), still_on_the_left)
    was = shots.resized(SIZE_PX).crops[0].astype(int)
    away = np.abs(made.crop.astype(int) - was).mean(axis=(0, 2))
    assert away[: SIZE_PX // 3].max() <= 1
    assert away[SIZE_PX // 2 : -SIZE_PX // 4].mean() > 5


def test_large_pictures_stay_sharp_when_they_are_deformed() -> None:
    # Grains of a pixel and a half at the size that is trained on: a warp there would blur them.
    grains = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    side = 4 * SIZE_PX
    large = cv2.resize(grains, (side, side), interpolation=cv2.INTER_NEAREST)[None]
    shots = Shots(large, (FACE[None] + 0.5) * 4 - 0.5, np.float32([[0, 0, side, side]]))
    ((made,),) = deformed(shots, SIZE_PX, 1, np.random.default_rng(1), draft_alone)
    small = shots.resized(SIZE_PX)
    blurred = asked(small, 0, made.points[None], with_drafts=True).draft[0].numpy()
    middle = slice(SIZE_PX // 4, -SIZE_PX // 4)
    spread = small.crops[0, middle, middle].std()
    assert made.crop[middle, middle].std() > 0.92 * spread
    assert blurred[:, middle, middle].std() < 0.88 * spread


def test_shots_keep_their_pixels_and_points_together_when_resized() -> None:
    crop = np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8)
    crop[0, 40:44, 60:64] = 255
    points = np.full((1, 70, 2), 41.5, np.float32)
    points[..., 0] = 61.5
    small = Shots(crop, points, np.float32([[0, 0, SIZE_PX, 48]])).resized(48)
    assert small.crops[0, 20:22, 30:32].min() == 255
    np.testing.assert_allclose(small.landmarks[0, 0], [30.5, 20.5])
    assert small.masks()[0, :24].min() == 255
    assert small.masks()[0, 24:].max() == 0


def test_shots_of_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="K"):
        Shots(np.zeros((2, 8, 8, 3), np.uint8), FACE[None], np.zeros((2, 4), np.float32))
