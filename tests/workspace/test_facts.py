"""What a manifest tells is of its kind, or it is damage."""

import json

import pytest

from thvideo.workspace.facts import is_number, of_kind

CHUNKS = list[tuple[str, int, int]]


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        ("a", str, "a"),
        (3, int, 3),
        (3, float, 3),
        (0.5, float, 0.5),
        ([], list[int], []),
        ([1, 2], list[int], [1, 2]),
        ([4, 5], tuple[int, int], (4, 5)),
        ([["a", 0, 2], ["b", 2, 3]], CHUNKS, [("a", 0, 2), ("b", 2, 3)]),
    ],
)
def test_what_is_of_its_kind_comes_back(value, kind, found):
    assert of_kind(value, kind) == found


@pytest.mark.parametrize("kind", [str, int, float, list[int], tuple[int, int], CHUNKS])
@pytest.mark.parametrize(
    "value",
    [None, True, {}, {"a": 1}, -1, 1e300, 10**30, [[]], [None], ["a"], [1, "a"], [["a", 0]],
     [["a", 0, -1]], [1.5, 2], [True, False]],
)  # fmt: skip
def test_what_is_of_no_kind_is_refused(value, kind):
    with pytest.raises(ValueError, match="not "):
        of_kind(value, kind)


def test_numbers_are_finite_and_not_below_0():
    assert is_number(0)
    assert is_number(2.5)
    for value in (-1, True, "1", None, float("nan"), float("inf"), json.loads("1e999"), 10**400):
        assert not is_number(value)
