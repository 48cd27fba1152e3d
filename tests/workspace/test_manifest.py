"""A manifest survives the disk."""

from fractions import Fraction

import numpy as np
import pytest

from thvideo.workspace.manifest import InputFile, Manifest, Payload

MANIFEST = Manifest(
    key="ab",
    stage="toy",
    version=3,
    parameters={"smooth": 0.5},
    inputs={"frames": "cd"},
    files={"file": InputFile("ef", 7, "driver é.mp4")},
    payload={"a.txt": Payload(2, "01")},
    facts={"n_frames": 5, "cuts": [1, 2]},
    seconds=1.5,
    peak_bytes=100,
    versions={"thvideo": "0.1.0"},
    made_at="2026-01-01T00:00:00+00:00",
)


def test_a_manifest_comes_back_as_it_was():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_facts_may_be_array_values_and_fractions():
    facts = {"n": np.int64(5), "x": np.array([1.5, 2.5]), "rate": Fraction(24000, 1001)}
    text = Manifest("ab", "toy", 1, facts=facts).to_json()
    assert Manifest.from_json(text).facts == {"n": 5, "x": [1.5, 2.5], "rate": "24000/1001"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_other_text_is_no_manifest(text):
    with pytest.raises(ValueError):
        Manifest.from_json(text)


def test_a_cut_manifest_is_no_manifest():
    text = MANIFEST.to_json()
    for length in range(0, len(text) - 2, 7):
        with pytest.raises(ValueError):
            Manifest.from_json(text[:length])
