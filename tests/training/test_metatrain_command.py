"""``thvideo metatrain``: on a bare machine, stopped and resumed, and what is refused."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.cli_process import environment
from tests.training.drawn_faces import SMALL_SWIFT, small_options
from thvideo.cli.boundary import main
from thvideo.cli.metatrain_plan import (
    parse_every,
    parse_perceptual,
    parse_seconds,
    parse_sizes,
    plan_of,
)
from thvideo.cli.options import Given
from thvideo.errors import UsageError
from thvideo.training.meta_options import Every
from thvideo.training.run_folder import RunFolder

# A machine that has torch, numpy, OpenCV, typer, rich and safetensors, and nothing else of ours.
BARE = """
import sys
ABSENT = {"filelock", "scipy", "PIL", "ffmpeg", "imageio_ffmpeg", "moviepy", "skimage", "proglog"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a process on such a machine."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BARE)
    there = environment(OMP_NUM_THREADS="1")
    return there | {"PYTHONPATH": f"{tmp_path / 'site'}:{there['PYTHONPATH']}"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "thvideo", "metatrain", *map(str, arguments)]


def test_a_dry_run_on_a_bare_machine_prints_every_option_and_cost(
    drawn: Path, tmp_path: Path, bare: dict[str, str]
) -> None:
    call = command("--data", drawn, "--dry-run", "--sizes", "64:5,96", "--lr", 1e-3,
                   "--picture-share", 0.25)  # fmt: skip
    done = subprocess.run(call, env=bare, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    said = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert said["lr"].endswith("0.001")
    assert said["episodes.picture_share"].endswith("0.25")
    assert said["batch_size"].endswith("16")
    assert "[[64, 5], [96, 0]]" in said["sizes"]
    assert "8 clips of 4 people" in said["data.train"]
    # Of it 1 363 800 draw mouth and eyes.
    assert "2 782 215" in said["generator"]
    assert "no perceptual loss of vgg19-small" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_a_stopped_run_is_saved_and_goes_on_with_its_options(
    drawn: Path, tmp_path: Path, bare: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    call = command("--data", drawn, "-o", run, "--size", 64, "--batch-size", 2, "--steps", 10**6,
                   "--validate-every", "1h", "--json")  # fmt: skip
    with subprocess.Popen(call, env=bare, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if len(events) == 2:
                # Meanwhile nobody else writes there.
                assert main(["metatrain", "-o", str(run), "--resume", "--steps", "9"]) == 4
                assert f"another process is training in {run}" in capfd.readouterr().err
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    assert [event["event"] for event in events[:2]] == ["started", "saved"]
    assert events[-1]["event"] == "stopped"
    state = json.loads((run / "last" / "state.json").read_text())
    assert state["step"] == events[-1]["step"] >= 1
    n_steps = state["step"] + 1
    capfd.readouterr()
    assert main(["metatrain", "-o", str(run), "--resume", "--steps", str(n_steps)]) == 0
    said = capfd.readouterr()
    assert f"train: 8 clips of 4 people, step {state['step']}" in said.err
    assert f"step {n_steps}: validation (best): ssim" in said.err
    assert said.out.startswith(f"{run} {n_steps} steps\n")
    assert json.loads((run / "options.json").read_text())["options"]["batch_size"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--steps", "1", "-o", "r"], "no dataset was given"),
        (["--data", "{drawn}", "--steps", "1"], "no folder for the run"),
        (["--data", "{drawn}", "-o", "r"], "nothing says when to end"),
        (["--data", "{drawn}", "--dry-run", "--preset", "mine"], "no preset 'mine'"),
        (["--data", "{drawn}", "--dry-run", "--losses", "v3"], "no losses 'v3'"),
        (["--data", "{drawn}", "--dry-run", "--perceptual", "lpips=x"], "give 'lpips' no weight"),
        (["--data", "{drawn}", "--dry-run", "--time", "25"], "--time 25 is no time"),
        (["--data", "{drawn}", "--dry-run", "--size", "100"], "pictures of 100 pixels"),
        (["--data", "{drawn}", "--dry-run", "--accumulate", "3"], "cannot be shared"),
        (["--data", "{drawn}", "--dry-run", "--picture-share", "2"], "share of pictures"),
    ],
)
def test_what_cannot_be_is_refused(
    drawn: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    filled = [argument.format(drawn=drawn) for argument in arguments]
    assert main(["metatrain", *filled]) == 2
    assert said in capfd.readouterr().err


def test_a_run_that_is_not_there_cannot_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["metatrain", "-o", str(tmp_path), "--resume", "--steps", "9"]) == 3
    assert "there is no run at" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("asked", "machine", "taken", "note"),
    [
        (None, "fp32", "bf16", None),
        ("auto", "fp32", "bf16", None),
        ("bf16", "fp32", "bf16", None),
        ("fp32", "bf16", "fp32", "the run was begun in bf16 and goes on in fp32"),
    ],
)
def test_a_run_keeps_its_arithmetic_on_another_machine_or_says_so(
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    machine: str,
    taken: str,
    note: str | None,
) -> None:
    run = RunFolder(tmp_path)
    run.begin(replace(small_options(drawn), precision="bf16"), SMALL_SWIFT)
    monkeypatch.setenv("THVIDEO_PRECISION", machine)
    plan = plan_of(Given({"run": tmp_path, "resume": True, "steps": 9, "precision": asked}))
    assert plan.options.precision == taken
    assert [text for text in plan.notes if "begun" in text] == [note] * (note is not None)


def test_an_old_run_that_says_no_arithmetic_goes_on_in_this_machine_s_and_says_so(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder(tmp_path).begin(small_options(drawn), SMALL_SWIFT)
    written = json.loads((tmp_path / "options.json").read_text())
    del written["options"]["precision"]
    (tmp_path / "options.json").write_text(json.dumps(written))
    monkeypatch.setenv("THVIDEO_PRECISION", "bf16")
    plan = plan_of(Given({"run": tmp_path, "resume": True, "steps": 9}))
    assert plan.options.precision == "bf16"
    assert any("does not say" in text and "goes on in bf16" in text for text in plan.notes)


@pytest.mark.parametrize(("asked", "taken"), [(None, "bf16"), ("fp32", "fp32")])
def test_a_run_begins_in_what_is_asked_for_or_faster_and_writes_it_down(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, taken: str
) -> None:
    monkeypatch.setenv("THVIDEO_PRECISION", "bf16")
    plan = plan_of(Given({"data": drawn, "dry_run": True, "precision": asked}))
    assert plan.options.precision == taken


def test_times_sizes_and_networks_are_read() -> None:
    assert parse_seconds("1h30m", "--time") == 5400
    assert parse_seconds("2.5m", "--time") == 150
    assert parse_every("500", "--save-every") == Every(steps=500)
    assert parse_every("90s", "--save-every") == Every(seconds=90)
    assert parse_sizes("128:4000,256") == ((128, 4000), (256, 0))
    assert parse_sizes("256") == ((256, 0),)
    assert parse_perceptual("vgg19=a=b.pth") == ("vgg19", None, Path("a=b.pth"))
    assert parse_perceptual("vgg19@0.5=b") == ("vgg19", 0.5, Path("b"))
    for wrong in ("25", "m", "5m3", "0s"):
        with pytest.raises(UsageError):
            parse_seconds(wrong, "--time")
    for wrong in ("128,256", "big", "128:"):
        with pytest.raises(UsageError):
            parse_sizes(wrong)
    for wrong in ("vgg19", "=x", "vgg19@much=x", "vgg19@nan=x", "@1=x", "vgg19="):
        with pytest.raises(UsageError):
            parse_perceptual(wrong)
