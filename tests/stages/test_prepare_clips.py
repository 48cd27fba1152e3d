"""Which frames of a video become which clips."""

from fractions import Fraction

import numpy as np
import pytest

from tests.landmarks.made_faces import face_at
from thvideo.errors import UsageError
from thvideo.stages.prepare_options import PrepareOptions, parse_fps, parse_min_face
from thvideo.stages.prepare_plan import Followed, frames_at, plan_clips


def followed(centres_x, sides, cuts: tuple[int, ...] = (), fps: float = 25) -> Followed:
    """A face at these places; a side of NaN is no face."""
    points = np.stack([face_at(x, 300, side) for x, side in zip(centres_x, sides, strict=True)])
    numbers = np.arange(len(points))
    return Followed(numbers * 2, numbers / fps, points.astype(np.float32), cuts)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001)])
def test_a_video_at_the_rate_wanted_or_slower_keeps_every_frame(rate: Fraction) -> None:
    times_s = np.arange(200) / float(rate)
    assert frames_at(times_s, max(rate, Fraction(25))).tolist() == list(range(200))
    # Matroska's times are whole milliseconds.
    assert frames_at(np.round(times_s, 3), max(rate, Fraction(25))).tolist() == list(range(200))


def test_a_faster_video_is_thinned_by_time() -> None:
    assert frames_at(np.arange(20) / 50, Fraction(25)).tolist() == list(range(0, 20, 2))
    at_30 = np.arange(300) / 30
    chosen = frames_at(at_30, Fraction(25))
    assert abs(len(chosen) - 250) <= 1
    wanted_s = np.arange(len(chosen)) / 25
    assert np.abs(at_30[chosen] - wanted_s).max() < 1 / 30


def test_uneven_times_give_the_frames_that_were_shown() -> None:
    times_s = np.array([0, 0.01, 0.02, 1.0, 1.5, 1.51])
    assert frames_at(times_s, Fraction(2)).tolist() == [0, 2, 3, 4]
    assert frames_at(np.array([0.0]), Fraction(25)).tolist() == [0]


def test_cuts_and_losses_of_the_face_end_a_clip() -> None:
    sides = np.full(100, 120.0)
    sides[60:65] = np.nan
    clips, rejects = plan_clips(followed(np.full(100, 300), sides, (30,)), PrepareOptions())
    assert [(clip.frames[0] // 2, len(clip.frames)) for clip in clips] == [
        (0, 30),
        (30, 30),
        (65, 35),
    ]
    assert clips[1].start_s == pytest.approx(1.2)
    assert rejects == []


def test_a_face_that_wanders_gets_a_crop_for_each_place() -> None:
    places = np.concatenate([np.full(40, 300.0), np.linspace(300, 700, 120), np.full(40, 700.0)])
    clips, _ = plan_clips(followed(places, np.full(200, 120.0)), PrepareOptions())
    assert len(clips) > 1
    for clip in clips:
        assert clip.crop.side_px / clip.face_px <= 2.81
        assert 0 < clip.points[..., 0].min() < clip.points[..., 0].max() < 255
    assert sum(len(clip.frames) for clip in clips) == 200


def test_a_long_shot_becomes_equal_parts() -> None:
    clips, _ = plan_clips(
        followed(np.full(250, 300), np.full(250, 100)), PrepareOptions(max_frames=100)
    )
    assert [len(clip.frames) for clip in clips] == [84, 83, 83]
    assert np.concatenate([clip.frames for clip in clips]).tolist() == list(range(0, 500, 2))


def test_few_frames_a_second_are_picked_after_following() -> None:
    options = PrepareOptions(fps=Fraction(5))
    clips, rejects = plan_clips(followed(np.full(150, 300), np.full(150, 100), (100,)), options)
    assert [clip.frames.tolist() for clip in clips] == [list(range(0, 200, 10))]
    assert [reject.reason for reject in rejects] == ["cut"]


def test_small_faces_and_empty_shots_are_told_with_their_times() -> None:
    sides = np.concatenate([np.full(25, 60.0), np.full(25, np.nan)])
    clips, rejects = plan_clips(followed(np.full(50, 300), sides, (25,)), PrepareOptions())
    assert clips == []
    assert [(reject.reason, reject.start_s) for reject in rejects] == [
        ("face too small", 0.0),
        ("no face", 1.0),
    ]
    assert rejects[0].detail == "60 px, 90 are needed"


def test_options_are_read_and_checked() -> None:
    assert (parse_min_face("90px"), parse_min_face("120")) == (90, 120)
    assert (parse_fps("12.5"), parse_fps("24000/1001")) == (Fraction(25, 2), Fraction(24000, 1001))
    for wrong in ("90cm", "", "-3"):
        with pytest.raises(UsageError, match="--min-face"):
            parse_min_face(wrong)
    for wrong in ("fast", "1/0", "0", "1000"):
        with pytest.raises(UsageError, match="--fps"):
            PrepareOptions(fps=parse_fps(wrong))
    for options in ({"size_px": 255}, {"size_px": 32}, {"max_frames": 31}, {"min_face_px": 3}):
        with pytest.raises(UsageError):
            PrepareOptions(**options)
