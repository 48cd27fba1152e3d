"""One default for each option; presets below the command line."""

from pathlib import Path

import pytest

from thvideo.errors import UsageError
from thvideo.pipeline.recipe import Recipe, load_preset, make_recipe, preset_names
from thvideo.stages.composite import Composite
from thvideo.stages.embed import Embed
from thvideo.stages.reenact import Reenact
from thvideo.stages.track import Track


def preset(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_defaults_are_those_of_the_stages():
    recipe = Recipe()
    assert (recipe.size, recipe.shots) == (Embed().size_px, Embed().shots)
    assert (recipe.face, recipe.no_face, recipe.smooth) == (
        "largest",
        "interpolate",
        Track().smooth,
    )
    assert (recipe.motion, recipe.gaze) == (Reenact().motion, Reenact().gaze)
    assert (recipe.max_side, recipe.crf) == (Composite().max_side, Composite().crf)


def test_options_win_over_the_preset_and_the_preset_over_defaults(tmp_path):
    path = preset(tmp_path, "smooth = 0.5\ncrf = 20\nno-face = 'hold'\n")
    recipe = make_recipe({"smooth": 2, "crf": None, "mouth": None}, path)
    assert (recipe.smooth, recipe.crf, recipe.no_face, recipe.mouth) == (2.0, 20, "hold", 1.0)


def test_a_preset_may_hold_every_option(tmp_path):
    path = preset(
        tmp_path,
        """
        source = ["ann.jpg", "/abs/bob.jpg"]
        driver = "driver.mp4"
        output = "out.mp4"
        driver-face = 1
        face_like = "face.png"
        audio = "sound.wav"
        compare = true
        force = "track"
        pose = 1
        """,
    )
    recipe = make_recipe({}, path)
    assert recipe.sources == (tmp_path / "ann.jpg", Path("/abs/bob.jpg"))
    assert recipe.driver == tmp_path / "driver.mp4"
    assert (recipe.driver_face, recipe.audio) == ("1", tmp_path / "sound.wav")
    assert (recipe.compare, recipe.force, recipe.pose) == (True, ("track",), 1.0)
    assert isinstance(recipe.pose, float)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("smoth = 1", "no option 'smoth'", "did you mean 'smooth'?"),
        ("maxside = 1", "no option 'maxside'", "did you mean 'max-side'?"),
        ("xyzzy = 1", "no option 'xyzzy'", "known are"),
        ("smooth = 'high'", "smooth must be a number", ""),
        ("smooth = true", "smooth must be a number", ""),
        ("crf = 17.5", "crf must be a whole number", ""),
        ("crf = 99", "between 0 and 51", ""),
        ("smooth = nan", "between 0 and 2", ""),
        ("compare = 1", "true or false", ""),
        ("motion = 'relativ'", "cannot be 'relativ'", "did you mean 'relative'?"),
        ("motion = ['relative']", "cannot be", ""),
        ("face = 'big'", "cannot be 'big'", "largest, left, right or a number"),
        ("driver = 3", "must be text", ""),
        ("source = [1]", "must be text", ""),
        ("smooth = ", "not readable as TOML", ""),
    ],
)
def test_a_wrong_preset_says_where_and_what(tmp_path, text, said, hint):
    with pytest.raises(UsageError, match=r"mine\.toml") as error:
        load_preset(preset(tmp_path, text))
    assert said in error.value.fact
    assert hint in error.value.hint


def test_a_whole_number_too_large_for_a_float_is_out_of_range(tmp_path):
    with pytest.raises(UsageError, match="between"):
        load_preset(preset(tmp_path, f"crf = {'9' * 300}"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"smoth": 1}, "smoth"),
        ({"smooth": 3}, "--smooth must be between 0 and 2"),
        ({"face": "left", "face_like": "a.png"}, "contradict"),
    ],
)
def test_wrong_options_are_named_as_the_person_typed_them(options, said):
    with pytest.raises(UsageError, match=said):
        make_recipe(options)


def test_an_unknown_preset_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"no preset file .*gone\.toml"):
        load_preset(tmp_path / "gone.toml")
    with pytest.raises(UsageError, match="no preset 'gone'"):
        load_preset("gone")


def test_every_shipped_preset_is_valid():
    for name in preset_names():
        assert make_recipe({}, name)
