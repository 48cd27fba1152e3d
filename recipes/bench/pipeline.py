"""Every stage of a whole command, beside ffmpeg alone on the same frames.

Seconds are the clock's, which another program on the machine makes longer. The processor's own
are measured beside them: those of the command with all the programs that it runs.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.bench.rounds import Probe, Quantity, Readings
from thvideo.video.ffmpeg import ffmpeg_path

FFMPEG = "ffmpeg alone"

#: Ends the names of what is counted in the processor's seconds.
CPU = ", processor time"

_WHOLE, _AGAIN = "whole command", "the same again, cached"
_FIRST = "until the first frame is composed"
_FRAMES = "reenact and composite"
_LEARNED = "fine-tune on the source"
_HELP = "thvideo --help"

#: Work that is done once and not for each of the driver's frames.
_ONCE = (_LEARNED, "source", "embed", "finetune", _FIRST, _AGAIN, _HELP)


@dataclass(frozen=True)
class Asked:
    """The command that is timed.

    Args:
        source: Who is shown.
        driver: Who moves.
        device: As ``--device`` has it.
        generator: As ``--generator`` has it.
        finetune_steps: Of a fine-tuning beside the command; -1 ends by itself, 0 leaves it out.
    """

    source: Path
    driver: Path
    device: str = "cpu"
    generator: str = "swift"
    finetune_steps: int = -1


def planned(asked: Asked) -> list[Probe]:
    """Plan ffmpeg alone and a whole command, which makes everything anew in a fresh workspace."""

    def read() -> Readings:
        with tempfile.TemporaryDirectory(prefix="thvideo-bench-") as scratch:
            encode_s = time_ffmpeg(asked.driver, Path(scratch))
            seconds, n_frames = time_thvideo(asked, Path(scratch))
        return readings_of(encode_s | seconds, n_frames)

    return [Probe(read)]


def readings_of(seconds: dict[str, float], n_frames: int) -> Readings:
    """Share the seconds of what is done for every frame among the frames."""
    readings = {}
    for name, in_all_s in seconds.items():
        is_once = any(word in name for word in _ONCE)
        unit, in_all = ("run", 1) if is_once else ("frame", n_frames)
        readings[Quantity("pipeline", name, unit, in_all=in_all)] = in_all_s / in_all
    return readings


def time_ffmpeg(driver: Path, folder: Path) -> dict[str, float]:
    """Return the seconds that decoding and encoding the driver takes."""
    args = ["-nostdin", "-loglevel", "error", "-y", "-i", f"file:{driver}"]
    args += ["-c:v", "libx264", "-crf", "17", "-preset", "fast", "-an", str(folder / "again.mp4")]
    return _timed(FFMPEG, [str(ffmpeg_path()), *args])


def time_thvideo(asked: Asked, folder: Path) -> tuple[dict[str, float], int]:
    """Return the seconds of each stage, the whole command and its second run; and the frames."""
    thvideo = [sys.executable, "-m", "thvideo"]
    shared = ["--json", "--source", str(asked.source), "--workspace", str(folder / "workspace")]
    shared += ["--device", asked.device, "--generator", asked.generator]
    command = [*thvideo, "reenact", *shared, "--driver", str(asked.driver)]
    command += ["-o", str(folder / "out.mp4")]
    seconds: dict[str, float] = {}
    for name in (_WHOLE, _AGAIN):
        started_s, before_s = time.perf_counter(), _children_s()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None  # the pipe that was asked for
            for line in process.stdout:
                event, passed_s = json.loads(line), time.perf_counter() - started_s
                if event["event"] == "node_progress" and event["id"] == "composite":
                    seconds.setdefault(_FIRST, passed_s)
                if event["event"] == "node_started" and event["id"] == "reenact":
                    seconds[_FRAMES] = -passed_s
                if event["event"] == "node_finished" and event["id"] == "composite":
                    # They run side by side: their seconds do not add up.
                    seconds[_FRAMES] += passed_s
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        seconds[name] = time.perf_counter() - started_s
        seconds[name + CPU] = _children_s() - before_s
    seconds |= _timed(_HELP, [*thvideo, "--help"])
    if asked.finetune_steps and asked.generator != "warp":
        steps = ["--finetune-steps", str(asked.finetune_steps)]
        seconds |= _timed(_LEARNED, [*thvideo, "finetune", *shared, *steps])
    report = json.loads((folder / "out.json").read_text())
    stages = {stage["id"]: stage["seconds"] for stage in report["stages"] if "seconds" in stage}
    return stages | seconds, report["times"]["n_frames"]


def _timed(name: str, command: Sequence[str]) -> dict[str, float]:
    started_s, before_s = time.perf_counter(), _children_s()
    subprocess.run(command, check=True, capture_output=True)
    return {
        name: time.perf_counter() - started_s,
        name + CPU: _children_s() - before_s,
    }


def _children_s() -> float:
    """Return the processor's seconds of all programs that were run and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
