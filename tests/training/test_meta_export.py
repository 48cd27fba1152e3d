"""A run becomes one file: the chosen checkpoint, halved, with a card that says how it was made."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from thvideo.errors import InputError, UsageError, WorkspaceError
from thvideo.training.meta_export import export_run
from thvideo.weights.load import load_weights

OPTIONS = {
    "options": {
        "data": "/a/secret/place/people",
        "sizes": [[128, 30], [256, 0]],
        "perceptual": [["vgg19", "/a/secret/place/vgg19.pth"]],
        "lr": 5e-4,
    },
    "models": {"preset": "swift", "networks": {"widths": [4, 8]}},
    "draw_style": 1,
}
# Two calls: the second begins after step 30 and counts its seconds anew.
METRICS = (
    {"step": 20, "s": 60.0, "loss": 3.0},
    {"step": 20, "val_ssim": 0.6},
    {"step": 30, "s": 90.0, "loss": 2.0},
    {"step": 40, "s": 30.0, "loss": 1.0},
    {"step": 40, "val_ssim": 0.7},
    {"step": 50, "s": 60.0, "loss": 1.0},
)


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "embedder.first.weight": torch.randn(4, 3, generator=generator),
        "generator.last.weight": torch.randn(5, 2, generator=generator),
        "generator.large": torch.tensor([[1e6]]),
        "generator.count": torch.tensor([3]),
        "discriminator.w_0": torch.randn(8, generator=generator),
        "discriminator.columns.weight": torch.randn(100, 8, generator=generator),
    }


def add_checkpoint(run: Path, name: str, seed: int, step: int) -> None:
    (run / name).mkdir(parents=True)
    save_file(weights(seed), run / name / "weights.safetensors")
    (run / name / "state.json").write_text(json.dumps({"step": step, "best": 0.5}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for name, seed, step in (("best", 1, 40), ("last", 2, 50), ("step-20", 3, 20)):
        add_checkpoint(folder, name, seed, step)
    (folder / "options.json").write_text(json.dumps(OPTIONS))
    lines = "".join(json.dumps(line) + "\n" for line in METRICS)
    (folder / "metrics.jsonl").write_text(lines + '{"step": 50, "va')
    return folder


def test_the_best_checkpoint_is_exported_with_how_it_was_made(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "swift.safetensors"
    card = export_run(run, target, said={"use": "tests only"})
    parts, read = load_weights(target, "swift", draw_style=1)
    assert read == card
    assert card["name"] == "swift"
    assert card["use"] == "tests only"
    assert (card["steps"], card["size_px"], card["draw_style"]) == (40, 256, 1)
    assert card["options"] == OPTIONS["models"]
    assert card["measured"] == {"ssim": 0.7}
    assert card["training"]["minutes"] == 2.0
    assert card["training"]["options"]["lr"] == 5e-4
    wanted = weights(1)["embedder.first.weight"]
    assert torch.equal(parts["embedder"]["first.weight"], wanted.half().float())


@pytest.mark.parametrize(("checkpoint", "seed", "step"), [("last", 2, 50), ("step-20", 3, 20)])
def test_another_checkpoint_can_be_chosen(
    run: Path, tmp_path: Path, checkpoint: str, seed: int, step: int
) -> None:
    target = tmp_path / "w.safetensors"
    card = export_run(run, target, checkpoint, said={}, is_halved=False)
    assert card["steps"] == step
    assert card["size_px"] == (256 if step > 30 else 128)
    assert card["storage"] == "float32, int64"
    found = load_file(target)["embedder.first.weight"]
    assert torch.equal(found, weights(seed)["embedder.first.weight"])


def test_vectors_and_what_halves_cannot_hold_stay_and_columns_of_training_videos_stay_behind(
    run: Path, tmp_path: Path
) -> None:
    card = export_run(run, tmp_path / "w.safetensors", said={})
    found = load_file(tmp_path / "w.safetensors")
    assert sorted(set(weights(1)) - set(found)) == ["discriminator.columns.weight"]
    assert found["generator.last.weight"].dtype == torch.float16
    assert found["discriminator.w_0"].dtype == torch.float32
    assert found["generator.large"].item() == 1e6
    assert found["generator.count"].tolist() == [3]
    assert card["parameters"] == {"embedder": 12, "generator": 12, "discriminator": 8}


def test_a_card_says_what_a_person_says_and_no_folder_of_this_machine(
    run: Path, tmp_path: Path
) -> None:
    card = export_run(run, tmp_path / "w.safetensors", said={})
    assert card["data"] == "the dataset people"
    assert card["training"]["options"]["perceptual"] == ["vgg19"]
    assert b"secret" not in (tmp_path / "w.safetensors").read_bytes()
    assert "secret" not in (tmp_path / "w.json").read_text()
    said = export_run(run, tmp_path / "w.safetensors", said={"data": "3 people who agreed"})
    assert said["data"] == "3 people who agreed"


def test_a_run_that_is_not_there_or_has_no_checkpoint_is_told(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="no run") as error:
        export_run(tmp_path / "nothing", target, said={})
    assert "thvideo metatrain" in error.value.hint
    (tmp_path / "young").mkdir()
    with pytest.raises(InputError, match="no checkpoint yet"):
        export_run(tmp_path / "young", target, said={})
    with pytest.raises(InputError, match="best, last, step-20") as error:
        export_run(run, target, "step-7", said={})
    assert error.value.hint == "pass --checkpoint last"
    assert not target.exists()


def test_a_checkpoint_whose_replacement_died_is_exported_and_half_ones_are_not_named(
    run: Path, tmp_path: Path
) -> None:
    (run / "best").rename(run / "best.old")
    add_checkpoint(run, "last.partial", 4, 60)
    card = export_run(run, tmp_path / "w.safetensors", said={})
    assert card["steps"] == 40
    with pytest.raises(InputError, match=r"\(there: best, last, step-20\)"):
        export_run(run, tmp_path / "w.safetensors", "step-7", said={})


def test_a_damaged_run_is_told_and_leaves_the_old_file(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "w.safetensors"
    export_run(run, target, said={})
    before = target.read_bytes()
    broken = weights(1)
    broken["generator.last.weight"][0, 0] = torch.nan
    save_file(broken, run / "best" / "weights.safetensors")
    with pytest.raises(InputError, match=r"generator\.last\.weight"):
        export_run(run, target, said={})
    (run / "last" / "state.json").unlink()
    with pytest.raises(InputError, match=r"state\.json"):
        export_run(run, target, "last", said={})
    (run / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="step"):
        export_run(run, target, "step-20", said={})
    (run / "options.json").write_text("{}")
    with pytest.raises(InputError, match="options"):
        export_run(run, target, "step-20", said={})
    assert target.read_bytes() == before


def test_only_safetensors_are_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        export_run(run, tmp_path / "w.pth", said={})
    assert error.value.hint.endswith("w.safetensors")


@pytest.mark.parametrize("name", ["w.safetensors", "w.json"])
def test_a_file_of_something_else_is_not_overwritten(run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"my": "notes"}')
    with pytest.raises(UsageError, match="none of ours"):
        export_run(run, tmp_path / "w.safetensors", said={})
    assert (tmp_path / name).read_text() == '{"my": "notes"}'
    # Damaged weights are ours: exporting mends them.
    (tmp_path / name).unlink()
    export_run(run, tmp_path / "w.safetensors", said={})
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-9])
    export_run(run, tmp_path / "w.safetensors", said={})
    assert (tmp_path / "w.safetensors").stat().st_size == len(whole)


def test_a_target_that_cannot_be_written_is_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError):
        export_run(run, tmp_path / "file" / "w.safetensors", said={})
    (tmp_path / "w.safetensors").mkdir()
    with pytest.raises(WorkspaceError):
        export_run(run, tmp_path / "w.safetensors", said={})
    assert not list(tmp_path.glob(".*"))
