"""Windows cut from a stream of batches."""

import numpy as np
import pytest

from thvideo.landmarks.windows import KEY_INTERVAL, WINDOW_FRAMES, cut_windows


def numbered(n_frames: int, batch: int) -> list[np.ndarray]:
    """Batches of frames whose first value is their number."""
    frames = np.zeros((n_frames, 2, 3, 3), dtype=np.uint8)
    frames[:, 0, 0, 0] = np.arange(n_frames)
    return [frames[first : first + batch] for first in range(0, n_frames, batch)]


@pytest.mark.parametrize("n_frames", [0, 1, 2, 12, 13, 14, 24, 25, 37])
@pytest.mark.parametrize("batch", [1, 5, 13, 64])
@pytest.mark.parametrize("cuts", [(), (1,), (12,), (13,), (0, 3, 20, 99)])
def test_the_own_frames_are_all_frames_in_order_and_shots_are_not_mixed(n_frames, batch, cuts):
    seen = []
    for window in cut_windows(numbered(n_frames, batch), cuts):
        numbers = window.frames[:, 0, 0, 0].tolist()
        assert numbers == list(range(window.first, window.first + len(numbers)))
        assert not [c for c in cuts if numbers[0] < c <= numbers[-1]]
        assert window.starts_shot == (window.first in {0, *cuts})
        last = window.first + window.n_own
        assert window.ends_shot == (last in cuts or last == n_frames)
        assert len(numbers) == window.n_own + (not window.ends_shot)
        assert len(numbers) <= WINDOW_FRAMES + 1
        seen += numbers[: window.n_own]
    assert seen == list(range(n_frames))


def test_every_sixth_frame_and_the_last_one_of_a_shot_are_keys():
    keys = [
        window.first + key for window in cut_windows(numbered(40, 7), (32,)) for key in window.keys
    ]
    assert sorted(set(keys)) == [0, 6, 12, 18, 24, 30, 31, 32, 38, 39]
    assert KEY_INTERVAL == 6


def test_a_window_within_one_batch_is_not_copied():
    batch = numbered(30, 30)
    window = next(cut_windows(batch, ()))
    assert np.shares_memory(window.frames, batch[0])


def test_empty_batches_are_passed_over():
    batches = [np.zeros((0, 2, 3, 3), np.uint8), *numbered(3, 1), np.zeros((0, 2, 3, 3), np.uint8)]
    assert [window.n_own for window in cut_windows(batches, ())] == [3]


def test_a_batch_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="expected shape"):
        list(cut_windows([np.zeros((2, 3, 3), np.uint8)], ()))
