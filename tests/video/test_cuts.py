"""Cuts and transitions are found; motion, flashes, a dimmed light and broken frames are none."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from thvideo.video.cuts import THUMBNAIL, CutFinder
from thvideo.video.probe import probe
from thvideo.video.read import read_frames


def cuts_in(frames: np.ndarray) -> tuple[int, ...]:
    finder = CutFinder()
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def shot(seed: int, n_frames: int = 20, speed_px: int = 0) -> np.ndarray:
    """Return smooth random scenery with a little noise that pans by ``speed_px`` a frame."""
    rng = np.random.default_rng(seed)
    height, width = THUMBNAIL
    coarse = rng.uniform(20, 235, (6, 24, 3))
    wide = coarse.repeat(height // 6, 0).repeat(16, 1)
    frames = np.stack([wide[:, i * speed_px :][:, :width] for i in range(n_frames)])
    return np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).astype(np.uint8)


def test_cuts_are_found_at_their_first_frames() -> None:
    frames = np.concatenate([shot(1), shot(2, 9), shot(3, 1 + 7), shot(4)])
    assert cuts_in(frames) == (20, 29, 37)


def test_a_cut_close_to_either_end_is_found() -> None:
    assert cuts_in(np.concatenate([shot(1, 1), shot(2)])) == (1,)
    assert cuts_in(np.concatenate([shot(1), shot(2, 1)])) == (20,)


def test_one_frame_and_two_equal_frames_have_no_cut() -> None:
    assert cuts_in(shot(1, 1)) == ()
    assert cuts_in(shot(1, 2)) == ()


def test_a_pan_is_no_cut() -> None:
    assert cuts_in(shot(1, 20, speed_px=12)) == ()


def test_a_sudden_start_of_fast_motion_is_no_cut() -> None:
    assert cuts_in(np.concatenate([shot(1, 10), shot(1, 20, speed_px=8)])) == ()


def test_flashes_and_single_broken_frames_are_no_cuts() -> None:
    frames = shot(1, 40)
    frames[10:13] = np.clip(frames[10:13].astype(int) + 110, 0, 255)
    frames[25] = shot(9, 1)[0]
    assert cuts_in(frames) == ()


def test_a_light_that_is_switched_is_no_cut() -> None:
    frames = shot(1, 40) // 2
    frames[20:] += 70
    assert cuts_in(frames) == ()


def mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return frames ``[T, H, W, 3]`` of which shares ``[T, ...]`` are the second shot's."""
    share = share.reshape(len(first), *(1,) * (4 - share.ndim), *share.shape[1:])
    return (first * (1 - share) + second * share).astype(np.uint8)


@pytest.mark.parametrize("n_frames", [4, 12, 25, 50])
def test_a_dissolve_is_a_cut_where_the_later_shot_prevails(n_frames: int) -> None:
    share = np.clip((np.arange(120) - 50) / n_frames, 0, 1)
    [cut] = cuts_in(mixed(shot(1, 120), shot(2, 120), share))
    assert abs(cut - 50 - n_frames / 2) <= 1 + n_frames / 20


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("n_frames", [10, 40])
def test_a_fade_through_black_or_white_parts_two_shots(n_frames: int, colour: int) -> None:
    share = np.clip((np.arange(120) - 50) / n_frames, 0, 1)
    plain = np.full((120, *THUMBNAIL, 3), colour, np.uint8)
    out = mixed(shot(1, 120), plain, np.minimum(2 * share, 1))
    cuts = cuts_in(mixed(out, shot(2, 120), np.maximum(2 * share - 1, 0)))
    # A slow one has a moment of nothing, as a shot of its own.
    assert 1 <= len(cuts) <= 1 + n_frames // 40
    assert all(abs(cut - 50 - n_frames / 2) <= n_frames / 3 for cut in cuts)


@pytest.mark.parametrize("across", [True, False])
def test_a_wipe_is_a_cut_in_its_middle(across: bool) -> None:
    edge = np.clip((np.arange(100) - 40) / 16, 0, 1)[:, None, None]
    n_places = THUMBNAIL[1] if across else THUMBNAIL[0]
    place = np.linspace(0, 1, n_places, endpoint=False)
    place = place[None, None] if across else place[None, :, None]
    share = np.broadcast_to(place < edge, (100, *THUMBNAIL))[..., None]
    [cut] = cuts_in(mixed(shot(1, 100), shot(2, 100), share.astype(float)))
    assert abs(cut - 48) <= 2


def test_a_fade_into_black_and_light_that_is_dimmed_in_a_shot_are_told_apart() -> None:
    dim = np.clip(1 - (np.arange(100) - 40) / 20, 0.35, 1)[:, None, None, None]
    frames = shot(1, 100)
    assert cuts_in((frames * dim).astype(np.uint8)) == ()
    black = np.clip(1 - (np.arange(100) - 40) / 20, 0, 1)[:, None, None, None]
    assert len(cuts_in((frames * black).astype(np.uint8))) == 1


def test_somebody_who_walks_through_the_picture_is_no_cut() -> None:
    frames = shot(1, 120)
    for frame in range(120):
        left = int(np.clip(frame - 30, 0, 60) * 0.8)
        frames[frame, 6:, left : left + 16] = (180, 140, 120)
    assert cuts_in(frames) == ()


@pytest.mark.parametrize("n_frames", [16, 48])
def test_a_camera_that_swings_over_and_stops_is_no_cut(n_frames: int) -> None:
    wide = shot(1, 1, 0)[0].repeat(3, axis=1)
    way = 0.5 - 0.5 * np.cos(np.pi * np.clip((np.arange(140) - 45) / n_frames, 0, 1))
    frames = np.stack([wide[:, round(40 * w) :][:, : THUMBNAIL[1]] for w in way])
    assert cuts_in(frames) == ()


def test_cuts_between_real_clips_are_found(shared_data: Path) -> None:
    paths = sorted((shared_data / "clips").glob("*_0.mp4"))[::16][:8]
    shots = []
    for path in paths:
        batches = read_frames(path, probe(path), height_width=THUMBNAIL)
        shots.append(np.concatenate(list(batches))[:40])
    starts = np.cumsum([len(frames) for frames in shots])[:-1]
    assert cuts_in(np.concatenate(shots)) == tuple(starts)


def test_dissolves_between_real_clips_are_found_and_nothing_else(shared_data: Path) -> None:
    paths = sorted((shared_data / "clips").glob("*_0.mp4"))[::16][:6]
    shots = []
    for path in paths:
        batches = read_frames(path, probe(path), height_width=THUMBNAIL)
        shots.append(np.concatenate(list(batches))[:50].astype(float))
    share = np.linspace(0, 1, 10)[:, None, None, None]
    frames, wanted = [shots[0][:-10]], []
    for before, after in pairwise(shots):
        wanted.append(sum(map(len, frames)) + 5)
        frames += [before[-10:] * (1 - share) + after[:10] * share, after[10:-10]]
    found = cuts_in(np.concatenate(frames).astype(np.uint8))
    hits = [cut for cut in found if min(abs(cut - place) for place in wanted) <= 2]
    assert len(hits) == len(found) >= len(wanted) - 1
