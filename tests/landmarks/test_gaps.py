"""Frames without a face."""

import numpy as np
import pytest

from tests.landmarks.made_faces import face_at
from thvideo.errors import ExitCode, InputError
from thvideo.landmarks.gaps import GapContext, drop_short_runs, fill_gaps, find_gaps

N = 20


def context(cuts=()) -> GapContext:
    return GapContext(cuts, np.arange(N) / 25, "talk.mp4")


def moving(missing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moving points, the same with gaps, and what is found."""
    points = np.stack([face_at(100 + 3 * i, 80, 60 + i) for i in range(N)])
    found = np.ones(N, dtype=bool)
    found[list(missing)] = False
    return points, np.where(found[:, None, None], points, np.nan), found


def test_nothing_missing_changes_nothing():
    points, gappy, found = moving([])
    filled, spans = fill_gaps(gappy, found, "interpolate", context())
    np.testing.assert_allclose(filled, points, atol=1e-3)
    assert spans == ()


def test_a_gap_is_bridged_from_its_neighbours():
    points, gappy, found = moving(range(8, 12))
    filled, spans = fill_gaps(gappy, found, "interpolate", context())
    assert spans == ((8, 11),)
    # The face grows by ratio rather than by pixels, which differs little over four frames.
    np.testing.assert_allclose(filled, points, atol=0.3)


def test_a_turning_head_turns_through_a_gap_instead_of_shrinking():
    turn = np.radians(np.linspace(-40, 40, N))
    spin = np.stack([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.einsum("ijt,nj->tni", spin, face_at(0, 0, 60)) + 100
    found = np.ones(N, dtype=bool)
    found[1:-1] = False
    filled, _ = fill_gaps(points, found, "interpolate", context())
    # Drops short runs of one: the ends of the shot are never dropped.
    np.testing.assert_allclose(filled, points, atol=0.2)


def test_the_ends_of_a_shot_hold_the_nearest_face():
    points, gappy, found = moving([0, 1, 18, 19])
    filled, spans = fill_gaps(gappy, found, "interpolate", context())
    np.testing.assert_allclose(filled[[0, 1]], points[[2, 2]], atol=1e-3)
    np.testing.assert_allclose(filled[[18, 19]], points[[17, 17]], atol=1e-3)
    assert spans == ((0, 1), (18, 19))


def test_hold_keeps_the_face_last_seen_and_first_the_first():
    points, gappy, found = moving([0, 8, 9])
    filled, _ = fill_gaps(gappy, found, "hold", context())
    np.testing.assert_allclose(filled[[0, 8, 9]], points[[1, 7, 7]], atol=1e-3)


@pytest.mark.parametrize("policy", ["interpolate", "hold"])
def test_no_gap_is_bridged_across_a_cut(policy):
    points, gappy, found = moving(range(8, 12))
    filled, _ = fill_gaps(gappy, found, policy, context(cuts=(10,)))
    np.testing.assert_allclose(filled[[8, 9]], points[[7, 7]], atol=1e-3)
    np.testing.assert_allclose(filled[[10, 11]], points[[12, 12]], atol=1e-3)


def test_a_shot_without_a_face_holds_the_one_before_it_or_the_first_after_it():
    points, gappy, found = moving([*range(5), *range(10, 15)])
    filled, _ = fill_gaps(gappy, found, "interpolate", context(cuts=(5, 10, 15)))
    np.testing.assert_allclose(filled[:5], np.repeat(points[5:6], 5, axis=0), atol=1e-3)
    np.testing.assert_allclose(filled[10:15], np.repeat(points[9:10], 5, axis=0), atol=1e-3)


def test_unknown_irises_stay_unknown_and_hurt_nobody():
    points, gappy, found = moving(range(8, 12))
    gappy[:, 68:] = np.nan
    filled, _ = fill_gaps(gappy, found, "interpolate", context())
    assert np.isnan(filled[:, 68:]).all()
    np.testing.assert_allclose(filled[:, :68], points[:, :68], atol=0.3)


def test_fail_refuses_with_the_frame_and_its_time():
    _, gappy, found = moving(range(8, 12))
    with pytest.raises(InputError, match=r"frame 8 \(0.320 s\) of talk.mp4") as caught:
        fill_gaps(gappy, found, "fail", context())
    assert caught.value.exit_code == ExitCode.INPUT
    assert "--no-face" in caught.value.hint


def test_no_face_in_any_frame_is_an_error_that_names_the_file():
    _, gappy, found = moving(range(N))
    with pytest.raises(InputError, match=r"no face was found in talk\.mp4") as caught:
        fill_gaps(gappy, found, "hold", context())
    assert caught.value.hint


def test_faces_that_show_up_for_a_moment_are_ignored():
    _, gappy, found = moving([*range(6), *range(8, 14)])
    found[6:8] = True
    assert find_gaps(drop_short_runs(found, ())) == ((0, 13),)
    filled, spans = fill_gaps(gappy, found, "hold", context())
    assert spans == ((0, 13),)
    np.testing.assert_allclose(filled[6], filled[14])


def test_a_short_shot_keeps_its_face():
    found = np.array([False] * 10 + [True] * 2 + [False] * 8)
    assert drop_short_runs(found, (10, 12))[10:12].all()
    assert drop_short_runs(found, ())[10:12].all()
