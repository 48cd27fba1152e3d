"""Options stand in one place and take their defaults from the recipe."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from thvideo.cli import options, reenact, stage_commands
from thvideo.cli.options import Given
from thvideo.errors import UsageError
from thvideo.pipeline.recipe import Recipe, make_recipe
from thvideo.stages.base import Resources


def test_every_field_of_the_recipe_has_an_option() -> None:
    offered = {option.name for option in options.REENACT}
    assert {field.name for field in dataclasses.fields(Recipe)} <= offered


def test_reenact_plan_and_composite_take_the_same_options() -> None:
    signatures = [
        inspect.signature(command) for command in (reenact.reenact, reenact.plan, reenact.composite)
    ]
    assert signatures[0] == signatures[1] == signatures[2]


def test_no_option_is_declared_twice() -> None:
    names = [option.name for option in options.REENACT]
    flags = [flag for option in options.REENACT for flag in option.flags]
    assert len(set(names)) == len(names)
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("command", [reenact.reenact, stage_commands.extract])
def test_whether_a_file_may_be_read_is_left_to_our_own_check(command: Callable[..., int]) -> None:
    shown = inspect.signature(command).parameters.values()
    infos = [typing.get_args(one.annotation)[1] for one in shown]
    assert infos
    assert not any(info.readable or info.exists for info in infos)


def test_what_is_left_out_is_the_recipes_default() -> None:
    left_out = {option.name: None for option in options.REENACT}
    assert Given(left_out).recipe() == Recipe()
    assert Given(left_out).resources() == Resources()


def test_an_option_wins_over_the_preset_and_the_preset_over_the_default(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("crf = 30\nsmooth = 0.5\n", encoding="utf-8")
    recipe = Given({"recipe": str(preset), "crf": 20}).recipe()
    assert (recipe.crf, recipe.smooth, recipe.size) == (20, 0.5, Recipe.size)


def test_a_switch_that_was_not_given_leaves_the_presets_choice(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("compare = true\n", encoding="utf-8")
    assert Given({"recipe": str(preset), "compare": None}).recipe().compare
    assert not Given({"recipe": str(preset), "compare": False}).recipe().compare


@pytest.mark.parametrize("name", ["batch_size", "threads"])
def test_negative_resources_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} cannot be -1"):
        Given({name: -1}).resources()


RANGED = [
    (option.name, *map(float, found.groups()))
    for option in options.REENACT
    if (found := re.search(r", (\d+) to (\d+)[.;]", option.help))
]


@pytest.mark.parametrize(("name", "low", "high"), RANGED)
def test_the_range_in_help_is_the_range_that_is_taken(name: str, low: float, high: float) -> None:
    for value in (low, high):
        assert getattr(make_recipe({name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(UsageError):
            make_recipe({name: value})


def test_help_names_the_range_of_all_strengths_and_sizes() -> None:
    names = {"size", "shots", "pose", "mouth", "eyes", "brows", "gaze", "max_side", "crf"}
    assert {name for name, _, _ in RANGED} == names
