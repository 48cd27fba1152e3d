"""Perceptual networks: fed as they were trained, the right layers, gradients to images only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from thvideo.errors import InputError, UsageError
from thvideo.models.perceptual import (
    PERCEPTUAL,
    PerceptualNet,
    content_loss,
    lpips_distance,
    perceptual_net,
    prepare,
)

SIDE_PX = 64
_SHARED = Path(__file__).resolve().parents[3] / "shared"
_WIDTHS = (4, 6, 8, 10, 12)
_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * (2.0 / np.prod(shape[1:])) ** 0.5


def _tiny_vgg(network: str) -> nn.Sequential:
    """A VGG of few channels, spelled out layer by layer as torchvision numbers them."""
    generator = torch.Generator().manual_seed(5)
    layers: list[nn.Module] = []
    n_in = 3
    for width, n_convolutions in zip(_WIDTHS, _CONVOLUTIONS[network], strict=True):
        for _ in range(n_convolutions):
            conv = nn.Conv2d(n_in, width, 3, padding=1)
            conv.weight.data = _random((width, n_in, 3, 3), generator)
            conv.bias.data = torch.randn(width, generator=generator) * 0.1
            layers += [conv, nn.ReLU()]
            n_in = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).requires_grad_(False)


def _save_vgg19(folder: Path) -> Path:
    path = folder / "vgg19.pth"
    state = {f"features.{key}": value for key, value in _tiny_vgg("vgg19").state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def _save_small(folder: Path) -> Path:
    generator = torch.Generator().manual_seed(6)
    tensors = {"conv0.weight": torch.randn(3, 3, 1, 1, generator=generator)}
    tensors["conv0.bias"] = torch.randn(3, generator=generator)
    n_in = 3
    for block, width in enumerate(_WIDTHS, start=1):
        for convolution in range(1, _CONVOLUTIONS["vgg19"][block - 1] + 1 if block < 5 else 2):
            name = f"conv{block}{convolution}"
            tensors[f"{name}.weight"] = _random((width, n_in, 3, 3), generator)
            tensors[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
            n_in = width
        tensors[f"conv{block}1_aux.weight"] = torch.randn(7, width, 1, 1, generator=generator)
    path = folder / "small.safetensors"
    save_file({key: value.half() for key, value in tensors.items()}, path)
    return path


def _save_squeeze(folder: Path) -> Path:
    generator = torch.Generator().manual_seed(7)
    tensors = {"conv1.weight": _random((4, 3, 3, 3), generator) * 0.01, "conv1.bias": torch.ones(4)}
    n_in, widths = 4, (3, 3, 4, 4, 5, 5, 6, 6)
    for number, width in enumerate(widths, start=2):
        sizes = {"squeeze1x1": (2, n_in, 1), "expand1x1": (width, 2, 1), "expand3x3": (width, 2, 3)}
        for part, (n_out, n_from, side) in sizes.items():
            shape = (n_out, n_from, side, side)
            tensors[f"fire{number}.{part}.weight"] = _random(shape, generator)
            tensors[f"fire{number}.{part}.bias"] = torch.randn(n_out, generator=generator)
        n_in = 2 * width
    channels = (4, *(2 * widths[number - 2] for number in (3, 5, 6, 7, 8, 9)))
    linear = {
        f"lin{layer}.model.1.weight": torch.rand(1, size, 1, 1, generator=generator)
        for layer, size in enumerate(channels)
    }
    torch.save(linear, folder / "lpips_squeeze_linear.pth")
    path = folder / "squeezenet11_imagenet.safetensors"
    save_file(tensors, path)
    return path


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
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
    oracle = _tiny_vgg("vgg19")
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
    oracle = _tiny_vgg("vgg16")
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
    path = _save_small(tmp_path)
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
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
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
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
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
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
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
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
    images.requires_grad_()
    loss = content_loss(net, images, targets, torch.zeros(2, 1, SIDE_PX, SIDE_PX))
    loss.backward()
    assert loss.item() == 0
    assert bool((images.grad == 0).all())


def test_bfloat16_and_channels_last_change_little(
    tmp_path: Path, images: Tensor, targets: Tensor
) -> None:
    net = perceptual_net("vgg19", _save_vgg19(tmp_path))
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
    net = perceptual_net("lpips-squeeze", _save_squeeze(tmp_path))
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
    caffe = load_file(_save_squeeze(tmp_path))
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
    net = perceptual_net("lpips-squeeze", _save_squeeze(tmp_path))
    moved = images.clone().requires_grad_()
    lpips_distance(net, moved, images).sum().backward()
    assert bool(moved.grad.isfinite().all())


def test_a_distance_wants_the_linear_layers(tmp_path: Path, images: Tensor) -> None:
    net = perceptual_net("squeezenet", _save_squeeze(tmp_path))
    with pytest.raises(ValueError, match="lpips-squeeze"):
        lpips_distance(net, images, images)


def test_a_folder_is_searched_for_the_usual_names(tmp_path: Path, images: Tensor) -> None:
    by_file = perceptual_net("squeezenet", _save_squeeze(tmp_path))
    by_folder = perceptual_net("squeezenet", tmp_path)
    torch.testing.assert_close(by_folder(images), by_file(images))


def test_an_unknown_network_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        perceptual_net("vgg", tmp_path)
    assert "vgg19-small" in error.value.hint


def _missing(folder: Path) -> Path:
    return folder / "nothing.pth"


def _text(folder: Path) -> Path:
    (folder / "text.safetensors").write_text("no tensors")
    return folder / "text.safetensors"


def _cut(folder: Path) -> Path:
    path = _save_vgg19(folder)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _module(folder: Path) -> Path:
    torch.save(nn.Linear(2, 2), folder / "module.pth")
    return folder / "module.pth"


def _nested(folder: Path) -> Path:
    torch.save({"state_dict": {"features.0.weight": torch.zeros(1)}}, folder / "nested.pth")
    return folder / "nested.pth"


def _other_network(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in _tiny_vgg("vgg16").state_dict().items()}
    torch.save(state, folder / "vgg16.pth")
    return folder / "vgg16.pth"


def _other_shapes(folder: Path) -> Path:
    state = {f"features.{k}": v for k, v in _tiny_vgg("vgg19").state_dict().items()}
    state["features.10.weight"] = torch.zeros(8, 7, 3, 3)
    torch.save(state, folder / "shapes.pth")
    return folder / "shapes.pth"


def _torchvision(folder: Path) -> Path:
    return _save_vgg19(folder).rename(folder / "vgg19-dcbb9e9d.pth")


def _picture(folder: Path) -> Path:
    (folder / "face.png").write_bytes(b"png")
    return folder / "face.png"


@pytest.mark.parametrize(
    "make",
    [
        _missing,
        _text,
        _cut,
        _module,
        _nested,
        _other_network,
        _other_shapes,
        _torchvision,
        _picture,
    ],
)
def test_a_file_that_is_not_the_weights_is_named_with_a_hint(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as error:
        perceptual_net("vgg19", path)
    assert path.name in error.value.fact
    assert error.value.hint


def test_linear_layers_that_are_missing_or_of_another_network_are_named(tmp_path: Path) -> None:
    path = _save_squeeze(tmp_path)
    linear = tmp_path / "lpips_squeeze_linear.pth"
    torch.save({f"lin{n}.model.1.weight": torch.ones(1, 3, 1, 1) for n in range(7)}, linear)
    with pytest.raises(InputError):
        perceptual_net("lpips-squeeze", path)
    linear.unlink()
    with pytest.raises(InputError) as error:
        perceptual_net("lpips-squeeze", path)
    assert linear.name in error.value.fact


@pytest.fixture
def shared_weights() -> Path:
    folder = _SHARED / "weights"
    if not (folder / "squeezenet11_imagenet.safetensors").is_file():
        pytest.skip(f"no third-party weights at {folder}")
    return folder


def _astronaut(side_px: int) -> Tensor:
    data = pytest.importorskip("skimage.data")
    picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 127.5 - 1
    return functional.interpolate(picture, size=(side_px, side_px), mode="area")


def _blurred(picture: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(picture, size, 1, size // 2, count_include_pad=False)


def test_squeezenet_fed_by_our_preprocessing_sees_a_cat(shared_weights: Path) -> None:
    data = pytest.importorskip("skimage.data")
    cat = torch.from_numpy(data.cat()).permute(2, 0, 1)[None].float() / 127.5 - 1
    cat = functional.interpolate(cat[:, :, :, 75:375], size=(227, 227), mode="area")
    net = perceptual_net("squeezenet", shared_weights)
    read = load_file(shared_weights / net.preset.file)
    with torch.no_grad():
        scores = functional.conv2d(
            net(cat)[-1], read["conv10.weight"].float(), read["conv10.bias"].float()
        )
    best = scores.relu().mean(dim=(2, 3))[0].topk(3).indices.tolist()
    # ImageNet 281 to 285 are cats.
    assert set(best) & set(range(281, 286))


@pytest.mark.parametrize("name", ["vgg19-small", "squeezenet"])
def test_real_networks_see_more_difference_in_more_blur(shared_weights: Path, name: str) -> None:
    net: PerceptualNet = perceptual_net(name, shared_weights)
    sharp = _astronaut(128)
    losses = [content_loss(net, _blurred(sharp, size), sharp).item() for size in (1, 3, 5, 9)]
    assert losses[0] == 0
    assert losses == sorted(losses) and losses[1] > 0


def test_real_lpips_grows_with_blur_and_is_small_for_noise_one_cannot_see(
    shared_weights: Path,
) -> None:
    net = perceptual_net("lpips-squeeze", shared_weights)
    sharp = _astronaut(128)
    noise = torch.randn(sharp.shape, generator=torch.Generator().manual_seed(1)) * 0.005
    pairs = [sharp, sharp + noise, *(_blurred(sharp, size) for size in (3, 5, 9))]
    found = [lpips_distance(net, sharp, other).item() for other in pairs]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[1] < 0.01 < found[2]
