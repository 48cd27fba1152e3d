"""The last lines of a run: where the result is, how long it took, what was reused."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from thvideo.cli.humane import count, duration, size
from thvideo.pipeline.events import RunFinished
from thvideo.reading import json_of


def summary_lines(event: RunFinished, reused: list[str], ran: list[str]) -> list[str]:
    """Return the lines that end a run.

    Args:
        event: The end of the run.
        reused: Ids of the nodes whose artifacts were there.
        ran: Ids of the nodes that were made.
    """
    took = duration(event.seconds)
    where = event.output or event.artifact
    first = f"{where}" if where is not None else "nothing to do"
    report = _read(event.report)
    facts = [*_video_facts(report), *_file_facts(event.output)]
    if facts:
        first += f" ({', '.join(facts)})"
    second = f"took {took}"
    if not ran:
        second += "; everything was reused" if reused else ""
    elif reused:
        second += f"; reused {', '.join(reused)}"
    lines = [first, second]
    spans = report.get("no_face_spans") or []
    if spans:
        lines.append(f"{count(len(spans), 'gaps')} without a face that shows; see {event.report}")
    elif event.report is not None:
        lines.append(f"report: {event.report}")
    if report.get("comparison"):
        lines.append(f"comparison: {report['comparison']}")
    return lines


def _read(path: Path | None) -> dict[str, Any]:
    if path is not None:
        with suppress(OSError, ValueError):
            content = json_of(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
    return {}


def _video_facts(report: dict[str, Any]) -> list[str]:
    times = report.get("times") or {}
    facts = []
    if isinstance(times.get("n_frames"), int):
        facts.append(count(times["n_frames"], "frames"))
    if isinstance(times.get("duration_s"), int | float):
        facts.append(duration(times["duration_s"]))
    return facts


def _file_facts(path: Path | None) -> list[str]:
    if path is not None:
        with suppress(OSError):
            return [size(path.stat().st_size)]
    return []
