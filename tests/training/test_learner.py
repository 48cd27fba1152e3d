"""One step: each network learns from its own loss alone, and the averages follow."""

from pathlib import Path

import pytest
import torch

from tests.training.drawn_faces import (
    ADVERSARIAL,
    SIZE_PX,
    SMALL_PAPER,
    SMALL_SWIFT,
    small_options,
)
from thvideo.models.presets import ModelOptions
from thvideo.training.batch import Batch
from thvideo.training.change import EpisodeOptions
from thvideo.training.episodes import Episodes
from thvideo.training.learner import Learner, embed
from thvideo.training.meta_options import HowToRun
from thvideo.training.validation import Validation

HERE = HowToRun(torch.device("cpu"), workers=0)


@pytest.fixture(scope="module")
def batches(drawn: Path) -> list[Batch]:
    made = Episodes(drawn, "train", SIZE_PX, EpisodeOptions(with_drafts=False))
    return [made.batch(number, range(2)) for number in range(3)]


def made(drawn: Path, models: ModelOptions = SMALL_SWIFT, **changes) -> Learner:
    options = small_options(drawn, models.preset, **(ADVERSARIAL | changes))
    return Learner(options, models, 8, HERE, {})


def changed(learner: Learner, before: dict[str, torch.Tensor]) -> set[str]:
    return {name.partition(".")[0] for name, value in parameters(learner).items()
            if not torch.equal(value, before[name])}  # fmt: skip


def parameters(learner: Learner) -> dict[str, torch.Tensor]:
    named = zip(("embedder", "generator", "discriminator"), learner.networks, strict=True)
    return {f"{kind}.{name}": value.detach().clone()
            for kind, network in named for name, value in network.named_parameters()}  # fmt: skip


@pytest.mark.parametrize("models", [SMALL_SWIFT, SMALL_PAPER], ids=["swift", "paper"])
def test_the_discriminator_rests_until_its_step(
    drawn: Path, batches: list[Batch], models: ModelOptions
) -> None:
    learner = made(drawn, models, adversarial_from=2)
    start = parameters(learner)
    # The first step moves what starts at zero; only then does a gradient reach what lies before.
    learner.train([batches[0]])
    terms = learner.train([batches[1]])
    assert "hinge" not in terms
    assert changed(learner, start) == {"embedder", "generator"}
    before = parameters(learner)
    terms = learner.train([batches[2]])
    assert {"hinge", "adversarial", "feature_matching", "matching"} <= terms.keys()
    assert changed(learner, before) == {"embedder", "generator", "discriminator"}
    untouched = set(range(8)) - set(batches[2].video.tolist())
    columns = learner.networks.discriminator.columns.weight
    own = before["discriminator.columns.weight"]
    assert all(torch.equal(columns[i], own[i]) for i in untouched)
    assert not any(torch.equal(columns[i], own[i]) for i in batches[2].video.tolist())


def test_gradients_reach_only_their_own_networks(drawn: Path, batches: list[Batch]) -> None:
    learner = made(drawn, adversarial_from=0)
    seen: list[tuple[set[str], bool]] = []
    update = learner._update

    def watching(networks, *optimizers):
        with_gradient = {
            kind
            for kind, network in zip("EGD", learner.networks, strict=True)
            if any(p.grad is not None for p in network.parameters())
        }
        seen.append((with_gradient, learner.networks.discriminator.columns.weight.grad is None))
        return update(networks, *optimizers)

    learner._update = watching
    learner.train([batches[0]])
    assert seen == [({"E", "G"}, True), ({"D"}, False)]


def test_a_gradient_reaches_every_parameter_after_two_steps(
    drawn: Path, batches: list[Batch]
) -> None:
    learner = made(drawn, adversarial_from=99, lr=1e-2)
    start = parameters(learner)
    for batch in batches:
        learner.train([batch])
    still = {name for name, value in parameters(learner).items() if torch.equal(value, start[name])}
    assert {name for name in still if not name.startswith("discriminator")} == set()


