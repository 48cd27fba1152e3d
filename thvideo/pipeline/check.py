"""Early checks: everything that can be known wrong before anything runs."""

import os
from pathlib import Path
from typing import cast

from thvideo.errors import InputError, ThvideoError, UsageError, WorkspaceError, reason_of
from thvideo.pipeline.recipe import CONTAINERS, Recipe
from thvideo.pipeline.report import comparison_path, is_report, report_path
from thvideo.stages.base import Container


def check_recipe(recipe: Recipe) -> None:
    """Check the files a recipe names: inputs can be read, outputs can be written.

    Raises:
        InputError: An input is missing, no file, empty or unreadable, or ``audio`` has no sound.
        UsageError: The output has no known extension, is a folder or an input.
        WorkspaceError: The output's folder is missing or cannot be written.
    """
    inputs = input_files(recipe)
    for path, what in inputs.items():
        check_input(path, what)
    if isinstance(recipe.audio, Path):
        _check_sound(recipe.audio)
    if recipe.output is not None:
        for place in (recipe.output, report_path(recipe.output)):
            _check_name(place)
        check_output(recipe.output, inputs)
        _check_not_an_input(report_path(recipe.output), "the report", inputs)
        _check_report_place(report_path(recipe.output))
        if recipe.compare:
            _check_name(comparison_path(recipe.output))
            _check_not_an_input(comparison_path(recipe.output), "the comparison", inputs)


def input_files(recipe: Recipe) -> dict[Path, str]:
    """Return the files that a recipe reads, and what each is to the person."""
    files = dict.fromkeys(recipe.sources, "source")
    if recipe.driver is not None:
        files.setdefault(recipe.driver, "driver")
    if recipe.face_like is not None:
        files.setdefault(recipe.face_like, "face picture")
    if isinstance(recipe.audio, Path):
        files.setdefault(recipe.audio, "sound")
    for name, path in recipe.perceptual:
        files.setdefault(path, f"perceptual network {name}")
    if isinstance(recipe.weights, Path):
        files.setdefault(recipe.weights, "weights")
    return files


def check_input(path: Path, what: str) -> None:
    """Check that a file is there, holds something and can be read.

    Args:
        path: The file.
        what: What it is to the person, such as "driver".

    Raises:
        InputError: It is not so.
    """
    try:
        if path.is_dir():
            raise InputError(f"the {what} {path} is a folder", hint="give a file inside it")
        if not path.exists():
            if path.is_symlink():
                raise InputError(f"the {what} {path} is a link to nothing", hint="give the file")
            raise InputError(f"the {what} {path} does not exist", hint=_missing_hint(path, what))
        if not path.is_file():
            raise InputError(
                f"the {what} {path} is not a regular file", hint="save it as a file first"
            )
        if path.stat().st_size == 0:
            raise InputError(f"the {what} {path} is empty", hint="copy or download it again")
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"the {what} {path} cannot be read ({reason})", hint="check its permissions"
        ) from error


def check_output(path: Path, inputs: dict[Path, str]) -> None:
    """Check that a video can be delivered to a path.

    Args:
        path: The output.
        inputs: Files that are read, and what each is.

    Raises:
        UsageError: It has no known extension, is a folder or an input.
        WorkspaceError: Its folder is missing or cannot be written.
    """
    try:
        if path.is_dir():
            raise UsageError(
                f"the output {path} is a folder", hint=f"add a file name: -o {path / 'out.mp4'}"
            )
        if path.suffix[1:].lower() not in CONTAINERS:
            said = f"{path.suffix!r}" if path.suffix else "no extension"
            raise UsageError(
                f"the output {path} has {said}, which names no known video format",
                hint=f"use one of {', '.join('.' + name for name in CONTAINERS)}",
            )
        _check_not_an_input(path, "the output", inputs)
        _check_folder(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the output {path} cannot be used ({reason})") from error


def _check_name(path: Path) -> None:
    """Check now that a file can have this name: it is written when all the work is done."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # told with better words
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be written ({reason_of(error)})", hint="choose another -o"
        ) from error


def _check_sound(path: Path) -> None:
    """Ask ffmpeg now: the sound is used last, when all the work is done."""
    from thvideo.video.audio import no_sound
    from thvideo.video.streams import heard_stream

    if heard_stream(path) is None:
        raise no_sound(path)


def sound_notices(recipe: Recipe) -> list[str]:
    """Say what will not be heard as it is in the file, before anything is made.

    A driver that cannot be read says nothing here: its own stage explains it.
    """
    from thvideo.video.audio import sound_notices as notices_of

    path = recipe.driver if recipe.audio == "driver" else recipe.audio
    container = recipe.output.suffix[1:].lower() if recipe.output is not None else ""
    if not isinstance(path, Path) or container not in CONTAINERS or container == "gif":
        return []
    try:
        return list(notices_of(path, cast(Container, container)))
    except ThvideoError:
        return []


def _missing_hint(path: Path, what: str) -> str:
    if "://" in str(path) or str(path).startswith(("http:/", "https:/")):
        return "download it first and give the file"
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    if what == "weights":
        return "give a file, or a name that thvideo weights ls lists as shipped"
    return "check the spelling"


def _check_not_an_input(path: Path, what: str, inputs: dict[Path, str]) -> None:
    for other, role in inputs.items():
        same = os.path.realpath(path) == os.path.realpath(other)
        if same or (path.exists() and path.samefile(other)):
            raise UsageError(
                f"{what} {path} is the same file as the {role}", hint="choose another -o"
            )


def _check_folder(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent
    if not folder.exists():
        raise WorkspaceError(
            f"the folder {path.parent} of the output does not exist",
            hint=f"mkdir -p {path.parent}",
        )
    if not folder.is_dir():
        raise WorkspaceError(
            f"{path.parent} is not a folder, so the output {path} has no place",
            hint="choose another -o",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WorkspaceError(
            f"the folder {path.parent} of the output cannot be written",
            hint="choose another -o or change its permissions",
        )


def _check_report_place(path: Path) -> None:
    if path.exists() and not is_report(path):
        raise UsageError(
            f"{path} is in the way of the report and is not one of ours",
            hint="move it or choose another -o",
        )
