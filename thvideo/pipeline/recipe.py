"""The recipe: every option of a reenactment, its one default, and presets of options."""

import dataclasses
import difflib
import math
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import thvideo
from thvideo.errors import UsageError
from thvideo.models.precision import AskedPrecision
from thvideo.reading import expanded, whole_number
from thvideo.stages.base import Container, GeneratorName
from thvideo.stages.composite import Composite, Framing
from thvideo.stages.embed import Embed
from thvideo.stages.finetune import Finetune
from thvideo.stages.reenact import Motion, Reenact
from thvideo.stages.track import NoFace, Track, TrackerName
from thvideo.weights.cards import shipped_names

CONTAINERS: tuple[str, ...] = typing.get_args(Container)


@dataclass(frozen=True)
class Recipe:
    """What the person asks for; option ``--no-face`` is the field ``no_face``.

    Args:
        sources: Pictures or videos of the person who shall move (option ``--source``, repeated).
        driver: The video whose motion and sound are used.
        output: The video to write; its extension chooses the container.
        workspace: Folder of everything made on the way.
        generator: Which generator draws the crops.
        weights: Weights of a learned generator: a shipped name or a file; those that ship if None.
        finetune_steps: Steps of fine-tuning; 0 does none, -1 stops by itself.
        perceptual: Names and files of perceptual networks that fine-tuning looks through.
        seed: Of what fine-tuning draws at random.
        size: Side of the source crops in pixels; 0 is as large as the output shows them.
        shots: At most this many source crops are kept.
        tracker: Which tracker finds the landmarks.
        face: Which face of the sources: "largest", "left", "right" or a number from 0.
        driver_face: Which face of the driver.
        face_like: A picture of the face to choose in the sources.
        no_face: What to do with frames in which no face is found.
        smooth: Strength of the jitter filter, 0 to 2.
        motion: "relative" or "absolute".
        pose: Strength of the head's motion.
        mouth: Strength of the mouth's motion.
        eyes: Strength of the eyelids' motion.
        brows: Strength of the brows' motion.
        gaze: Strength of the irises' motion.
        framing: The "full" source picture or only the "crop".
        max_side: The output's longer side is at most this many pixels.
        audio: "driver", "none" or a sound file.
        crf: H.264 constant rate factor, 0 to 51.
        precision: Arithmetic of the networks. The graph of "auto" is that of "fp32": whoever wants
            what is faster asks `thvideo.synthesis.auto_precision` before.
        compare: Also make a video of source, driver and result side by side.
        force: Stages or nodes to run again, with all that depends on them.
    """

    sources: tuple[Path, ...] = ()
    driver: Path | None = None
    output: Path | None = None
    workspace: Path = Path(".thvideo")
    generator: GeneratorName = Embed.generator
    weights: str | Path | None = None
    finetune_steps: int = Finetune.steps
    perceptual: tuple[tuple[str, Path], ...] = ()
    seed: int = Finetune.seed
    size: int = Embed.size_px
    shots: int = Embed.shots
    tracker: TrackerName = Track.tracker
    face: str = Track.face
    driver_face: str = Track.face
    face_like: Path | None = None
    no_face: NoFace = Track.no_face
    smooth: float = Track.smooth
    motion: Motion = Reenact.motion
    pose: float = Reenact.pose
    mouth: float = Reenact.mouth
    eyes: float = Reenact.eyes
    brows: float = Reenact.brows
    gaze: float = Reenact.gaze
    framing: Framing = Composite.framing
    max_side: int = Composite.max_side
    audio: Path | Literal["driver", "none"] = "driver"
    crf: int = Composite.crf
    precision: AskedPrecision = "auto"
    compare: bool = False
    force: tuple[str, ...] = ()


_FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
_TYPES = typing.get_type_hints(Recipe)
_OPTION_NAMES = {"sources": "source"}
#: No crop has a smaller side than this.
_LEAST_SIZE = 64
#: So much of a wrong value is shown.
_MOST_SAID = 80
_LISTS = ("sources", "perceptual", "force")
_RANGES: dict[str, tuple[float, float]] = {
    "finetune_steps": (-1, 100_000),
    "seed": (0, 2**31 - 1),
    "size": (0, 2048),
    "shots": (1, 64),
    "smooth": (0, 2),
    "pose": (0, 3),
    "mouth": (0, 3),
    "eyes": (0, 3),
    "brows": (0, 3),
    "gaze": (0, 3),
    "max_side": (64, 8192),
    "crf": (0, 51),
}


def option_name(field: str) -> str:
    """Return the option of a recipe field, such as ``no-face`` for ``no_face``."""
    return _OPTION_NAMES.get(field, field).replace("_", "-")


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """Return a hint that names the known word most like a mistyped one."""
    names = sorted(known)
    likely = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {likely[0]!r}?" if likely else f"known are {', '.join(names)}"


def make_recipe(options: Mapping[str, Any], preset: str | Path | None = None) -> Recipe:
    """Build a recipe from options, a preset and the defaults, in this order of precedence.

    Args:
        options: Values by recipe field; None means that the option was not given.
        preset: Name of a shipped preset or path of a TOML file.

    Raises:
        UsageError: An option is unknown, out of range, or contradicts another.
    """
    values = load_preset(preset) if preset is not None else {}
    for field, value in options.items():
        if field not in _FIELDS:
            raise UsageError(f"there is no option {field!r}", hint=nearest(field, _FIELDS))
        if value is not None and value != ():
            values[field] = coerce(field, value, f"--{option_name(field)}")
    recipe = Recipe(**values)
    if recipe.face_like is not None and recipe.face != Track.face:
        raise UsageError(
            "--face and --face-like contradict each other", hint="give only one of them"
        )
    return recipe


