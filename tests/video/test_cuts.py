"""Hard cuts are found; motion, flashes, fades of the light and broken frames are none."""

from pathlib import Path

import numpy as np

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


def test_a_cross_fade_is_no_hard_cut() -> None:
    share = np.clip((np.arange(40) - 10) / 15, 0, 1)[:, None, None, None]
    frames = (shot(1, 40) * (1 - share) + shot(2, 40) * share).astype(np.uint8)
    assert cuts_in(frames) == ()


def test_cuts_between_real_clips_are_found(shared_data: Path) -> None:
    paths = sorted((shared_data / "clips").glob("*_0.mp4"))[::16][:8]
    shots = []
    for path in paths:
        batches = read_frames(path, probe(path), height_width=THUMBNAIL)
        shots.append(np.concatenate(list(batches))[:40])
    starts = np.cumsum([len(frames) for frames in shots])[:-1]
    assert cuts_in(np.concatenate(shots)) == tuple(starts)
