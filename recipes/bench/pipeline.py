"""Every stage of a whole command, beside ffmpeg alone on the same frames."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recipes.bench.rounds import Probe, Quantity, Readings
from thvideo.video.ffmpeg import ffmpeg_path

FFMPEG = "ffmpeg alone"

_WHOLE, _AGAIN = "whole command", "the same again, cached"

#: Work that is done once and not for each of the driver's frames.
_ONCE = ("source", "embed", "finetune", _AGAIN)


def planned(source: Path, driver: Path, device: str) -> list[Probe]:
    """Plan ffmpeg alone and a whole command, which makes everything anew in a fresh workspace.

    Args:
        source: Who is shown.
        driver: Who moves.
        device: As ``--device`` has it.
    """

    def read() -> Readings:
        with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch:
            encode_s = time_ffmpeg(driver, Path(scratch))
            seconds, n_frames = time_thvideo(source, driver, device, Path(scratch))
        return readings_of({FFMPEG: encode_s} | seconds, n_frames)

    return [Probe(read)]


def readings_of(seconds: dict[str, float], n_frames: int) -> Readings:
    """Share the seconds of what is done for every frame among the frames."""
    readings = {}
    for name, in_all_s in seconds.items():
        is_once = any(word in name for word in _ONCE)
        unit, in_all = ("run", 1) if is_once else ("frame", n_frames)
        readings[Quantity("pipeline", name, unit, in_all=in_all)] = in_all_s / in_all
    return readings


def time_ffmpeg(driver: Path, folder: Path) -> float:
    """Return the seconds that decoding and encoding the driver takes."""
    args = ["-nostdin", "-loglevel", "error", "-y", "-i", f"file:{driver}"]
    args += ["-c:v", "libx264", "-crf", "17", "-preset", "fast", "-an", str(folder / "again.mp4")]
    started_s = time.perf_counter()
    subprocess.run([str(ffmpeg_path()), *args], check=True)
    return time.perf_counter() - started_s


def time_thvideo(
    source: Path, driver: Path, device: str, folder: Path
) -> tuple[dict[str, float], int]:
    """Return the seconds of each stage, the whole command and its second run; and the frames."""
    command = [sys.executable, "-m", "thvideo", "reenact", "--quiet", "--source", str(source)]
    command += ["--driver", str(driver), "-o", str(folder / "out.mp4"), "--device", device]
    command += ["--workspace", str(folder / "workspace")]
    seconds = {}
    for name in (_WHOLE, _AGAIN):
        started_s = time.perf_counter()
        subprocess.run(command, check=True)
        seconds[name] = time.perf_counter() - started_s
    report = json.loads((folder / "out.json").read_text())
    stages = {stage["id"]: stage["seconds"] for stage in report["stages"] if "seconds" in stage}
    return stages | seconds, report["times"]["n_frames"]
