"""The checks of ``thvideo doctor``; each imports what it needs only when it runs."""

import importlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

from thvideo.cli.humane import size
from thvideo.pipeline.recipe import Recipe, preset_names
from thvideo.reading import expanded

Status = Literal["ok", "warn", "fail"]

_LOW_SPACE_BYTES = 2_000_000_000
_TEST_FRAMES = 25
# Where the landmarks of scikit-image's astronaut lie on average (x, y), and how far off is wrong.
_ASTRONAUT_FACE = (222.0, 122.0)
_FACE_OFF_PX = 40.0
# Distribution and module of what thvideo imports, where the names differ.
_PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-image": "skimage",
    "opencv-python-headless": "cv2",
    "ffmpeg-python": "ffmpeg",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "moviepy": "moviepy",
    "safetensors": "safetensors",
    "pillow": "PIL",
}
_REINSTALL = "pip install --force-reinstall thvideo"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    status: Status
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to try.

    Args:
        name: What is tried.
        try_it: Tries it; may raise anything.
        hint: What to do when it raised something unforeseen.
    """

    name: str
    try_it: Callable[[], list[Finding]]
    hint: str = _REINSTALL


def checks(workspace: Path | None, device: str | None) -> list[Check]:
    """Return all checks in the order in which a run needs them.

    Args:
        workspace: The workspace to write to; the default one when None.
        device: The device to try; the best when None.
    """
    return [
        Check("python", _python),
        Check("packages", _packages),
        Check("torch", _torch),
        Check("device", partial(_devices, device or "auto"), "thvideo doctor --device cpu"),
        Check("precision", partial(_precision, device or "auto"), "pass --precision fp32"),
        Check("ffmpeg", _ffmpeg, "install ffmpeg 5.1 or later, or unset THVIDEO_FFMPEG"),
        Check("h264", _h264, "install an ffmpeg with libx264"),
        Check("webm", _webm, "install an ffmpeg with libvpx-vp9 and libopus"),
        Check("hdr", _hdr, "install an ffmpeg with zscale (zimg)"),
        Check("weights", _weights),
        Check("tracker", partial(_tracker, device or "auto")),
        Check("face-alignment", _face_alignment, "pip install 'thvideo[face-alignment]'"),
        Check("presets", _presets),
        Check("workspace", partial(_workspace, workspace or Recipe.workspace)),
    ]


def _python() -> list[Finding]:
    version, where = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return [Finding("ok", f"{version} on {where}, {os.cpu_count()} CPU cores")]


def _packages() -> list[Finding]:
    found, findings = [], []
    for distribution, module in _PACKAGES.items():
        try:
            importlib.import_module(module)
            found.append(f"{distribution} {metadata.version(distribution)}")
        except metadata.PackageNotFoundError:
            found.append(f"{distribution} (version unknown)")
        except Exception as error:
            text = f"{distribution} cannot be imported: {error}"
            findings.append(Finding("fail", text, f"pip install --force-reinstall {distribution}"))
    return [Finding("ok", ", ".join(found)), *findings]


def _torch() -> list[Finding]:
    torch = importlib.import_module("torch")
    identity = torch.eye(64)
    if not bool((identity @ identity == identity).all()):
        return [Finding("fail", "a matrix product is wrong", "install torch again")]
    kernels = "oneDNN" if torch.backends.mkldnn.is_available() else "no oneDNN"
    return [Finding("ok", f"{torch.__version__}, {torch.get_num_threads()} threads, {kernels}")]


def _devices(names: str) -> list[Finding]:
    from thvideo.synthesis.device import choose_devices

    return [finding for device in choose_devices(names) for finding in _device(str(device))]


def _device(label: str) -> list[Finding]:
    torch = importlib.import_module("torch")
    device = torch.device(label)
    if device.type == "cuda":
        free_bytes, total_bytes = torch.cuda.mem_get_info(device)
        label += f" ({torch.cuda.get_device_name(device)}, {size(free_bytes)} of "
        label += f"{size(total_bytes)} free, CUDA {torch.version.cuda})"
    picture = torch.rand(1, 3, 64, 64, device=device)
    weight = torch.rand(8, 3, 3, 3, device=device)
    single = torch.nn.functional.conv2d(picture, weight)
    # At least one driver computes garbage without saying so; the CPU is the judge.
    wanted = torch.nn.functional.conv2d(picture.cpu(), weight.cpu())
    if not bool(torch.allclose(single.cpu(), wanted, atol=0.05)):
        return [Finding("fail", f"{label} computes a wrong convolution", "use --device cpu")]
    try:
        torch.nn.functional.conv2d(picture.bfloat16(), weight.bfloat16()).float().sum().item()
        kinds = "fp32 and bf16 work"
    except (RuntimeError, TypeError):
        kinds = "fp32 works, bf16 does not: --precision bf16 is out"
    findings = [Finding("ok", f"{label}, {kinds}")]
    if device.type == "cpu" and torch.version.cuda and Path("/dev/nvidia0").exists():
        text = "an NVIDIA GPU is there, but this torch cannot use it"
        findings.append(Finding("warn", text, "check nvidia-smi and the driver's version"))
    return findings


def _precision(devices: str) -> list[Finding]:
    from thvideo.synthesis.auto_precision import auto_precision

    taken = auto_precision(devices)
    text = f"auto takes {taken.precision}: {taken.reason}"
    if taken.file is not None:
        text += f"; remembered in {taken.file}, which may be deleted to measure again"
    return [Finding("ok", text)]


def _ffmpeg() -> list[Finding]:
    from thvideo.video.ffmpeg import ffmpeg_path, run_ffmpeg

    path = ffmpeg_path()
    first = run_ffmpeg(["-version"]).decode("utf-8", "replace").partition("\n")[0]
    version = first.removeprefix("ffmpeg version ").partition(" ")[0]
    if os.environ.get("THVIDEO_FFMPEG"):
        origin = "THVIDEO_FFMPEG"
    else:
        origin = "system" if shutil.which("ffmpeg") == str(path) else "from imageio-ffmpeg"
    return [Finding("ok", f"{version} at {path} ({origin})")]


def _h264() -> list[Finding]:
    import numpy as np

    from thvideo.video.encode import EncodeSettings
    from thvideo.video.probe import probe
    from thvideo.video.read import read_frames
    from thvideo.video.timing import FrameTimes
    from thvideo.video.write import encode_chunk

    ramp = np.linspace(0, 235, 160 * 120, dtype=np.float64).reshape(120, 160)
    grey = np.stack([np.roll(ramp, 3 * t, axis=1) for t in range(_TEST_FRAMES)]).astype(np.uint8)
    frames = np.repeat(grey[..., None], 3, axis=3)
    times = FrameTimes(np.arange(_TEST_FRAMES, dtype=np.int64), Fraction(1, 25), 1)
    with tempfile.TemporaryDirectory(prefix="thvideo-doctor-") as folder:
        path = Path(folder) / "test.mp4"
        encode_chunk(path, [frames], times, 0, _TEST_FRAMES, EncodeSettings())
        back = np.concatenate(list(read_frames(path, probe(path))))
    if len(back) != _TEST_FRAMES:
        return [Finding("fail", f"{len(back)} of {_TEST_FRAMES} frames came back")]
    error = float(np.abs(back.astype(np.float64) - frames).mean())
    if error > 8:
        return [Finding("fail", f"pictures come back changed by {error:.1f} of 255")]
    return [Finding("ok", f"{_TEST_FRAMES} frames written and read back")]


def _webm() -> list[Finding]:
    missing = {"libvpx-vp9", "libopus"} - _listed("encoders")
    if missing:
        text = f"this ffmpeg lacks {' and '.join(sorted(missing))}"
        return [Finding("warn", text, "write .mp4, .mov or .mkv, or install a full ffmpeg")]
    return [Finding("ok", "VP9 and Opus")]


def _hdr() -> list[Finding]:
    missing = {"zscale", "tonemap"} - _listed("filters")
    if missing:
        text = f"this ffmpeg lacks {' and '.join(sorted(missing))}: HDR drivers look pale"
        return [Finding("warn", text, "install an ffmpeg with zimg, or convert them to SDR")]
    return [Finding("ok", "HDR is tone-mapped")]


def _listed(kind: str) -> frozenset[str]:
    from thvideo.video.ffmpeg import run_ffmpeg

    lines = run_ffmpeg([f"-{kind}"]).decode("utf-8", "replace").splitlines()
    return frozenset(line.split()[1] for line in lines if len(line.split()) > 1)


def _weights() -> list[Finding]:
    from thvideo.weights import cards

    folder = Path(cards.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.safetensors"))
    described = [name for name in names if (folder / f"{name}.json").is_file()]
    for name in described:
        cards.verify(name)
    if not described:
        return [Finding("fail", f"there are no weights in {folder}", _REINSTALL)]
    total = sum((folder / f"{name}.safetensors").stat().st_size for name in names)
    findings = [Finding("ok", f"{', '.join(described)} are whole ({size(total)})")]
    if bare := sorted(set(names) - set(described)):
        text = f"without a card, so not checked: {', '.join(bare)}"
        findings.append(Finding("warn", text, _REINSTALL))
    return findings


def _tracker(device: str) -> list[Finding]:
    import numpy as np

    from thvideo.landmarks.bundled import BundledTracker
    from thvideo.landmarks.tracker import box_from_detection
    from thvideo.synthesis.device import choose_device

    tracker = BundledTracker(str(choose_device(device)))
    try:
        picture = importlib.import_module("skimage.data").astronaut()
    except Exception:
        text = "loads, but was not tried: scikit-image's test picture is missing"
        return [Finding("warn", text, "pip install --force-reinstall scikit-image")]
    started_s = time.monotonic()
    faces = tracker.detect(picture[None])[0]
    if not len(faces):
        return [Finding("fail", "no face is found in the test picture", _REINSTALL)]
    points, confidence = tracker.landmarks(picture[None], box_from_detection(faces[:1]))
    seconds = time.monotonic() - started_s
    off_px = float(np.linalg.norm(np.nanmean(points[0], axis=0) - _ASTRONAUT_FACE))
    if not off_px < _FACE_OFF_PX:
        return [Finding("fail", "the test picture's face is found elsewhere", _REINSTALL)]
    return [Finding("ok", f"finds a face in {seconds:.2f} s, sure to {confidence[0]:.0%}")]


def _face_alignment() -> list[Finding]:
    try:
        version = metadata.version("face-alignment")
    except metadata.PackageNotFoundError:
        return [Finding("ok", "not installed; only --tracker face-alignment needs it")]
    importlib.import_module("face_alignment")
    return [Finding("ok", f"{version}, for --tracker face-alignment")]


def _presets() -> list[Finding]:
    names = preset_names()
    if not names:
        return [Finding("warn", "no presets are shipped here", _REINSTALL)]
    return [Finding("ok", ", ".join(names))]


def _workspace(folder: Path) -> list[Finding]:
    folder = expanded(folder).absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".thvideo-doctor-", dir=existing) as inside:
            (Path(inside) / "test").write_bytes(bytes(1 << 20))
            (Path(inside) / "test").rename(Path(inside) / "renamed")
    except OSError as error:
        text = f"{existing} cannot be written ({error.strerror})"
        return [Finding("fail", text, "pass --workspace DIR, or set THVIDEO_WORKSPACE")]
    free_bytes = shutil.disk_usage(existing).free
    text = f"{folder}, {size(free_bytes)} free"
    if free_bytes < _LOW_SPACE_BYTES:
        hint = "thvideo workspace gc --all, or pass --workspace on another disk"
        return [Finding("warn", text, hint)]
    return [Finding("ok", text)]
