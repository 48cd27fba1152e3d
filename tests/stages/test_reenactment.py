"""The main job, run for real on the shipped examples."""

import gc
import json
import shutil
import subprocess
import threading
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.stages.conftest import Runner, ffmpeg
from thvideo.draft.warp_generator import WarpGenerator
from thvideo.errors import InputError, WorkspaceError
from thvideo.imaging.blend import output_plan, resize_to_plan
from thvideo.imaging.crop import scale_crop
from thvideo.pipeline.events import Event, NodeFinished, NodeProgress, NodeReused, RunFinished
from thvideo.pipeline.graph import stage_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.shapes import F64Array, I64Array, U8Array
from thvideo.stages.base import Resources
from thvideo.stages.composite import Composite
from thvideo.stages.finished import METADATA
from thvideo.stages.reenact import Reenact
from thvideo.synthesis.identity import load_identity
from thvideo.video.audio import driver_sound
from thvideo.video.drift import measure_drift
from thvideo.video.ffmpeg import ffmpeg_path
from thvideo.video.probe import probe
from thvideo.video.read import Scan, read_frames, scan
from thvideo.video.timing import FrameTimes
from thvideo.workspace.store import Workspace


def ran(events: list[Event]) -> list[str]:
    return [event.id for event in events if isinstance(event, NodeFinished)]


def reused(events: list[Event]) -> list[str]:
    return [event.id for event in events if isinstance(event, NodeReused)]


def times_of(path: Path) -> FrameTimes:
    *_, found = scan(path, probe(path))
    assert isinstance(found, Scan)
    return found.times


def frames_of(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(path, probe(path))))


def artifact_file(workspace: Path, stage: str, name: str) -> Path:
    found = sorted((workspace / "artifacts" / stage).glob(f"*/{name}"))
    assert found, f"no {name} of {stage}"
    return found[0]


