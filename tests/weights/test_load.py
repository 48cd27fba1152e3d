"""Weights of a generator travel whole, and what does not fit is told with what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thvideo.errors import InputError
from thvideo.weights import cards
from thvideo.weights.load import load_weights
from thvideo.weights.write import write_weights

CARD: dict[str, Any] = {
    "name": "made",
    "what": "a test",
    "preset": "swift",
    "options": {"widths": [4, 8]},
    "draw_style": 1,
    "size_px": 64,
}


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "embedder.first.weight": torch.randn(4, 3, generator=generator).half(),
        "generator.last.weight": torch.randn(5, 2, generator=generator),
        "generator.steps": torch.tensor(7),
        "discriminator.w_0": torch.zeros(8),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_weights(tmp_path / "made.safetensors", tensors(), CARD)
    return tmp_path / "made.safetensors"


def test_what_was_written_is_read_part_by_part(file: Path) -> None:
    parts, card = load_weights(file, "swift", draw_style=1)
    assert {part: sorted(found) for part, found in parts.items()} == {
        "embedder": ["first.weight"],
        "generator": ["last.weight", "steps"],
        "discriminator": ["w_0"],
    }
    read, wanted = parts["embedder"]["first.weight"], tensors()["embedder.first.weight"]
    assert read.dtype == torch.float32
    assert torch.equal(read, wanted.float())
    assert parts["generator"]["steps"].dtype == torch.int64
    assert card["options"] == CARD["options"]
    assert card["sha256"] == cards.sha256_of(file)


def test_the_card_inside_is_the_one_beside(file: Path) -> None:
    beside = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").unlink()
    inside = cards.read_card(file)
    assert beside.pop("sha256") == cards.sha256_of(file)
    assert inside == beside
    assert load_weights(file)[1] == inside


def test_the_same_weights_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    write_weights(tmp_path / "again.safetensors", tensors(), CARD)
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("has_card_beside", [True, False])
def test_a_changed_byte_is_found(file: Path, *, has_card_beside: bool) -> None:
    if not has_card_beside:
        file.with_suffix(".json").unlink()
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="damaged") as error:
        load_weights(file)
    assert error.value.hint


@pytest.mark.parametrize("n_bytes", [0, 5, 40, -1])
def test_a_cut_file_is_found(file: Path, n_bytes: int) -> None:
    file.write_bytes(file.read_bytes()[:n_bytes])
    with pytest.raises(InputError):
        load_weights(file)


def test_the_card_of_another_file_is_found(file: Path) -> None:
    file.with_suffix(".json").write_text(json.dumps(CARD | {"sha256": "0" * 64}))
    with pytest.raises(InputError, match="its card says 000000000000"):
        load_weights(file)
    file.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match="card"):
        load_weights(file)


def test_another_preset_is_told_with_the_commands_that_help(file: Path) -> None:
    with pytest.raises(InputError, match="'swift', not 'paper'") as error:
        load_weights(file, "paper")
    assert "--generator swift" in error.value.hint
    assert "thvideo metatrain" in error.value.hint
    assert "thvideo weights" in error.value.hint


def test_another_style_of_landmark_image_is_told(file: Path) -> None:
    with pytest.raises(InputError, match="style 1, and this version draws style 2") as error:
        load_weights(file, "swift", draw_style=2)
    assert "thvideo weights export" in error.value.hint


def test_missing_weights_are_told_with_the_command_that_makes_some(tmp_path: Path) -> None:
    for wanted in (tmp_path / "no.safetensors", "nobody"):
        with pytest.raises(InputError, match=r"no(body|\.safetensors)") as error:
            load_weights(wanted)
        assert "thvideo weights export RUN -o FILE" in error.value.hint


def test_weights_of_something_else_are_told() -> None:
    with pytest.raises(InputError, match="no generator"):
        load_weights("tracker_landmarks")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"loss.weight": torch.zeros(1)}, "loss.weight"),
        ({"embedder.first.weight": None}, "lacks the embedder"),
    ],
)
def test_parts_that_are_unknown_or_missing_are_told(
    tmp_path: Path, change: dict[str, Tensor | None], told: str
) -> None:
    changed = {k: v for k, v in (tensors() | change).items() if v is not None}
    write_weights(tmp_path / "w.safetensors", changed, CARD)
    with pytest.raises(InputError, match=told):
        load_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "value"), [("options", None), ("size_px", None), ("size_px", "64"), ("size_px", 0)]
)
def test_a_card_that_does_not_say_what_drawing_needs_is_told(
    tmp_path: Path, name: str, value: object
) -> None:
    said = {key: one for key, one in CARD.items() if key != name}
    said |= {} if value is None else {name: value}
    write_weights(tmp_path / "w.safetensors", tensors(), said)
    with pytest.raises(InputError, match="does not say"):
        load_weights(tmp_path / "w.safetensors")


def test_every_shipped_file_is_what_its_card_says() -> None:
    assert "tracker_landmarks" in cards.shipped_names()
    for name in cards.shipped_names():
        assert cards.verify_file(cards.verify(name)) == cards.card(name)


def test_a_card_edited_beside_the_file_does_not_change_what_is_drawn(file: Path) -> None:
    beside = file.with_suffix(".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"size_px": 256}))
    assert load_weights(file)[1]["size_px"] == 64
