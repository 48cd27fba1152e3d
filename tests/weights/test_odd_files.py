"""Files of weights and cards that hold anything at all: used, or refused as the person's input."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from thvideo.errors import InputError
from thvideo.models.presets import PRESETS, options_from_card
from thvideo.synthesis.networks import load_networks
from thvideo.weights import cards
from thvideo.weights.fetch import verify_fetched
from thvideo.weights.load import load_weights
from thvideo.weights.names import tensor_names
from thvideo.weights.personal import load_personal
from thvideo.weights.pth import read_tensors
from thvideo.weights.sources import Source

QUICKLY = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
DEEP = "[" * 200_000
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.just(10**30), st.floats(), st.text(max_size=4)
)
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
CONTENT = bytes(8)
READERS = (
    cards.read_card, cards.verify_file, cards.is_weights, cards.is_card, load_weights,
    load_personal, tensor_names, read_tensors,
    lambda path: load_networks(path, "swift", torch.device("cpu")),
)  # fmt: skip


def all_read(path: Path) -> None:
    """Let everything that reads such a file read it: nothing but our own refusal may come."""
    for reader in READERS:
        try:
            reader(path)
        except InputError as error:
            assert error.hint, error.fact


def weights_of(path: Path, header: object) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + CONTENT)
    return path


@QUICKLY
@given(ANYTHING)
@example([])
@example("text")
@example({"thvideo": 1})
@example({"thvideo": DEEP})
@example({"thvideo": "[]"})
@example({"thvideo": "9" * 5001})
def test_metadata_may_be_anything(tmp_path: Path, metadata: object) -> None:
    all_read(weights_of(tmp_path / "w.safetensors", {"__metadata__": metadata, "a": TENSOR}))


@QUICKLY
@given(st.binary(max_size=40) | ANYTHING.map(lambda value: {"a": value}))
@example(DEEP.encode())
@example(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, ' + b"9" * 5001 + b"]}}")
@example({"a": {"data_offsets": [0, 8.0]}})
@example({"a": {"data_offsets": {"1": 8}}})
def test_a_header_may_be_anything(tmp_path: Path, header: object) -> None:
    all_read(weights_of(tmp_path / "w.safetensors", header))


@QUICKLY
@given(st.binary(max_size=40) | ANYTHING.map(lambda value: json.dumps(value).encode()))
@example(DEEP.encode())
@example(b"\xff\xfe")
@example(b'{"sha256": 7}')
def test_a_card_beside_may_be_anything(tmp_path: Path, text: bytes) -> None:
    path = weights_of(tmp_path / "w.safetensors", {"a": TENSOR})
    path.with_suffix(".json").write_bytes(text)
    all_read(path)
    all_read(path.with_suffix(".json"))
    fetched = Source("made", "a test", path.name, ("https://127.0.0.1/w",), "none")
    try:
        verify_fetched(fetched, tmp_path)
    except InputError as error:
        assert error.hint


def changed(options: Any, values: dict[str, Any]) -> dict[str, Any]:
    return options | {name: values[name] for name in values if name in options}


FIELDS = sorted({*vars(PRESETS["swift"].networks), *vars(PRESETS["swift"].discriminator)})
COUNTS = st.integers(-1, 3) | st.just(10**12)
VALUES = ANYTHING | COUNTS | st.lists(COUNTS, max_size=4)


@QUICKLY
@given(
    st.dictionaries(st.sampled_from(["preset", "options", "draw_style", "size_px"]), ANYTHING)
    | st.just({}),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=1),
)
@example({}, {"size_px": 0})
@example({}, {"n_blocks": 10**12})
@example({}, {"widths": [-1, 2, 3]})
def test_a_card_that_its_digest_covers_may_say_anything(
    tmp_path: Path, said: dict[str, Any], fields: dict[str, Any]
) -> None:
    preset = PRESETS["swift"]
    options = {
        "preset": "swift",
        "networks": changed(dict(vars(preset.networks)), fields),
        "discriminator": changed(dict(vars(preset.discriminator)), fields),
    }
    card = {"preset": "swift", "options": options, "draw_style": 1, "size_px": 64} | said
    card["sha256_tensors"] = hashlib.sha256(CONTENT).hexdigest()
    second = TENSOR | {"shape": [0], "data_offsets": [8, 8]}
    parts = {"embedder.a": TENSOR, "generator.a": second}
    metadata = {"thvideo": json.dumps(card)}
    all_read(weights_of(tmp_path / "w.safetensors", {"__metadata__": metadata, **parts}))
    try:
        options_from_card(card["options"])
    except InputError as error:
        assert error.hint


def zipped(path: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("w/data.pkl", content)
    return path


@QUICKLY
@given(st.lists(st.tuples(st.integers(0, 150), st.binary(min_size=1, max_size=4)), max_size=3))
@example([(6, b"\x01")])  # encrypted
@example([(8, b"\x63")])  # a method that nobody knows
@example([(18, b"\xff\xff\xff\x7f")])  # longer than it is
def test_a_zip_may_be_odd(tmp_path: Path, damage: list[tuple[int, bytes]]) -> None:
    path = zipped(tmp_path / "w.pth", b"x.weight" * 4, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02") + 2
    for place, change in damage:
        for start in (place, central + place):
            content[start : start + len(change)] = change
    path.write_bytes(content)
    all_read(path)


def test_a_zip_that_swells_is_refused_before_it_does(tmp_path: Path) -> None:
    path = zipped(tmp_path / "w.pth", bytes(200_000_000), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="200000000 bytes"):
        tensor_names(path)
