"""The tables and the JSON of a run."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from recipes.bench.peers import FOOT, PEERS
from recipes.bench.pipeline import CPU, FFMPEG
from recipes.bench.rounds import Figure, Group, Quantity, Summary
from recipes.bench.shipped import WHOLE_FRAMES
from recipes.bench.verdict import Change

PRESETS = ("paper", "swift")


@dataclass(frozen=True)
class Run:
    """All that was measured.

    Args:
        machine: On what.
        n_rounds: In how many rounds.
        baseline: What ratios are to.
        figures: The baseline's comes first.
        left_out: What was not measured, and why.
        changes: Against an earlier run; None if there is none.
    """

    machine: Mapping[str, Any]
    n_rounds: int
    baseline: Quantity
    figures: Sequence[Figure]
    left_out: Sequence[str]
    changes: Sequence[Change] | None = None

    def of(self, group: Group) -> list[Figure]:
        """Return the figures of a group."""
        return [figure for figure in self.figures if figure.quantity.group == group]

    def named(self, name: str) -> Figure | None:
        """Return a figure by its quantity's name."""
        return next((each for each in self.figures if each.quantity.name == name), None)

    def peak(self, precision: str | None) -> Figure | None:
        """Return the fastest convolution in an arithmetic."""
        able = [
            each
            for each in self.of("models")
            if each.quantity.unit == "convolution" and each.quantity.precision == precision
        ]
        return max(able, key=lambda each: each.gflop_s or 0.0, default=None)

    def share_of_peak(self, figure: Figure) -> float | None:
        """Return a network's arithmetic a second over the peak's."""
        peak = self.peak(figure.quantity.precision)
        if peak is None or peak.gflop_s is None or figure.gflop_s is None:
            return None
        return figure.gflop_s / peak.gflop_s


def machine_of(device: torch.device) -> dict[str, Any]:
    """Describe what is measured on."""
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "simd": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def as_json(run: Run) -> dict[str, Any]:
    """Return a run in JSON's types."""
    peaks = {precision: run.peak(precision) for precision in ("fp32", "bf16")}
    return {
        "machine": dict(run.machine),
        "n_rounds": run.n_rounds,
        "baseline": run.baseline.name,
        "figures": [
            asdict(figure.quantity)
            | {
                "seconds": figure.seconds._asdict(),
                "ratio": figure.ratio._asdict(),
                "gflop_s": figure.gflop_s,
                "share_of_peak": run.share_of_peak(figure),
            }
            for figure in run.figures
        ],
        "peak_gflop_s": {name: peak.gflop_s for name, peak in peaks.items() if peak},
        "peers": [peer._asdict() for peer in PEERS],
        "left_out": list(run.left_out),
        "changes": None if run.changes is None else [each._asdict() for each in run.changes],
    }


def tables(run: Run) -> Iterator[Table | str]:
    """Return what is printed, in turn."""
    if run.of("pipeline"):
        yield _pipeline(run)
    if any(figure.quantity.unit == "convolution" for figure in run.figures):
        yield _models(run)
        yield _peers(run)
    if run.of("training"):
        yield _training(run)
    about = run.machine
    yield (
        f"Medians of {run.n_rounds} rounds, and from the least to the greatest. Ratios are to "
        f"{run.baseline.name}, in the same round. {about['processor']}, {about['device']}, "
        f"{about['threads']} threads, {about['simd']}, load {about['load']} at the start."
    )
    if run.left_out:
        yield "Left out:\n" + "\n".join(f"  {line}" for line in run.left_out)
    if run.changes is not None:
        yield _verdict(run.changes)


