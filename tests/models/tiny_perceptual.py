"""Perceptual networks of few channels, and their files as others publish them."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

SIDE_PX = 64
_WIDTHS = (4, 6, 8, 10, 12)
_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * (2.0 / np.prod(shape[1:])) ** 0.5


def tiny_vgg(network: str) -> nn.Sequential:
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


def save_vgg19(folder: Path) -> Path:
    path = folder / "vgg19.pth"
    state = {f"features.{key}": value for key, value in tiny_vgg("vgg19").state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def save_small(folder: Path) -> Path:
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


def save_squeeze(folder: Path) -> Path:
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
