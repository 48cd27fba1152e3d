"""The discriminator: hinge-ready scores, sparse columns, features, parameter count."""

import pytest
import torch
from torch import nn

from thvideo.models.discriminator import Discriminator, haar
from thvideo.models.presets import PRESETS
from thvideo.training.losses import Truth, discriminator_step_loss

SMALL = (8, 16, 16)


def _small(n_videos: int = 5, **options) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(n_videos, SMALL, **{"attention_stride": None, **options})


def test_the_convolutions_have_the_papers_twenty_million_parameters() -> None:
    """20 M as recalled from the paper; 19.5 M without attention as in a co-author's code."""
    with torch.device("meta"):
        with_attention, without = Discriminator(1), Discriminator(1, attention_stride=None)

    def count(net: nn.Module) -> int:
        return sum(p.numel() for name, p in net.named_parameters() if "columns" not in name)

    assert count(with_attention) == pytest.approx(20e6, rel=0.02)
    assert count(without) == pytest.approx(19.5e6, rel=0.02)


def test_the_score_is_v_times_w_plus_b_and_has_no_bounds() -> None:
    net = _small().eval()
    pictures, maps = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        net.bias.fill_(0.25)
        ones = torch.ones(1, 16)
        score, features = net(pictures, maps, ones)
        v = features[-1].relu().sum(dim=(2, 3))
        torch.testing.assert_close(score, v.sum(dim=1) + 0.25)
        high, _ = net(pictures, maps, 1000 * ones)
        low, _ = net(pictures, maps, -1000 * ones)
    assert (high > 1).all()
    assert (low < -1).all()


def test_a_wider_picture_of_one_colour_adds_up() -> None:
    """Sum pooling: in the inner cells twice the area gives twice the sum, mean and max do not."""
    net = _small().eval()
    w = torch.ones(1, 16)
    with torch.no_grad():
        sums = [net(*[torch.full((1, 3, 64, s), 0.5)] * 2, w).score.item() for s in (64, 128, 192)]
    assert sums[2] - sums[1] == pytest.approx(sums[1] - sums[0], rel=1e-4)
    assert sums[1] > 1.5 * sums[0] > 0


def test_features_come_after_each_block() -> None:
    pictures = torch.zeros(2, 3, 32, 32)
    features = _small(attention_stride=4)(pictures, pictures, torch.zeros(1, 16)).features
    shapes = [(2, 8, 16, 16), (2, 16, 8, 8), (2, 16, 4, 4), (2, 16, 4, 4)]
    assert [tuple(f.shape) for f in features] == shapes


def test_haar_input_halves_every_size_and_loses_no_pixel() -> None:
    net = _small(haar=True, attention_stride=4).eval()
    pictures = torch.zeros(1, 3, 32, 32)
    sides = [f.shape[-1] for f in net(pictures, pictures, torch.zeros(1, 16)).features]
    assert sides == [8, 4, 2, 2]
    pictures.requires_grad_(True)
    net(pictures, torch.rand(1, 3, 32, 32), torch.ones(1, 16)).score.sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad != 0).all()


def test_haar_is_a_rotation_and_tells_a_flat_square_from_its_edges() -> None:
    pictures = torch.rand(2, 3, 8, 6)
    parts = haar(pictures)
    assert parts.shape == (2, 12, 4, 3)
    torch.testing.assert_close(parts.square().sum(), pictures.square().sum())
    flat = haar(torch.ones(1, 1, 2, 2)).flatten()
    assert flat.tolist() == [2, 0, 0, 0]
    upright = haar(torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]]), detail_gain=4).flatten()
    assert upright.tolist() == [0, 8, 0, 0]


def test_scores_by_cell_add_up_to_the_pooled_one() -> None:
    by_cell, pooled = _small(by_cell=True).eval(), _small().eval()
    pictures, w = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randn(2, 16)
    with torch.no_grad():
        cells, whole = (net(pictures, pictures, w).score for net in (by_cell, pooled))
    assert cells.shape == (2, 16)
    torch.testing.assert_close(cells.sum(dim=1), whole)
    with torch.no_grad():
        torch.testing.assert_close(by_cell(pictures, pictures, w[:1]).score[0], cells[0])


