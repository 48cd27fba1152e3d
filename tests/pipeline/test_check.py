"""What can be known wrong is said before anything runs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.video.made_videos import ffmpeg
from thvideo.errors import InputError, ThvideoError, UsageError, WorkspaceError
from thvideo.pipeline.check import check_recipe, sound_notices
from thvideo.pipeline.events import NodeNotice, RunStarted
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import Recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.workspace.store import Workspace


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    for name in ("ann.jpg", "driver.mp4"):
        (tmp_path / name).write_text("stand-in")
    return Recipe(
        sources=(tmp_path / "ann.jpg",), driver=tmp_path / "driver.mp4", output=tmp_path / "o.mp4"
    )


def refusal(recipe: Recipe) -> ThvideoError:
    with pytest.raises(ThvideoError) as error:
        check_recipe(recipe)
    assert "\n" not in error.value.fact
    assert error.value.hint
    return error.value


def test_a_good_recipe_passes(recipe, tmp_path):
    check_recipe(recipe)
    (tmp_path / "o.mp4").write_text("an old output may be replaced")
    check_recipe(replace(recipe, output=tmp_path / "o.MKV"))


def test_inputs_that_cannot_be_used(recipe, tmp_path):
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    for name, said in {
        "gone.mp4": "does not exist",
        "no/folder.mp4": "does not exist",
        ".": "is a folder",
        "empty.mp4": "is empty",
        "pipe": "not a regular file",
        "dangling.mp4": "is a link to nothing",
        "a" * 300: "cannot be read",
        "ann.jpg/driver.mp4": "does not exist",
        "nul\0byte": "",
    }.items():
        error = refusal(replace(recipe, driver=tmp_path / name))
        assert isinstance(error, InputError)
        assert error.fact.startswith("the driver ")
        assert said in error.fact
        assert error.exit_code == 3


def test_an_unreadable_input(recipe, monkeypatch):
    # Root may read everything, so that the answer of the system is made up here.
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    error = refusal(recipe)
    assert error.fact == f"the source {recipe.sources[0]} cannot be read (Permission denied)"


def test_a_web_address_is_not_a_file(recipe):
    assert refusal(replace(recipe, driver=Path("https://a.b/c.mp4"))).hint.startswith("download")


def test_the_sound_and_the_face_picture_are_checked_too(recipe, tmp_path):
    assert "the sound" in refusal(replace(recipe, audio=tmp_path / "gone.wav")).fact
    assert "the face picture" in refusal(replace(recipe, face_like=tmp_path / "gone.png")).fact
    assert "the source" in refusal(replace(recipe, sources=(tmp_path / "gone.png",))).fact


def test_outputs_that_make_no_sense(recipe, tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    for name, said, hint in [
        ("o.avi", "'.avi'", ".mp4, .mov, .mkv, .webm, .gif"),
        ("o", "no extension", ".mp4"),
        ("folder.mp4", "is a folder", "folder.mp4/out.mp4"),
        ("driver.mp4", "same file as the driver", "another -o"),
    ]:
        error = refusal(replace(recipe, output=tmp_path / name))
        assert isinstance(error, UsageError)
        assert said in error.fact
        assert hint in error.hint
        assert error.exit_code == 2


def test_an_output_that_is_an_input_in_disguise(recipe, tmp_path, monkeypatch):
    (tmp_path / "soft.mp4").symlink_to(recipe.driver)
    (tmp_path / "hard.mp4").hardlink_to(recipe.driver)
    monkeypatch.chdir(tmp_path)
    for disguise in ("soft.mp4", "hard.mp4", "./driver.mp4", "../" + tmp_path.name + "/driver.mp4"):
        assert "same file" in refusal(replace(recipe, output=Path(disguise))).fact


def test_the_comparison_must_not_overwrite_the_driver(recipe, tmp_path):
    driver = recipe.driver.rename(tmp_path / "o.compare.mp4")
    check_recipe(replace(recipe, driver=driver))
    assert "the comparison" in refusal(replace(recipe, driver=driver, compare=True)).fact


def test_a_json_file_that_is_no_report_is_not_overwritten(recipe, tmp_path):
    (tmp_path / "o.json").write_text('{"my": "data"}')
    assert "in the way of the report" in refusal(recipe).fact
    (tmp_path / "o.json").write_text('{"schema": "thvideo-report/1"}')
    check_recipe(recipe)


def test_a_missing_output_folder_is_not_made_silently(recipe, tmp_path):
    error = refusal(replace(recipe, output=tmp_path / "new" / "folder" / "o.mp4"))
    assert isinstance(error, WorkspaceError)
    assert error.hint == f"mkdir -p {tmp_path / 'new' / 'folder'}"
    assert error.exit_code == 4
    assert "is not a folder" in refusal(replace(recipe, output=tmp_path / "ann.jpg" / "o.mp4")).fact


def test_an_output_folder_that_cannot_be_written(recipe, monkeypatch):
    # Root may write everywhere, so that the answer of the system is made up here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    error = refusal(recipe)
    assert isinstance(error, WorkspaceError)
    assert "cannot be written" in error.fact


def test_what_will_be_heard_otherwise_is_told_before_any_stage_begins(recipe, tmp_path):
    driver = tmp_path / "talk.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4",
           "-c:a", "libmp3lame", "-ar", "11025", driver)  # fmt: skip
    asked = replace(recipe, driver=driver)
    (told,) = sound_notices(asked)
    assert "mp4 does not hold mp3 11025 Hz mono" in told
    events = run(reenact_graph(asked), Workspace(tmp_path / "w"), Resources())
    assert isinstance(next(events), RunStarted)
    notice = next(events)
    assert isinstance(notice, NodeNotice)
    assert notice.text == told
    events.close()
    assert sound_notices(replace(asked, output=tmp_path / "o.mkv")) == []
    assert sound_notices(replace(asked, output=tmp_path / "o.gif")) == []
    assert sound_notices(replace(asked, audio="none")) == []
    assert len(sound_notices(replace(recipe, audio=driver))) == 1
    assert sound_notices(recipe) == []


def test_a_sound_that_no_decoder_knows_is_refused_before_any_work(recipe, tmp_path):
    song = tmp_path / "song.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "alac", song)
    song.write_bytes(song.read_bytes().replace(b"alac", b"apac"))
    assert "no sound that can be decoded" in refusal(replace(recipe, audio=song)).fact
