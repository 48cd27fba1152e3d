"""What a call of ``metatrain`` is to do: every option resolved, and how it is printed."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thvideo.cli.console import one_line, say
from thvideo.cli.humane import count
from thvideo.cli.options import Given
from thvideo.cli.plan_table import print_columns
from thvideo.cli.render import as_json
from thvideo.errors import UsageError
from thvideo.models.cost import preset_costs
from thvideo.models.precision import AskedPrecision
from thvideo.models.presets import PRESETS, ModelOptions, with_fovea
from thvideo.pipeline.recipe import named_path
from thvideo.reading import expanded, whole_number
from thvideo.training.checkpoint import Tensors
from thvideo.training.dataset import ClipTable
from thvideo.training.losses import LOSS_WEIGHTS
from thvideo.training.meta_options import (
    META_PRESETS,
    Budget,
    Every,
    HowToRun,
    MetaOptions,
    check_options,
)
from thvideo.training.run_folder import RunFolder, weights_to_begin_with

_CALL = "thvideo metatrain --data DATASET -o RUN --time 25m"
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        folder: Of the run; None only for a dry run.
        options: What is trained, on what, and how.
        models: The architecture.
        budget: How long.
        workers: Processes that make batches.
        is_resumed: Whether the run in the folder goes on.
        weights: To begin with.
        notes: What the person should know.
    """

    folder: Path | None
    options: MetaOptions
    models: ModelOptions
    budget: Budget
    workers: int
    is_resumed: bool
    weights: Tensors | None
    notes: tuple[str, ...]


def plan_of(given: Given) -> Plan:
    """Resolve what was typed over the run's or the preset's own options.

    Raises:
        UsageError: An option is wrong or missing, or options contradict each other.
        InputError: The run or the weights to begin with cannot be read.
    """
    typed = {k: v for k, v in given.values.items() if v is not None and v != []}
    folder = expanded(typed["run"]) if "run" in typed else None
    is_dry, is_resumed = given.flag("dry_run"), given.flag("resume")
    if folder is None and (is_resumed or not is_dry):
        raise UsageError("no folder for the run was given", hint=_CALL)
    weights = None
    if is_resumed:
        assert folder is not None
        base, models = RunFolder(folder).read_options()
        _refuse_with_resume(typed, base)
        base, told = _resumed_precision(given, base, is_said=RunFolder(folder).says_precision())
    else:
        base, models = _fresh(typed)
        base, told = replace(base, precision=given.precision()), ()
        if "init" in typed:
            weights, found = weights_to_begin_with(typed["init"])
            if found.preset != models.preset:
                raise UsageError(
                    f"{typed['init']} holds weights of {found.preset}, not {models.preset}",
                    hint=f"pass --preset {found.preset}, or other weights",
                )
            # Weights of old have no foveal networks: these begin afresh over what the others draw.
            models = with_fovea(found)
    chosen, notes = _with_perceptual(_changed(base, typed), typed.get("perceptual", []))
    check_options(chosen)
    workers = int(typed.get("workers", 1))
    if workers < 0:
        raise UsageError(f"--workers cannot be {workers}", hint="0 makes batches in between")
    budget = _budget(typed, is_dry)
    return Plan(folder, chosen, models, budget, workers, is_resumed, weights, told + notes)


def _fresh(typed: Mapping[str, Any]) -> tuple[MetaOptions, ModelOptions]:
    if "data" not in typed:
        raise UsageError("no dataset was given", hint=_CALL)
    preset = typed.get("preset", "swift")
    if preset not in META_PRESETS:
        known = " or ".join(META_PRESETS)
        raise UsageError(f"there is no preset {preset!r}", hint=f"--preset {known}")
    return META_PRESETS[preset], PRESETS[preset]


def _refuse_with_resume(typed: Mapping[str, Any], base: MetaOptions) -> None:
    if "init" in typed:
        raise UsageError(
            "a run that goes on does not begin with other weights",
            hint="leave out --init or --resume",
        )
    for name in ("preset", "seed"):
        if name in typed and typed[name] != getattr(base, name):
            raise UsageError(
                f"the run was begun with --{name} {getattr(base, name)}, which cannot change",
                hint=f"leave out --{name}, or begin another run",
            )


