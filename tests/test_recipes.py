"""Recipes: presets hold known options, make files make every pair once, the grid shows all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from moviepy import ImageSequenceClip, VideoFileClip

from thvideo.pipeline.recipe import load_preset, make_recipe

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "recipes"
PRESETS = sorted(path.stem for path in RECIPES.glob("*.toml"))

# Stands in for thvideo: writes down its arguments and delivers a ready video.
STAND_IN = """#!{python}
import pathlib, shutil, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as file:
    file.write("|".join(arguments) + "\\n")
output = pathlib.Path(arguments[arguments.index("--output") + 1])
output.parent.mkdir(parents=True, exist_ok=True)
shutil.copyfile({video!r}, output)
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two sources, two drivers and a program that stands in for thvideo."""
    for name in ("a.jpg", "b's.png", "x.mp4", "y.mov"):
        (tmp_path / name).write_bytes(b"content")
    pixels = [np.full((48, 64, 3), shade, dtype=np.uint8) for shade in (40, 80, 120, 160)]
    video = tmp_path / "ready.mp4"
    ImageSequenceClip(pixels, fps=8).write_videofile(str(video), logger=None)
    program = tmp_path / "thvideo"
    log = str(tmp_path / "calls.txt")
    program.write_text(STAND_IN.format(python=sys.executable, log=log, video=str(video)))
    program.chmod(0o755)
    return tmp_path


def make(
    place: Path, recipe: str, *arguments: str, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-f", str(RECIPES / recipe), f"THVIDEO={place / 'thvideo'}", *arguments],
        cwd=place,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done


def calls(place: Path) -> list[str]:
    """What the stand-in was called with since the last look, sorted."""
    log = place / "calls.txt"
    lines = sorted(log.read_text().splitlines()) if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


PAIRS = ("SOURCES=a.jpg b's.png", "DRIVERS=x.mp4 y.mov")


def test_a_batch_makes_every_source_with_every_driver(place: Path) -> None:
    make(place, "batch.mk", *PAIRS, "OPTIONS=--recipe painting", "-j2")
    assert calls(place) == [
        f"reenact|--source|{s}|--driver|{d}|--output|out/{Path(s).stem}--{Path(d).stem}.mp4"
        "|--recipe|painting"
        for s in ("a.jpg", "b's.png")
        for d in ("x.mp4", "y.mov")
    ]
    assert len(list((place / "out").glob("*.mp4"))) == 4


def test_a_second_batch_makes_nothing_and_a_new_driver_only_its_own(place: Path) -> None:
    make(place, "batch.mk", *PAIRS)
    assert len(calls(place)) == 4
    make(place, "batch.mk", *PAIRS)
    assert calls(place) == []
    later = (place / "out" / "a--x.mp4").stat().st_mtime + 5
    os.utime(place / "x.mp4", (later, later))
    make(place, "batch.mk", *PAIRS)
    assert [line.split("|")[4] for line in calls(place)] == ["x.mp4", "x.mp4"]


def test_other_options_make_all_again(place: Path) -> None:
    make(place, "batch.mk", *PAIRS)
    for name in place.joinpath("out").iterdir():
        os.utime(name, (1_000_000_000, 1_000_000_000))
    for name in ("a.jpg", "b's.png", "x.mp4", "y.mov"):
        os.utime(place / name, (900_000_000, 900_000_000))
    calls(place)
    make(place, "batch.mk", *PAIRS)
    assert calls(place) == []
    make(place, "batch.mk", *PAIRS, "OPTIONS=--crf 30")
    assert len(calls(place)) == 4


def test_a_dry_run_prints_the_commands_and_calls_nothing(place: Path) -> None:
    printed = make(place, "batch.mk", "-n", *PAIRS, "EXT=webm", "OUT=results").stdout
    assert "--output 'results/a--x.webm'" in printed
    assert calls(place) == []
    assert not (place / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("DRIVERS=x.mp4",), "SOURCES is empty"),
        (("SOURCES=a.jpg",), "DRIVERS is empty"),
        (("SOURCES=a.jpg", "DRIVERS=my film.mp4"), "my does not exist; make cannot take names"),
        (("SOURCES=a.jpg sub/a.png", "DRIVERS=x.mp4"), "two of SOURCES have the same name"),
        (("SOURCES=a.jpg", "DRIVERS=x.mp4", "OUT=my results"), "OUT cannot have spaces"),
    ],
)
def test_what_make_cannot_take_is_explained(
    place: Path, arguments: tuple[str, ...], fact: str
) -> None:
    (place / "sub").mkdir()
    (place / "sub" / "a.png").write_bytes(b"content")
    (place / "my film.mp4").write_bytes(b"content")
    assert fact in make(place, "batch.mk", *arguments, fails=True).stderr
    assert calls(place) == []


def test_clean_removes_the_results_and_nothing_else(place: Path) -> None:
    make(place, "batch.mk", *PAIRS)
    (place / "out" / "mine.mp4").write_bytes(b"kept")
    make(place, "batch.mk", *PAIRS, "clean")
    assert [path.name for path in (place / "out").iterdir()] == ["mine.mp4"]


def test_few_shots_give_all_sources_to_every_driver(place: Path) -> None:
    make(place, "few_shot.mk", *PAIRS, "NAME=anna", "OPTIONS=--shots 4")
    assert calls(place) == [
        f"reenact|--source|a.jpg|--source|b's.png|--driver|{d}"
        f"|--output|out/anna--{Path(d).stem}.mp4|--shots|4"
        for d in ("x.mp4", "y.mov")
    ]
    make(place, "few_shot.mk", *PAIRS, "NAME=anna", "OPTIONS=--shots 4")
    assert calls(place) == []


def test_the_montage_shows_all_results_in_a_grid(place: Path) -> None:
    make(place, "batch.mk", *PAIRS, f"PYTHON={sys.executable}", "montage")
    with VideoFileClip(str(place / "out" / "montage.mp4")) as grid:
        assert grid.size == [640, 640]
        assert grid.duration == pytest.approx(0.5, abs=0.13)
        first = grid.get_frame(0)
    # Four videos of shade 40, each fitted into its square between bars.
    for row in (160, 480):
        for column in (160, 480):
            assert np.abs(first[row, column].astype(int) - 40).max() <= 6
    assert np.abs(first[5, 160].astype(int) - 24).max() <= 6


def test_training_begins_without_an_adversary_and_goes_on_where_it_was(place: Path) -> None:
    usual = ("VIDEOS=videos", "PERCEPTUAL=vgg19=a.pth", "PLAIN_STEPS=5", "-n")
    printed = make(place, "metatrain.mk", *usual, "TRAIN=torchrun -m thvideo").stdout
    prepared, plain, _, full, _, exported = printed.replace("\\\n", " ").splitlines()
    assert prepared == f"{place / 'thvideo'} prepare videos --pictures --output trained/dataset"
    for line in (plain, full):
        assert line.startswith("torchrun -m thvideo metatrain --output trained/")
        assert "--perceptual vgg19=a.pth" in line
        assert "--size 128 " in line
        assert "--batch-size 8 --lr 3e-4" in line
    assert "--steps 5 " in plain
    assert "--adversarial-from 5" in plain
    assert "--adversarial-from 0 --init trained/plain" in full
    assert "weights export trained/full --checkpoint last --output trained/swift" in exported
    (place / "trained" / "dataset").mkdir(parents=True)
    (place / "trained" / "dataset" / "clips.tsv").touch()
    for name in ("plain.done", "full.done"):
        (place / "trained" / name).touch()
    lines = make(place, "metatrain.mk", *usual).stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["weights"]
    assert "VIDEOS is empty" in make(place, "metatrain.mk", "-n", fails=True).stderr


@pytest.mark.slow
def test_a_real_batch_of_one_pair_makes_a_video(tmp_path: Path) -> None:
    with VideoFileClip(str(ROOT / "examples" / "driver.mp4")) as clip:
        clip.subclipped(1.0, 1.4).write_videofile(str(tmp_path / "short.mp4"), logger=None)
    shutil.copyfile(ROOT / "examples" / "painting.jpg", tmp_path / "painting.jpg")
    command = f"THVIDEO={sys.executable} -m thvideo"
    pair = ("SOURCES=painting.jpg", "DRIVERS=short.mp4", "OPTIONS=--recipe preview --device cpu")
    make(tmp_path, "batch.mk", command, *pair)
    with VideoFileClip(str(tmp_path / "out" / "painting--short.mp4")) as video:
        # The preview's crop of 256 pixels, less what lies beyond the painting's edge.
        assert 224 <= max(video.size) <= 256
        assert video.duration == pytest.approx(0.4, abs=0.05)
        assert video.audio is not None


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_holds_known_options_and_is_not_what_happens_anyway(preset: str) -> None:
    values = load_preset(preset)
    defaults = make_recipe({})
    assert any(getattr(defaults, field) != value for field, value in values.items())
    assert make_recipe({}, preset) != defaults


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.[mt][ko]*")), ids=lambda path: path.name)
def test_every_recipe_begins_with_the_command_that_runs_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    if path.name == "names.mk":
        assert first.startswith("# Included by")
    elif path.suffix == ".mk":
        assert first.startswith(f"# make -f recipes/{path.name} ")
    else:
        assert first.startswith(f"# thvideo reenact --recipe {path.stem} ")
