"""The same events are drawn live, as plain lines, as JSON, or not at all."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from thvideo.cli import live, render
from thvideo.cli.live import LiveView, Speed
from thvideo.cli.options import Given
from thvideo.cli.summary import summary_lines
from thvideo.pipeline import events
from thvideo.pipeline.events import Event


def happenings(folder: Path) -> Iterator[Event]:
    """A run with one event of each kind."""
    report = folder / "out.json"
    report.write_text(
        json.dumps(
            {
                "times": {"n_frames": 1126, "duration_s": 45.04},
                "no_face_spans": [],
                "comparison": None,
            }
        ),
        encoding="utf-8",
    )
    (folder / "out.mp4").write_bytes(bytes(3_400_000))
    nodes = ("extract driver", "track driver", "finetune", "composite")
    yield events.RunStarted(nodes, nodes[1:])
    yield events.NodeReused("extract driver", "aa")
    yield events.NodeStarted("track driver", "track", "not made yet")
    yield events.NodeProgress("track driver", 500, 1126, "frames")
    yield events.NodeNotice("track driver", "[b]3 frames[/b] have no face")
    yield events.NodeProgress("track driver", 1126, 1126, "frames")
    yield events.NodeFinished("track driver", "bb", 17.9, 10**9)
    yield events.NodeSkipped("finetune", "there are no weights")
    yield events.Delivered(folder / "out.mp4", True)
    yield events.RunFinished(folder / "out.mp4", report, None, 62.0)


def test_plain_output_is_a_line_a_stage_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with render.view_of(Given({})) as view:
        for event in happenings(tmp_path):
            view.show(event)
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "extract driver: reused",
        "note: track driver: [b]3 frames[/b] have no face",
        "track driver: done in 18 s, 1 126 frames, 63 frames/s",
        "finetune: skipped (there are no weights)",
    ]
    assert said.out.splitlines() == [
        f"{tmp_path / 'out.mp4'} (1 126 frames, 45 s, 3.4 MB)",
        "took 1 min 02 s; reused extract driver",
        f"report: {tmp_path / 'out.json'}",
    ]
    assert all(char.isprintable() or char == "\n" for char in said.out + said.err)


def test_json_output_is_one_event_a_line_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = list(happenings(tmp_path))
    with render.view_of(Given({"json": True})) as view:
        for event in sent:
            view.show(event)
    said = capsys.readouterr()
    read = [json.loads(line) for line in said.out.splitlines()]
    assert read == [json.loads(json.dumps(event.to_json(), default=str)) for event in sent]
    assert said.err == ""


def test_quiet_output_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with render.view_of(Given({"quiet": True})) as view:
        for event in happenings(tmp_path):
            view.show(event)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_the_stage_its_speed_and_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    screen = io.StringIO()
    view = LiveView()
    view._console = Console(file=screen, width=100, highlight=False)
    pictures = []
    for event in happenings(tmp_path):
        clock[0] += 2.0
        view.show(event)
        drawn = Console(file=io.StringIO(), width=100, record=True)
        drawn.print(view)
        pictures.append(drawn.export_text().strip())
    assert "track driver" in pictures[3]
    assert " 44 %" in pictures[3]
    # 626 frames in the four seconds between the two events: what a resumed stage had is no speed.
    assert re.search(r"100 %\s+156 frames/s\s+0:00 left", pictures[5])
    assert pictures[6] == ""
    lines = screen.getvalue().splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["=", "extract", "driver", "reused"],
        ["!", "track", "driver", "[b]3", "frames[/b]", "have", "no", "face"],
    ]
    assert f"{tmp_path / 'out.mp4'} (" in capsys.readouterr().out


def test_stages_that_run_side_by_side_have_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view, plain = LiveView(), render.PlainView()
    view._console = Console(file=io.StringIO(), width=100)
    told = [
        events.RunStarted(("reenact", "composite"), ("reenact", "composite")),
        events.NodeStarted("reenact", "reenact", "not made yet"),
        events.NodeProgress("reenact", 30, 100, "frames"),
        events.NodeStarted("composite", "composite", "not made yet"),
        events.NodeProgress("composite", 20, 100, "frames"),
    ]
    for event in told:
        view.show(event)
        plain.show(event)
    first, second = picture(view)
    assert "reenact" in first and " 30 %" in first
    assert "composite" in second and " 20 %" in second
    view.show(events.NodeFinished("reenact", "aa", 4.0, 1))
    plain.show(events.NodeFinished("reenact", "aa", 4.0, 1))
    assert [line.split()[1] for line in picture(view)] == ["composite"]
    # Its own frames, not those of the stage that told of them last.
    assert capsys.readouterr().err == "reenact: done in 4.0 s, 30 frames, 7.5 frames/s\n"


def picture(view: LiveView) -> list[str]:
    drawn = Console(file=io.StringIO(), width=100, record=True)
    drawn.print(view)
    return drawn.export_text().splitlines()


def test_speed_forgets_what_was_long_ago() -> None:
    speed = Speed()
    assert speed.per_second() is None
    for second in range(60):
        speed.add(float(second), 1000 + min(second, 30) * 10 + max(second - 30, 0) * 2)
    assert speed.per_second() == pytest.approx(2)


def test_a_run_that_only_reused_says_so() -> None:
    end = events.RunFinished(None, None, Path("made/here"), 0.2)
    assert summary_lines(end, ["a", "b"], []) == ["made/here", "took 0.2 s; everything was reused"]


def test_a_node_that_was_reused_and_then_made_again_has_run() -> None:
    tally = render.Tally()
    tally.add(events.NodeReused("embed", "k"))
    tally.add(events.NodeReused("track", "k"))
    tally.add(events.NodeFinished("embed", "k", 1.0, 0))
    assert (tally.reused, tally.ran) == (["track"], ["embed"])
