"""Which arithmetic "auto" takes: a probe of a few milliseconds decides, once for a machine.

Instructions for bf16 do not tell whether it is faster: on some processors it takes half of the
time, on others twice as much. Results depend on the arithmetic, so the answer is remembered
beside the fetched weights and does not change with the load of the day. Loads no torch where
there is an answer already.
"""

import functools
import hashlib
import json
import math
import os
import platform
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from thvideo.errors import UsageError
from thvideo.models.precision import AskedPrecision, Precision, arithmetic
from thvideo.reading import json_of
from thvideo.weights.sources import cache_folder

if TYPE_CHECKING:
    import torch

#: What "auto" takes on every machine, if it is set: results of several machines are alike.
VARIABLE = "THVIDEO_PRECISION"

#: bf16 rounds to 8 bits: it has to be so much faster to be worth that.
LEAST_GAIN = 1.25

#: Raised when the probe changes: what an older one found is measured again.
_PROBE_VERSION = 1
#: Channels, side in pixels, batch of the probe's convolution, and rounds: about a millisecond
#: each on a processor. A GPU has to be filled to show its speed.
_ON_CPU, _ELSEWHERE, _ROUNDS = (64, 32, 1), (128, 128, 8), 10
#: Rounds after which a loser is out: emulated bf16 would make the probe long.
_SURE_AFTER = 3
#: Environment variables that change what processors and devices are used for.
_SWITCHES = (
    "ATEN_CPU_CAPABILITY",
    "CUDA_VISIBLE_DEVICES",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
)


@dataclass(frozen=True)
class Choice:
    """What "auto" takes, and why.

    Args:
        precision: The arithmetic.
        speed: Of bf16, as a multiple of that of fp32; None where nothing was measured.
        reason: In plain words.
        file: Where it is remembered; None if it is not.
    """

    precision: Precision
    speed: float | None
    reason: str
    file: Path | None = None


def choose_precision(asked: AskedPrecision, devices: str) -> Precision:
    """Return the arithmetic that is asked for, or what "auto" takes on the devices.

    Args:
        asked: What the person wants.
        devices: Their names, as `thvideo.synthesis.device.choose_devices` reads them.

    Raises:
        UsageError: THVIDEO_PRECISION says something else than auto, fp32 or bf16.
        DeviceError: As of `choose_devices`.
    """
    return auto_precision(devices).precision if asked == "auto" else asked


def auto_precision(devices: str) -> Choice:
    """Return what "auto" takes on devices: THVIDEO_PRECISION, what is remembered, or measured.

    What cannot be remembered is fp32: it would not be the same each time.

    Raises:
        UsageError: THVIDEO_PRECISION says something else than auto, fp32 or bf16.
        DeviceError: As of `choose_devices`.
    """
    said = os.environ.get(VARIABLE) or "auto"
    if said not in ("auto", "fp32", "bf16"):
        raise UsageError(f"{VARIABLE} cannot be {said!r}", hint="it is fp32, bf16 or auto")
    if said != "auto":
        return Choice(cast(Precision, said), None, f"{VARIABLE} says so")
    try:
        folder = cache_folder()
    except RuntimeError:
        # Users without a name in a container have none.
        return Choice("fp32", None, "there is no home folder in which to remember another answer")
    known = _remembered(devices)
    if known is not None:
        return known
    if not _can_be_written(folder):
        return _unremembered(None)
    from thvideo.synthesis.device import choose_devices

    # By the devices' own names first: "auto" and "cpu" must not differ where they are the same.
    found = [_of_device(device) for device in choose_devices(devices)]
    # Several draw alike: bf16 only where all gain by it.
    speed = min(speed for _, speed in found)
    if any(file is None for file, _ in found):
        return _unremembered(speed)
    return _kept(devices, speed) or _unremembered(speed)


def _of_device(device: "torch.device") -> tuple[Path | None, float]:
    name = str(device) if device.type != "cuda" else f"cuda:{device.index or 0}"
    known = _remembered(name)
    if known is None:
        speed = bf16_speed(device)
        known = _kept(name, speed) or _unremembered(speed)
    assert known.speed is not None  # both say what was measured
    return known.file, known.speed


