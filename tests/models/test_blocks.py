"""Blocks: AdaIN against NumPy, spectral norm against SVD, attention, pooling, sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from thvideo.models.attention import SelfAttention
from thvideo.models.blocks import (
    AdaptiveBlock,
    AdaptiveOutput,
    AdaptiveProjection,
    ResidualBlock,
    adaptive_norm,
    sum_pool,
)
from thvideo.models.spectral import fold_spectral_norms, settle_spectral_norms, spectral


def test_adain_equals_what_numpy_computes_for_each_sample_and_channel() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (2, 5, 6, 7)).astype(np.float32)
    parameters = rng.normal(0, 1, (2, 10)).astype(np.float32)
    wanted = np.empty_like(features)
    for sample in range(2):
        for channel in range(5):
            plane = features[sample, channel].astype(np.float64)
            normed = (plane - plane.mean()) / np.sqrt(plane.var() + 1e-5)
            scale, shift = parameters[sample, channel], parameters[sample, 5 + channel]
            wanted[sample, channel] = normed * scale + shift
    got = adaptive_norm(torch.from_numpy(features), torch.from_numpy(parameters))
    np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)


def test_adain_of_one_sample_does_not_depend_on_its_batch_nor_on_the_memory_format() -> None:
    torch.manual_seed(0)
    features, parameters = torch.randn(3, 4, 8, 8), torch.randn(3, 8)
    whole = adaptive_norm(features.to(memory_format=torch.channels_last), parameters)
    alone = adaptive_norm(features[1:2], parameters[1:2])
    torch.testing.assert_close(whole[1:2], alone)


def test_a_spectral_normed_weight_has_largest_singular_value_one() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Conv2d(6, 20, 3))
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(37)
    settle_spectral_norms(layer, 200)
    largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
    torch.testing.assert_close(largest, torch.tensor(1.0), atol=1e-4, rtol=0)


def test_forward_passes_in_training_mode_follow_a_changed_weight_and_in_eval_mode_do_not() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Linear(8, 16))
    with torch.no_grad():
        layer.parametrizations.weight.original.normal_()
    inputs = torch.randn(2, 8)
    layer.eval()
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(inputs)
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    layer.train()
    for _ in range(200):
        layer(inputs)
    largest = torch.linalg.svdvals(layer.eval().weight.detach())[0]
    torch.testing.assert_close(largest, torch.tensor(1.0), atol=1e-3, rtol=0)


def test_the_gradient_through_spectral_norm_has_no_part_along_the_weight() -> None:
    """The normed weight does not change with the weight's length."""
    torch.manual_seed(0)
    layer = spectral(nn.Linear(8, 16))
    settle_spectral_norms(layer, 200)
    layer.eval()
    (layer(torch.randn(4, 8)) ** 2).sum().backward()
    original = layer.parametrizations.weight.original
    along = (original.grad * original).sum()
    assert abs(along.item()) < 1e-3 * original.grad.norm().item()


def test_spectral_norm_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Linear(64, 64)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        under = layer.weight
    assert under.dtype == torch.float32
    assert torch.equal(under, layer.weight)


def test_folded_spectral_norms_give_the_same_output_and_plain_weights() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, 16, norm="instance", down=True).eval()
    pictures = torch.randn(2, 6, 16, 16)
    with torch.inference_mode():
        wanted = block(pictures)
    fold_spectral_norms(block)
    assert "conv_in.weight" in block.state_dict()
    with torch.inference_mode():
        torch.testing.assert_close(block(pictures), wanted)


def test_attention_is_the_identity_at_initialisation_and_reaches_far_cells_later() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16).eval()
    features = torch.randn(2, 16, 8, 8)
    assert torch.equal(attention(features), features)
    with torch.no_grad():
        attention.gamma.fill_(1.0)
    moved = features.clone()
    moved[..., 7, 7] += 5
    changed = (attention(moved) - attention(features)).abs().amax(dim=1)
    assert (changed[:, 0, 0] > 1e-5).all()


