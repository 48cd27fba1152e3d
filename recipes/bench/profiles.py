"""Where the time goes: profiles of the pipeline, the networks and training, and a short table."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import torch
from rich.console import Console, Group
from rich.table import Table

from recipes.bench import models
from recipes.bench.sampling import Share, read_collapsed, shares_of
from recipes.bench.traces import Part, options_of, trace_networks, trace_training
from thvideo.models.presets import ModelOptions

TABLE = "profile.txt"

#: What takes less than this share of the pipeline's processor time has no line of its own.
_LEAST = 0.01

#: Side of the pictures that training is traced on.
_SIZE_PX = 128


def write_profiles(
    given: argparse.Namespace,
    groups: tuple[str, ...],
    device: torch.device,
    presets: Mapping[str, ModelOptions],
) -> Group:
    """Write profiles and their table into ``given.profile``, and return the table.

    Args:
        given: The bench's options.
        groups: Which: "pipeline", "models", "training".
        device: Where networks run.
        presets: The architectures by name.
    """
    folder: Path = given.profile
    folder.mkdir(parents=True, exist_ok=True)
    tables: list[Table | str] = []
    if "pipeline" in groups:
        shares = _profile_pipeline(given, folder)
        tables += ["The pipeline: seconds of the processor", _pipeline_table(shares)]
    if "models" in groups:
        traced = trace_networks(models.network_calls(presets, device), device, folder)
        for name, parts in traced.items():
            tables += [f"{name}: operations", _parts_table(parts)]
    if "training" in groups:
        perceptual = dict(given.perceptual)
        with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch:
            data = given.data or _example_dataset(given.driver, Path(scratch))
            for preset, architecture in presets.items():
                size_px = min(_SIZE_PX, architecture.networks.size_px)
                options = options_of(preset, data, size_px, perceptual)
                file = folder / f"training-{preset}.json.gz"
                parts = trace_training(options, architecture, device, file)
                what = f"{preset}, {size_px} pixels, {options.batch_size} at once"
                tables += [f"training, {what}: a step", _parts_table(parts)]
    with (folder / TABLE).open("w", encoding="utf-8") as file_out:
        Console(file=file_out, width=100).print(*tables, highlight=False)
    return Group(*tables)


def _profile_pipeline(given: argparse.Namespace, folder: Path) -> list[Share]:
    collapsed = folder / "pipeline.collapsed"
    with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch:
        command = [sys.executable, "-m", "recipes.bench.sampling", str(collapsed)]
        command += ["reenact", "--quiet", "--source", str(given.source)]
        command += ["--driver", str(given.driver), "--output", str(Path(scratch) / "out.mp4")]
        command += ["--workspace", str(Path(scratch) / "workspace")]
        command += ["--device", given.device, "--generator", given.generator]
        subprocess.run(command, check=True)
    return shares_of(read_collapsed(collapsed))


def _example_dataset(driver: Path, folder: Path) -> Path:
    """Prepare a dataset of two people who are the same driver: one to train on, one to validate."""
    for person in ("one", "two"):
        (folder / "videos" / person).mkdir(parents=True)
        shutil.copyfile(driver, folder / "videos" / person / driver.name)
    command = [sys.executable, "-m", "thvideo", "prepare", str(folder / "videos"), "--quiet"]
    command += ["--output", str(folder / "dataset"), "--val-share", "0.5"]
    subprocess.run([*command, "--size", str(_SIZE_PX)], check=True)
    return folder / "dataset"


def _pipeline_table(shares: list[Share]) -> Table:
    whole_s = sum(share.seconds for share in shares)
    table = Table()
    for column in ("stage", "function, with what it calls"):
        table.add_column(column, overflow="fold")
    for column in ("seconds", "share"):
        table.add_column(column, justify="right")
    for stage, own in _by_stage(shares):
        stage_s = sum(share.seconds for share in own)
        table.add_row(stage, "", f"{stage_s:.2f}", f"{stage_s / whole_s:.0%}")
        for share in own:
            if share.seconds >= _LEAST * whole_s:
                part = f"{share.seconds / whole_s:.0%}"
                table.add_row("", share.function, f"{share.seconds:.2f}", part)
    return table


def _by_stage(shares: list[Share]) -> Iterator[tuple[str, list[Share]]]:
    """Yield stages, those that take most first, each with its shares, the largest first."""
    in_order = sorted(shares, key=lambda share: (share.stage, -share.seconds))
    stages = [(stage, list(own)) for stage, own in groupby(in_order, lambda share: share.stage)]
    yield from sorted(stages, key=lambda each: -sum(share.seconds for share in each[1]))


def _parts_table(parts: list[Part]) -> Table:
    table = Table("part", "share")
    for part in parts:
        table.add_row(part.name, f"{part.share:.1%}")
    return table
