"""The discriminator: hinge-ready scores, sparse columns, features, parameter count."""

import pytest
import torch
from torch import nn

from thvideo.models.discriminator import Discriminator

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


def test_unshuffled_input_halves_every_size_and_loses_no_pixel() -> None:
    net = _small(unshuffle=2, attention_stride=4).eval()
    pictures = torch.zeros(1, 3, 32, 32)
    assert [f.shape[-1] for f in net(pictures, pictures, torch.zeros(1, 16)).features] == [
        8,
        4,
        2,
        2,
    ]
    pictures.requires_grad_(True)
    net(pictures, torch.rand(1, 3, 32, 32), torch.ones(1, 16)).score.sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad != 0).all()


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
