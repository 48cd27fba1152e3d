"""Keys hold content only."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thvideo.errors import InputError
from thvideo.workspace.keys import DigestMemo, file_digest, stage_key

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(PARAMETERS, st.randoms(use_true_random=False))
def test_the_order_of_parameters_does_not_matter(parameters, random):
    shuffled = list(parameters.items())
    random.shuffle(shuffled)
    assert stage_key("toy", 1, parameters, {}, {}) == stage_key("toy", 1, dict(shuffled), {}, {})


@given(PARAMETERS)
def test_a_key_survives_the_way_through_a_manifest(parameters):
    stored = json.loads(json.dumps(parameters))
    assert stage_key("toy", 1, parameters, {}, {}) == stage_key("toy", 1, stored, {}, {})


@given(st.text(), st.text())
def test_different_parameters_have_different_keys(one, other):
    same = stage_key("toy", 1, {"a": one}, {}, {}) == stage_key("toy", 1, {"a": other}, {}, {})
    assert same == (one == other)


def test_everything_that_makes_an_artifact_changes_its_key():
    keys = {
        stage_key("toy", 1, {"a": 1}, {"in": "k"}, {"file": "d"}),
        stage_key("toys", 1, {"a": 1}, {"in": "k"}, {"file": "d"}),
        stage_key("toy", 2, {"a": 1}, {"in": "k"}, {"file": "d"}),
        stage_key("toy", 1, {"a": "1"}, {"in": "k"}, {"file": "d"}),
        stage_key("toy", 1, {"a": 1}, {"in": "l"}, {"file": "d"}),
        stage_key("toy", 1, {"a": 1}, {"out": "k"}, {"file": "d"}),
        stage_key("toy", 1, {"a": 1}, {"in": "k"}, {"file": "e"}),
        stage_key("toy", 1, {"a": 1}, {"file": "d"}, {"in": "k"}),
    }
    assert len(keys) == 8


def test_a_whole_number_is_the_same_written_as_float():
    assert stage_key("toy", 1, {"a": 1}, {}, {}) == stage_key("toy", 1, {"a": 1.0}, {}, {})
    assert stage_key("toy", 1, {"a": 1}, {}, {}) != stage_key("toy", 1, {"a": True}, {}, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("a"), b"a", {1: 2}])
def test_what_has_no_one_form_cannot_be_in_a_key(value):
    with pytest.raises((TypeError, ValueError)):
        stage_key("toy", 1, {"a": value}, {}, {})


def test_the_key_of_a_toy_is_the_one_it_was_when_caches_were_filled():
    # Golden: a change here makes everybody's workspace worthless.
    assert stage_key("toy", 1, {"a": [1, 0.5, None]}, {"in": "k"}, {"file": "d"}) == GOLDEN


GOLDEN = "2da06399366066ae792ebec2ddf3975c8bc8eb8e265d542253a661e31ca16731"


def big_file(path: Path, letter: bytes = b"a") -> Path:
    path.write_bytes(letter * (1 << 20))
    long_ago_ns = time.time_ns() - 60_000_000_000
    os.utime(path, ns=(long_ago_ns, long_ago_ns))
    return path


def count_reads(monkeypatch) -> list[Path]:
    reads: list[Path] = []

    def digest(path: Path) -> str:
        reads.append(path)
        return file_digest(path)

    monkeypatch.setattr("thvideo.workspace.keys.file_digest", digest)
    return reads


def test_a_big_file_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    path = big_file(tmp_path / "driver.mp4")
    reads = count_reads(monkeypatch)
    first = DigestMemo(tmp_path).digest(path)
    assert DigestMemo(tmp_path).digest(path) == first == file_digest(path)
    assert len(reads) == 1
    big_file(path, b"b")
    os.utime(path, ns=(1, 1))
    assert DigestMemo(tmp_path).digest(path) == file_digest(path) != first


def test_a_file_that_may_still_be_written_is_not_remembered_for_the_next_run(tmp_path, monkeypatch):
    path = tmp_path / "driver.mp4"
    path.write_bytes(b"a" * (1 << 20))
    reads = count_reads(monkeypatch)
    for _ in range(2):
        DigestMemo(tmp_path).digest(path)
    assert len(reads) == 2


def test_a_spoilt_memory_is_read_over(tmp_path):
    path = big_file(tmp_path / "driver.mp4")
    first = DigestMemo(tmp_path).digest(path)
    (entry,) = (tmp_path / "digests").iterdir()
    entry.write_text("{")
    assert DigestMemo(tmp_path).digest(path) == first


def test_a_missing_file_is_the_persons_error(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4"):
        DigestMemo(tmp_path).digest(tmp_path / "gone.mp4")
