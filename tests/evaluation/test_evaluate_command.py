"""``thvideo evaluate`` as a person types it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.training.drawn_faces import QUICK, SMALL_SWIFT, small_options
from thvideo.cli.boundary import main
from thvideo.cli.evaluate import _OPTIONS
from thvideo.evaluation.protocol import ProtocolOptions
from thvideo.training.dataset import ClipTable, clip_path
from thvideo.training.meta import MetaRun
from thvideo.training.meta_options import Budget, HowToRun

QUICKLY = ("--frames", 4, "--run", 4, "--limit", 2, "--threads", 1)


def _said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_table_a_report_and_a_page(
    drawn: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--data", drawn, "-o", tmp_path / "out", "--weights", tiny_weights)
    code, out, err = _said(capsys, *files, *QUICKLY, "--shots", "1,3")
    assert code == 0, err
    lines = out.splitlines()
    header = lines[0].split()
    assert header == ["self-reenactment", "truth", "source", "warp", *("swift", "T=1"),
                      *("swift", "T=3")]  # fmt: skip
    ssim = next(line for line in lines if line.startswith("SSIM ↑"))
    assert "1.000 ±0.000" in ssim
    # The copied source is behind the warp, and says by how much.
    assert next(word for word in ssim.split() if "(" in word).startswith("(-0.")
    assert lines[-1] == str(tmp_path / "out" / "report.html")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["baseline"] == "warp"
    plan = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    assert [take["take"] for take in plan["takes"]] == ["p2/0", "p3/0"]
    assert plan["takes"][0]["held_out"] == [3, 4, 5, 6]
    assert len(plan["takes"][0]["source_frames"]) == 3


def test_weights_whose_name_begins_anothers_are_judged_too(
    drawn: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--data", drawn, "-o", tmp_path / "out", "--methods", "source", "--baseline", "none")
    given = ("--weights", f"s={tiny_weights}", "--shots", 1, "--limit", 1, "--quiet")
    code, _, err = _said(capsys, *files, *QUICKLY, *given)
    assert code == 0, err
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in report["tables"]["self"]] == ["source", "s T=1"]


def test_help_tells_the_protocols_own_defaults() -> None:
    told, own = {option.name: option.default for option in _OPTIONS}, ProtocolOptions()
    assert told["shots"] == ",".join(map(str, own.shots))
    numbers = (own.split, own.n_frames, own.run_frames, own.n_clips, own.limit, own.seed)
    names = ("split", "frames", "run", "clips", "limit", "seed")
    assert tuple(told[name] for name in names) == numbers


def test_json_is_one_object_a_line(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--data", drawn, "-o", tmp_path / "out", "--methods", "truth,source")
    code, out, err = _said(capsys, *files, *QUICKLY, "--json", "--baseline", "source")
    assert code == 0, err
    last = json.loads(out.splitlines()[-1])
    assert last["event"] == "evaluated"
    assert [row["row"] for row in last["tables"]["self"]] == ["truth", "source"]


def test_a_run_of_meta_training_is_judged_from_its_folder(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    how = HowToRun(torch.device("cpu"), workers=0)
    run = MetaRun(tmp_path / "run", small_options(drawn, **QUICK), how, SMALL_SWIFT)
    run.begin(None)
    list(run.run(Budget(2, 0.0)))
    files = ("--data", drawn, "-o", tmp_path / "out", "--methods", "new,last")
    weights = (f"new={tmp_path / 'run'}", f"last={tmp_path / 'run' / 'last'}")
    given = [part for one in weights for part in ("--weights", one)]
    code, out, err = _said(capsys, *files, *QUICKLY, "--shots", 1, *given, "--quiet")
    assert (code, out) == (0, ""), err
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in report["tables"]["self"]] == ["new T=1", "last T=1"]


def test_weights_whose_name_begins_another_methods_are_judged_too(
    drawn: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--data", drawn, "-o", tmp_path, "--methods", "truth", "--weights")
    code, _, err = _said(capsys, *files, f"t={tiny_weights}", *QUICKLY, "--shots", 1, "--quiet")
    assert code == 0, err
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in report["tables"]["self"]] == ["truth", "t T=1"]


def test_weights_that_have_changed_are_refused_before_anything_is_drawn(
    drawn: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "tiny.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(tiny_weights.with_suffix(suffix), changed.with_suffix(suffix))
    content = bytearray(changed.read_bytes())
    content[-1] ^= 0xFF
    changed.write_bytes(content)
    files = ("--data", drawn, "-o", tmp_path / "out", "--weights", changed)
    code, _, err = _said(capsys, *files, *QUICKLY)
    assert code == 3
    assert "is damaged" in err.splitlines()[0]


def test_a_folder_whose_name_is_no_text_is_reported(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        shutil.copytree(drawn, folder)
    except OSError as error:
        pytest.skip(f"this file system takes no such name ({error.strerror})")
    files = ("--data", folder, "-o", tmp_path / "out", "--methods", "truth")
    table = ClipTable(folder)
    clip_path(folder, table[int(table.indices("val")[0])].clip, ".mp4").unlink()
    code, _, err = _said(capsys, *files, *QUICKLY, "--quiet")
    assert code == 0, err
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert len(report["left_out"]) == 1
    assert len(report["clips"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "fact"),
    [
        (("-o", "out"), 2, "--data is missing"),
        (("--data", "DATA"), 2, "-o is missing"),
        (("--data", "DATA", "-o", "out", "--shots", "one"), 2, "--shots one"),
        (("--data", "DATA", "-o", "out", "--split", "test"), 2, "no split 'test'"),
        (("--data", "DATA", "-o", "out", "--methods", "magic"), 2, "'magic'"),
        (("--data", "DATA", "-o", "out", "--perceptual", "lpips"), 2, "not NAME=PATH"),
        (("--data", "DATA", "-o", "out", "--finetune-perceptual", "a=b"), 2, "cannot look through"),
        (
            ("--data", "DATA", "-o", "out", "--finetune-perceptual", "vgg19=b"),
            2,
            "none is named",
        ),
        (("--data", "DATA", "-o", "out", "--results", "nowhere"), 2, "no folder"),
        (("--data", "DATA", "-o", "out", "--results", "new=folder"), 3, "folder holds no video"),
        (("--data", "DATA", "-o", "out", "--results", "..=."), 2, "cannot be called '..'"),
        (("--data", "DATA", "-o", "out", "--methods", ""), 2, "no method is named"),
        (("--data", "DATA", "-o", "out", "--weights", "new="), 2, "not NAME=PATH"),
        (("--data", "DATA", "-o", "out", "--seed", "-1"), 2, "--seed cannot be -1"),
        (("--data", "DATA", "-o", "file", "--methods", "truth"), 4, "cannot be written"),
        (("--data", "DATA", "-o", "file/out", "--methods", "truth"), 4, "cannot be written"),
        (("--data", "nowhere", "-o", "out"), 3, "clips.tsv cannot be read"),
        (("--data", "DATA", "-o", "out", "--weights", "nowhere"), 3, "no weights at"),
        (("--data", "DATA", "-o", "out", "--weights", "folder"), 3, "folder is neither"),
        (("--data", "DATA", "-o", "out", "--weights", "."), 3, ". is neither"),
        (("--data", "DATA", "-o", "out", "--inception", "nowhere"), 3, "no network at"),
        (("--data", "DATA", "-o", "out", "--pairs", "nowhere"), 3, "nowhere cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    fact: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("somebody's")
    (tmp_path / "folder").mkdir()
    given = [str(drawn) if one == "DATA" else one for one in arguments]
    found, _, err = _said(capsys, *given)
    assert found == code, err
    assert fact in err.splitlines()[0]
    assert err.splitlines()[1].startswith("hint: ")
