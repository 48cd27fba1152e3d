"""Training of the foveal networks: what they are shown, what learns, and what does not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.drawn_faces import (
    ADVERSARIAL,
    QUICK,
    SIZE_PX,
    SMALL_FOVEAL,
    SMALL_SWIFT,
    drawn_points,
    small_options,
)
from tests.training.small_runs import QUIET, begun, made
from thvideo.errors import UsageError
from thvideo.landmarks.patches import MOUTH, RIGHT_EYE, opening
from thvideo.models.presets import ModelOptions
from thvideo.models.shown import Drawn
from thvideo.synthesis.networks import DrawingNetworks
from thvideo.synthesis.neural import NeuralGenerator, SourceCrops
from thvideo.synthesis.patches import PatchPainter
from thvideo.training.batch import Batch, Episode, stack
from thvideo.training.change import EpisodeOptions
from thvideo.training.episodes import Episodes, telling_frame
from thvideo.training.learner import Learner
from thvideo.training.meta_options import Budget, HowToRun
from thvideo.training.validation import Validation

HERE = HowToRun(torch.device("cpu"), workers=0)
FINE_PX = 256


def learner_of(drawn: Path, models: ModelOptions = SMALL_FOVEAL, **changes) -> Learner:
    options = small_options(drawn, **(ADVERSARIAL | changes))
    return Learner(options, models, 8, HERE, {})


def batch_of(drawn: Path, **changes) -> Batch:
    episodes = Episodes(
        drawn, "train", SIZE_PX, EpisodeOptions(**changes), seed=1, with_patches=True
    )
    return episodes.batch(0, range(3))


def grey_episode() -> Episode:
    """A smooth picture without colour, and so without a cast, under two of a person's faces."""
    rng = np.random.default_rng(2)
    coarse = torch.from_numpy(rng.uniform(0, 255, (2, 1, 12, 12)))
    fine = torch.nn.functional.interpolate(coarse, (FINE_PX, FINE_PX), mode="bicubic")
    grey = fine.clamp(0, 255).byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    points = np.stack([drawn_points(0, 0, frame) for frame in (3, 0)])
    points = ((points + 0.5) * (FINE_PX / SIZE_PX) - 0.5).astype(np.float32)
    mask = np.full((FINE_PX, FINE_PX), 255, np.uint8)
    return Episode(np.ascontiguousarray(grey), points, points[0], mask, 0, 0)


def test_networks_are_shown_in_training_what_they_are_shown_at_work(drawn: Path) -> None:
    episode = grey_episode()
    batch = stack([episode], SIZE_PX, with_patches=True)
    assert batch.patches is not None
    learner = learner_of(drawn)
    networks = learner.networks
    torch.manual_seed(0)
    # Awake, but too weak for detail to give way.
    networks.generator.last.weight.data.normal_(0, 0.01)
    networks.generator.flow.last.bias.data[:] = torch.tensor([0.3, -0.2, -9.0])
    with torch.inference_mode():
        adain = networks.generator.adain_parameters(torch.randn(1, 16))
        trained_on = batch.patches.shown(networks.generator(batch.shown(), adain))
    source = SourceCrops(episode.pictures[1:], episode.points[1:])
    both = DrawingNetworks(networks.embedder, networks.generator, SIZE_PX, HERE.device)
    generator = NeuralGenerator(both, source, adain[0], "fp32")
    wanted = episode.points[:1].astype(np.float64)
    frames = generator.generate(wanted)
    painter = PatchPainter(source.crops, source.landmarks, generator._cast, HERE.device)
    at_work = painter.shown(frames, wanted)
    for here, there in zip(trained_on, at_work, strict=True):
        for name, limit in (("base", 0.02), ("shapes", 0.01), ("own", 0.01), ("own_shapes", 0.01)):
            apart = (getattr(here, name) - getattr(there, name)).abs()
            assert apart.mean() < limit, name
    # The places of both agree, too: half a pixel beside is seen in so much.
    base = trained_on.mouth.base
    assert (base - base.roll(1, dims=3)).abs().mean() > 0.03


def test_parts_of_a_batch_hold_their_own_patches(drawn: Path) -> None:
    whole = batch_of(drawn)
    part = whole.part(slice(1, 3))
    assert whole.patches is not None and part.patches is not None
    assert torch.equal(part.patches.draft, whole.patches.draft[1:3])
    assert torch.equal(part.patches.mouth.truth, whole.patches.mouth.truth[1:3])
    assert torch.equal(part.patches.eyes.shapes, whole.patches.eyes.shapes[2:6])
    assert torch.equal(part.target, whole.target[1:3])
    assert part.target.shape[-1] == SIZE_PX and part.patches.draft.shape[-1] == FINE_PX


