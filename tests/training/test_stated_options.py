"""Options and cards that a person has edited: refused in a line wherever they are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_PAPER, SMALL_SWIFT, small_options
from thvideo.errors import InputError
from thvideo.models.presets import ModelOptions
from thvideo.training.few_shot_start import few_shot_options
from thvideo.training.meta_export import export_run
from thvideo.training.run_folder import RunFolder
from thvideo.weights.cards import read_card


def run_with(folder: Path, edit: Callable[[dict[str, Any]], None]) -> RunFolder:
    run = RunFolder(folder / "run")
    run.begin(small_options(folder), SMALL_SWIFT)
    path = run.path / "options.json"
    written = json.loads(path.read_text())
    edit(written)
    path.write_text(json.dumps(written))
    return run


@pytest.mark.parametrize("models", [SMALL_SWIFT, SMALL_PAPER])
def test_options_that_nobody_edited_come_back(tmp_path: Path, models: ModelOptions) -> None:
    run, options = RunFolder(tmp_path / "run"), small_options(tmp_path, models.preset)
    run.begin(options, models)
    assert run.read_options() == (options, models)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("options", "batch_size", "8"),
        ("options", "lr", None),
        ("options", "lr", True),
        ("options", "preset", "mine"),
        ("options", "betas", [0.5]),
        ("options", "sizes", []),
        ("options", "sizes", 256),
        ("options", "sizes", [256]),
        ("options", "episodes", 5),
        ("options", "losses", {"l1": "much"}),
        ("options", "losses", {"content": [["vgg19", "much"]]}),
        ("options", "data", 5),
        ("models", "networks", [24]),
        ("models", "discriminator", "none"),
        ("models", "preset", ["swift"]),
    ],
)
def test_a_value_of_another_type_is_refused(
    tmp_path: Path, part: str, name: str, value: Any
) -> None:
    run = run_with(tmp_path, lambda written: written[part].update({name: value}))
    with pytest.raises(InputError) as error:
        run.read_options()
    assert error.value.hint


def test_a_width_that_is_no_number_is_named(tmp_path: Path) -> None:
    run = run_with(
        tmp_path, lambda written: written["models"]["networks"].update(widths=["a", 1, 2])
    )
    with pytest.raises(InputError, match="widths cannot be"):
        run.read_options()


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '"options"', '{"options": 5, "models": 5}'])
def test_a_file_of_something_else_is_refused_wherever_it_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "best").mkdir()
    write_tiny(tmp_path / "best" / "weights.safetensors", SMALL_SWIFT, spread=0.02)
    (tmp_path / "best" / "state.json").write_text('{"step": 3}')
    (tmp_path / "options.json").write_text(text)
    for read in (
        lambda: RunFolder(tmp_path).read_options(),
        lambda: export_run(tmp_path, tmp_path / "w.safetensors", said={}),
    ):
        with pytest.raises(InputError) as error:
            read()
        assert error.value.hint


@pytest.mark.parametrize("name", ["data", "sizes", "perceptual"])
@pytest.mark.parametrize("value", [5, [], [[]], "x", None])
def test_an_export_of_edited_options_ends_in_a_line_or_in_weights(
    tmp_path: Path, name: str, value: Any
) -> None:
    run = run_with(tmp_path, lambda written: written["options"].update({name: value})).path
    (run / "best").mkdir()
    write_tiny(run / "best" / "weights.safetensors", SMALL_SWIFT, spread=0.02)
    (run / "best" / "state.json").write_text('{"step": 3}')
    target = tmp_path / "w.safetensors"
    try:
        export_run(run, target, said={})
    except InputError as error:
        assert error.hint
        assert not target.exists()
    else:
        assert read_card(target)["size_px"] == 64


CARD = {"size_px": 64, "steps": 10}


def test_a_card_without_the_losses_of_its_training_lets_no_discriminator_judge() -> None:
    for training in ({}, {"training": {"minutes": 3}}, {"training": {"options": {}}}):
        losses = few_shot_options(CARD | training).losses
        assert (losses.adversarial, losses.feature_matching) == (0, 0)
    losses = {"adversarial": 0.5, "feature_matching": 2}
    told = few_shot_options(CARD | {"training": {"options": {"losses": losses}}}).losses
    assert (told.adversarial, told.feature_matching) == (0.5, 2)


@pytest.mark.parametrize(
    "options", [5, {"losses": 5}, {"losses": {"content": 5}}, {"losses": {"adversarial": "x"}}]
)
def test_a_card_whose_training_is_no_training_is_refused(options: Any) -> None:
    with pytest.raises(InputError, match="card of the weights is damaged"):
        few_shot_options(CARD | {"training": {"options": options}})
