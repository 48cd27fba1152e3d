"""Training runs of the tracker: losses know right from wrong, runs end, resume and export."""

import copy
import json
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from thvideo.models.detector import STRIDE_PX
from thvideo.models.landmark_net import CROP_PX, ConvNorm, soft_argmax
from thvideo.models.precision import Precision
from thvideo.training import timed_run
from thvideo.training.timed_run import Batch, RunOptions, Seen, TimedRun, prefetched, rate_at
from thvideo.training.tracker_detector import centre_targets, giou
from thvideo.training.tracker_export import Origin, export_weights
from thvideo.training.tracker_landmarks import landmark_loss, target_maps
from thvideo.weights.cards import sha256_of


class _Fixed(nn.Module):
    """Answers with given maps, whatever the crops."""

    def __init__(self, maps: Tensor, face: Tensor) -> None:
        super().__init__()
        self.maps, self.face = maps, face

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.maps, self.face


class _Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, given: Tensor) -> Tensor:
        return self.layer(given)


def _batches() -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    while True:
        given = torch.randn(8, 2, generator=generator)
        yield {"x": given, "y": given.sum(1, keepdim=True)}


def _loss(net: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
    return (net(batch["x"]) - batch["y"]).square().mean(), {}


def test_target_maps_have_their_mean_at_the_point() -> None:
    points = torch.rand(1, 70, 2) * (CROP_PX - 40) + 20
    found = soft_argmax(target_maps(points, 32).clamp(min=1e-30).log())
    torch.testing.assert_close((found + 0.5) * 4 - 0.5, points, atol=0.05, rtol=0)


def test_the_landmark_loss_is_lower_where_the_points_are_right() -> None:
    points = torch.rand(2, 70, 2) * 80 + 24
    right = target_maps(points, 32).clamp(min=1e-9).log()
    face = torch.tensor([6.0, 6.0])
    batch = {"crops": torch.zeros(2, 3, CROP_PX, CROP_PX, dtype=torch.uint8), "points": points}
    good, stats = landmark_loss(_Fixed(right, face), batch, 0.0)
    bad, _ = landmark_loss(_Fixed(right.roll(5, dims=3), face), batch, 0.0)
    assert stats["error"] < 0.02
    assert good < bad - 1


def test_crops_without_a_face_only_teach_the_face_logit() -> None:
    batch = {
        "crops": torch.zeros(1, 3, CROP_PX, CROP_PX, dtype=torch.uint8),
        "points": torch.full((1, 70, 2), float("nan")),
    }
    maps = torch.randn(1, 70, 32, 32)
    sure, _ = landmark_loss(_Fixed(maps, torch.tensor([-6.0])), batch, 0.0)
    wrong, _ = landmark_loss(_Fixed(maps, torch.tensor([6.0])), batch, 0.0)
    assert torch.isfinite(sure)
    assert sure < wrong


def test_centre_targets_are_one_at_the_cell_of_each_face() -> None:
    boxes = torch.tensor([[[40.0, 40, 72, 72], [float("nan")] * 4]])
    heat, owner = centre_targets(boxes, 16, 16)
    assert (heat[0] == 1).nonzero().tolist() == [[56 // STRIDE_PX] * 2]
    assert owner[0, 7, 7] == 0


def test_giou_of_known_boxes() -> None:
    first = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2], [0.0, 0, 1, 1]])
    second = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [2.0, 0, 3, 1]])
    np.testing.assert_allclose(giou(first, second), [1.0, 1 / 3, -1 / 3], atol=1e-6)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    options = RunOptions(seconds=10, peak_lr=1.0, warmup=0.1)
    rates = [rate_at(progress, options) for progress in (0.0, 0.1, 0.5, 1.0)]
    assert rates[1] == pytest.approx(1.0)
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] == pytest.approx(0.0)


def test_a_run_learns_ends_on_time_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock on which a step takes 2 ms.
    clock = SimpleNamespace(monotonic=partial(next, count(step=0.002)))
    monkeypatch.setattr(timed_run, "time", clock)
    torch.manual_seed(0)
    net = _Line()
    options = RunOptions(seconds=0.5, peak_lr=0.05)
    run = TimedRun(net, copy.deepcopy(net), tmp_path, options)
    run.fit(_batches(), _loss, lambda _: {"done": 1.0})
    with torch.no_grad():
        assert _loss(net, next(_batches()), 0)[0] < 0.05
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["val/done"] == 1.0
    again = TimedRun(_Line(), _Line(), tmp_path, options)
    assert again.resume()
    assert again.step == run.step
    for name, value in again.net.state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[name])
    again.fit(_batches(), _loss, lambda _: {})
    assert again.step == run.step


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_net_alone_is_trained_in_the_arithmetic_of_the_options(
    tmp_path: Path, precision: Precision
) -> None:
    kinds = []

    def loss(net: Seen, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        seen = net(batch["x"])
        kinds.append((seen.dtype, torch.is_autocast_enabled("cpu")))
        return seen.float().mean(), {}

    run = TimedRun(_Line(), _Line(), tmp_path, RunOptions(seconds=1e-6, precision=precision))
    run.fit(_batches(), loss, lambda _: {})
    assert kinds == [({"fp32": torch.float32, "bf16": torch.bfloat16}[precision], False)]


def test_an_error_while_making_batches_reaches_the_trainer() -> None:
    def broken() -> Batch:
        raise ValueError("no pictures")

    with pytest.raises(ValueError, match="no pictures"):
        next(prefetched(broken))


def test_exported_weights_are_folded_halves_with_a_card_of_their_digest(tmp_path: Path) -> None:
    net = nn.Sequential(ConvNorm(3, 4))
    trained = TimedRun(net, copy.deepcopy(net), tmp_path, RunOptions(seconds=1))
    trained.save()
    target = tmp_path / "small.safetensors"
    origin = Origin("a test", "nothing", "pytest", 0.0, {"error": 1.0})
    export_weights(nn.Sequential(ConvNorm(3, 4)), tmp_path / "average.safetensors", target, origin)
    tensors = load_file(target)
    assert set(tensors) == {"0.0.weight", "0.0.bias"}
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["sha256"] == sha256_of(target)
