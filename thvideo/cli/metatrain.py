"""``metatrain``: embedder, generator and discriminator learn from many people."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from thvideo.cli import options
from thvideo.cli.console import one_line, say, tell
from thvideo.cli.options import FILES, RUNNING, Given, Opt, takes
from thvideo.cli.stop import stopping_softly
from thvideo.cli.training_view import training_view
from thvideo.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator

    from thvideo.cli.metatrain_plan import Plan
    from thvideo.training.meta_events import MetaEvent
    from thvideo.training.meta_options import HowToRun
    from thvideo.training.processes import Processes

_TRAINING, _LENGTH = "Training", "Length"
_OWN = "the preset's"
_OPTIONS = (
    Opt("data", FILES, "Dataset of thvideo prepare.", kind=Path),
    Opt("run", FILES, "Folder of the run.", ("--output", "-o"), Path),
    Opt("init", FILES, "Weights to begin with: a file, a shipped name, or a run's folder.",
        kind=str),
    Opt("resume", FILES, "Go on with the run in -o; options that are given again win.", kind=bool),
    Opt("preset", _TRAINING, "swift, or paper: arXiv:1905.08233.", kind=str, default="swift"),
    Opt("sizes", _TRAINING, "Side of the pictures, or sides in turn with their steps: "
        "128:4000,256.", ("--size", "--sizes"), str, default=256),
    Opt("batch_size", _TRAINING, "Episodes in a step, over all processes.", kind=int,
        default=_OWN),
    Opt("accumulate", _TRAINING, "In how many parts a process takes its share of a batch.",
        kind=int, default=1),
    Opt("trained", _TRAINING, "all networks, or the foveal ones alone over what the others draw "
        "already.", ("--train",), Literal["all", "foveal"], default="all"),
    Opt("lr", _TRAINING, "Learning rate of embedder and generator.", kind=float, default=_OWN),
    Opt("losses", _TRAINING, "Weights of the losses: v1 or v2 of the paper, or swift.", kind=str,
        default=_OWN),
    Opt("perceptual", _TRAINING, "NAME=PATH of a perceptual network, or NAME@WEIGHT=PATH; repeat "
        "for more. Losses of networks without a file are left out.", kind=list[str]),
    Opt("picture_share", _TRAINING, "Chance that an episode is of a still picture of the dataset.",
        kind=float, default=_OWN),
    Opt("adversarial_from", _TRAINING, "First step in which the discriminator takes part.",
        kind=int, default=_OWN),
    Opt("seed", _TRAINING, "Of the first weights and of all episodes.", kind=int, default=0),
    Opt("steps", _LENGTH, "Steps of the whole run, those before a resume too.", kind=int),
    Opt("time", _LENGTH, "Time of this call: 90s, 25m, 2h or 1h30m.", kind=str),
    Opt("save_every", _LENGTH, "Time or steps between checkpoints.", kind=str, default="5m"),
    Opt("validate_every", _LENGTH, "Time or steps between validations.", kind=str, default="5m"),
    Opt("keep_every", _LENGTH, "Time or steps between checkpoints that stay, step-N.", kind=str),
    *(one for one in options.RESOURCES if one.name in ("device", "precision", "threads")),
    Opt("workers", RUNNING, "Processes that make batches ahead, for each that trains.", kind=int,
        default=1),
    Opt("compiled", RUNNING, "Compile the networks first.", ("--compile",), bool),
    Opt("dry_run", RUNNING, "Print every option, parameters and GFLOP; train nothing.", kind=bool),
    *options.LOOKS,
)  # fmt: skip


@takes(*_OPTIONS)
def metatrain(given: Given) -> None:
    """Meta-train the networks of a generator on a dataset of many people.

    torchrun --nproc-per-node N -m thvideo metatrain ... trains in N processes.
    """
    from thvideo.cli.metatrain_plan import plan_of
    from thvideo.synthesis.device import choose_device, cpu_threads
    from thvideo.training.meta_options import HowToRun
    from thvideo.training.processes import flushed_denormals, joined, own_device

    resources = given.resources()
    plan = plan_of(given)
    device = own_device(choose_device(resources.device))
    how = HowToRun(device, plan.workers, given.flag("compiled"))
    with (
        flushed_denormals(),
        joined(device) as processes,
        cpu_threads(resources.threads),
    ):
        # Another machine's processor may be faster in the other arithmetic.
        if processes.agreed(plan.options.precision == "fp32")[0]:
            plan = replace(plan, options=replace(plan.options, precision="fp32"))
        if processes.is_first and not given.flag("quiet") and not given.flag("json"):
            for note in plan.notes:
                tell("note", note, "yellow")
        if not given.flag("dry_run"):
            _train(plan, how, processes, given)
        elif processes.is_first:
            from thvideo.cli.metatrain_plan import show_plan

            show_plan(plan, how, processes.size, as_lines=not given.flag("json"))


def _train(plan: "Plan", how: "HowToRun", processes: "Processes", given: Given) -> None:
    from thvideo.training.meta import MetaRun
    from thvideo.training.meta_events import Stopped

    assert plan.folder is not None
    run = MetaRun(plan.folder, plan.options, how, plan.models, processes)
    if plan.is_resumed:
        run.resume()
    else:
        run.begin(plan.weights)
    is_silent = given.flag("quiet") or not processes.is_first
    stopped_at = None
    with (
        stopping_softly() as is_to_stop,
        training_view(plan.budget, is_json=given.flag("json"), is_silent=is_silent) as view,
    ):
        happenings = cast("Generator[MetaEvent, None, None]", run.run(plan.budget, is_to_stop))
        # Closed at once on an error, so that the workers end before the explanation.
        with closing(happenings):
            for event in happenings:
                view.show(event)
                if isinstance(event, Stopped):
                    stopped_at = event.step
    if stopped_at is not None:
        if processes.is_first and not given.flag("json"):
            hint = f"thvideo metatrain -o {plan.folder} --resume goes on from there"
            tell("stopped", f"step {stopped_at} is saved; {hint}", "bold yellow")
        raise SystemExit(int(ExitCode.INTERRUPT))
    if not is_silent and not given.flag("json"):
        say(one_line(f"{plan.folder} {run.learner.step} steps"))
        say(one_line(f"thvideo weights export {plan.folder} -o FILE makes one file of the best"))
