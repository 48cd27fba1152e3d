"""A person's generator is written with its card and read as it was."""

from pathlib import Path

import pytest
import torch

from thvideo.errors import InputError
from thvideo.weights.personal import PersonalWeights, load_personal, save_personal

MADE = PersonalWeights(
    generator={"last.weight": torch.arange(6.0).reshape(2, 3), "adain.weight": torch.ones(1)},
    adain=torch.linspace(0, 1, 5),
    card={"preset": "swift", "steps": 12},
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_personal(tmp_path / "a.safetensors", MADE)
    read = load_personal(tmp_path / "a.safetensors")
    assert read.card == MADE.card
    assert torch.equal(read.adain, MADE.adain)
    assert read.generator.keys() == MADE.generator.keys()
    assert all(torch.equal(read.generator[k], v) for k, v in MADE.generator.items())


def test_equal_people_have_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save_personal(tmp_path / f"{name}.safetensors", MADE)
    first, second = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("kept", [0, 40])
def test_a_cut_file_is_an_input_error(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.safetensors"
    save_personal(path, MADE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="no fine-tuned generator"):
        load_personal(path)


def test_weights_of_many_people_are_none_of_one(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"generator.a": torch.ones(1)}, tmp_path / "a.safetensors", {"thvideo": "{}"})
    with pytest.raises(InputError, match="no fine-tuned generator"):
        load_personal(tmp_path / "a.safetensors")
