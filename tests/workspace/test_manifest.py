"""A manifest survives the disk."""

import hashlib
import json
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
    payload={"a.txt": Payload(2, "01" * 32)},
    facts={"n_frames": 5, "cuts": [1, 2]},
    seconds=1.5,
    peak_bytes=100,
    versions={"thvideo": "0.1.0"},
    made_at="2026-01-01T00:00:00+00:00",
)


def test_a_manifest_comes_back_as_it_was():
    assert Manifest.from_json(MANIFEST.to_json().encode()) == MANIFEST


def test_facts_may_be_array_values_and_fractions():
    facts = {"n": np.int64(5), "x": np.array([1.5, 2.5]), "rate": Fraction(24000, 1001)}
    text = Manifest("ab", "toy", 1, facts=facts).to_json().encode()
    assert Manifest.from_json(text).facts == {
        "n": 5,
        "x": [1.5, 2.5],
        "rate": "24000/1001",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "[" * 200_000, "\0"])
def test_other_text_is_no_manifest(text):
    with pytest.raises(ValueError, match="not readable"):
        Manifest.from_json(text.encode())


def test_a_manifest_that_is_changed_or_cut_anywhere_is_not_read():
    text = MANIFEST.to_json().encode()
    for at in range(len(text)):
        with pytest.raises(ValueError):
            Manifest.from_json(text[:at])
        with pytest.raises(ValueError):
            Manifest.from_json(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])


def sealed(**changed) -> bytes:
    """A manifest that somebody has written by hand, with the right digest."""
    values = json.loads(MANIFEST.to_json()) | changed
    values.pop("sha256")
    rest = json.dumps(values)[1:].encode()
    return b'{\n "sha256": "' + hashlib.sha256(rest).hexdigest().encode() + b'",\n' + rest


def one_file(name: str, size: object = 2, sha256: object = "0" * 64):
    return {"payload": {name: {"size": size, "sha256": sha256}}}


def test_a_manifest_written_by_hand_is_read():
    assert Manifest.from_json(sealed()) == MANIFEST


@pytest.mark.parametrize(
    "changed",
    [
        *map(one_file, ("/dev/zero", "../../x", "a/b", "..", ".", "", ".hidden", "C:\\x", "a\0")),
        *(one_file("a.txt", size) for size in (-1, "2", None, [], 1.5)),
        *(one_file("a.txt", 2, sha256) for sha256 in ("", "zz", 5, None)),
        {"payload": []},
        {"inputs": {"frames": "../x"}},
        {"inputs": {"frames": 5}},
        {"inputs": None},
        {"stage": "../toy"},
        {"key": 5},
        {"facts": []},
        {"parameters": None},
        {"files": {"file": "x"}},
        {"files": {"file": {"digest": "a", "size": 1, "name": 5}}},
        {"versions": 1},
        {"made_at": 1},
        {"seconds": "1"},
        {"unknown": 1},
        {"format": 99},
    ],
)
def test_values_of_another_kind_and_names_that_lead_elsewhere_are_refused(changed):
    with pytest.raises(ValueError, match="not readable"):
        Manifest.from_json(sealed(**changed))


def test_depth_without_end_is_no_manifest():
    rest = b'"facts": ' + b"[" * 200_000
    head = b'{\n "sha256": "' + hashlib.sha256(rest).hexdigest().encode() + b'",\n'
    with pytest.raises(ValueError, match="not readable"):
        Manifest.from_json(head + rest)
