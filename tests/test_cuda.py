"""Everything that computes on a device computes on one that is not the processor, and the same."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.tiny_perceptual import save_squeeze, save_vgg19
from tests.pretended_device import pretended_cuda
from tests.stages.conftest import EXAMPLES, ffmpeg
from tests.stages.test_reenactment import frames_of
from tests.synthesis.test_neural import SIZE_PX, noise, posed
from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import (
    ADVERSARIAL,
    SMALL_PAPER,
    SMALL_SWIFT,
    small_options,
    write_drawn_faces,
)
from tests.training.test_few_shot import OPTIONS, embedded, made_networks, shots
from thvideo.draft.warp_generator import WarpGenerator
from thvideo.evaluation.pixels import perceptual_distances
from thvideo.imaging.picture import load_picture
from thvideo.landmarks.bundled import BundledTracker
from thvideo.models.perceptual import perceptual_net
from thvideo.models.precision import Precision
from thvideo.models.presets import ModelOptions
from thvideo.pipeline.events import RunFinished
from thvideo.pipeline.graph import stage_graph
from thvideo.pipeline.recipe import make_recipe
from thvideo.pipeline.runner import run
from thvideo.stages.base import Resources
from thvideo.synthesis.networks import embed_crops, load_networks
from thvideo.synthesis.neural import NeuralGenerator, SourceCrops, feed_forward
from thvideo.training.few_shot import FineTuning
from thvideo.training.meta import MetaRun
from thvideo.training.meta_options import Budget, HowToRun
from thvideo.weights.cards import shipped_weight
from thvideo.workspace.store import Workspace

Made = Sequence[np.ndarray]
POINTS = posed(0, 10).astype(np.float32)
PRESETS = [pytest.param(SMALL_SWIFT, id="swift"), pytest.param(SMALL_PAPER, id="paper")]


def agree(make: Callable[[torch.device], Made], most: float = 0.0) -> None:
    """Make something on the processor and on the device, and compare."""
    wanted = make(torch.device("cpu"))
    with pretended_cuda() as device:
        made = make(device)
    for a, b in zip(wanted, made, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=most)


def test_what_a_device_refuses_is_refused() -> None:
    with pretended_cuda() as device:
        there, here = torch.ones(3, device=device), torch.ones(3)
        assert there.device == device and (there + 1).device == device
        assert (there + here.sum())[torch.tensor([0, 2])].tolist() == [4, 4]
        assert there.cpu().numpy().tolist() == [1, 1, 1]
        for refused in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: here[there.long()],
            lambda: torch.rand(2, device=device, generator=torch.Generator()),
        ):
            with pytest.raises(RuntimeError, match="device"):
                refused()
        with pytest.raises(TypeError, match="to numpy"):
            np.asarray(there)


def test_faces_are_found_and_their_landmarks_placed() -> None:
    frames = load_picture(EXAMPLES / "painting.jpg", 2000)[None]

    def found(device: torch.device) -> Made:
        tracker = BundledTracker(str(device), "fp32")
        faces = tracker.detect(frames)[0]
        assert len(faces) == 1
        box = np.float32([[*(faces[0, :2] + faces[0, 2:4]) / 2, np.ptp(faces[0, :4:2]), 0]])
        return [faces, *tracker.landmarks(frames, box)]

    agree(found)


def test_splines_are_solved_and_drawn() -> None:
    def drawn(device: torch.device) -> Made:
        generator = WarpGenerator(noise(), POINTS[:1], device)
        points = generator.settle(posed(-30, 3, 40))
        draft = generator.draw(points)
        return [points, draft.frames, draft.flow.cpu().numpy()]

    agree(drawn)


def drawn_by(weights: Path, preset: str) -> Callable[[torch.device], Made]:
    """Embed a person of two crops and draw from both."""

    def drawn(device: torch.device) -> Made:
        networks = load_networks(weights, preset, device)
        embedding = embed_crops(networks, noise(2), POINTS)
        adain = feed_forward(networks, embedding)
        precision: Precision = "fp32" if device.type == "cpu" else "bf16"
        generator = NeuralGenerator(networks, SourceCrops(noise(2), POINTS), adain, precision)
        points = generator.settle(posed(-5, 3, 20))
        return [embedding, points, generator.generate(points, np.array([1, 0, 1]))]

    return drawn


def test_the_shipped_networks_embed_and_draw() -> None:
    agree(drawn_by(shipped_weight("swift"), "swift"))


def test_the_paper_s_networks_embed_and_draw(tmp_path: Path) -> None:
    agree(drawn_by(write_tiny(tmp_path / "p.safetensors", SMALL_PAPER), "paper"))


@pytest.mark.parametrize("name", ["vgg19", "lpips-squeeze"])
def test_pictures_are_measured_by_what_networks_see(name: str, tmp_path: Path) -> None:
    path = {"vgg19": save_vgg19, "lpips-squeeze": save_squeeze}[name](tmp_path)
    mask = np.ones((SIZE_PX, SIZE_PX), bool)
    mask[:20] = False

    def measured(device: torch.device) -> Made:
        net = perceptual_net(name, path).to(device)
        return [perceptual_distances(net, noise(2), noise(2)[:, ::-1], mask, device)]

    agree(measured, 1e-6)


def test_a_person_is_learned(tmp_path: Path) -> None:
    losses = replace(OPTIONS.losses, content=(("vgg19", 1e-2),))
    options = replace(OPTIONS, losses=losses, steps=1, batch_size=2, n_held_out=1, n_deformed=2)

    def learned(device: torch.device) -> Made:
        networks = made_networks(SMALL_PAPER)
        person = embedded(networks)
        perceptual = {"vgg19": perceptual_net("vgg19", save_vgg19(tmp_path)).to(device)}
        tuning = FineTuning(
            networks, shots(4), options, perceptual=perceptual, embedding=person, device=device
        )
        points = [list(vars(point).values()) for point in tuning.run()]
        tensors = [value.cpu().numpy() for value in tuning.personal.generator.values()]
        return [np.array(points), *tensors]

    agree(learned, 1e-5)


@pytest.mark.filterwarnings("ignore:'pin_memory'")
@pytest.mark.parametrize("models", PRESETS)
def test_networks_are_meta_trained_validated_saved_and_resumed(
    models: ModelOptions, tmp_path: Path
) -> None:
    data = write_drawn_faces(tmp_path / "set")
    losses = replace(ADVERSARIAL["losses"], content=(("vgg19", 1e-2),))
    changes = ADVERSARIAL | {"losses": losses, "adversarial_from": 0}
    path = (("vgg19", save_vgg19(tmp_path)),)
    options = small_options(data, models.preset, **changes, perceptual=path)

    def trained(device: torch.device) -> Made:
        folder = tmp_path / device.type
        how = HowToRun(device, workers=0)
        first = MetaRun(folder, options, how, models)
        first.begin()
        list(first.run(Budget(steps=1)))
        resumed = MetaRun(folder, options, how, models)
        resumed.resume()
        list(resumed.run(Budget(steps=2)))
        return [value.cpu().numpy() for value in resumed.learner.weights().values()]

    agree(trained, 1e-5)


def test_the_whole_pipeline_draws_the_same_frames(tmp_path: Path) -> None:
    driver, weights = tmp_path / "driver.mp4", tmp_path / "w.safetensors"
    ffmpeg("-i", EXAMPLES / "driver.mp4", "-frames:v", "8", "-an", driver)
    write_tiny(weights, SMALL_SWIFT, spread=0.02)
    given = {"sources": (EXAMPLES / "painting.jpg",), "driver": driver, "weights": weights}
    graph = stage_graph("reenact", make_recipe(given | {"size": 128, "finetune_steps": 1}))

    def drawn(device: torch.device) -> Made:
        resources = Resources(str(device), threads=2)
        *_, last = run(graph, Workspace(tmp_path / device.type), resources)
        assert isinstance(last, RunFinished) and last.artifact is not None
        made = json.loads((last.artifact / "artifact.json").read_text())
        assert made["facts"]["device"] == str(device)
        [chunk] = last.artifact.glob("crops-*.mkv")
        return [frames_of(chunk).astype(np.float32)]

    # A first step of Adam takes gradients' signs: of those near 0 it shows how they were rounded.
    agree(drawn, 8)