def test_a_painting_speaks_with_the_drivers_frames_times_and_sound(
    reenact: Runner, driver: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    reenact(output)
    theirs, ours = times_of(driver), times_of(output)
    assert ours.n_frames == theirs.n_frames == 48
    assert ours.rate == theirs.rate == Fraction(24000, 1001)
    np.testing.assert_allclose(ours.seconds(), theirs.seconds(), atol=1e-9)
    info = probe(output)
    assert info.audio_codec == "aac"
    assert (info.color_range, info.matrix, info.primaries) == ("tv", "bt709", "bt709")
    report = json.loads((tmp_path / "out.json").read_text())
    assert abs(report["drift"]["end_drift_ms"]) < 1
    assert abs(report["drift"]["sound_offset_ms"]) < 1
    assert abs(report["drift"]["sound_end_drift_ms"]) < 1
    assert report["synthetic"] is True
    assert report["times"]["rate"] == "24000/1001"


def test_the_file_says_that_it_is_synthetic(reenact: Runner, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    reenact(output)
    assert "synthetic" in output.read_bytes().decode("latin-1").lower()


def test_a_second_run_reuses_everything(reenact: Runner, tmp_path: Path) -> None:
    reenact(tmp_path / "first.mp4")
    again = reenact(tmp_path / "second.mp4")
    assert ran(again) == []
    assert "composite" in reused(again)
    assert (tmp_path / "first.mp4").read_bytes() == (tmp_path / "second.mp4").read_bytes()


def test_an_option_of_composite_runs_composite_alone(reenact: Runner, tmp_path: Path) -> None:
    reenact(tmp_path / "first.mp4")
    assert ran(reenact(tmp_path / "second.mp4", crf=30)) == ["composite"]


def test_composite_gets_ready_while_reenact_does(
    reenact: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_preparing = threading.Event()
    finisher, generator = Composite._finisher, Reenact._generator

    def prepares(self: Composite, *given: Any) -> Any:
        is_preparing.set()
        return finisher(self, *given)

    def waits(self: Reenact, *given: Any) -> Any:
        assert is_preparing.wait(20)
        return generator(self, *given)

    monkeypatch.setattr(Composite, "_finisher", prepares)
    monkeypatch.setattr(Reenact, "_generator", waits)
    assert {"reenact", "composite"} <= set(ran(reenact(tmp_path / "out.mp4", mouth=0.9)))


def test_a_copied_workspace_is_reused(
    reenact: Runner, shared_workspace: Path, tmp_path: Path
) -> None:
    reenact(tmp_path / "first.mp4")
    shutil.copytree(shared_workspace, tmp_path / "copy")
    assert ran(reenact(tmp_path / "second.mp4", workspace=tmp_path / "copy")) == []


def test_the_picture_moves_where_the_face_is_and_rests_elsewhere(
    reenact: Runner, shared_workspace: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    reenact(output, crf=5)
    frames = frames_of(output).astype(np.int16)
    identity = load_identity(artifact_file(shared_workspace, "embed", "identity.npz"))
    height, width = frames.shape[1:3]
    outside = np.ones((height, width), bool)
    half = identity.crop.side_px / 2
    scale = width / identity.picture.shape[1]
    low = [(c - half) * scale for c in (identity.crop.centre_y, identity.crop.centre_x)]
    high = [(c + half) * scale for c in (identity.crop.centre_y, identity.crop.centre_x)]
    outside[max(0, int(low[0])) : int(high[0]) + 2, max(0, int(low[1])) : int(high[1]) + 2] = False
    change = np.abs(frames - frames[0]).max(axis=(0, 3))
    assert change.max() > 60
    if outside.any():
        # What is left is the encoder's.
        assert np.percentile(change[outside], 99) <= 12


def test_chunks_do_not_change_the_result(reenact: Runner, tmp_path: Path) -> None:
    reenact(tmp_path / "whole.mp4", workspace=tmp_path / "a")
    reenact(tmp_path / "parts.mp4", workspace=tmp_path / "b", resources=Resources(chunk_frames=17))
    whole, parts = frames_of(tmp_path / "whole.mp4"), frames_of(tmp_path / "parts.mp4")
    assert whole.shape == parts.shape
    assert np.abs(whole.astype(np.int16) - parts).mean() < 1.5
    assert (
        times_of(tmp_path / "whole.mp4").pts.tolist()
        == times_of(tmp_path / "parts.mp4").pts.tolist()
    )


def test_crops_taken_while_they_are_drawn_make_the_bytes_that_their_files_make(
    reenact: Runner, tmp_path: Path
) -> None:
    workspace, chunks = tmp_path / "ws", Resources(chunk_frames=17)
    told = reenact(tmp_path / "beside.mp4", workspace=workspace, resources=chunks)
    places = {(type(event), getattr(event, "id", "")): place for place, event in enumerate(told)}
    started = next(p for p, e in enumerate(told) if getattr(e, "id", "") == "composite")
    assert started < places[NodeFinished, "reenact"] < places[NodeFinished, "composite"]
    shutil.rmtree(workspace / "artifacts" / "composite")
    again = reenact(tmp_path / "after.mp4", workspace=workspace, resources=chunks)
    assert ran(again) == ["composite"]
    assert (tmp_path / "beside.mp4").read_bytes() == (tmp_path / "after.mp4").read_bytes()


def test_the_threads_asked_for_hold_while_torch_works_and_no_longer(
    painting: Path, driver: Path, tmp_path: Path
) -> None:
    given = {"sources": (painting,), "driver": driver, "generator": "warp"}
    graph = stage_graph("reenact", make_recipe(given))
    before = torch.get_num_threads()
    seen: dict[str, set[int]] = {}
    for event in run(graph, Workspace(tmp_path), Resources(threads=before + 1)):
        if isinstance(event, NodeProgress):
            seen.setdefault(event.id, set()).add(torch.get_num_threads())
    # Key frames and those between are looked at side by side: each has half of them.
    assert seen["track driver"] == {before + 1, (before + 1) // 2}
    # Frames are drawn side by side, in four threads at most, and share what was asked for.
    of_each = (before + 1) // min(before + 1, 4)
    assert of_each in seen["reenact"] <= {of_each, before + 1}
    assert torch.get_num_threads() == before


def test_a_chunk_that_cannot_be_written_leaves_torch_s_threads_as_they_were(
    shared_workspace: Path, painting: Path, driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, frames: object, n_frames: int) -> None:
        raise WorkspaceError("the disk is full", hint="make room")

    monkeypatch.setattr("thvideo.video.write.write_crop_chunk", fails)
    given = {"sources": (painting,), "driver": driver, "generator": "warp"}
    graph = stage_graph("reenact", make_recipe(given))
    before = torch.get_num_threads()
    with pytest.raises(WorkspaceError, match="disk is full") as caught:
        list(run(graph, Workspace(shared_workspace), Resources(threads=before + 1), ("reenact",)))
    # What the error still holds on to may not set them once more when it goes.
    del caught
    gc.collect()
    assert torch.get_num_threads() == before


def test_frames_drawn_side_by_side_are_those_drawn_one_after_the_other(
    shared_workspace: Path, painting: Path, driver: Path
) -> None:
    given = {"sources": (painting,), "driver": driver, "generator": "warp"}
    graph = stage_graph("reenact", make_recipe(given))
    crops = []
    for resources in (Resources(threads=1), Resources(threads=3, batch_size=7)):
        *_, last = run(graph, Workspace(shared_workspace), resources, ("reenact",))
        assert isinstance(last, RunFinished) and last.artifact is not None
        [chunk] = last.artifact.glob("crops-*.mkv")
        crops.append(frames_of(chunk).astype(np.int16))
    # Boxes of lips and lids are other ones in batches of another size, and round otherwise.
    apart = np.abs(crops[0] - crops[1])
    assert apart.max() <= 2 and (apart > 1).mean() < 1e-5


def test_frames_drawn_on_two_devices_are_those_drawn_on_one(
    shared_workspace: Path, painting: Path, driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"sources": (painting,), "driver": driver, "generator": "warp"}
    graph = stage_graph("reenact", make_recipe(given))
    generate, drawn_by = WarpGenerator.generate, Counter[int]()

    def noted(generator: WarpGenerator, points: F64Array, sources: I64Array) -> U8Array:
        drawn_by[id(generator)] += len(points)
        return generate(generator, points, sources)

    monkeypatch.setattr(WarpGenerator, "generate", noted)
    crops = []
    for device in ("cpu", "cpu,cpu"):
        drawn_by.clear()
        resources = Resources(device=device, threads=2)
        *_, last = run(graph, Workspace(shared_workspace), resources, ("reenact",))
        assert isinstance(last, RunFinished) and last.artifact is not None
        [chunk] = last.artifact.glob("crops-*.mkv")
        crops.append(frames_of(chunk))
        assert sorted(drawn_by.values()) == ([48] if device == "cpu" else [24, 24])
    np.testing.assert_array_equal(*crops)


@pytest.mark.parametrize("extension", ["mov", "mkv", "webm", "gif"])
def test_every_container_holds_every_frame(reenact: Runner, tmp_path: Path, extension: str) -> None:
    output = tmp_path / f"out.{extension}"
    reenact(output, max_side=240)
    assert times_of(output).n_frames == 48
    assert probe(output).has_audio == (extension != "gif")


def test_variable_frame_rate_is_kept_to_the_tick(
    reenact: Runner, driver: Path, tmp_path: Path
) -> None:
    uneven = tmp_path / "uneven.mp4"
    ffmpeg(
        *("-i", driver, "-vf", r"setpts=PTS+mod(N\,3)*0.006/TB", "-fps_mode", "passthrough"),
        *("-enc_time_base", "1/90000", "-video_track_timescale", "90000", "-bf", "0"),
        *("-c:v", "libx264", "-preset", "veryfast", "-c:a", "copy", uneven),
    )
    theirs = times_of(uneven)
    assert not theirs.is_constant
    output = tmp_path / "out.mp4"
    reenact(output, driver=uneven, max_side=320)
    ours = times_of(output)
    np.testing.assert_array_equal(
        ours.pts - ours.pts[0],
        (theirs.pts - theirs.pts[0]) * (theirs.time_base / ours.time_base).numerator,
    )


def test_no_sound_is_added_when_none_is_wanted(reenact: Runner, tmp_path: Path) -> None:
    reenact(tmp_path / "out.mp4", audio="none")
    assert not probe(tmp_path / "out.mp4").has_audio


def test_another_files_sound_ends_with_the_picture(reenact: Runner, tmp_path: Path) -> None:
    sound = tmp_path / "long.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=9", sound)
    output = tmp_path / "out.mp4"
    reenact(output, audio=sound)
    report = json.loads((tmp_path / "out.json").read_text())
    assert abs(report["drift"]["sound_end_drift_ms"]) < 1
    assert probe(output).duration_s == pytest.approx(times_of(output).duration_s, abs=0.03)


def test_crop_framing_shows_the_crop_alone(reenact: Runner, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    reenact(output, framing="crop", size=0)
    height, width = probe(output).size
    assert height % 2 == width % 2 == 0
    # As large as the whole picture would show it.
    assert 512 < max(height, width) <= 1080
    reenact(output, framing="crop", size=256)
    assert max(probe(output).size) <= 256


def test_the_comparison_stands_beside_the_output(
    reenact: Runner, driver: Path, tmp_path: Path
) -> None:
    reenact(tmp_path / "out.mp4", compare=True)
    comparison = tmp_path / "out.compare.mp4"
    height, width = probe(comparison).size
    assert height == 480
    assert width > 2 * height
    times = times_of(driver)
    drift = measure_drift(comparison, times, driver_sound(driver, times.start))
    assert (drift.n_frames_out, drift.sound_missing_ms) == (48, 0)
    assert drift.max_time_error_ms < 1e-3
    assert drift.sound_shift_ms is not None and abs(drift.sound_shift_ms) < 1
    described = subprocess.run(
        [str(ffmpeg_path()), "-i", comparison, "-f", "ffmetadata", "-"], capture_output=True
    ).stdout.decode()
    assert all(f"{name}={text}" in described for name, text in METADATA.items())


def test_several_pictures_make_one_identity(
    reenact: Runner, painting: Path, tmp_path: Path
) -> None:
    smaller = tmp_path / "smaller.png"
    ffmpeg("-i", painting, "-vf", "scale=iw*3/4:-2", smaller)
    workspace = tmp_path / "ws"
    reenact(tmp_path / "out.mp4", sources=[painting, smaller], workspace=workspace)
    identity = load_identity(artifact_file(workspace, "embed", "identity.npz"))
    assert len(identity.crops) == 2


def test_a_source_video_gives_its_best_frame(reenact: Runner, driver: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    reenact(tmp_path / "out.mp4", sources=[driver], workspace=workspace, shots=32)
    identity = load_identity(artifact_file(workspace, "embed", "identity.npz"))
    assert len(identity.crops) == 32
    assert times_of(tmp_path / "out.mp4").n_frames == 48


def test_a_still_picture_is_no_driver(reenact: Runner, painting: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="still picture"):
        reenact(tmp_path / "out.mp4", driver=painting)


def test_a_picture_without_a_face_is_refused(reenact: Runner, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    ffmpeg("-f", "lavfi", "-i", "gradients=size=320x240:duration=1", "-frames:v", "1", empty)
    with pytest.raises(InputError, match=r"no face was found in empty\.png"):
        reenact(tmp_path / "out.mp4", sources=[empty])
    assert not (tmp_path / "out.mp4").exists()


def test_a_driver_whose_face_goes_away_keeps_its_length(
    reenact: Runner, driver: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden.mp4"
    ffmpeg(
        *("-i", driver, "-vf", "drawbox=color=gray:t=fill:enable='between(n,12,30)'"),
        *("-c:v", "libx264", "-preset", "veryfast", "-c:a", "copy", hidden),
    )
    output = tmp_path / "out.mp4"
    reenact(output, driver=hidden, max_side=320)
    assert times_of(output).n_frames == 48
    spans = json.loads((tmp_path / "out.json").read_text())["no_face_spans"]
    assert len(spans) == 1
    assert spans[0][0] == pytest.approx(12, abs=1)
    assert spans[0][1] == pytest.approx(30, abs=1)
    with pytest.raises(InputError, match=r"frame 1[123]\b"):
        reenact(tmp_path / "no.mp4", driver=hidden, no_face="fail")


def test_what_rests_of_a_crop_is_the_output_to_the_bit(
    shared_workspace: Path, painting: Path
) -> None:
    """The crop is cut from the picture that it goes back into, pixel for pixel."""
    graph = stage_graph("embed", make_recipe({"sources": (painting,), "generator": "warp"}))
    *_, last = run(graph, Workspace(shared_workspace), Resources())
    assert isinstance(last, RunFinished) and last.artifact is not None
    identity = load_identity(last.artifact / "identity.npz")
    plan = output_plan(*identity.picture.shape[:2], 1080)
    shown = scale_crop(identity.crop, plan.scale)
    assert shown.side_px == pytest.approx(identity.crop.size_px)
    picture = resize_to_plan(identity.picture, plan)
    left, top = round(shown.left + 0.5), round(shown.top + 0.5)
    x0, y0, x1, y1 = identity.valid[0].astype(int)
    there = picture[top + y0 : top + y1, left + x0 : left + x1]
    assert np.array_equal(identity.crops[0, y0:y1, x0:x1], there)
