"""Losses against numbers computed by hand, and whose gradients a step touches."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.models.discriminator import Discriminator
from thvideo.models.generator import PaperOptions
from thvideo.models.presets import PRESETS, DiscriminatorOptions, Networks, build_networks
from thvideo.models.shown import Drawn, Shown
from thvideo.training.losses import (
    LOSS_WEIGHTS,
    Judges,
    LossWeights,
    Truth,
    adversarial_loss,
    discriminator_step_loss,
    feature_matching_loss,
    generator_step_loss,
    held,
    hinge_loss,
    masked_l1,
    matching_loss,
    true_outside,
)

SIDE_PX = 32
TINY = dataclasses.replace(
    PRESETS["paper"],
    networks=PaperOptions(SIDE_PX, (8, 16), (8, 16), n_same=1, attention=False),
    discriminator=DiscriminatorOptions((8, 16), attention_stride=None),
)
ALL_TERMS = LossWeights(matching=80.0, l1=2.0, region=3.0, warp=4.0)


class _Blocks(nn.Module):
    """Two fixed layers in the place of a perceptual network."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, functional.avg_pool2d(images, 4) * 3]


@pytest.fixture
def networks() -> Networks:
    torch.manual_seed(0)
    return build_networks(TINY, 6)


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _step(networks: Networks, pictures: Tensor) -> tuple[Drawn, Tensor, Truth]:
    maps = pictures.flip(3)
    embedding = networks.embedder(pictures, maps)
    shown = Shown(maps, pictures, maps, torch.zeros(len(pictures), 4, 4, 2), pictures, maps[:, :1])
    drawn = networks.generator(shown, networks.generator.adain_parameters(embedding))
    videos = torch.arange(len(pictures))
    judge = networks.discriminator
    truth = Truth(pictures, maps, judge.video_weights(videos), judge.columns(videos))
    return drawn, embedding, truth


def _without_gradient(network: nn.Module) -> bool:
    return all(parameter.grad is None for parameter in network.parameters())


def test_hinge_loss_stops_at_the_margin_on_both_sides() -> None:
    """max(0, 1 - 2), (1 - 0.25), (1 + 1.5) and (1 + 0.5), (1 - 3), (1 - 1)."""
    loss = hinge_loss(torch.tensor([2.0, 0.25, -1.5]), torch.tensor([0.5, -3.0, -1.0]))
    assert loss.item() == pytest.approx((0 + 0.75 + 2.5) / 3 + (1.5 + 0 + 0) / 3)


def test_adversarial_loss_is_minus_the_score_without_bounds() -> None:
    assert adversarial_loss(torch.tensor([7.0, -3.0])).item() == -2.0


def test_feature_matching_sums_the_mean_difference_of_each_block() -> None:
    drawn = [torch.full((2, 4, 8, 8), 1.0), torch.full((2, 8, 4, 4), -1.0)]
    real = [torch.full((2, 4, 8, 8), 1.5), torch.full((2, 8, 4, 4), 1.0)]
    assert feature_matching_loss(drawn, real).item() == pytest.approx(0.5 + 2.0)


def test_matching_loss_moves_the_embedding_and_not_the_column() -> None:
    embedding = torch.tensor([[1.0, 2.0]], requires_grad=True)
    column = torch.tensor([[0.5, 5.0]], requires_grad=True)
    loss = matching_loss(embedding, column)
    loss.backward()
    assert loss.item() == pytest.approx((0.5 + 3.0) / 2)
    assert embedding.grad is not None
    assert embedding.grad.tolist() == [[0.5, -0.5]]
    assert column.grad is None


def test_masked_l1_counts_what_the_weights_say() -> None:
    images, targets = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    images[0, :, 0, 0], images[0, :, 1, 1], images[1] = 0.6, 0.9, 0.1
    weight = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]]], [[[1.0, 1.0], [1.0, 0.0]]]])
    wanted = ((0.6 + 2 * 0.9) / 3 + 0.1) / 2
    assert masked_l1(images, targets, weight).item() == pytest.approx(wanted)
    assert masked_l1(images, targets).item() == pytest.approx((1.5 / 4 + 0.1) / 2)
    assert masked_l1(images, targets, torch.zeros(2, 1, 2, 2)).item() == 0


@pytest.mark.parametrize("masked", [True, False])
def test_two_halves_of_a_batch_have_the_mean_loss_of_the_whole(
    networks: Networks, pictures: Tensor, masked: bool
) -> None:
    drawn, embedding, truth = _step(networks, pictures)
    if masked:
        mask = torch.ones(2, 1, SIDE_PX, SIDE_PX)
        mask[0, :, :20] = 0
        mask[1, :, :, 30:] = 0
        truth = truth._replace(mask=mask, regions=mask.flip(2) + 0.1)
    weights = dataclasses.replace(ALL_TERMS, content=(("blocks", 1.0),))
    networks.discriminator.eval()
    judges = Judges(networks.discriminator, {"blocks": _Blocks()})

    def loss(rows: slice) -> float:
        half = Truth(*(part if part is None else part[rows] for part in truth))
        step = generator_step_loss(
            Drawn(drawn.image[rows], drawn.image[rows]), embedding[rows], half, weights, judges
        )
        judged = discriminator_step_loss(networks.discriminator, drawn.image[rows], half)
        return (step.total + judged.total).item()

    halves = (loss(slice(0, 1)) + loss(slice(1, 2))) / 2
    assert loss(slice(0, 2)) == pytest.approx(halves, rel=1e-5)


