"""Jitter goes, expression and timing stay."""

from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from tests.landmarks.made_faces import face_at
from thvideo.landmarks import schema
from thvideo.landmarks.smooth import smooth

# Standard deviation of the jitter over the outer eye distance, the upper end of what was measured
# with the bundled tracker on six videos, and how much of it all points share.
JITTER_OF_EYES, SHARED_PART = 0.003, 0.4
FACE_PX = 100.0
RATES = (25, 60)


def lid_height(points: np.ndarray) -> np.ndarray:
    """Mean opening of both eyes ``[T]``."""
    pairs = (*schema.RIGHT_LIDS, *schema.LEFT_LIDS)
    return np.mean([points[:, low, 1] - points[:, high, 1] for high, low in pairs], axis=0)


def mouth_height(points: np.ndarray) -> np.ndarray:
    return points[:, schema.LOWER_LIP_INNER, 1] - points[:, schema.UPPER_LIP_INNER, 1]


def acted(rate: int, seconds: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """A still head that blinks and talks: times ``[T]`` and points ``[T, 70, 2]``."""
    times = np.arange(round(seconds * rate)) / rate
    points = np.repeat(face_at(128, 128, FACE_PX)[None], len(times), axis=0)
    centres = np.arange(0.7, seconds - 0.5, 1.3)
    # A blink is closed for a moment only and over after a quarter of a second.
    shut = np.exp(-0.5 * ((times[:, None] - centres) / 0.055) ** 2).max(axis=1)
    for high, low in (*schema.RIGHT_LIDS, *schema.LEFT_LIDS):
        gap = points[:, low, 1] - points[:, high, 1]
        points[:, high, 1] += 0.75 * 0.95 * shut * gap
        points[:, low, 1] -= 0.25 * 0.95 * shut * gap
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * times), 0, 1)
    phrases = np.clip(np.sin(2 * np.pi * 0.35 * times), 0, 1)
    for point in (56, 57, 58, 65, 66, 67):
        points[:, point, 1] += 0.15 * FACE_PX * syllables * phrases
    points[:, 5:12, 1] += 0.08 * FACE_PX * (syllables * phrases)[:, None]
    return times, points


