"""Traces of the networks and of steps of meta-training, for Perfetto or ``chrome://tracing``."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, schedule

from recipes.bench.models import Call
from thvideo.models.presets import ModelOptions
from thvideo.synthesis.auto_precision import choose_precision
from thvideo.training.labels import PARTS
from thvideo.training.meta import MetaRun
from thvideo.training.meta_options import META_PRESETS, Budget, Every, HowToRun, MetaOptions
from thvideo.training.processes import flushed_denormals

#: What of a step is none of its parts: moving batches, numbers for the log, looking at the clock.
REST = "the rest"

_N_CALLS = 3


class Steps(NamedTuple):
    """How much of a training is traced.

    Attributes:
        batch_size: Episodes in a step.
        n_before: Steps before the first one traced: processes begin and memory is taken.
        n_traced: Steps traced.
    """

    batch_size: int
    n_before: int
    n_traced: int


#: A step of the paper's networks takes half a minute where there is no GPU.
STEPS = {"paper": Steps(1, 1, 1), "swift": Steps(8, 4, 20)}


class Part(NamedTuple):
    """A part of something traced, and its share of the whole, 0..1."""

    name: str
    share: float


def trace_networks(
    calls: Sequence[Call], device: torch.device, folder: Path
) -> dict[str, list[Part]]:
    """Trace every call in the arithmetic that the device multiplies in.

    Args:
        calls: As `models.network_calls` returns them.
        device: Where they run.
        folder: Gets a trace of each.

    Returns:
        By the name of a call, the operations that take most of its time.
    """
    precision = choose_precision("auto", str(device))
    parts = {}
    for call in calls:
        if call.quantity.precision == precision:
            call.run()
            with profile(activities=_activities(device)) as trace:
                for _ in range(_N_CALLS):
                    call.run()
            name = call.quantity.name
            trace.export_chrome_trace(str(folder / f"models-{_slug(name)}.json.gz"))
            parts[name] = _operations(trace)
    return parts


def trace_training(
    options: MetaOptions, models: ModelOptions, device: torch.device, file: Path
) -> list[Part]:
    """Train for some steps with the discriminator, one process making batches, and trace them.

    Args:
        options: What is trained, as `options_of` returns it.
        models: The architecture.
        device: Where.
        file: The trace to write.

    Returns:
        The parts of a step, by the clock of the process that trains.
    """
    steps = STEPS[options.preset]
    found: list[Part] = []

    def finish(trace: Any) -> None:
        trace.export_chrome_trace(str(file))
        found.extend(_parts_of_step(trace))

    options = replace(options, precision=choose_precision("auto", str(device)))
    how = HowToRun(device, workers=1)
    never = Every()
    with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch, flushed_denormals():
        run = MetaRun(Path(scratch) / "run", options, how, models)
        run.begin()
        plan = schedule(wait=steps.n_before, warmup=1, active=steps.n_traced, repeat=1)
        with profile(activities=_activities(device), schedule=plan, on_trace_ready=finish) as trace:
            is_enough = _counted(trace.step, steps.n_before + 1 + steps.n_traced)
            for _ in run.run(Budget(save=never, validate=never), is_enough):
                pass
    return found


def options_of(
    preset: str, data: Path, size_px: int, perceptual: Mapping[str, Path]
) -> MetaOptions:
    """Return the preset's options for a traced run; losses without their network are left out."""
    usual = META_PRESETS[preset]
    content = tuple(pair for pair in usual.losses.content if pair[0] in perceptual)
    return replace(
        usual,
        data=data,
        sizes=((size_px, 0),),
        batch_size=STEPS[preset].batch_size,
        adversarial_from=0,
        losses=replace(usual.losses, content=content),
        perceptual=tuple((name, perceptual[name]) for name, _ in content),
    )


def _counted(step: Callable[[], None], n_steps: int) -> Callable[[], bool]:
    """Return what is asked after every step: it notes the step, and tells when it is the last."""
    n_done = 0

    def is_enough() -> bool:
        nonlocal n_done
        n_done += 1
        step()
        return n_done >= n_steps

    return is_enough


def _parts_of_step(trace: Any) -> list[Part]:
    spent: Counter[str] = Counter()
    for event in trace.events():
        if event.device_type == DeviceType.CPU:
            name = "step" if event.name.startswith("ProfilerStep") else event.name
            if name in ("step", *PARTS):
                spent[name] += event.cpu_time_total
    whole = spent.pop("step")
    spent[REST] = whole - sum(spent.values())
    return [Part(name, spent[name] / whole) for name in (*PARTS, REST)]


def _operations(trace: Any, n_most: int = 5) -> list[Part]:
    rows = trace.key_averages()
    on_device = any(row.self_device_time_total for row in rows)
    kind = "self_device_time_total" if on_device else "self_cpu_time_total"
    spent = {row.key: getattr(row, kind) for row in rows}
    whole = sum(spent.values())
    most = sorted(spent, key=lambda key: -spent[key])[:n_most]
    return [Part(key, spent[key] / whole) for key in most]


def _activities(device: torch.device) -> list[ProfilerActivity]:
    cuda = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return [ProfilerActivity.CPU, *cuda]


def _slug(name: str) -> str:
    return "-".join(name.replace(",", " ").replace(" at once", "").split())
