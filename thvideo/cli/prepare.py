"""``prepare``: a folder tree of videos becomes a dataset to train on."""

import os
from pathlib import Path
from typing import Any

from thvideo.cli import options
from thvideo.cli.console import one_line, say
from thvideo.cli.humane import count, duration
from thvideo.cli.options import FILES, OUTPUT, RUNNING, Given, Opt, takes
from thvideo.cli.render import as_json, show_work, view_of
from thvideo.errors import StageError, UsageError
from thvideo.reading import expanded, json_of
from thvideo.stages.prepare import OPTIONS, REPORT, PrepareJob, prepare
from thvideo.stages.prepare_options import (
    PrepareOptions,
    TableOptions,
    Workers,
    begun_precision,
    parse_fps,
    parse_min_face,
)

_OPTIONS = (
    Opt("videos", FILES, "Folder tree of videos.", kind=Path, is_argument=True),
    Opt("dataset", FILES, "Folder to write; what is finished in it is kept.",
        ("--output", "-o"), Path),
    Opt("identity_from", FILES, "Table (video, identity) of whose face each video or folder shows.",
        kind=Path),
    Opt("pictures", FILES, "Still pictures too, as clips of one frame: paintings to train on.",
        kind=bool),
    Opt("size_px", OUTPUT, "Side of the clips in pixels: a multiple of 32, 64 to 1024.",
        ("--size",), int, default=PrepareOptions.size_px),
    Opt("min_face", OUTPUT, "Height of the smallest face, brows to chin, in the video.", kind=str,
        default=f"{PrepareOptions.min_face_px}px"),
    Opt("max_frames", OUTPUT, "Longer shots become several clips.", ("--max-frames-per-clip",),
        int, default=PrepareOptions.max_frames),
    Opt("fps", OUTPUT, "Frames a second, picked by time; slower videos keep all they have.",
        kind=str, default=PrepareOptions.fps),
    Opt("val_share", OUTPUT, "Share of the people who are kept for validation.", kind=float,
        default=TableOptions.val_share),
    Opt("split_seed", OUTPUT, "Another seed draws other people.", kind=int,
        default=TableOptions.split_seed),
    Opt("workers", RUNNING, "Processes; 0 is one for each core.", kind=int, default=0),
    *(one for one in options.RESOURCES if one.name in ("device", "precision")),
    *options.LOOKS,
)  # fmt: skip


@takes(*_OPTIONS)
def prepare_command(given: Given) -> None:
    """Make a dataset of a folder tree of videos: crops of faces, landmarks and one table.

    Each first folder below VIDEOS is a person, or each folder id00000 as in VoxCeleb.
    """
    job = _job(given)
    with view_of(given) as view:
        show_work(view, "prepare", f"{job.videos} to {job.dataset}", prepare(job))
    report = json_of((job.dataset / REPORT).read_text(encoding="utf-8"))
    if given.flag("json"):
        say(as_json({"event": "prepared", "dataset": job.dataset} | report))
    elif not given.flag("quiet"):
        for line in _summary(job, report):
            say(one_line(line))
    if not any(split["clips"] for split in report["splits"].values()):
        raise StageError(
            f"no clip was made of {count(report['videos'], 'videos')}",
            hint=f"{job.dataset / 'rejects.tsv'} says why",
        )


def _job(given: Given) -> PrepareJob:
    """Return what was asked for.

    Raises:
        UsageError: An option is wrong or missing.
    """
    values = {name: value for name, value in given.values.items() if value is not None}
    if "dataset" not in values:
        raise UsageError("no folder to write was given", hint="thvideo prepare VIDEOS -o DATASET")
    if "min_face" in values:
        values["min_face_px"] = parse_min_face(values["min_face"])
    if "fps" in values:
        values["fps"] = parse_fps(values["fps"])
    n_workers = values.get("workers", 0)
    if n_workers < 0:
        raise UsageError(
            f"--workers cannot be {n_workers}", hint="give a positive number, or 0 for all cores"
        )
    dataset = expanded(values["dataset"])
    values.setdefault("precision", "auto")
    if values["precision"] == "auto":
        values["precision"] = begun_precision(dataset / OPTIONS) or given.precision()
    shaping = ("size_px", "min_face_px", "max_frames", "fps", "precision")
    return PrepareJob(
        videos=expanded(values["videos"]),
        dataset=dataset,
        options=PrepareOptions(**_of(values, *shaping)),
        table=TableOptions(**_of(values, "identity_from", "val_share", "split_seed")),
        with_pictures=given.flag("pictures"),
        workers=Workers(n_workers or _n_cores(), given.resources().device),
    )


def _of(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _summary(job: PrepareJob, report: dict[str, Any]) -> list[str]:
    dataset, unit = job.dataset, job.unit
    lines = [str(dataset)]
    for split, part in report["splits"].items():
        people = "1 person" if part["people"] == 1 else count(part["people"], "people")
        lines.append(
            f"{split}: {count(part['clips'], 'clips')} of {people}, "
            f"{count(part['frames'], 'frames')}, {duration(part['seconds'])}"
        )
    if report["rejects"]:
        reasons = ", ".join(f"{n} {reason}" for reason, n in report["rejects"].items())
        lines.append(f"rejected: {reasons}; see {dataset / 'rejects.tsv'}")
    used, n_videos = report["videos_used"], report["videos"]
    lines.append(f"{used} of {count(n_videos, unit)} gave clips")
    lines.append(f"look at {dataset / 'contact_sheet.jpg'}")
    return lines