def load_preset(preset: str | Path) -> dict[str, Any]:
    """Read a preset: a TOML file whose keys are option names.

    Args:
        preset: A path, or the name of a shipped preset.

    Returns:
        Values by recipe field; paths are relative to the preset's folder.

    Raises:
        UsageError: There is no such preset, or it names an unknown option or value.
    """
    path = _preset_path(preset)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"{path} is not readable as TOML: {reason}") from error
    except OSError as error:
        raise UsageError(f"the preset {path} cannot be read ({error.strerror})") from error
    by_option = {option_name(field): field for field in _FIELDS}
    values = {}
    for key, value in content.items():
        field = by_option.get(key.replace("_", "-"))
        if field is None:
            raise UsageError(f"{path}: there is no option {key!r}", hint=nearest(key, by_option))
        values[field] = coerce(field, value, f"{path}: {key}", folder=path.parent)
    return values


def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped presets."""
    return tuple(
        sorted({path.stem for folder in _preset_folders() for path in folder.glob("*.toml")})
    )


def coerce(field: str, value: Any, what: str, folder: Path = Path()) -> Any:
    """Return an option's value in its field's type, or say what is wrong with it.

    Args:
        field: The recipe field.
        value: As the command line or TOML gave it.
        what: How to name it to the person.
        folder: What relative paths are relative to.

    Raises:
        UsageError: The value has another type, is no known choice or out of range.
    """
    kind = _without_none(_TYPES[field])
    if field in _LISTS:
        items = [value] if isinstance(value, str | Path) else value
        if not isinstance(items, list | tuple) or not all(isinstance(i, str | Path) for i in items):
            raise UsageError(f"{what} must be text or a list of text, not {_said(value)}")
        if field == "perceptual":
            return tuple(named_path(str(item), what, folder) for item in items)
        return tuple(_path(item, folder) if field == "sources" else str(item) for item in items)
    if field == "audio":
        is_word = value in ("driver", "none")
        return value if is_word else _path(_text(value, what), folder)
    if field == "weights":
        text = _text(value, what)
        return text if str(text) in shipped_names() else _path(text, folder)
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise UsageError(
                f"{what} cannot be {_said(value)}", hint=nearest(_said(value), choices)
            )
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{what} must be true or false, not {_said(value)}")
        return value
    if kind in (int, float):
        return _number(field, value, what)
    if kind is str:
        return _face(value, what)
    return _path(_text(value, what), folder)


def _without_none(kind: Any) -> Any:
    """Return the type of an option that may be left open."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    return inner[0] if type(None) in typing.get_args(kind) and len(inner) == 1 else kind


def _text(value: Any, what: str) -> str | Path:
    if not isinstance(value, str | Path):
        raise UsageError(f"{what} must be text, not {_said(value)}")
    return value


def _path(value: str | Path, folder: Path) -> Path:
    return folder / expanded(value)


def named_path(text: str, what: str, folder: Path = Path()) -> tuple[str, Path]:
    """Read ``NAME=PATH``.

    Args:
        text: What was typed.
        what: How to name it to the person, such as ``--perceptual``.
        folder: What relative paths are relative to.

    Raises:
        UsageError: It is not so.
    """
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"{what} {text} is not NAME=PATH", hint="such as vgg19=weights.pth")
    return name, _path(path, folder)


def _number(field: str, value: Any, what: str) -> int | float:
    wants_int = _without_none(_TYPES[field]) is int
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # What is infinite or "not a number" is out of any range.
    is_broken = isinstance(value, float) and math.isfinite(value) and not value.is_integer()
    if not is_number or (wants_int and is_broken):
        kind = "a whole" if wants_int else "a"
        raise UsageError(f"{what} must be {kind} number, not {_said(value)}")
    low, high = _RANGES[field]
    if not low <= value <= high:
        raise UsageError(f"{what} must be between {low} and {high}, not {_said(value)}")
    if field == "size" and 0 < value < _LEAST_SIZE:
        raise UsageError(f"{what} must be 0 or at least {_LEAST_SIZE}, not {_said(value)}")
    return int(value) if wants_int else float(value)


def _face(value: Any, what: str) -> str:
    if value in ("largest", "left", "right"):
        return value
    text = value if isinstance(value, str) else _said(value)
    if (number := whole_number(text)) is not None:
        return str(number)
    raise UsageError(
        f"{what} cannot be {_said(value)}", hint="it is largest, left, right or a number from 0"
    )


def _said(value: Any) -> str:
    """Return a value as an error shows it, in a line that can be read."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}..."


def _preset_folders() -> list[Path]:
    package = Path(thvideo.__file__).parent
    # An installed wheel carries the presets inside the package, a checkout beside it.
    return [
        folder for folder in (package / "recipes", package.parent / "recipes") if folder.is_dir()
    ]


def _preset_path(preset: str | Path) -> Path:
    path = expanded(preset)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not path.is_file():
            raise UsageError(f"there is no preset file {path}")
        return path
    for folder in _preset_folders():
        shipped = folder / f"{preset}.toml"
        if shipped.is_file():
            return shipped
    raise UsageError(
        f"there is no preset {str(preset)!r}", hint=nearest(str(preset), preset_names())
    )