def test_no_gradient_of_a_patch_reaches_the_whole_picture(drawn: Path) -> None:
    batch = batch_of(drawn)
    assert batch.patches is not None
    image = torch.zeros(3, 3, SIZE_PX, SIZE_PX, requires_grad=True)
    drawn_now = Drawn(image, image, torch.zeros(3, 4, 4, 2), torch.zeros(3, 1, 4, 4))
    assert not batch.patches.shown(drawn_now).mouth.base.requires_grad


@pytest.mark.parametrize("trained", ["all", "foveal"])
def test_what_is_to_be_trained_learns_and_nothing_else(drawn: Path, trained: str) -> None:
    learner = learner_of(drawn, trained=trained, adversarial_from=0)
    before = {
        f"{kind}.{name}": value.detach().clone()
        for kind, network in zip("EGD", learner.networks, strict=True)
        for name, value in network.named_parameters()
    }
    batch = batch_of(drawn, with_drafts=False)
    for _ in range(3):
        terms = learner.train([batch])
    assert {"mouth_l1", "eyes_region", "mouth_adversarial", "eyes_hinge"} <= terms.keys()
    assert ("l1" in terms) == (trained == "all")
    changed = {
        f"{kind}.{name}"
        for kind, network in zip("EGD", learner.networks, strict=True)
        for name, value in network.named_parameters()
        if not torch.equal(value, before[f"{kind}.{name}"])
    }
    foveal = {k for k in before if k.startswith(("G.fovea.", "D.patches."))}
    # W of patches has one column for all videos, which is w_0's own.
    still = {k for k in foveal if k.endswith("columns.weight")}
    assert changed >= foveal - still
    assert (changed <= foveal) == (trained == "foveal")


def test_foveal_networks_learn_what_the_others_cannot_draw(drawn: Path) -> None:
    changes = QUICK | {"adversarial_from": 10**6, "trained": "foveal", "batch_size": 4}
    options = small_options(drawn, **(ADVERSARIAL | changes))
    learner = Learner(options, SMALL_FOVEAL, 8, HERE, {})
    train, val = (
        Episodes(drawn, split, SIZE_PX, options.episodes, seed=2, with_patches=True)
        for split in ("train", "val")
    )
    validation = Validation.of(val, 8, {})
    for number in range(40):
        learner.train([train.batch(number, range(4))])
    values = validation.measure(learner.settled(), HERE.device)
    # The mouth brightens as it opens.
    assert values["mouth_l1"] < 0.85 * values["mouth_base_l1"]
    sheet = validation.preview(learner.settled(), HERE.device)
    assert sheet.shape == (8 * SIZE_PX, 7 * SIZE_PX, 3)


def test_weights_of_old_begin_with_fresh_foveal_networks(drawn: Path) -> None:
    old = learner_of(drawn, SMALL_SWIFT, seed=5)
    for name in ("embedder", "generator"):
        for value in getattr(old.averaged, name).parameters():
            value.data += 0.01
    weights, learner = old.weights(), learner_of(drawn)
    fresh = learner.weights()
    learner.start_from(weights)
    found = learner.weights()
    foveal = ("generator.fovea.", "discriminator.patches.")
    assert any(name.startswith(foveal[0]) for name in found)
    for name, value in found.items():
        wanted = fresh if name.startswith(foveal) else weights
        assert torch.equal(value, wanted[name]), name


def test_a_resumed_run_with_patches_ends_with_the_same_bits(
    drawn: Path, tmp_path: Path, one_thread: None
) -> None:
    changes = {"episodes": EpisodeOptions(with_drafts=False, telling=0.5), "trained": "foveal"}
    whole = begun(drawn, tmp_path / "whole", SMALL_FOVEAL, **changes)
    list(whole.run(Budget(steps=4, **QUIET)))
    first = begun(drawn, tmp_path / "parts", SMALL_FOVEAL, **changes)
    list(first.run(Budget(steps=2, **QUIET)))
    second = made(drawn, tmp_path / "parts", SMALL_FOVEAL, **changes)
    second.resume()
    list(second.run(Budget(steps=4, **QUIET)))
    wanted = whole.learner.weights() | whole.learner.training_tensors()
    found = second.learner.weights() | second.learner.training_tensors()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("place", [MOUTH, RIGHT_EYE])
def test_telling_targets_are_far_from_as_open_as_their_source(place) -> None:
    points = np.stack([drawn_points(0, 0, 0)] * 40).astype(np.float32)
    # One frame in eight is wide open, and one in eight has its eyes shut.
    points[::8, [65, 66, 67]] += [0, 12]
    points[1::8, 36:42, 1] = points[1::8, 36:42, 1].mean(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    wanted = opening(points, place) - opening(points[2:3], place)
    told = [telling_frame(rng, points, [2]) for _ in range(200)]
    plain = rng.choice(40, 200)
    assert np.abs(wanted[told]).mean() > 1.8 * np.abs(wanted[plain]).mean()
    assert 2 not in told


def test_networks_without_foveal_ones_are_told_that_there_is_nothing_to_train(
    drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no foveal ones"):
        made(drawn, tmp_path / "run", SMALL_SWIFT, trained="foveal")