def test_the_gain_keeps_the_difference_of_two_pictures_from_fading() -> None:
    """The fault this mends: each block of spectral norm let it shrink about threefold."""
    pictures = torch.rand(8, 3, 64, 64) * 2 - 1
    left = {}
    for gain in (1.0, 2.0):
        net = _small(gain=gain).eval()
        with torch.no_grad():
            features = net(pictures, pictures, torch.zeros(1, 16)).features
        left[gain] = float(features[-1].std(dim=0).mean() / features[0].std(dim=0).mean())
    assert left[1.0] < 0.1
    assert left[2.0] > 4 * left[1.0]


def test_the_swift_discriminator_finds_lost_detail_where_the_person_is_the_same() -> None:
    """What drawn frames lack first: on the shipped architecture the hinge has to fall."""
    torch.manual_seed(0)
    net = Discriminator(4, **vars(PRESETS["swift"].discriminator))
    learning = torch.optim.Adam(
        [p for p in net.parameters() if p is not net.columns.weight], 2e-3, (0.5, 0.99)
    )
    rng = torch.Generator().manual_seed(1)
    hinges = []
    for _ in range(40):
        sharp = torch.rand(4, 3, 32, 32, generator=rng) * 2 - 1
        soft = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
        truth = Truth(sharp, torch.zeros_like(sharp), net.video_weights(torch.arange(4)))
        loss = discriminator_step_loss(net, soft, truth)
        learning.zero_grad()
        loss.total.backward()
        learning.step()
        hinges.append(float(loss.total))
    assert hinges[0] > 1.8
    assert sum(hinges[-5:]) / 5 < 1.0


def test_the_gradient_of_the_columns_is_sparse_and_touches_only_the_videos_seen() -> None:
    net = _small(n_videos=1000)
    pictures = torch.rand(3, 3, 32, 32)
    w = net.video_weights(torch.tensor([7, 3, 7]))
    net(pictures, pictures, w).score.sum().backward()
    gradient = net.columns.weight.grad
    assert gradient is not None
    assert gradient.is_sparse
    assert gradient.coalesce().indices().tolist() == [[3, 7]]
    assert net.w_0.grad is not None
    assert not net.w_0.grad.is_sparse


def test_video_weights_are_the_column_and_what_all_share() -> None:
    net = _small()
    got = net.video_weights(torch.tensor([4, 0]))
    torch.testing.assert_close(got, net.columns.weight[[4, 0]] + net.w_0)


def test_columns_start_where_an_embedding_can_be_and_scores_around_zero() -> None:
    net = _small(n_videos=400).eval()
    assert (net.columns.weight >= 0).all()
    assert net.video_weights(torch.arange(400)).mean().abs() < 0.01
    pictures = (torch.rand(1, 3, 32, 32) * 2 - 1).expand(400, -1, -1, -1)
    with torch.no_grad():
        scores = net(pictures, pictures, net.video_weights(torch.arange(400))).score
    assert scores.mean().abs() < 0.3
    assert 0.02 < scores.std() < 3


def test_gradients_reach_every_parameter() -> None:
    net = _small(attention_stride=4)
    with torch.no_grad():
        net.attention["1"].gamma.fill_(0.5)
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    w = net.video_weights(torch.tensor([0, 1]))
    net(pictures, pictures.flip(2), w).score.sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_an_attention_stride_that_no_block_has_is_refused() -> None:
    with pytest.raises(ValueError, match="strides are"):
        Discriminator(1, SMALL, attention_stride=32)


def test_a_landmark_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected shape"):
        _small()(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 64, 64), torch.zeros(1, 16))


def test_bf16_autocast_and_channels_last_stay_near_float32() -> None:
    net = _small(attention_stride=4).to(memory_format=torch.channels_last).eval()
    pictures = (torch.rand(2, 3, 64, 64) * 2 - 1).to(memory_format=torch.channels_last)
    w = net.video_weights(torch.tensor([0, 1])).detach()
    with torch.no_grad():
        wanted = net(pictures, pictures, w).score
        with torch.autocast("cpu", torch.bfloat16):
            got = net(pictures, pictures, w).score
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, wanted, atol=0.05, rtol=0.03)
