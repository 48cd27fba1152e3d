"""The evaluation: every take by every method, then the report.

OUT/plan.json     which frames of which clips are sources, and which are held out
OUT/cells         what was drawn and measured, kept
OUT/landmarks     of the clips, tracked
OUT/weights       of a run of meta-training that is judged, as they would be exported
OUT/digests       of large files, so that they are not read again
OUT/report.json   all figures of all rows and clips
OUT/report.html   the same to look at
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thvideo.errors import InputError, UsageError
from thvideo.evaluation.cell import Cell, write_result
from thvideo.evaluation.clip_landmarks import ClipLandmarks
from thvideo.evaluation.finished import Finished
from thvideo.evaluation.measure import Ruler, Seen
from thvideo.evaluation.methods import Drawn, Method, Truth
from thvideo.evaluation.page import page
from thvideo.evaluation.protocol import (
    ProtocolOptions,
    Take,
    cross_takes,
    self_takes,
    too_short,
)
from thvideo.evaluation.report import Judged, Row, report
from thvideo.evaluation.scene import Scene
from thvideo.evaluation.sheet import Sheet
from thvideo.stages.base import Notice, Progress, StageEvent
from thvideo.training.dataset import ClipTable, clip_path
from thvideo.weights.cards import shipped_weight
from thvideo.workspace.keys import DigestMemo, stage_key

PLAN, REPORT, PAGE, CELLS = "plan.json", "report.json", "report.html", "cells"

#: Raised when what an unchanged method draws from unchanged clips would change.
_VERSION = 2


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where to.

    Args:
        data: The dataset's folder.
        output: Folder of all that is written.
        protocol: Who is drawn from which frames.
        methods: The methods, in the order of the table.
        ruler: What measures.
        digests: Of files.
        pairs: Table of cross-reenactments; None draws none.
        baseline: The method that others are compared with; None compares with none.
    """

    data: Path
    output: Path
    protocol: ProtocolOptions
    methods: Sequence[Method]
    ruler: Ruler
    digests: DigestMemo
    pairs: Path | None = None
    baseline: str | None = None


