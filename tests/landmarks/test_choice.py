"""Whose face."""

import numpy as np
import pytest

from thvideo.errors import InputError, UsageError
from thvideo.landmarks.choice import Candidate, FaceChoice, choose, needs_likeness, parse_choice

RIGHT_SMALL = Candidate(np.array([70.0, 0, 80, 10]), np.array([0.0, 1.0]))
LEFT_LARGE = Candidate(np.array([0.0, 0, 40, 40]), np.array([1.0, 0.0]))
BOTH = [RIGHT_SMALL, LEFT_LARGE]


@pytest.mark.parametrize(
    ("text", "expected"), [("largest", 1), ("left", 1), ("right", 0), ("0", 1), ("1", 0)]
)
def test_the_rule_decides_when_nobody_was_followed(text, expected):
    assert choose(BOTH, parse_choice(text), None, "frame 0 of a.mp4") == expected


def test_like_takes_the_face_most_alike():
    choice = parse_choice("like", np.array([0.1, 1.0]))
    assert choose(BOTH, choice, None, "a.mp4") == 0


def test_the_person_followed_is_preferred_to_the_rule():
    assert choose(BOTH, FaceChoice("largest"), np.array([0.0, 1.0]), "a.mp4") == 0


def test_the_rule_decides_when_nobody_is_like_the_person_followed():
    assert choose(BOTH, FaceChoice("right"), np.array([-1.0, -1.0]), "a.mp4") == 0
    assert choose(BOTH, FaceChoice("left"), np.array([-1.0, -1.0]), "a.mp4") == 1


def test_a_single_face_is_taken_without_questions():
    assert choose([RIGHT_SMALL], FaceChoice("largest"), np.array([1.0, 0.0]), "a.mp4") == 0
    assert not needs_likeness(FaceChoice("like"), None, 1)
    assert needs_likeness(FaceChoice("like"), None, 2)
    assert not needs_likeness(FaceChoice("left"), None, 2)


def test_a_number_too_high_is_an_input_error_at_first_only():
    with pytest.raises(InputError, match=r"face 2 .* 2 faces were found in frame 0 of a\.mp4"):
        choose(BOTH, FaceChoice("index", 2), None, "frame 0 of a.mp4")
    stranger = np.array([-1.0, -1.0])
    assert choose(BOTH, FaceChoice("index", 2), stranger, "frame 9 of a.mp4") == 1


@pytest.mark.parametrize("text", ["biggest", "-1", "", "1.5"])
def test_an_unknown_face_is_a_usage_error_with_the_choices(text):
    with pytest.raises(UsageError) as caught:
        parse_choice(text)
    assert "largest" in caught.value.hint


def test_like_without_a_picture_is_a_usage_error():
    with pytest.raises(UsageError, match="needs a picture"):
        parse_choice("like")
