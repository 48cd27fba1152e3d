"""Nothing that a person types or gives is answered with a fault of ours, exit code 70."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thvideo.cli import boundary
from thvideo.errors import ExitCode

QUICKLY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Nothing here is begun, so no stage can fail.
EXPLAINED = {ExitCode.OK, ExitCode.USAGE, ExitCode.INPUT, ExitCode.WORKSPACE, ExitCode.DEVICE}

NUMBERS = (
    *("nan", "inf", "-inf", "1e999", "1e-999", "-1", "0", "1", "0x10", "1_0", "1/0"),
    *("9" * 400, "9" * 5001, "1" * 400 + ".5", "²", "٣", "1e9999999/3"),
)
NAMES = (
    *("", ".", "..", "~", "~nosuchuser", "~nosuchuser/x", "/dev/null", "/dev/zero", "/proc/x"),
    *("x" * 300, "a/" * 3000 + "b", "loop", "loop/x", "folder", "\udcff.mp4", "[red]", "\x1b[2J"),
    *("=", "a=b", "a=~nosuchuser/b", "vgg19=loop", "vgg19@nan=x", "@", ",", ":", "1,2", "cuda:²"),
    *("odd.toml", "odd.json", "odd.safetensors", "odd.pth", "odd.csv", "picture.png"),
)
# No slash: a text must not become a place outside of the test's folder.
TEXTS = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), max_size=8)
WORDS = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(NAMES), TEXTS)

REENACTED = "plan --source picture.png --driver picture.png -o out.mp4"
COMMANDS = {
    REENACTED: "source driver output recipe workspace generator weights finetune-steps perceptual "
    "seed size shots tracker face driver-face face-like no-face smooth motion pose mouth eyes "
    "brows gaze framing max-side audio crf force device precision batch-size threads",
    "workspace ls": "workspace",
    "workspace gc --dry-run": "workspace older-than keep",
    "weights export": "output checkpoint use data",
    "metatrain --dry-run --data folder": "data output init preset size batch-size accumulate lr "
    "losses perceptual picture-share adversarial-from seed steps time save-every validate-every "
    "keep-every device precision threads workers",
    "evaluate --data folder -o made": "data methods weights finetune-perceptual results split "
    "shots frames run clips limit pairs landmarks seed perceptual inception baseline device",
    "prepare empty -o made": "output identity-from size min-face max-frames-per-clip fps "
    "val-share split-seed workers device precision",
    "composite": "source driver output recipe workspace",
}
ARGUMENTS = ("weights show", "weights verify", "weights export", "weights fetch",
             "workspace show", "prepare", "")  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture and odd things, which is the person's own and the present one."""
    from PIL import Image

    for name in [name for name in os.environ if name.startswith("THVIDEO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((80, 80), 60).convert("RGB").save("picture.png")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    Path("empty").mkdir()
    for ending in ("toml", "json", "safetensors", "pth", "csv"):
        Path(f"odd.{ending}").write_bytes(b"\xff[" * 50)
    return tmp_path


def code_of(arguments: list[str], said: pytest.CaptureFixture[str]) -> int:
    """Run and return the exit code, after checking that an error is a line and a hint."""
    code = boundary.main(arguments)
    lines = said.readouterr().err.splitlines()
    if code:
        assert [line.partition(":")[0] for line in lines if not line.startswith("note: ")] == [
            "error",
            "hint",
        ], (arguments, lines)
    return code


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_makes_a_fault(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = st.sampled_from(COMMANDS[command].split())

    @QUICKLY
    @given(st.lists(st.tuples(options, WORDS), min_size=1, max_size=2))
    def check(typed: list[tuple[str, str]]) -> None:
        arguments = command.split() + [f"--{option}={word}" for option, word in typed]
        assert code_of(arguments, capsys) in EXPLAINED, arguments

    check()


@pytest.mark.parametrize("command", ARGUMENTS)
def test_no_argument_makes_a_fault(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @QUICKLY
    @given(WORDS)
    def check(word: str) -> None:
        assert code_of([*command.split(), "--", word], capsys) in EXPLAINED, word

    check()


SCALARS = st.one_of(
    st.sampled_from(
        ["nan", "inf", "-inf", "1e400", "0", "1.5", "true", "1979-05-27", "'~nosuchuser/x'"]
    ),
    st.sampled_from(["9" * 400, "9" * 5001, "0x" + "f" * 5001, '"\\u0000"', "''", "'left'"]),
    st.sampled_from(["[" * 5000, "[" * 300 + "]" * 300, "[[1], {a = 1}]", "{a = nan}", "['x']"]),
)


@QUICKLY
@given(st.sampled_from(COMMANDS[REENACTED].split()), SCALARS)
def test_no_preset_makes_a_fault(
    place: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    Path("odd.toml").write_text(f"{option} = {value}\n")
    arguments = [*REENACTED.split(), "--recipe", "odd.toml"]
    assert code_of(arguments, capsys) in EXPLAINED, (option, value)