def jitter(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sigma = JITTER_OF_EYES * 0.68 * FACE_PX
    own = np.sqrt(1 - SHARED_PART**2) * rng.normal(size=shape)
    return sigma * (own + SHARED_PART * rng.normal(size=(shape[0], 1, 2)))


def trembling(points: np.ndarray, times: np.ndarray) -> float:
    """Root of the energy above 3 Hz."""
    rate = 1 / np.median(np.diff(times))
    high_pass = signal.butter(3, 3.0, "high", fs=rate, output="sos")
    return float(np.std(signal.sosfiltfilt(high_pass, points, axis=0)))


def lag_frames(before: np.ndarray, after: np.ndarray) -> float:
    """Delay at which both differ least, to a fraction of a frame.

    The cross-correlation's peak, with the energy of what overlaps taken into account: a slow
    drift would decide it otherwise.
    """
    steps = np.arange(-5, 6)
    differ = [float(((before[8:-8] - np.roll(after, -k)[8:-8]) ** 2).mean()) for k in steps]
    best = int(np.argmin(differ))
    assert 0 < best < len(steps) - 1
    left, middle, right = differ[best - 1 : best + 2]
    return float(steps[best] + 0.5 * (left - right) / (left - 2 * middle + right))


def kept_depth(before: np.ndarray, after: np.ndarray, threshold: float) -> float:
    """How much of the peaks of ``before`` is left in ``after``."""
    peaks, _ = signal.find_peaks(before, height=threshold)
    assert len(peaks) >= 3
    return float(after[peaks].mean() / before[peaks].mean())


@pytest.mark.parametrize("rate", RATES)
def test_jitter_of_a_still_face_is_at_least_halved(rate):
    times = np.arange(8 * rate) / rate
    still = np.repeat(face_at(128, 128, FACE_PX)[None], len(times), axis=0)
    noisy = still + jitter(still.shape)
    assert trembling(smooth(noisy, times, ()), times) < trembling(noisy, times) / 2


@pytest.mark.parametrize("rate", RATES)
def test_blinks_and_mouth_keep_their_depth_and_their_time(rate):
    times, points = acted(rate)
    out = np.mean([smooth(points + jitter(points.shape, s), times, ()) for s in range(4)], axis=0)
    for height, sign in ((lid_height, -1.0), (mouth_height, 1.0)):
        before, after = sign * height(points), sign * height(out)
        rest = np.median(before)
        before, after = before - rest, after - rest
        assert kept_depth(before, after, 0.5 * before.max()) > 0.95
        assert abs(lag_frames(before, after)) < 0.25


@pytest.mark.parametrize("rate", RATES)
def test_the_result_is_nearer_to_the_truth_than_the_input(rate):
    times, points = acted(rate)
    noise = jitter(points.shape)
    error = smooth(points + noise, times, ()) - points
    assert np.std(error) < 0.7 * np.std(noise)


def test_a_moving_head_is_neither_delayed_nor_cut_short():
    times = np.arange(200) / 25
    sway = 20 * np.sin(2 * np.pi * 0.8 * times)
    points = face_at(128, 128, FACE_PX) + np.stack([sway, 0.3 * sway], axis=-1)[:, None]
    out = smooth(points + jitter(points.shape), times, ())
    moved = out.mean(axis=1)[:, 0] - out.mean()
    assert abs(lag_frames(sway, moved)) < 0.05
    assert moved.max() > 0.97 * sway.max()


def test_real_movement_is_kept_in_label_tracks(shared_data: Path):
    blinks_kept, mouths_kept, calmed = [], [], []
    for name in ("p001_0", "p002_0", "p004_0", "p007_0", "p009_0", "p012_0"):
        labels = np.load(shared_data / "clips" / f"{name}.npz")["points"] / 16.0
        times = np.arange(len(labels)) / 25
        size = np.median(schema.outer_eye_distance(labels))
        noises = [jitter(labels.shape, s) * size / (0.68 * FACE_PX) for s in range(5)]
        outs = [smooth(labels + noise, times, ()) for noise in noises]
        # Averaged over noises, what is left is what the filter does to the movement.
        out = np.mean(outs, axis=0)
        calmed.append(trembling(noises[0], times) / trembling(outs[0] - out, times))
        for height, kept, sign in ((lid_height, blinks_kept, -1), (mouth_height, mouths_kept, 1)):
            before = sign * (height(labels) - np.median(height(labels)))
            after = sign * (height(out) - np.median(height(labels)))
            peaks, _ = signal.find_peaks(before, height=0.05 * size, distance=4)
            if len(peaks):
                kept.append((before[peaks].sum(), after[peaks].sum()))
                assert abs(lag_frames(before, after)) < 0.25, name
    for kept in (blinks_kept, mouths_kept):
        before, after = np.sum(kept, axis=0)
        assert after > 0.95 * before
    assert np.median(calmed) > 1.5


def test_strength_0_changes_nothing_and_more_strength_smooths_more():
    times = np.arange(100) / 25
    still = np.repeat(face_at(128, 128, FACE_PX)[None], len(times), axis=0)
    noisy = (still + jitter(still.shape)).astype(np.float32)
    np.testing.assert_array_equal(smooth(noisy, times, (), 0.0), noisy)
    left = [trembling(smooth(noisy, times, (), s), times) for s in (0.5, 1.0, 2.0)]
    assert trembling(noisy, times) > left[0] > left[1] > left[2]
    with pytest.raises(ValueError, match="strength"):
        smooth(noisy, times, (), -1.0)


def test_nothing_is_mixed_across_a_cut():
    times = np.arange(60) / 25
    points = np.repeat(face_at(128, 128, FACE_PX)[None], 60, axis=0) + jitter((60, 70, 2))
    points[30:] += 70
    whole = smooth(points, times, (30,))
    np.testing.assert_array_equal(whole[:30], smooth(points[:30], times[:30], ()))
    np.testing.assert_array_equal(whole[30:], smooth(points[30:], times[30:], ()))


def test_only_times_count_not_frame_numbers():
    times, points = acted(60, 6.0)
    noisy = points + jitter(points.shape)
    # Every other frame is missing for a while, as in a phone's recording.
    kept = np.array([i for i in range(len(times)) if not (100 < i < 200 and i % 2)])
    out = smooth(noisy[kept], times[kept], ())
    before, after = -lid_height(points[kept]), -lid_height(out)
    rest = np.median(before)
    assert kept_depth(before - rest, after - rest, 0.3 * np.ptp(before)) > 0.9
    assert np.std(out - points[kept]) < 0.7 * np.std(noisy - points)


def test_unknown_irises_stay_unknown_and_change_no_other_point():
    times, points = acted(25, 4.0)
    noisy = points + jitter(points.shape)
    without = noisy.copy()
    without[:, schema.IRISES] = np.nan
    without[10:20, schema.RIGHT_IRIS] = noisy[10:20, schema.RIGHT_IRIS]
    out = smooth(without, times, ())
    np.testing.assert_array_equal(np.isnan(out), np.isnan(without))
    # The noise of irises has a little say in how much noise other parts can have.
    np.testing.assert_allclose(out[:, :68], smooth(noisy, times, ())[:, :68], atol=0.15)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 5])
def test_very_short_shots_come_through(n_frames):
    points = np.repeat(face_at(128, 128, FACE_PX)[None], n_frames, axis=0)
    points += jitter(points.shape)
    out = smooth(points, np.arange(n_frames) / 25, ())
    np.testing.assert_allclose(out, points, atol=1.5)


def test_a_face_that_never_moves_at_all_stays_where_it_is():
    points = np.repeat(face_at(128, 128, FACE_PX)[None], 30, axis=0)
    np.testing.assert_allclose(smooth(points, np.arange(30) / 25, ()), points, atol=1e-3)