def _resumed_precision(
    given: Given, base: MetaOptions, *, is_said: bool
) -> tuple[MetaOptions, tuple[str, ...]]:
    """Keep the arithmetic that a run began with, on whatever processor, unless another is named."""
    asked: AskedPrecision = given.values.get("precision") or "auto"
    if not is_said:
        taken = given.precision()
        note = f"the run does not say in which precision it began; it goes on in {taken}"
        return replace(base, precision=taken), (note,)
    if asked == "auto" or asked == base.precision:
        return base, ()
    note = f"the run was begun in {base.precision} and goes on in {asked}"
    return replace(base, precision=asked), (note,)


def _changed(base: MetaOptions, typed: Mapping[str, Any]) -> MetaOptions:
    names = ("batch_size", "accumulate", "lr", "adversarial_from", "seed")
    changes: dict[str, Any] = {name: typed[name] for name in names if name in typed}
    for name, value in changes.items():
        if value < 0 or (value == 0 and name in ("batch_size", "accumulate", "lr")):
            raise UsageError(f"--{name.replace('_', '-')} cannot be {value}")
    if "data" in typed:
        # The run may go on from another folder than this one.
        changes["data"] = expanded(typed["data"]).absolute()
    if "trained" in typed:
        changes["trained"] = typed["trained"]
    if "picture_share" in typed:
        changes["episodes"] = replace(base.episodes, picture_share=typed["picture_share"])
    if "sizes" in typed:
        changes["sizes"] = parse_sizes(typed["sizes"])
    if "losses" in typed:
        if typed["losses"] not in LOSS_WEIGHTS:
            known = ", ".join(LOSS_WEIGHTS)
            raise UsageError(f"there are no losses {typed['losses']!r}", hint=f"one of {known}")
        changes["losses"] = LOSS_WEIGHTS[typed["losses"]]
    return replace(base, **changes)


def _with_perceptual(options: MetaOptions, typed: list[str]) -> tuple[MetaOptions, tuple[str, ...]]:
    """Take in perceptual networks; losses of networks without a file are left out, and said."""
    files, weights = dict(options.perceptual), dict(options.losses.content)
    for text in typed:
        name, weight, path = parse_perceptual(text)
        files[name] = path.absolute()
        if weight is not None:
            weights[name] = weight
        elif name not in weights:
            raise UsageError(
                f"the losses give {name!r} no weight",
                hint=f"say how much it counts: --perceptual {name}@0.1={path}",
            )
    left_out = [name for name, weight in weights.items() if weight and name not in files]
    content = tuple((name, weights[name]) for name in weights if name in files)
    losses = replace(options.losses, content=content)
    notes = tuple(
        f"no perceptual loss of {name}, as no file is given for it (--perceptual {name}=PATH)"
        for name in left_out
    )
    return replace(options, losses=losses, perceptual=tuple(sorted(files.items()))), notes


