"""Learned generators through the whole pipeline: what runs again, and what is said when wrong."""

from pathlib import Path

import pytest

from tests.stages.conftest import Runner
from tests.stages.test_reenactment import frames_of, ran
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_PAPER, SMALL_SWIFT
from thvideo.errors import InputError, UsageError
from thvideo.pipeline.graph import reenact_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.synthesis.identity import load_identity


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(
        tmp_path_factory.mktemp("w") / "mine.safetensors", SMALL_SWIFT, spread=0.02, seed=5
    )


def learned(path: Path, generator: str = "swift") -> dict[str, object]:
    return {"generator": generator, "weights": path, "finetune_steps": 0, "size": 128}


def test_a_learned_generator_draws_and_a_second_run_reuses_all(
    reenact: Runner, swift: Path, tmp_path: Path, shared_workspace: Path
) -> None:
    events = reenact(tmp_path / "a.mp4", **learned(swift))
    assert {"embed", "reenact", "composite"} <= set(ran(events))
    assert len(frames_of(tmp_path / "a.mp4")) == 48
    assert ran(reenact(tmp_path / "b.mp4", **learned(swift))) == []
    identities = sorted((shared_workspace / "artifacts" / "embed").glob("*/identity.npz"))
    assert 16 in {len(load_identity(path).embedding) for path in identities}


def test_a_copied_weights_file_is_the_same_and_another_one_is_not(
    reenact: Runner, swift: Path, tmp_path: Path
) -> None:
    reenact(tmp_path / "a.mp4", **learned(swift))
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(swift.read_bytes())
    copied.with_suffix(".json").write_bytes(swift.with_suffix(".json").read_bytes())
    assert ran(reenact(tmp_path / "b.mp4", **learned(copied))) == []
    other = write_tiny(tmp_path / "other.safetensors", SMALL_SWIFT, spread=0.02, seed=1)
    assert ran(reenact(tmp_path / "c.mp4", **learned(other))) == ["embed", "reenact", "composite"]


def test_the_paper_preset_draws_too(reenact: Runner, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "paper.safetensors", SMALL_PAPER)
    reenact(tmp_path / "a.mp4", **learned(path, "paper"))
    assert len(frames_of(tmp_path / "a.mp4")) == 48


def test_weights_of_the_other_preset_end_with_a_hint(
    reenact: Runner, swift: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not 'paper'"):
        reenact(tmp_path / "a.mp4", **learned(swift, "paper"))


def test_a_generator_whose_weights_do_not_ship_says_what_makes_them(
    painting: Path, driver: Path, tmp_path: Path
) -> None:
    given = {"sources": (painting,), "driver": driver, "output": tmp_path / "a.mp4"}
    with pytest.raises(InputError, match="no weights of the paper generator") as caught:
        reenact_graph(make_recipe({**given, "generator": "paper"}))
    assert "thvideo metatrain" in caught.value.hint


def test_the_warp_takes_no_weights(
    painting: Path, driver: Path, swift: Path, tmp_path: Path
) -> None:
    given = {"sources": (painting,), "driver": driver, "output": tmp_path / "a.mp4"}
    with pytest.raises(UsageError, match="takes no weights"):
        reenact_graph(make_recipe({**given, "generator": "warp", "weights": swift}))


def test_weights_that_do_not_fit_are_told_by_the_plan_already(
    painting: Path, driver: Path, swift: Path, tmp_path: Path
) -> None:
    given = {"sources": (painting,), "driver": driver, "output": tmp_path / "a.mp4"}
    with pytest.raises(InputError, match="not 'paper'"):
        reenact_graph(make_recipe({**given, "generator": "paper", "weights": swift}))
    text = tmp_path / "text.safetensors"
    text.write_text("hello, I am no weights at all")
    with pytest.raises(InputError):
        reenact_graph(make_recipe({**given, "generator": "swift", "weights": text}))


def test_the_warp_has_nothing_to_fine_tune(painting: Path, driver: Path, tmp_path: Path) -> None:
    given = {"sources": (painting,), "driver": driver, "output": tmp_path / "a.mp4"}
    with pytest.raises(UsageError, match="nothing to fine-tune"):
        reenact_graph(make_recipe({**given, "generator": "warp", "finetune_steps": 20}))
