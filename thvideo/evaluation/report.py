"""The report: every figure of every row, as means over people, and of every clip."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thvideo.evaluation.figures import PERCEPTUAL, Figure, known_figures
from thvideo.evaluation.frechet import frechet_distance
from thvideo.evaluation.methods import Method, Truth
from thvideo.evaluation.protocol import ProtocolOptions, Take
from thvideo.evaluation.summary import Clip, change_of, mean_of
from thvideo.shapes import F32Array

SELF, CROSS = "self", "cross"


@dataclass(frozen=True)
class Row:
    """A method with a number of source frames.

    Args:
        method: The method.
        n_shots: How many source frames; 0 if it takes none.
    """

    method: Method
    n_shots: int

    @property
    def name(self) -> str:
        """What it is called; the number of source frames only where that is a choice."""
        if self.method.n_shots is not None:
            return self.method.name
        return f"{self.method.name} T={self.n_shots}"

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return self.name.replace(" T=", "-T")


@dataclass(frozen=True)
class Judged:
    """What was measured of one row and one take.

    Args:
        row: The row's name.
        take: The take.
        figures: By name.
        frame_ssim: ``[T]``; None in cross-reenactment.
        features: Of the drawn frames ``[T, C]``; None without Inception or in cross-reenactment,
            where nobody knows the true ones.
        true_features: Of the true ones.
    """

    row: str
    take: Take
    figures: Mapping[str, float]
    frame_ssim: F32Array | None = None
    features: F32Array | None = None
    true_features: F32Array | None = None

    @property
    def mode(self) -> str:
        """Whether it is a self- or a cross-reenactment."""
        return SELF if self.take.is_self else CROSS


def report(
    protocol: ProtocolOptions,
    rows: Sequence[Row],
    judged: Sequence[Judged],
    left_out: Sequence[Mapping[str, str]],
    notes: Sequence[str],
    baseline: str | None,
) -> dict[str, Any]:
    """Sum up an evaluation as JSON values."""
    names = {name for one in judged for name in one.figures}
    networks = sorted(name.removeprefix(PERCEPTUAL) for name in names if PERCEPTUAL in name)
    figures = known_figures(networks)
    tables = {}
    for mode in (SELF, CROSS):
        own = [one for one in judged if one.mode == mode]
        if own:
            tables[mode] = [_row(row, rows, own, figures, baseline) for row in rows]
    has_fid = any("fid" in row["figures"] for table in tables.values() for row in table)
    shown = [one for one in figures if one.name in names or (one.name == "fid" and has_fid)]
    clips = [
        {
            "row": one.row,
            "mode": one.mode,
            "take": one.take.name,
            "person": one.take.source.identity,
            "figures": one.figures,
        }
        for one in judged
    ]
    return {
        "protocol": asdict(protocol),
        "baseline": baseline,
        "figures": [asdict(figure) for figure in shown],
        "tables": tables,
        "clips": clips,
        "left_out": list(left_out),
        "notes": list(notes),
    }


def _row(
    row: Row,
    rows: Sequence[Row],
    judged: Sequence[Judged],
    figures: Sequence[Figure],
    baseline: str | None,
) -> dict[str, Any]:
    is_compared = row.method.name not in (baseline, Truth.name)
    own, against = _clips(judged, row.name), _clips(judged, _baseline_row(row, rows, baseline))
    found: dict[str, Any] = {}
    for figure in figures:
        mean = mean_of(own, figure)
        if mean is not None:
            change = change_of(own, against, figure) if is_compared else None
            found[figure.name] = asdict(mean) | {
                "change": None if change is None else asdict(change)
            }
    fid = _fid(judged, row.name)
    if fid is not None:
        found["fid"] = {"mean": fid}
    return {"row": row.name, "method": row.method.name, "shots": row.n_shots, "figures": found}


def _baseline_row(row: Row, rows: Sequence[Row], baseline: str | None) -> str | None:
    """Return the baseline's row of as many source frames, or its only one."""
    theirs = [one for one in rows if one.method.name == baseline]
    same = [one for one in theirs if one.n_shots == row.n_shots]
    return next((one.name for one in (*same, *theirs)), None)


def _clips(judged: Sequence[Judged], row: str | None) -> list[Clip]:
    return [
        Clip(one.take.source.identity, one.take.name, one.figures)
        for one in judged
        if one.row == row
    ]


def _fid(judged: Sequence[Judged], row: str) -> float | None:
    pairs = [
        (one.features, one.true_features)
        for one in judged
        if one.row == row and one.features is not None and one.true_features is not None
    ]
    # Of a single frame there is no spread.
    if sum(len(own) for own, _ in pairs) < 2:
        return None
    drawn, true = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return frechet_distance(drawn, true)
