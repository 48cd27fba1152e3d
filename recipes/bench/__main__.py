"""``python -m recipes.bench``: exit code 1 if something costs more than in an earlier run.

``--profile FOLDER`` says where the time goes instead of how much it is.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from recipes import bench as package
from recipes.bench import models, pipeline, training
from recipes.bench.profiles import write_profiles
from recipes.bench.report import Run, as_json, machine_of, tables
from recipes.bench.rounds import Figure, figures_of, rounds_of
from recipes.bench.shipped import shipped_calls
from recipes.bench.verdict import changes, read_saved
from thvideo.models.presets import PRESETS, ModelOptions
from thvideo.synthesis.device import choose_device

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GROUPS = ("pipeline", "models", "training")


def main(
    arguments: Sequence[str] | None = None, presets: Mapping[str, ModelOptions] = PRESETS
) -> int:
    """Measure, print the tables, write the file; or profile.

    Args:
        arguments: What follows the command; the process's own when None.
        presets: The architectures by name.
    """
    given = _parser().parse_args(arguments)
    console = Console(soft_wrap=not sys.stdout.isatty())
    if given.profile:
        groups = tuple(given.only or GROUPS)
        console.print(write_profiles(given, groups, choose_device(given.device), presets))
        return 0
    saved = read_saved(given.baseline) if given.baseline else None
    run = measured(given, presets)
    if saved is not None:
        run = replace(run, changes=changes(run.figures, saved))
    for part in tables(run):
        console.print(part, highlight=False)
    if given.json:
        given.json.write_text(json.dumps(as_json(run), indent=1) + "\n", encoding="utf-8")
    return int(any(each.verdict == "costs more" for each in run.changes or ()))


def measured(given: argparse.Namespace, presets: Mapping[str, ModelOptions]) -> Run:
    """Measure the groups that are asked for, one after the other."""
    device = choose_device(given.device)
    machine, progress = machine_of(device), Console(stderr=True)
    groups = given.only or GROUPS
    timed = presets if "models" in groups else {"paper": presets["paper"]}
    calls = models.network_calls(timed, device)
    if "models" in groups:
        calls += shipped_calls(device)
    baseline, in_every_round = models.baseline_of(calls)
    figures: list[Figure] = []
    left_out: list[str] = []
    for group in groups:
        if group == "pipeline":
            asked = pipeline.Asked(given.source, given.driver, given.device, given.generator)
            plan = models.Planned(pipeline.planned(asked), [])
        elif group == "models":
            plan = models.planned(calls, device)
        else:
            plan = training.planned(device, presets, dict(given.perceptual))
        rounds = []
        for readings in rounds_of([in_every_round, *plan.probes], given.rounds):
            rounds.append(readings)
            progress.print(f"{group}: round {len(rounds)} of {given.rounds} is done")
        new = figures_of(rounds, baseline)
        # Every group has the baseline: the models' own is shown, else the first.
        if group == "models" or not figures:
            figures = [each for each in figures if each.quantity != baseline]
        else:
            new = [each for each in new if each.quantity != baseline]
        figures += new
        left_out += plan.left_out
    return Run(machine, given.rounds, baseline, figures, left_out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=package.__doc__)
    parser.add_argument("source", nargs="?", type=Path, default=EXAMPLES / "painting.jpg")
    parser.add_argument("driver", nargs="?", type=Path, default=EXAMPLES / "driver.mp4")
    parser.add_argument("--only", action="append", choices=GROUPS, help="may be repeated")
    parser.add_argument("--rounds", type=_rounds, default=3)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--generator", default="swift", help="of the pipeline: swift, warp or paper"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier --json")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="write profiles instead")
    parser.add_argument("--data", type=Path, metavar="DATASET", help="that a profile trains on")
    parser.add_argument(
        "--perceptual",
        type=_named_file,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="weights of a perceptual network of the losses",
    )
    return parser


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of rounds")
    return int(text)


def _named_file(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not file:
        raise argparse.ArgumentTypeError(f"{text} is no NAME=FILE")
    return name, Path(file)


if __name__ == "__main__":
    sys.exit(main())