def _can_be_written(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False


def _unremembered(speed: float | None) -> Choice:
    reason = f"{cache_folder()} cannot be written: another run might find another answer"
    return Choice("fp32", speed, reason)


def bf16_speed(device: "torch.device") -> float:
    """Return how many times as fast as fp32 a device runs a small network in bf16; 0 if never.

    On a processor the time of this thread alone is taken: another program's load does not count.
    """
    import torch
    from torch.nn import functional as F

    from thvideo.synthesis.device import cpu_threads

    if device.type not in ("cpu", "cuda"):
        return 0.0
    channels, side, n_batch = _ON_CPU if device.type == "cpu" else _ELSEWHERE

    def filled(*shape: int) -> torch.Tensor:
        # Nothing is drawn at random: whoever comes after the first run would draw otherwise.
        values = torch.full(shape, 0.01, device=device)
        return values.contiguous(memory_format=torch.channels_last)

    pixels, weight = filled(n_batch, channels, side, side), filled(channels, channels, 3, 3)
    clock = _clock_of(device)

    def seconds(precision: Precision) -> float:
        with torch.inference_mode(), arithmetic(precision, device):
            started_s = clock()
            F.relu(F.instance_norm(F.conv2d(pixels, weight, padding=1)))
            return clock() - started_s

    least: dict[Precision, float] = {"fp32": math.inf, "bf16": math.inf}
    with cpu_threads(1):
        try:
            for n_done in range(_ROUNDS):
                for precision in least:
                    taken_s = seconds(precision)
                    if n_done:  # the first call also makes the kernels
                        least[precision] = min(least[precision], taken_s)
                if n_done >= _SURE_AFTER and least["bf16"] > least["fp32"]:
                    break
        except (RuntimeError, TypeError):
            # Some devices know no bf16 at all.
            return 0.0
    return least["fp32"] / max(least["bf16"], 1e-9)


def _clock_of(device: "torch.device") -> Callable[[], float]:
    if device.type == "cuda":
        import torch

        def waited() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return waited
    # Windows counts a thread's time in steps of 16 ms.
    is_fine = time.get_clock_info("thread_time").resolution < 1e-5
    return time.thread_time if is_fine else time.perf_counter


def _remembered(devices: str) -> Choice | None:
    path = _file_of(devices)
    with suppress(OSError, ValueError, KeyError, TypeError):
        memory = json_of(path.read_text(encoding="utf-8"))
        speed, day = float(memory["bf16_speed"]), str(memory["measured"])[:10]
        if 0 <= speed < math.inf:
            gains = speed >= LEAST_GAIN
            reason = f"bf16 is {speed:.2g} times as fast as fp32, measured {day}"
            return Choice("bf16" if gains else "fp32", speed, reason, path)
    return None


def _kept(devices: str, speed: float) -> Choice | None:
    """Remember a speed unless another process was first, and return what is remembered now."""
    path = _file_of(devices)
    known = {"device": devices, "bf16_speed": round(speed, 3)}
    memory = known | {"measured": datetime.now(UTC).isoformat(timespec="seconds")} | _machine()
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with suppress(OSError):
        try:
            beside.write_text(json.dumps(memory, indent=1) + "\n", encoding="utf-8")
            if _remembered(devices) is None:
                # Not there, or damaged.
                path.unlink(missing_ok=True)
            # Unlike a rename, a link never takes the place of what another process found.
            with suppress(FileExistsError):
                path.hardlink_to(beside)
        finally:
            beside.unlink(missing_ok=True)
    return _remembered(devices)


def _file_of(devices: str) -> Path:
    known = json.dumps([devices, _PROBE_VERSION, _machine()], sort_keys=True)
    name = hashlib.sha256(known.encode()).hexdigest()[:16]
    return cache_folder() / f"precision-{name}.json"


def _machine() -> dict[str, Any]:
    """What the answer depends on beside the devices' names."""
    switches = {name: os.environ[name] for name in _SWITCHES if os.environ.get(name)}
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        # Built here, without a record of it.
        version = ""
    return {"torch": version, "switches": switches} | _hardware()


@functools.cache
def _hardware() -> dict[str, Any]:
    found = {"system": platform.system(), "processor": platform.machine()}
    with suppress(OSError):
        # Of the first core: its model, and the instructions that this system lets it use.
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        told = [line for line in first.splitlines() if line.startswith(("model name", "flags"))]
        found["processor"] = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = []
    for path in cards:
        with suppress(OSError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            models += [line for line in lines if line.startswith("Model")]
    return found | {"gpus": models}
