"""Which frames are drawn from which."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from thvideo.errors import InputError, UsageError
from thvideo.evaluation.protocol import (
    ProtocolOptions,
    check_protocol,
    cross_takes,
    held_out,
    self_takes,
    source_frames,
    too_short,
)
from thvideo.training.dataset import ClipRow, ClipTable

OPTIONS = ProtocolOptions()
ROW = ClipRow("anna", "a", "val", "real", 100, 300, "made")


@pytest.mark.parametrize("n_clip", [2, 3, 10, 71, 100, 4000])
def test_held_out_frames_are_runs_of_consecutive_ones(n_clip: int) -> None:
    frames = held_out(n_clip, OPTIONS)
    assert len(frames) == min(32, n_clip // 2)
    assert frames == sorted(set(frames))
    assert 0 <= frames[0] <= frames[-1] < n_clip
    breaks = [b - a for a, b in pairwise(frames) if b != a + 1]
    assert len(breaks) <= 1


def test_runs_are_spread_evenly() -> None:
    assert held_out(100, OPTIONS) == [*range(17, 33), *range(67, 83)]


def test_sources_are_never_held_out_and_more_of_them_begin_with_fewer() -> None:
    frames = source_frames(ROW, OPTIONS)
    assert sorted([*frames, *held_out(100, OPTIONS)]) == list(range(100))
    assert frames == source_frames(ROW, replace(OPTIONS, shots=(1,)))
    assert frames != source_frames(replace(ROW, clip="bert"), OPTIONS)
    assert frames != source_frames(ROW, replace(OPTIONS, seed=1))


def test_takes_are_those_of_the_split_a_clip_a_person(drawn: Path) -> None:
    table = ClipTable(drawn)
    assert [take.name for take in self_takes(table, OPTIONS)] == ["p2/0", "p3/0", "p4/0"]
    two = replace(OPTIONS, n_clips=2, limit=1)
    assert [take.name for take in self_takes(table, two)] == ["p2/0", "p2/1"]
    train = self_takes(table, replace(OPTIONS, split="train"))
    assert [take.source.identity for take in train] == ["person 0", "person 1"]
    take = self_takes(table, replace(OPTIONS, n_frames=4, run_frames=2))[0]
    assert (take.wanted, take.starts) == ((1, 2, 6, 7), [0, 2])


def test_a_clip_with_too_few_frames_says_so(drawn: Path) -> None:
    take = self_takes(ClipTable(drawn), OPTIONS)[0]
    assert too_short(take, 5) is None
    assert too_short(take, 8) == "only 5 frames are left to be sources, 8 are wanted"


def test_a_picture_is_a_source_and_no_driver(drawn: Path, tmp_path: Path) -> None:
    header, *rows = (drawn / "clips.tsv").read_text().splitlines()
    pictures = ["a\tperson 2\tval\tpicture\t1\t64\t", "b\tpainted\tval\tpicture\t1\t64\t"]
    (tmp_path / "clips.tsv").write_text("\n".join([header, *pictures, *rows]) + "\n")
    table = ClipTable(tmp_path)
    assert self_takes(table, OPTIONS) == self_takes(ClipTable(drawn), OPTIONS)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("source\tdriver\nb\tp2/0\np2/0\tb\n", encoding="utf-8")
    painted, still = cross_takes(table, pairs, OPTIONS)
    assert (painted.sources, too_short(painted, 1)) == ((0,), None)
    assert too_short(still, 1) == "a driver of one frame has none to be held out"


def test_pairs_are_read_from_a_table(drawn: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("driver\tsource\np3/0\tp2/0\np2/0\tp4/1\n", encoding="utf-8")
    takes = cross_takes(ClipTable(drawn), pairs, OPTIONS)
    assert [take.name for take in takes] == ["p2/0--p3-0", "p4/1--p2-0"]
    assert not takes[0].is_self
    own = self_takes(ClipTable(drawn), OPTIONS)
    assert (takes[0].sources, takes[0].wanted) == (own[0].sources, own[1].wanted)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("a\tb\n", "has no pairs"),
        ("source\tdriver\np2/0\tnobody\n", "'nobody', which is no clip"),
        ("source\tdriver\np2/0\tp2/0\n", "pairs p2/0 with itself"),
        (f"source\tdriver\n{'p' * 200_000}\tp2/0\n", "field larger"),
        ('\ufeffsource\tdriver\np2/0\t"p2/0\n', "names '\"p2/0'"),
    ],
)
def test_a_wrong_table_of_pairs_is_refused(
    drawn: Path, tmp_path: Path, text: str, fact: str
) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=fact):
        cross_takes(ClipTable(drawn), pairs, OPTIONS)


def test_numbers_that_are_too_small_are_refused() -> None:
    for wrong in ({"shots": ()}, {"shots": (0,)}, {"n_frames": 0}, {"limit": -1}, {"seed": -1}):
        with pytest.raises(UsageError):
            check_protocol(replace(OPTIONS, **wrong))
