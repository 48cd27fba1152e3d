"""Means over people, their intervals, and changes."""

import numpy as np
import pytest

from thvideo.evaluation.figures import known_figures
from thvideo.evaluation.summary import Clip, change_of, mean_of

FIGURES = {figure.name: figure for figure in known_figures(["lpips"])}


def _clips(*values: float, name: str = "ssim") -> list[Clip]:
    return [Clip(f"p{i}", f"p{i}/0", {name: value}) for i, value in enumerate(values)]


def test_a_person_counts_once_however_many_clips_there_are() -> None:
    clips = [*_clips(0.2, 0.8), Clip("p0", "p0/1", {"ssim": 0.4}), Clip("p9", "p9/0", {})]
    found = mean_of(clips, FIGURES["ssim"])
    assert found is not None
    assert found.mean == pytest.approx((0.3 + 0.8) / 2)
    assert (found.n_people, found.n_clips) == (2, 3)
    assert mean_of(clips, FIGURES["csim"]) is None


def test_the_worst_person_is_told_beside_the_mean() -> None:
    for name, worst in (("ssim", 0.2), ("l1", 1.4), ("mouth_gain", 0.2)):
        found = mean_of(_clips(0.9, 0.2, 1.4, name=name), FIGURES[name])
        assert found is not None
        assert found.worst == worst
        assert found.worst_person == f"p{[0.9, 0.2, 1.4].index(worst)}"


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    found = mean_of(_clips(*values), FIGURES["ssim"])
    assert found is not None
    standard_error = values.std() / 20
    assert found.low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.002)
    assert found.high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.002)


def test_a_change_is_over_the_people_of_whom_both_are_known() -> None:
    own, baseline = _clips(0.6, 0.8, 0.1), _clips(0.5, 0.7)
    found = change_of(own, baseline, FIGURES["ssim"])
    assert found is not None
    # Everybody gains the same, so that the interval knows it for sure.
    assert (found.change, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_change_of_a_distance_is_a_share_of_the_baselines() -> None:
    name = "perceptual:lpips"
    own, baseline = _clips(0.3, 0.45, name=name), _clips(0.4, 0.6, name=name)
    found = change_of(own, baseline, FIGURES[name])
    assert found is not None
    assert found.change == pytest.approx(-0.25)
    assert change_of(own, _clips(0.0, 0.0, name=name), FIGURES[name]) is None
    assert change_of(own, [], FIGURES[name]) is None