def test_averages_follow_the_weights(drawn: Path, batches: list[Batch]) -> None:
    learner = made(drawn, ema=0.5, adversarial_from=99)
    own, slow = learner.networks.generator.stem.weight, learner.averaged.generator.stem.weight
    expected = own.detach().clone()
    for step, batch in enumerate(batches):
        learner.train([batch])
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * own.detach()
    torch.testing.assert_close(slow, expected)
    assert not torch.equal(slow, own)
    assert not any(parameter.requires_grad for parameter in learner.averaged.generator.parameters())


def test_averaged_spectral_norms_are_those_of_the_averaged_weights(
    drawn: Path, batches: list[Batch]
) -> None:
    learner = made(drawn, SMALL_PAPER, lr=3e-2, ema=0.9)
    for batch in batches:
        learner.train([batch])
    layer = learner.settled().generator.down[0].conv_out
    assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2) == pytest.approx(1.0, abs=0.02)


def test_rates_rise_and_are_scaled(drawn: Path, batches: list[Batch]) -> None:
    learner = made(drawn, lr=1e-3, warmup=4, adversarial_from=99)
    learner.rate_scale = 0.5
    rates = []
    for batch in batches:
        learner.train([batch])
        rates.append(learner._optimizers["generator"].param_groups[0]["lr"])
    assert rates == pytest.approx([0.5e-3 / 4, 0.5e-3 / 2, 0.5e-3 * 3 / 4])


def test_networks_are_trained_in_the_arithmetic_of_the_options(
    drawn: Path, batches: list[Batch]
) -> None:
    told = {}
    for precision in ("fp32", "bf16"):
        learner = made(drawn, precision=precision)
        with learner.arithmetic():
            assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
        told[precision] = learner.train([batches[0]])
    assert told["bf16"] != told["fp32"]
    assert told["bf16"]["l1"] == pytest.approx(told["fp32"]["l1"], rel=2e-2)


def test_an_embedding_is_the_mean_over_an_episodes_sources(
    drawn: Path, batches: list[Batch]
) -> None:
    embedder = made(drawn).averaged.embedder
    batch = next(batch for batch in batches if batch.sources.shape[1] > 1)
    both = embed(embedder, batch)
    for index in range(len(batch.video)):
        pictures = batch.sources[index].float() / 127.5 - 1
        maps = batch.source_maps[index].float() / 127.5 - 1
        torch.testing.assert_close(both[index], embedder(pictures, maps).mean(0))


def test_an_untrained_swift_generator_measures_as_the_plain_warp(drawn: Path) -> None:
    networks = made(drawn).settled()
    episodes = Episodes(drawn, "val", SIZE_PX, small_options(drawn).episodes)
    validation = Validation.of(episodes, 10, {})
    assert [len(batch.video) for batch in validation.batches] == [8, 2]
    values = validation.measure(networks, HERE.device)
    for name in ("ssim", "l1", "region_l1"):
        # Its rim is the source itself.
        assert values[name] == pytest.approx(values[f"warp_{name}"], rel=5e-2)
    # By hand, over all episodes at once.
    drawn_and = [batch.shown().draft for batch in validation.batches]
    truth = torch.cat([batch.target for batch in validation.batches]).float() / 127.5 - 1
    by_hand = (torch.cat(drawn_and) - truth).abs().mean().item()
    assert values["warp_l1"] == pytest.approx(by_hand, rel=1e-4)
    sheet = validation.preview(networks, HERE.device)
    assert sheet.shape == (8 * SIZE_PX, 5 * SIZE_PX, 3)
    target = validation.batches[0].target[0].permute(1, 2, 0).numpy()
    assert abs(sheet[:SIZE_PX, 4 * SIZE_PX :].astype(int) - target).max() <= 1
