"""Perceptual networks: fed as they were trained, the right layers, gradients to images only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tests.models.tiny_perceptual import SIDE_PX, save_small, save_squeeze, save_vgg19, tiny_vgg
from thvideo.models.perceptual import (
    PERCEPTUAL,
    content_loss,
    lpips_distance,
    perceptual_net,
    prepare,
)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=generator) * 2 - 1


@pytest.fixture
def targets() -> Tensor:
    generator = torch.Generator().manual_seed(9)
    return torch.rand(2, 3, SIDE_PX, SIDE_PX, generator=generator) * 2 - 1


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        # Red 255, green 127.5, blue 0, less the means that Caffe's authors published.
        ("vgg19", (0 - 103.939, 127.5 - 116.779, 255 - 123.68)),
        ("vggface", (0 - 93.594, 127.5 - 104.7624, 255 - 129.1863)),
        ("squeezenet", (0 - 104, 127.5 - 117, 255 - 123)),
        ("vgg19-small", (1.0, 0.5, 0.0)),
        ("lpips", ((1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225)),
    ],
)
def test_a_pixel_reaches_each_network_as_computed_by_hand(
    name: str, wanted: tuple[float, float, float]
) -> None:
    orange = torch.tensor([1.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 2, 2)
    fed = prepare(orange, PERCEPTUAL[name].preprocessing)
    np.testing.assert_allclose(fed[0, :, 1, 0], wanted, atol=1e-4)


def test_vgg19_layers_equal_those_of_a_plain_sequential(tmp_path: Path, images: Tensor) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    oracle = tiny_vgg("vgg19")
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    fed = (images[:, [2, 1, 0]] + 1) * 127.5 - mean
    found = net(images)
    assert len(found) == 5
    for features, last in zip(found, (1, 6, 11, 20, 29), strict=True):
        torch.testing.assert_close(features, oracle[: last + 1](fed))


@pytest.mark.parametrize("layout", ["features.{}", "{}", "conv"])
def test_every_key_layout_of_vggface_gives_the_same_features(
    tmp_path: Path, images: Tensor, layout: str
) -> None:
    oracle = tiny_vgg("vgg16")
    names = [f"conv{b}_{c}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]
    state, numbers = {}, [n for n, layer in enumerate(oracle) if isinstance(layer, nn.Conv2d)]
    for number, name in zip(numbers, names, strict=True):
        key = name if layout == "conv" else layout.format(number)
        weight = oracle[number].weight
        # MatConvNet's first convolution takes red first.
        state[f"{key}.weight"] = weight.flip(1) if key == "conv1_1" else weight
        state[f"{key}.bias"] = oracle[number].bias
    path = tmp_path / "face.pth"
    torch.save({key: value.data for key, value in state.items()}, path)
    fed = prepare(images, PERCEPTUAL["vggface"].preprocessing)
    for features, last in zip(
        perceptual_net("vggface", path)(images), (1, 6, 11, 18, 25), strict=True
    ):
        torch.testing.assert_close(features, oracle[: last + 1](fed))


def test_small_vgg_pads_by_reflection_after_its_preface(tmp_path: Path, images: Tensor) -> None:
    path = save_small(tmp_path)
    read = {k: v.float() for k, v in load_file(path).items()}
    x = functional.conv2d((images + 1) / 2, read["conv0.weight"], read["conv0.bias"])
    wanted = []
    for block, n_convolutions in enumerate((2, 2, 4, 4, 1), start=1):
        x = functional.max_pool2d(x, 2) if block > 1 else x
        for convolution in range(1, n_convolutions + 1):
            name = f"conv{block}{convolution}"
            padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
            x = functional.conv2d(padded, read[f"{name}.weight"], read[f"{name}.bias"]).relu()
            wanted += [x] if convolution == 1 else []
    for features, target in zip(perceptual_net("vgg19-small", path)(images), wanted, strict=True):
        torch.testing.assert_close(features, target)


def test_content_loss_is_the_sum_of_mean_differences(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    wanted = sum(
        np.abs(a.numpy() - b.numpy()).mean(dtype=np.float64)
        for a, b in zip(net(images), net(targets), strict=True)
    )
    np.testing.assert_allclose(content_loss(net, images, targets).item(), wanted, rtol=1e-5)
    everywhere = torch.ones(2, 1, SIDE_PX, SIDE_PX)
    masked = content_loss(net, images, targets, everywhere)
    np.testing.assert_allclose(masked.item(), wanted, rtol=1e-5)


def test_gradients_reach_the_images_and_nothing_else(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    images.requires_grad_()
    targets.requires_grad_()
    content_loss(net, images, targets).backward()
    assert images.grad is not None and bool((images.grad != 0).any())
    assert targets.grad is None
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())
    assert not net.training


def test_pixels_outside_the_mask_count_nothing(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    mask = torch.zeros(2, 1, SIDE_PX, SIDE_PX)
    mask[:, :, 8:50, 5:40] = 1
    other = torch.where(mask > 0, images, -images).requires_grad_()
    loss = content_loss(net, other, targets, mask)
    assert loss.item() == content_loss(net, images, targets, mask).item() > 0
    loss.backward()
    assert other.grad is not None
    assert bool((other.grad[(mask == 0).expand_as(other)] == 0).all())
    assert bool((other.grad[(mask > 0).expand_as(other)] != 0).any())


def test_an_empty_mask_gives_zero_and_no_nan(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    images.requires_grad_()
    loss = content_loss(net, images, targets, torch.zeros(2, 1, SIDE_PX, SIDE_PX))
    loss.backward()
    assert loss.item() == 0
    assert bool((images.grad == 0).all())


def test_bfloat16_and_channels_last_change_little(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", save_vgg19(tmp_path))
    exact = content_loss(net, images, targets)
    net = net.to(memory_format=torch.channels_last)
    pair = [x.contiguous(memory_format=torch.channels_last) for x in (images, targets)]
    with torch.autocast("cpu", torch.bfloat16):
        fast = content_loss(net, pair[0].requires_grad_(), pair[1])
        drawn = pair[0].bfloat16()
        content_loss(net, drawn, pair[1], torch.ones(2, 1, SIDE_PX, SIDE_PX)).backward()
    fast.backward()
    assert fast.dtype == torch.float32
    np.testing.assert_allclose(fast.item(), exact.item(), rtol=0.02)
    assert bool(pair[0].grad.isfinite().all())


def test_lpips_equals_its_definition(tmp_path: Path, images: Tensor, targets: Tensor) -> None:
    net = perceptual_net("lpips-squeeze", save_squeeze(tmp_path))
    wanted = np.zeros(2)
    for weight, a, b in zip(net.linear, net(images), net(targets), strict=True):
        left, right = (x.numpy().astype(np.float64) for x in (a, b))
        left /= np.sqrt((left**2).sum(1, keepdims=True)) + 1e-10
        right /= np.sqrt((right**2).sum(1, keepdims=True)) + 1e-10
        each = ((left - right) ** 2 * weight.numpy()[:, None, None]).sum(1)
        wanted += each.mean(axis=(1, 2))
    np.testing.assert_allclose(lpips_distance(net, images, targets), wanted, rtol=1e-4)
    assert lpips_distance(net, images, images).tolist() == [0.0, 0.0]


def test_lpips_reads_torchvisions_layout_and_feeds_red_first(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    caffe = load_file(save_squeeze(tmp_path))
    # torchvision.models.squeezenet1_1: 0 convolution, 1 ReLU, 2, 5 and 8 poolings.
    numbers = dict(zip((3, 4, 6, 7, 9, 10, 11, 12), range(2, 10), strict=True))
    state = {f"features.0.{end}": caffe[f"conv1.{end}"] for end in ("weight", "bias")}
    for number, fire in numbers.items():
        for part in ("squeeze", "expand1x1", "expand3x3"):
            for end in ("weight", "bias"):
                ours = f"fire{fire}.{'squeeze1x1' if part == 'squeeze' else part}.{end}"
                state[f"features.{number}.{part}.{end}"] = caffe[ours]
    torch.save(
        state | {"classifier.1.bias": torch.zeros(9)}, tmp_path / "squeezenet1_1-b8a52dc0.pth"
    )
    net, same = (perceptual_net(name, tmp_path) for name in ("lpips", "lpips-squeeze"))
    fed = prepare(images, PERCEPTUAL["lpips"].preprocessing)
    for features, wanted in zip(net(images), same.layers(fed), strict=True):
        torch.testing.assert_close(features, wanted)
    assert bool((lpips_distance(net, images, targets) > 0).all())


def test_lpips_has_finite_gradients_where_pictures_are_equal(
    tmp_path: Path, images: Tensor
) -> None:
    net = perceptual_net("lpips-squeeze", save_squeeze(tmp_path))
    moved = images.clone().requires_grad_()
    lpips_distance(net, moved, images).sum().backward()
    assert bool(moved.grad.isfinite().all())


def test_a_distance_wants_the_linear_layers(tmp_path: Path, images: Tensor) -> None:
    net = perceptual_net("squeezenet", save_squeeze(tmp_path))
    with pytest.raises(ValueError, match="lpips-squeeze"):
        lpips_distance(net, images, images)
