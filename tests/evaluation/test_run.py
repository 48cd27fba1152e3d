"""The whole evaluation on drawn faces: figures, what is kept, what is left out."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.evaluation.colour_features import save_colours
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SIZE_PX, SMALL_SWIFT
from thvideo.errors import InputError, UsageError
from thvideo.evaluation.catalogue import Catalogue
from thvideo.evaluation.measure import Ruler
from thvideo.evaluation.methods import Drawing, FineTuned, Looks, Method
from thvideo.evaluation.protocol import ProtocolOptions
from thvideo.evaluation.run import Evaluation, evaluate
from thvideo.stages.base import Notice
from thvideo.training.dataset import ClipTable, read_frames
from thvideo.training.few_shot import FewShotOptions
from thvideo.weights.cards import card_inside
from thvideo.workspace.keys import DigestMemo, stage_key

CPU = torch.device("cpu")
QUICK = ProtocolOptions(shots=(1, 3), n_frames=4, run_frames=4)
DRAWING = Drawing(CPU, "fp32")


def _methods(output: Path, weights: Path, *names: str) -> list[Method]:
    catalogue = Catalogue(DRAWING, output)
    catalogue.add_weights("tiny", weights)
    return [catalogue.method(name) for name in names or ("truth", "source", "warp", "tiny")]


def _evaluation(data: Path, output: Path, methods: list[Method], **changes: Any) -> Evaluation:
    digests = DigestMemo(output)
    ruler = Ruler({}, changes.pop("inception", None), CPU, digests)
    given = {"protocol": QUICK, "baseline": "warp"} | changes
    return Evaluation(data, output, methods=methods, ruler=ruler, digests=digests, **given)


def _run(work: Evaluation) -> tuple[dict[str, Any], list[str]]:
    notices = [event.text for event in evaluate(work) if isinstance(event, Notice)]
    report = json.loads((work.output / "report.json").read_text(encoding="utf-8"))
    return report, [text for text in notices if "CSIM" not in text]


def _figures(report: dict[str, Any], row: str, mode: str = "self") -> dict[str, Any]:
    return next(one["figures"] for one in report["tables"][mode] if one["row"] == row)


@pytest.fixture(scope="module")
def done(
    drawn: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("evaluation")
    report, notices = _run(_evaluation(drawn, output, _methods(output, tiny_weights)))
    assert notices == []
    return output, report


def test_a_row_is_a_method_and_a_number_of_source_frames(
    done: tuple[Path, dict[str, Any]],
) -> None:
    _, report = done
    rows = [row["row"] for row in report["tables"]["self"]]
    assert rows == ["truth", "source", "warp", "tiny T=1", "tiny T=3"]
    assert {clip["take"] for clip in report["clips"]} == {"p2/0", "p3/0", "p4/0"}
    assert report["left_out"] == []


def test_the_truth_is_the_rulers_floor(done: tuple[Path, dict[str, Any]]) -> None:
    truth = _figures(done[1], "truth")
    wanted = {"ssim": 1, "l1": 0, "region_l1": 0, "landmark_error": 0, "jitter": 0}
    for name, value in wanted.items():
        assert truth[name]["mean"] == pytest.approx(value, abs=1e-6), name
    assert "psnr" not in truth
    assert all(figure["change"] is None for figure in truth.values())


def test_moving_the_source_is_better_than_copying_it(done: tuple[Path, dict[str, Any]]) -> None:
    source, warp = (_figures(done[1], row) for row in ("source", "warp"))
    assert warp["ssim"]["mean"] > source["ssim"]["mean"] + 0.02
    assert warp["region_l1"]["mean"] < 0.9 * source["region_l1"]["mean"]
    assert source["ssim"]["change"]["change"] == pytest.approx(
        source["ssim"]["mean"] - warp["ssim"]["mean"]
    )
    assert source["l1"]["change"]["change"] == pytest.approx(
        source["l1"]["mean"] / warp["l1"]["mean"] - 1
    )
    assert warp["ssim"]["n_people"] == 3


def test_methods_draw_from_what_the_tracker_finds_or_from_the_labels(
    drawn: Path, tiny_weights: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "copy"
    shutil.copytree(done[0], output)
    tracked = sorted(path.relative_to(output) for path in (output / "landmarks").rglob("*.npz"))
    assert tracked == [Path(f"landmarks/p{person}/0.points.npz") for person in (2, 3, 4)]
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    labels = replace(QUICK, landmarks="labels")
    methods = _methods(output, tiny_weights, "truth", "warp")
    report, _ = _run(_evaluation(drawn, output, methods, protocol=labels))
    assert report["protocol"]["landmarks"] == "labels"
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert {path.relative_to(output).parts[1] for path in changed} == {"warp"}
    with (
        np.load(done[0] / "cells" / "warp" / "p2" / "0.frames.npz") as by_tracker,
        np.load(output / "cells" / "warp" / "p2" / "0.frames.npz") as by_labels,
    ):
        apart = np.linalg.norm(by_tracker["points"] - by_labels["points"], axis=-1)
    assert 0.05 < apart.mean() < 0.1 * SIZE_PX


def test_a_second_run_draws_and_measures_nothing(
    drawn: Path, tiny_weights: Path, done: tuple[Path, dict[str, Any]]
) -> None:
    output, report = done
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    methods = _methods(output, tiny_weights)
    for method in methods:
        # Frames that are kept for nobody are shown on the page; nothing else draws.
        if method.is_kept:
            method.draw = _refuse  # type: ignore[method-assign]
    again, _ = _run(_evaluation(drawn, output, methods))
    assert again == report
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")} == before


def _refuse(*arguments: object) -> None:
    raise AssertionError("drawn again")


def test_other_weights_are_drawn_anew_and_nothing_else(
    drawn: Path, tiny_weights: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "copy"
    shutil.copytree(done[0], output)
    before = {p.relative_to(output): p.stat().st_mtime_ns for p in output.rglob("*.npz")}
    other = write_tiny(tmp_path / "other.safetensors", SMALL_SWIFT, spread=0.02, seed=5)
    _run(_evaluation(drawn, output, _methods(output, other)))
    changed = {p for p, time in before.items() if (output / p).stat().st_mtime_ns != time}
    assert {path.parts[1] for path in changed} == {"tiny-T1", "tiny-T3"}
    assert len(changed) == len([p for p in before if "tiny" in p.parts[1]])


def test_a_stopped_run_goes_on_where_it_was(
    drawn: Path, tiny_weights: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    stopped: Iterator[Any] = iter(
        evaluate(_evaluation(drawn, tmp_path, _methods(tmp_path, tiny_weights)))
    )
    for _ in range(6):
        next(stopped)
    del stopped
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert kept
    report, _ = _run(_evaluation(drawn, tmp_path, _methods(tmp_path, tiny_weights)))
    assert report == done[1]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_one_damaged_clip_is_told_of_and_the_others_go_on(
    drawn: Path, tiny_weights: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    data = tmp_path / "set"
    shutil.copytree(drawn, data)
    clip = data / "clips" / "p3" / "0.mp4"
    clip.write_bytes(clip.read_bytes()[:500])
    output = tmp_path / "out"
    report, notices = _run(_evaluation(data, output, _methods(output, tiny_weights, "warp")))
    assert [(one["take"], one["row"]) for one in report["left_out"]] == [("p3/0", "warp")]
    assert len(notices) == 1
    assert "cannot be decoded" in notices[0]
    assert _figures(report, "warp")["ssim"]["n_people"] == 2
    for name in ("p2", "p4"):
        (data / "clips" / name / "0.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="nothing of"):
        _run(_evaluation(data, output, _methods(output, tiny_weights, "warp")))


def test_a_clip_that_is_too_short_for_some_sources_is_left_out_of_that_row(
    drawn: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    many = ProtocolOptions(shots=(1, 8), n_frames=4, run_frames=4, limit=1)
    methods = _methods(tmp_path, tiny_weights, "tiny")
    report, notices = _run(_evaluation(drawn, tmp_path, methods, protocol=many, baseline=None))
    assert [one["row"] for one in report["left_out"]] == ["tiny T=8"]
    assert "8 are wanted" in notices[0]
    assert _figures(report, "tiny T=8") == {}
    assert _figures(report, "tiny T=1")["ssim"]["change"] is None


def test_finished_videos_are_judged_by_the_same_ruler(
    drawn: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    videos, short = tmp_path / "videos", tmp_path / "short"
    table = ClipTable(drawn)
    rows = {table[index].clip: table[index] for index in range(len(table))}
    for clip in ("p2/0", "p3/0"):
        frames = read_frames(drawn, rows[clip])
        _write_video(videos / f"{clip}.mp4", frames)
        _write_video(short / f"{clip}.mp4", frames[3:7])  # 3 to 6 are held out
    output = tmp_path / "out"
    catalogue = Catalogue(DRAWING, output)
    digests = DigestMemo(output)
    methods = [
        catalogue.method("warp"),
        catalogue.finished("whole", videos, digests),
        catalogue.finished("held-out", short, digests),
    ]
    report, _ = _run(_evaluation(drawn, output, methods))
    whole, held = (_figures(report, row) for row in ("whole", "held-out"))
    assert whole["ssim"]["mean"] > 0.9
    assert held["ssim"]["mean"] == pytest.approx(whole["ssim"]["mean"], abs=0.01)
    left = {(one["row"], one["take"]): one["why"] for one in report["left_out"]}
    assert set(left) == {("whole", "p4/0"), ("held-out", "p4/0")}
    # A shorter video says of no frame which one it stands for.
    _write_video(videos / "p2" / "0.mp4", read_frames(drawn, rows["p2/0"])[:3])
    report, _ = _run(_evaluation(drawn, output, methods[:2]))
    left = {(one["row"], one["take"]): one["why"] for one in report["left_out"]}
    assert "has 3 frames" in left["whole", "p2/0"]


def _write_video(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, frames.shape[2:0:-1])
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def test_pairs_are_judged_by_motion_alone(drawn: Path, tiny_weights: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("source\tdriver\np2/0\tp3/0\np3/1\tp4/0\n", encoding="utf-8")
    methods = _methods(tmp_path, tiny_weights, "truth", "source", "warp")
    one = ProtocolOptions(shots=(1,), n_frames=4, run_frames=4)
    inception = save_colours(tmp_path / "inception.pt")
    changes = {"protocol": one, "pairs": pairs, "inception": inception}
    report, _ = _run(_evaluation(drawn, tmp_path, methods, **changes))
    # Colours of a copied frame vary less than those of the truth.
    assert _figures(report, "truth")["fid"]["mean"] == pytest.approx(0, abs=1e-6)
    assert _figures(report, "source")["fid"]["mean"] > 0.1
    warp, truth = (_figures(report, row, "cross") for row in ("warp", "truth"))
    assert not {"ssim", "l1", "landmark_error", "fid"} & warp.keys()
    assert truth["jitter"]["mean"] == 0
    assert "seam" not in truth
    assert warp["seam"]["mean"] < 2
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Cross-reenactment" in page
    assert "p2/0--p3-0" in page


def test_of_a_single_frame_there_is_no_fid(drawn: Path, tiny_weights: Path, tmp_path: Path) -> None:
    one = ProtocolOptions(shots=(1,), n_frames=1, run_frames=1, limit=1)
    inception = save_colours(tmp_path / "inception.pt")
    methods = _methods(tmp_path, tiny_weights, "source")
    changes = {"protocol": one, "inception": inception, "baseline": None}
    report, _ = _run(_evaluation(drawn, tmp_path, methods, **changes))
    assert "ssim" in _figures(report, "source")
    assert "fid" not in _figures(report, "source")


def test_a_clip_that_the_table_calls_another_kind_is_measured_anew(
    drawn: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """Of synthetic clips a corner does not count, and only the table says which these are."""
    data = tmp_path / "set"
    shutil.copytree(drawn, data)
    methods = _methods(tmp_path / "out", tiny_weights, "source")
    found = []
    for kind in ("real", "synthetic"):
        table = ClipTable(data)
        kinds = {table[index].kind for index in range(len(table))}
        text = (data / "clips.tsv").read_text(encoding="utf-8")
        for old in kinds:
            text = text.replace(f"\t{old}\t", f"\t{kind}\t")
        (data / "clips.tsv").write_text(text, encoding="utf-8")
        report, _ = _run(_evaluation(data, tmp_path / "out", methods, baseline=None))
        found.append(_figures(report, "source")["l1"]["mean"])
    assert found[0] != found[1]


def test_a_fine_tuned_generator_depends_on_how_its_losses_count(
    tiny_weights: Path, tmp_path: Path
) -> None:
    made = []
    (tmp_path / "net").write_bytes(b"of a network")
    nothing = Looks({}, DigestMemo(tmp_path))
    network = Looks({"vgg19-small": tmp_path / "net"}, DigestMemo(tmp_path))
    for adversarial, looks in ((1.0, nothing), (0.5, nothing), (0.5, network)):
        losses = {"adversarial": adversarial, "feature_matching": 2.0}
        trained = {"options": {"losses": losses, "adversarial_from": 0}}
        card = card_inside(tiny_weights) | {"steps": 5, "training": trained}
        method = FineTuned("tiny-finetuned", tiny_weights, card, DRAWING, looks)
        made.append(stage_key("drawn", 1, method.made_of("p2/0"), {}, {}))
    assert len(set(made)) == 3


def test_a_fine_tuned_generator_is_another_method(
    drawn: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = FewShotOptions(size_px=SIZE_PX, steps=2, n_deformed=4, n_held_out=2, lr=1e-3)
    monkeypatch.setattr("thvideo.evaluation.methods.few_shot_options", lambda card, names: short)
    one = ProtocolOptions(shots=(1,), n_frames=2, run_frames=2, limit=1)
    methods = _methods(tmp_path, tiny_weights, "tiny", "tiny-finetuned")
    report, _ = _run(_evaluation(drawn, tmp_path, methods, protocol=one, baseline="tiny"))
    tuned = _figures(report, "tiny-finetuned T=1")
    assert tuned["ssim"]["mean"] > 0.3
    assert tuned["ssim"]["change"]["change"] != 0


def test_names_that_are_no_methods_are_refused(
    drawn: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    catalogue = Catalogue(DRAWING, tmp_path)
    with pytest.raises(UsageError, match="'paper'") as refused:
        catalogue.method("paper")
    assert "--weights" in refused.value.hint
    with pytest.raises(UsageError, match="cannot be called 'warp'"):
        catalogue.add_weights("warp", tiny_weights)
    with pytest.raises(InputError, match="no weights at"):
        catalogue.add_weights("other", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no folder"):
        catalogue.finished("other", tmp_path / "nowhere", DigestMemo(tmp_path))
    with pytest.raises(UsageError, match=r"cannot be called '\.\.'"):
        catalogue.finished("..", tmp_path, DigestMemo(tmp_path))
    methods = _methods(tmp_path, tiny_weights, "warp")
    with pytest.raises(UsageError, match="baseline 'source'"):
        _run(_evaluation(drawn, tmp_path, methods, baseline="source"))


def test_a_pair_of_clips_of_different_sides_is_judged(drawn: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(drawn, mixed)
    clip, half = mixed / "clips" / "p3" / "0.mp4", SIZE_PX // 2
    table = ClipTable(mixed)
    row = next(table[place] for place in range(len(table)) if table[place].clip == "p3/0")
    frames = read_frames(mixed, row)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 25, (half, half))
    for frame in frames:
        writer.write(cv2.cvtColor(cv2.resize(frame, (half, half)), cv2.COLOR_RGB2BGR))
    writer.release()
    labels = clip.with_suffix(".npz")
    with np.load(labels) as data:
        points, valid = data["points"], data["valid"]
    np.savez(labels, points=points // 2, valid=valid // 2)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("source\tdriver\np2/0\tp3/0\np3/0\tp2/0\n", encoding="utf-8")
    methods = [Catalogue(DRAWING, tmp_path).method(name) for name in ("truth", "warp")]
    report, notices = _run(_evaluation(mixed, tmp_path / "out", methods, pairs=pairs))
    assert notices == []
    assert len([one for one in report["clips"] if one["mode"] == "cross"]) == 4