def evaluate(work: Evaluation) -> Iterator[StageEvent]:
    """Draw, measure and report; what is there already is not made again.

    Yields:
        How far it is, and what was left out.

    Raises:
        InputError: The dataset or the pairs cannot be read, a folder of finished videos holds
            none of them, or nothing could be evaluated.
        UsageError: The baseline is no method of this run.
        WorkspaceError: The disk refuses.
    """
    rows = _rows(work.methods, work.protocol.shots)
    if work.baseline is not None and work.baseline not in {row.method.name for row in rows}:
        raise UsageError(
            f"the baseline {work.baseline!r} is no method of this run",
            hint=f"one of {', '.join(method.name for method in work.methods)}",
        )
    table = ClipTable(work.data)
    takes = self_takes(table, work.protocol)
    if work.pairs is not None:
        takes += cross_takes(table, work.pairs, work.protocol)
    _write(work.output / PLAN, json.dumps(_plan(work.protocol, takes), indent=1) + "\n")
    for method in work.methods:
        if isinstance(method, Finished):
            method.check_names(takes)
    judging = Judging(work, rows)
    n_all, n_done = len(takes) * len(rows), 0
    yield Progress(0, n_all, "results")
    for take in takes:
        for happened in judging.judge(take):
            n_done += happened is None
            yield Progress(n_done, n_all, "results") if happened is None else happened
    if not judging.judged:
        raise InputError(
            f"nothing of {work.data} could be evaluated",
            hint=judging.left_out[0]["why"] if judging.left_out else "its clips are too short",
        )
    notes = _notes(work)
    for note in notes:
        yield Notice(note)
    told = report(work.protocol, rows, judging.judged, judging.left_out, notes, work.baseline)
    _write(work.output / REPORT, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    _write(work.output / PAGE, page(told, judging.sheet().pictures()))


class Judging:
    """Judges take by take; remembers the figures and no pixels.

    Args:
        work: What is evaluated.
        rows: Methods with their numbers of source frames.
    """

    def __init__(self, work: Evaluation, rows: Sequence[Row]) -> None:
        self._work, self._rows = work, rows
        self._landmarks = ClipLandmarks(
            work.data,
            work.output,
            work.protocol.landmarks,
            lambda: work.ruler.tracker,
            work.ruler.tracker_digest,
            work.digests,
        )
        self.judged: list[Judged] = []
        self.left_out: list[dict[str, str]] = []

    def judge(self, take: Take) -> Iterator[Notice | None]:
        """Judge a take by every row; yield None after each, and what was left out before."""
        scene, truth = self._scene(take), None
        for row in self._rows:
            why = too_short(take, max(1, row.n_shots))
            if why is None:
                try:
                    truth = truth or self._seen(scene, Row(Truth(), 0))
                    self.judged.append(self._judged(scene, row, truth))
                except InputError as error:
                    # One damaged clip or video is told of, and the others go on.
                    why = error.fact
            if why is not None:
                self.left_out.append({"row": row.name, "take": take.name, "why": why})
                yield Notice(f"{take.name} by {row.name} is left out: {why}")
            yield None

    def sheet(self) -> Sheet:
        """Return what the page's pictures are chosen from."""
        return Sheet(self._rows, self.judged, self._pictures)

    def _judged(self, scene: Scene, row: Row, truth: Seen) -> Judged:
        ruler, take = self._work.ruler, scene.take
        seen = truth if row.name == Truth.name else self._seen(scene, row)
        figures = ruler.figures(scene, seen, truth)
        if not take.is_self:
            return Judged(row.name, take, figures)
        features = ruler.features(seen), ruler.features(truth)
        return Judged(row.name, take, figures, ruler.frame_ssim(scene, seen, truth), *features)

    def _pictures(self, take: Take, row: str, frame: int) -> Any:
        """Return one frame ``[S, S, 3]`` of a row, and of what it is drawn from."""
        scene = self._scene(take)
        if row == "source":
            return scene.shots(1).crops[0]
        chosen = next((one for one in self._rows if one.name == row), Row(Truth(), 0))
        return self._seen(scene, chosen).drawn.frames[frame]

    def _scene(self, take: Take) -> Scene:
        most = max((row.n_shots for row in self._rows), default=1)
        return Scene(self._work.data, take, max(1, most), self._landmarks)

    def _seen(self, scene: Scene, row: Row) -> Seen:
        cell = Cell(self._work.output / CELLS, row.folder, scene.take.name)
        key = self._key(scene.take, row)
        if not row.method.is_kept:
            return Seen(cell, key, lambda: row.method.draw(scene, row.n_shots))

        def draw() -> Drawn:
            kept = cell.arrays("frames", key, lambda: vars(row.method.draw(scene, row.n_shots)))
            return Drawn(kept["frames"], np.asarray(kept["points"], np.float32))

        return Seen(cell, key, draw)

    def _key(self, take: Take, row: Row) -> str:
        parameters = {
            "method": dict(row.method.made_of(take.name)),
            "kind": type(row.method).__name__,
            "sources": take.sources[: max(1, row.n_shots)],
            "wanted": take.wanted,
        }
        if row.n_shots:
            # True frames and finished videos are drawn from no landmarks.
            parameters |= self._landmarks.made_by
        files = {
            f"{role}{suffix}": self._work.digests.digest(
                clip_path(self._work.data, clip.clip, suffix)
            )
            for role, clip in (("source", take.source), ("driver", take.driver))
            for suffix in (".mp4", ".npz")
        }
        # Landmarks are read by it, and drafts are moved.
        files["face_model"] = self._work.digests.digest(shipped_weight("face_model"))
        return stage_key("evaluate", _VERSION, parameters, {}, files)


def _rows(methods: Sequence[Method], shots: Sequence[int]) -> list[Row]:
    return [
        Row(method, n_shots)
        for method in methods
        for n_shots in (shots if method.n_shots is None else (method.n_shots,))
    ]


def _plan(protocol: ProtocolOptions, takes: Sequence[Take]) -> dict[str, Any]:
    most = max(protocol.shots)
    told = [
        {
            "take": take.name,
            "source": take.source.clip,
            "driver": take.driver.clip,
            "source_frames": take.sources[:most],
            "held_out": take.wanted,
        }
        for take in takes
    ]
    return {"protocol": asdict(protocol), "takes": told}


def _notes(work: Evaluation) -> list[str]:
    missing = work.ruler.missing_extra
    if missing is None:
        return []
    return [f"CSIM is left out: {missing} is missing (pip install 'thvideo[evaluate]')"]


def _write(path: Path, text: str) -> None:
    # Folders may have names that are no text.
    write_result(path, text.encode(errors="backslashreplace"))