def test_the_discriminators_step_leaves_embedder_and_generator_alone(
    networks: Networks, pictures: Tensor
) -> None:
    drawn, _, truth = _step(networks, pictures)
    discriminator_step_loss(networks.discriminator, drawn.image, truth).total.backward()
    assert _without_gradient(networks.embedder)
    assert _without_gradient(networks.generator)
    for name, parameter in networks.discriminator.named_parameters():
        assert parameter.grad is not None, name


def test_the_generators_step_leaves_the_discriminator_alone(
    networks: Networks, pictures: Tensor
) -> None:
    drawn, embedding, truth = _step(networks, pictures)
    judges = Judges(networks.discriminator, {})
    generator_step_loss(drawn, embedding, truth, ALL_TERMS, judges).total.backward()
    assert _without_gradient(networks.discriminator)
    assert all(parameter.requires_grad for parameter in networks.discriminator.parameters())
    for network in (networks.embedder, networks.generator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name


def test_without_matching_the_embedder_still_learns_through_the_generator(
    networks: Networks, pictures: Tensor
) -> None:
    drawn, _, truth = _step(networks, pictures)
    judges = Judges(networks.discriminator, {})
    weights = LossWeights(adversarial=0.0, feature_matching=0.0, l1=1.0)
    generator_step_loss(drawn, None, truth, weights, judges).total.backward()
    assert not _without_gradient(networks.embedder)


def test_the_total_is_the_weighted_sum_of_the_terms(networks: Networks, pictures: Tensor) -> None:
    drawn, embedding, truth = _step(networks, pictures)
    drawn = Drawn(drawn.image, pictures * 0.5)
    truth = truth._replace(regions=torch.ones(2, 1, SIDE_PX, SIDE_PX))
    judges = Judges(networks.discriminator.eval(), {"blocks": _Blocks()})
    weights = dataclasses.replace(ALL_TERMS, content=(("blocks", 0.5),))
    step = generator_step_loss(drawn, embedding, truth, weights, judges)
    by_name = {
        "adversarial": 1.0,
        "feature_matching": 10.0,
        "content_blocks": 0.5,
        "matching": 80.0,
        "l1": 2.0,
        "region": 3.0,
        "warp": 4.0,
    }
    assert step.terms.keys() == by_name.keys()
    wanted = sum(weight * step.terms[name].item() for name, weight in by_name.items())
    assert step.total.item() == pytest.approx(wanted, rel=1e-5)
    assert step.terms["warp"].item() == pytest.approx((pictures * 0.5).abs().mean().item())
    assert step.terms["region"].item() == pytest.approx(step.terms["l1"].item())


def test_terms_of_weight_zero_are_not_computed(pictures: Tensor) -> None:
    """No discriminator is there to be asked."""
    truth = Truth(pictures, pictures, torch.zeros(1, 16))
    weights = LossWeights(adversarial=0.0, feature_matching=0.0, l1=1.0)
    judges = Judges(nn.Module(), {})  # type: ignore[arg-type]
    step = generator_step_loss(Drawn(pictures), None, truth, weights, judges)
    assert step.terms.keys() == {"l1"}
    assert step.total.item() == 0


def test_what_the_mask_leaves_out_changes_no_loss(networks: Networks, pictures: Tensor) -> None:
    drawn, embedding, truth = _step(networks, pictures)
    mask = torch.zeros(2, 1, SIDE_PX, SIDE_PX)
    mask[:, :, 4:28, 8:30] = 1
    truth = truth._replace(mask=mask, regions=torch.ones_like(mask))
    networks.discriminator.eval()
    judges = Judges(networks.discriminator, {"blocks": _Blocks()})
    weights = dataclasses.replace(ALL_TERMS, content=(("blocks", 0.5),))

    def losses(image: Tensor) -> tuple[float, float]:
        spoilt = Drawn(image, image)
        step = generator_step_loss(spoilt, embedding, truth, weights, judges)
        judged = discriminator_step_loss(networks.discriminator, image, truth)
        return step.total.item(), judged.total.item()

    image = drawn.image.detach()
    assert losses(image) == losses(torch.where(mask > 0, image, -image))
    assert losses(image) != losses(torch.where(mask > 0, -image, image))
    inside = true_outside(image, truth)
    assert torch.equal(inside[..., :4, :], pictures[..., :4, :])


def test_a_discriminators_step_equals_two_passes(networks: Networks, pictures: Tensor) -> None:
    drawn, _, truth = _step(networks, pictures)
    net: Discriminator = networks.discriminator.eval()
    step = discriminator_step_loss(net, drawn.image, truth)
    real = net(truth.image, truth.map, truth.w).score
    fake = net(drawn.image, truth.map, truth.w).score
    assert step.total.item() == pytest.approx(hinge_loss(real, fake).item(), rel=1e-5)
    assert step.terms["score_real"].item() == pytest.approx(real.mean().item(), rel=1e-4)
    assert not step.terms["hinge"].requires_grad


def test_held_parameters_get_their_state_back_even_after_an_error() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="broken"), held(layer):
        assert not layer.weight.requires_grad
        raise RuntimeError("broken")
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_the_papers_weights_are_those_of_its_two_versions() -> None:
    v1, v2 = LOSS_WEIGHTS["v1"], LOSS_WEIGHTS["v2"]
    assert dict(v1.content) == {"vgg19": 1e-2, "vggface": 2e-3}
    assert dict(v2.content) == {"vgg19": 1.5e-1, "vggface": 2.5e-2}
    assert (v1.adversarial, v1.feature_matching, v1.matching) == (1, 10, 80)
    assert (v2.adversarial, v2.feature_matching, v2.matching) == (1, 10, 10)
    assert v1.l1 == v1.region == v1.warp == v2.l1 == v2.region == v2.warp == 0
