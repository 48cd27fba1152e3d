"""Every option, declared once: its help, its panel, and which commands take it."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from thvideo.errors import UsageError
from thvideo.models.precision import AskedPrecision, Precision
from thvideo.pipeline.recipe import CONTAINERS, Recipe, make_recipe
from thvideo.stages.base import Resources

FILES = "Files"
TRACKING = "Tracking"
SOURCE = "Source"
MOTION = "Motion"
OUTPUT = "Output"
RUNNING = "Running"


@dataclass(frozen=True)
class Opt:
    """One option or argument.

    Args:
        name: Its name in ``Given.values``; where a recipe or ``Resources`` has a field of this
            name, the type and the default shown in help are the field's.
        panel: The help panel it stands in.
        help: One line.
        flags: Spellings; made from the name where none are given.
        kind: Type, where the field's does not serve.
        envvar: Environment variable that may hold the value.
        is_argument: Whether it is given by position.
        is_optional: Whether an argument may be left out; options always may.
        default: What help shows where neither a recipe nor ``Resources`` has the field.
    """

    name: str
    panel: str
    help: str
    flags: tuple[str, ...] = ()
    kind: Any = None
    envvar: str | None = None
    is_argument: bool = False
    is_optional: bool = False
    default: Any = None


INPUTS = (
    Opt("sources", FILES, "Picture or video of the person who shall move; repeat for more.",
        ("--source", "-s"), list[Path]),
    Opt("driver", FILES, "Video whose motion and sound are used.", ("--driver", "-d")),
    Opt("output", FILES, f"Video to write: {', '.join('.' + name for name in CONTAINERS)}.",
        ("--output", "-o")),
)  # fmt: skip
SOURCES_ONLY = INPUTS[:1]
PRESET = (
    Opt("recipe", FILES, "Preset of options: a shipped name or a TOML file; options win over it.",
        kind=str),
)  # fmt: skip
WORKSPACE = (
    Opt("workspace", FILES, "Folder of all that is made on the way and can be reused.",
        envvar="THVIDEO_WORKSPACE"),
)  # fmt: skip
TRACK = (
    Opt("tracker", TRACKING, "What finds the landmarks."),
    Opt("face", TRACKING, "Which face of a source: largest, left, right or a number from 0."),
    Opt("face_like", TRACKING, "Picture of the face to choose in the sources."),
    Opt("no_face", TRACKING, "What to do with frames in which no face is found."),
    Opt("smooth", TRACKING, "Strength of the jitter filter: 0 is off, at most 2."),
)
DRIVER_FACE = (Opt("driver_face", TRACKING, "Which face of the driver, as --face."),)
IDENTITY = (
    Opt("generator", SOURCE, "What draws the moving face: a warp, or learned networks."),
    Opt("weights", SOURCE, "Weights of a learned generator: a shipped name or a file.", kind=str),
    Opt("finetune_steps", SOURCE, "Steps of fine-tuning; 0 does none, -1 stops by itself."),
    Opt("perceptual", SOURCE, "NAME=FILE of a perceptual network to fine-tune with; repeat for "
        "more.", kind=list[str]),
    Opt("seed", SOURCE, "Of what fine-tuning draws at random."),
    Opt("size", SOURCE, "Side of the source crop in pixels, 64 to 2048; 0 is as large as the "
        "output shows it."),
    Opt("shots", SOURCE, "At most so many source frames are kept, 1 to 64."),
)  # fmt: skip
MOVING = (
    Opt("motion", MOTION, "Add the driver's motion to the source's pose, or take it over."),
    Opt("pose", MOTION, "Strength of the head's motion, 0 to 3."),
    Opt("mouth", MOTION, "Strength of the mouth's motion, 0 to 3."),
    Opt("eyes", MOTION, "Strength of the eyelids' motion, 0 to 3."),
    Opt("brows", MOTION, "Strength of the brows' motion, 0 to 3."),
    Opt("gaze", MOTION, "Strength of the gaze's motion, 0 to 3."),
)
FINISHING = (
    Opt("framing", OUTPUT, "The whole source picture, or only the face crop."),
    Opt("max_side", OUTPUT, "Longer side of the output in pixels at most, 64 to 8192."),
    Opt("audio", OUTPUT, "Sound: driver, none or a FILE.", kind=str),
    Opt("crf", OUTPUT, "H.264 quality, 0 to 51; smaller is better and larger."),
    Opt("compare", OUTPUT, "Also write OUT.compare.mp4: source, driver and result.",
        ("--compare/--no-compare",)),
)  # fmt: skip
FORCE = (
    Opt("force", RUNNING, "Make a stage and all that needs it again; repeat for more.",
        kind=list[str]),
)  # fmt: skip
RESOURCES = (
    Opt("device", RUNNING, "auto, cpu, cuda, cuda:N or mps; cuda:0,cuda:1 draws on both."),
    Opt("precision", RUNNING, "Arithmetic of the networks; auto takes what is faster here."),
    Opt("batch_size", RUNNING, "Frames on the device at once; 0 chooses by itself."),
    Opt("threads", RUNNING, "CPU threads; 0 leaves the libraries' choice."),
)
LOOKS = (
    Opt("quiet", RUNNING, "Print only errors.", ("--quiet", "-q"), bool),
    Opt("json", RUNNING, "Print one JSON object a line and nothing else.", kind=bool),
    Opt("verbose", RUNNING, "Show the traceback of an error.", kind=bool),
)
REENACT = (
    *INPUTS, *PRESET, *WORKSPACE, *IDENTITY, *TRACK, *DRIVER_FACE, *MOVING, *FINISHING,
    *FORCE, *RESOURCES, *LOOKS,
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What was typed: values by option name, None where an option was left out."""

    values: Mapping[str, Any]

    def flag(self, name: str) -> bool:
        """Return whether a switch was given."""
        return bool(self.values.get(name))

    def recipe(self, **fixed: Any) -> Recipe:
        """Return the recipe of these options over those of the preset over the defaults.

        Args:
            **fixed: Recipe fields that the command itself decides.

        Raises:
            UsageError: An option or the preset is wrong.
        """
        fields = {field.name for field in dataclasses.fields(Recipe)}
        options = {name: value for name, value in self.values.items() if name in fields}
        # An empty list is what Typer gives for a repeatable option that was left out.
        options = {name: value or None if value == [] else value for name, value in options.items()}
        return make_recipe(options | fixed, self.values.get("recipe"))

    def settled(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the arithmetic that "auto" takes on the chosen device.

        Raises:
            UsageError: THVIDEO_PRECISION says something else than auto, fp32 or bf16.
            DeviceError: There is no such device.
        """
        return replace(recipe, precision=self.precision(recipe.precision))

    def precision(self, asked: AskedPrecision | None = None) -> Precision:
        """Return the arithmetic of the networks on the chosen device.

        Args:
            asked: What is wanted; what was typed if None.

        Raises:
            UsageError: THVIDEO_PRECISION says something else than auto, fp32 or bf16.
            DeviceError: There is no such device.
        """
        from thvideo.synthesis.auto_precision import choose_precision

        asked = asked or self.values.get("precision") or "auto"
        return choose_precision(asked, self.resources().device)

    def resources(self) -> Resources:
        """Return how to run.

        Raises:
            UsageError: A count is negative.
        """
        fields = {field.name for field in dataclasses.fields(Resources)}
        chosen = {
            name: value
            for name, value in self.values.items()
            if name in fields and value is not None
        }
        for name in ("batch_size", "threads"):
            if chosen.get(name, 0) < 0:
                raise UsageError(
                    f"--{name.replace('_', '-')} cannot be {chosen[name]}",
                    hint="give a positive number, or 0 to leave it open",
                )
        return Resources(**chosen)


Command = Callable[[Given], int | None]


def takes(*options: Opt) -> Callable[[Command], Callable[..., int | None]]:
    """Give a command its options: Typer reads them from the signature this builds.

    The command itself gets one ``Given``, so that the options stand in one place however many
    commands take them.
    """

    def decorate(command: Command) -> Callable[..., int | None]:
        @functools.wraps(command)
        def collected(**values: Any) -> int | None:
            return command(Given(values))

        shown = [_parameter(option) for option in options]
        collected.__dict__["__signature__"] = inspect.Signature(shown)
        collected.__annotations__ = {one.name: one.annotation for one in shown}
        del collected.__dict__["__wrapped__"]  # its signature would be read instead
        return collected

    return decorate


@functools.cache
def _parameter(option: Opt) -> inspect.Parameter:
    kind, default = _field(option.name)
    kind = option.kind or kind
    # Typer would call a file that may not be read a wrong use; ours is the input's fault.
    details: dict[str, Any] = {"help": option.help, "envvar": option.envvar, "readable": False}
    if option.is_argument:
        info = typer.Argument(**details, show_default=False)
        return inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if option.is_optional else inspect.Parameter.empty,
            annotation=Annotated[kind | None if option.is_optional else kind, info],
        )
    flags = option.flags or (f"--{option.name.replace('_', '-')}",)
    # Typer would put a default that it does not apply itself in parentheses.
    details |= {"rich_help_panel": option.panel, "show_default": False}
    details["help"] += _shown(default if option.default is None else option.default)
    info = typer.Option(*flags, **details)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


@functools.cache
def _fields() -> dict[str, tuple[Any, Any]]:
    found = {}
    for holder in (Resources, Recipe):
        kinds = typing.get_type_hints(holder)
        for field in dataclasses.fields(holder):
            found[field.name] = (_without_none(kinds[field.name]), field.default)
    return found


def _field(name: str) -> tuple[Any, Any]:
    return _fields().get(name, (str, None))


def _without_none(kind: Any) -> Any:
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    return inner[0] if type(None) in typing.get_args(kind) and len(inner) == 1 else kind


def _shown(default: Any) -> str:
    """Return how help shows a default, in rich's markup."""
    if default is None or default == () or isinstance(default, bool):
        return ""
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return rf" [dim]\[default: {text}][/dim]"