def parse_perceptual(text: str) -> tuple[str, float | None, Path]:
    """Read ``NAME=PATH`` or ``NAME@WEIGHT=PATH``.

    Raises:
        UsageError: It is neither.
    """
    name, path = named_path(text, "--perceptual")
    name, at, weight = name.partition("@")
    try:
        number = float(weight) if at else None
    except ValueError:
        number = -1.0
    if not name or (number is not None and not 0 <= number < math.inf):
        raise UsageError(
            f"--perceptual {text} gives no weight", hint="such as --perceptual vgg19@0.1=FILE"
        )
    return name, number, path


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``256`` or ``128:4000,256``: sides, and steps of all but the last.

    Raises:
        UsageError: It is neither.
    """
    sizes = []
    parts = text.split(",")
    for index, part in enumerate(parts):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?::([0-9]{1,9}))?\s*", part)
        if match is None or (match[2] is None and index + 1 < len(parts)):
            raise UsageError(
                f"--sizes {text} is not understood",
                hint="a side, or sides with their steps such as 128:4000,256",
            )
        sizes.append((int(match[1]), int(match[2] or 0)))
    return tuple(sizes)


def parse_seconds(text: str, option: str) -> float:
    """Read a time such as ``90s``, ``25m``, ``1h30m``.

    Raises:
        UsageError: It is none.
    """
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([hms])", text)
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise UsageError(f"{option} {text} is no time", hint=f"such as {option} 25m or 1h30m")
    return seconds


def parse_every(text: str, option: str) -> Every:
    """Read a time, or a number of steps.

    Raises:
        UsageError: It is neither.
    """
    if (steps := whole_number(text)) is not None:
        return Every(steps=steps)
    return Every(seconds=parse_seconds(text, option))


def _budget(typed: Mapping[str, Any], is_dry: bool) -> Budget:
    steps = typed.get("steps", 0)
    if steps < 0:
        raise UsageError(f"--steps cannot be {steps}", hint="0 sets no limit")
    seconds = parse_seconds(typed["time"], "--time") if "time" in typed else 0.0
    if not steps and not seconds and not is_dry:
        raise UsageError("nothing says when to end", hint="add --steps N or --time 25m")
    often = {
        name: parse_every(typed[f"{name}_every"], f"--{name}-every")
        for name in ("save", "validate", "keep")
        if f"{name}_every" in typed
    }
    return Budget(steps, seconds, **often)


def show_plan(plan: Plan, how: HowToRun, n_processes: int, *, as_lines: bool) -> None:
    """Print all of it, what the dataset holds and what the networks cost.

    Raises:
        UsageError: The batch cannot be shared by the processes.
        InputError: The dataset cannot be read.
    """
    check_options(plan.options, n_processes)
    facts = _facts(plan, how, n_processes)
    costs = [
        {"size_px": size, **dataclasses.asdict(cost)}
        for size in sorted({size for size, _ in plan.options.sizes})
        for cost in preset_costs(plan.models, size)
    ]
    if not as_lines:
        say(as_json({"event": "plan", **facts, "costs": costs, "notes": plan.notes}))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        text = value if isinstance(value, str) else as_json(value)
        say(f"{name:<{width}}  {one_line(text)}")
    say()
    header = ("network", "size", "parameters", "GFLOP a picture")
    rows = [
        (
            str(cost["part"]),
            f"{cost['size_px']} px",
            f"{cost['n_parameters']:,}".replace(",", " "),
            f"{cost['gflop']:.2f}",
        )
        for cost in costs
    ]
    print_columns([header, *rows])


def _facts(plan: Plan, how: HowToRun, n_processes: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"run": str(plan.folder or "none, as nothing is trained")}
    for name, value in dataclasses.asdict(plan.options).items():
        parts = value.items() if isinstance(value, dict) else ()
        facts |= {f"{name}.{part}": one for part, one in parts} if parts else {name: value}
    for name, value in dataclasses.asdict(plan.models.networks).items():
        facts[f"networks.{name}"] = value
    for name, value in dataclasses.asdict(plan.models.discriminator).items():
        facts[f"discriminator.{name}"] = value
    facts |= dataclasses.asdict(plan.budget)
    facts |= {
        "resume": plan.is_resumed,
        "init": plan.weights is not None,
        "device": str(how.device),
        "workers": how.workers,
        "compile": how.compiled,
        "processes": n_processes,
    }
    table = ClipTable(plan.options.data)
    people, lengths = table.people_and_lengths()
    for split in ("train", "val"):
        rows = table.indices(split)
        clips = rows[lengths[rows] > 1]
        n_people = len(set(people[clips].tolist()))
        facts[f"data.{split}"] = f"{count(len(clips), 'clips')} of {count(n_people, 'people')}"
        facts[f"data.{split}"] += f", {count(len(rows) - len(clips), 'pictures')}"
    return facts