def test_attention_equals_the_sum_that_numpy_computes() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8).eval()
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    features = torch.randn(1, 8, 4, 6)
    plane = features[0].numpy().astype(np.float64)

    def one_by_one(layer: nn.Module) -> np.ndarray:
        weight = layer.weight.detach().numpy()[:, :, 0, 0]
        return np.einsum("oc,chw->ohw", weight, plane)

    def pooled(maps: np.ndarray) -> np.ndarray:
        return maps.reshape(len(maps), 2, 2, 3, 2).max(axis=(2, 4)).reshape(len(maps), 6)

    query = one_by_one(attention.query).reshape(1, 24)
    key, value = pooled(one_by_one(attention.key)), pooled(one_by_one(attention.value))
    weights = np.exp(query.T @ key)
    weights /= weights.sum(axis=1, keepdims=True)
    out = attention.out.weight.detach().numpy()[:, :, 0, 0] @ (value @ weights.T)
    wanted = plane + 0.7 * out.reshape(8, 4, 6)
    np.testing.assert_allclose(attention(features)[0].detach().numpy(), wanted, atol=1e-5)


def test_sum_pooling_doubles_with_the_area_and_drops_what_is_negative() -> None:
    features = torch.tensor([1.5, -2.0])[None, :, None, None]
    single = sum_pool(features.expand(1, 2, 4, 4))
    assert single.tolist() == [[24.0, 0.0]]
    assert torch.equal(sum_pool(features.expand(1, 2, 8, 4)), 2 * single)


@pytest.mark.parametrize("norm", ["none", "instance"])
@pytest.mark.parametrize("first", [True, False])
def test_averaging_before_the_skip_convolution_gives_what_it_gives_after(norm, first) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, 8, norm=norm, down=True, first=first).eval()
    pictures = torch.randn(2, 6, 8, 12)
    hidden = pictures if first else torch.relu(block.norm_in(pictures))
    hidden = block.conv_out(torch.relu(block.norm_out(block.conv_in(hidden))))
    wanted = nn.functional.avg_pool2d(hidden + block.skip(pictures), 2)
    torch.testing.assert_close(block(pictures), wanted)
    assert wanted.shape == (2, 8, 4, 6)


def test_a_first_block_sees_the_negative_half_of_its_picture() -> None:
    torch.manual_seed(0)
    dark, darker = torch.full((1, 3, 8, 8), -0.2), torch.full((1, 3, 8, 8), -0.9)
    block = ResidualBlock(3, 4, first=True).eval()
    assert not torch.allclose(block(dark), block(darker))


def test_each_adaptive_part_gets_its_own_slice() -> None:
    torch.manual_seed(0)
    parts = [AdaptiveBlock(8, 8), AdaptiveBlock(8, 4, up=True), AdaptiveOutput(4, 3)]
    project = AdaptiveProjection(16, parts)
    assert [part.n_adain for part in parts] == [32, 24, 8]
    assert project.n_adain == 64
    numbers = torch.arange(128.0).reshape(2, 64)
    slices = project.split(numbers)
    assert [tuple(part.shape) for part in slices] == [(2, 32), (2, 24), (2, 8)]
    assert torch.equal(torch.cat(slices, dim=1), numbers)


def test_the_projection_starts_at_plain_instance_norm() -> None:
    parts = [AdaptiveBlock(8, 4, up=True), AdaptiveOutput(4, 3)]
    block, out = AdaptiveProjection(16, parts).eval()(torch.zeros(1, 16)).split([24, 8], dim=1)
    assert block[0].tolist() == [1.0] * 8 + [0.0] * 8 + [1.0] * 4 + [0.0] * 4
    assert out[0].tolist() == [1.0] * 4 + [0.0] * 4


def test_an_up_block_doubles_both_sides_and_keeps_rows_and_columns_apart() -> None:
    block = AdaptiveBlock(8, 4, up=True).eval()
    out = block(torch.randn(2, 8, 4, 6), torch.randn(2, block.n_adain))
    assert out.shape == (2, 4, 8, 12)