def _table(title: str, *columns: str, foot: str | None = None) -> Table:
    table = Table(title=title, caption=foot, caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def _pipeline(run: Run) -> Table:
    figures = run.of("pipeline")
    frames = max(figure.quantity.in_all for figure in figures)
    alone = {each.quantity.name: _in_all_s(each) for each in figures}
    columns = ("seconds", "from, to", "frames a second", "times ffmpeg alone", "ratio")
    table = _table(f"The pipeline, {frames} frames", "", *columns)
    for figure in figures:
        quantity, in_all_s = figure.quantity, _in_all_s(figure)
        table.add_row(
            quantity.name,
            f"{in_all_s:.2f}",
            _spread(figure.seconds, quantity.in_all),
            f"{1 / figure.seconds.median:.0f}" if quantity.unit == "frame" else "",
            f"{in_all_s / alone[FFMPEG + CPU * quantity.name.endswith(CPU)]:.1f}",
            f"{figure.ratio.median:.3f}" if quantity.unit == "frame" else "",
        )
    return table


def _in_all_s(figure: Figure) -> float:
    return figure.seconds.median * figure.quantity.in_all


def _models(run: Run) -> Table:
    columns = ("GFLOP", "ms", "from, to", "GFLOP/s", "of the peak", "ratio")
    table = _table("The networks, for one frame or picture", "", *columns)
    networks = [each for each in run.of("models") if each.quantity.unit != "convolution"]
    peaks = [peak for precision in ("fp32", "bf16") if (peak := run.peak(precision))]
    for figure in [*networks, *peaks]:
        is_peak = figure in peaks
        share = run.share_of_peak(figure)
        table.add_row(
            ("the peak: " if is_peak else "") + _name(figure.quantity),
            f"{figure.quantity.gflop:.2f}",
            f"{1000 * figure.seconds.median:.1f}",
            _spread(figure.seconds, 1000),
            f"{figure.gflop_s:.1f}",
            "" if share is None else f"{share:.0%}",
            "" if is_peak else f"{figure.ratio.median:.3f}",
        )
    return table


def _name(quantity: Quantity) -> str:
    return f"{quantity.name} (emulated)" if quantity.is_emulated else quantity.name


def _peers(run: Run) -> Table:
    title = "Beside others: one frame in fp32"
    columns = ("GFLOP", "times swift's", "ms", "times swift's")
    table = _table(title, "", *columns, foot=FOOT)
    for part in ("generator", "embedder"):
        names = {f"thvideo's {name} {part}": f"{name} {part}" for name in PRESETS}
        if part == "generator":
            names["thvideo's swift as it ships, landmarks to pixels, 256 px"] = WHOLE_FRAMES
        own = {label: run.named(f"{name}, fp32, 1 at once") for label, name in names.items()}
        swift = run.named(f"swift {part}, fp32, 1 at once")
        if swift is None or swift.quantity.gflop is None:
            continue
        for peer in (peer for peer in PEERS if peer.part == part):
            times = f"{peer.gflop / swift.quantity.gflop:.1f}"
            table.add_row(peer.name, f"{peer.gflop:.1f}", times, f"({peer.ms:.0f})", "")
        for label, figure in own.items():
            if figure is None or figure.quantity.gflop is None:
                continue
            table.add_row(
                f"{label}, this run",
                f"{figure.quantity.gflop:.1f}",
                f"{figure.quantity.gflop / swift.quantity.gflop:.1f}",
                f"{1000 * figure.seconds.median:.0f}",
                f"{figure.seconds.median / swift.seconds.median:.1f}",
            )
    return table


def _training(run: Run) -> Table:
    columns = ("samples a second", "seconds a sample", "from, to", "ratio")
    table = _table("Meta-training, with the discriminator", "", *columns)
    for figure in run.of("training"):
        seconds = figure.seconds.median
        spread, ratio = _spread(figure.seconds), f"{figure.ratio.median:.2f}"
        table.add_row(_name(figure.quantity), f"{1 / seconds:.2f}", f"{seconds:.2f}", spread, ratio)
    return table


def _spread(summary: Summary, scale: float = 1.0) -> str:
    least, greatest = summary.least * scale, summary.greatest * scale
    digits = 2 if greatest < 100 else 0
    return f"{least:.{digits}f}, {greatest:.{digits}f}"


def _verdict(changes: Sequence[Change]) -> str:
    if not changes:
        return "Against the earlier run: nothing costs more than 10 % more."
    lines = [
        f"  {each.verdict}: {each.name}, {each.before:.3f} then, {each.now:.3f} now"
        for each in changes
    ]
    return "Against the earlier run:\n" + "\n".join(lines)
