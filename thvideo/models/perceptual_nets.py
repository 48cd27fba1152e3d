"""The frozen networks behind the perceptual losses, and the key layouts of their weights.

Shapes: B images, S their side in pixels, C channels and s the side of a layer's activations.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# Convolutions of each block of VGG (arXiv:1409.1556); a max-pooling lies between two blocks.
_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
# Fire modules of SqueezeNet 1.1; every pooling halves the side.
_SQUEEZE_ORDER = (
    *("pool", "fire2", "fire3", "pool", "fire4", "fire5"),
    *("pool", "fire6", "fire7", "fire8", "fire9"),
)

Vgg = Literal["vgg16", "vgg19"]


class VggLayers(nn.Module):
    """The convolutions of a VGG network up to the last layer that is asked for.

    Args:
        network: which VGG.
        layers: names such as `relu3_1`, in the order of the network.
        weights: `convB_I.weight` and `.bias` for block B and convolution I, both from 1; a
            1 x 1 `preface.weight` and `.bias`, if there, comes before them, without a ReLU.
        padding_mode: `zeros` as in the original, `reflect` for the distilled one.
    """

    def __init__(
        self,
        network: Vgg,
        layers: Sequence[str],
        weights: Mapping[str, Tensor],
        padding_mode: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        self._layers = tuple(layers)
        self._order = vgg_order(network, layers[-1])
        self.convolutions = nn.ModuleDict()
        if "preface.weight" in weights:
            self.convolutions["preface"] = _convolution(weights, "preface")
        for name in self._order:
            if name != "pool":
                conv = _convolution(weights, name, padding=1)
                conv.padding_mode = padding_mode
                self.convolutions[name] = conv

    def forward(self, prepared: Tensor) -> list[Tensor]:
        """Activations `[B, C, s, s]` of every layer of prepared images `[B, 3, S, S]`."""
        found = []
        features = prepared
        if "preface" in self.convolutions:
            features = self.convolutions["preface"](features)
        for name in self._order:
            if name == "pool":
                features = functional.max_pool2d(features, 2)
                continue
            features = functional.relu(self.convolutions[name](features), inplace=True)
            if name.replace("conv", "relu") in self._layers:
                found.append(features)
        return found


class Fire(nn.Module):
    """A fire module of SqueezeNet (arXiv:1602.07360): squeeze, then expand on two ways."""

    def __init__(self, weights: Mapping[str, Tensor], name: str) -> None:
        super().__init__()
        self.squeeze = _convolution(weights, f"{name}.squeeze1x1")
        self.narrow = _convolution(weights, f"{name}.expand1x1")
        self.wide = _convolution(weights, f"{name}.expand3x3", padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, s, s]` to activations with as many channels as both ways have together."""
        squeezed = functional.relu(self.squeeze(features), inplace=True)
        both = torch.cat([self.narrow(squeezed), self.wide(squeezed)], dim=1)
        return functional.relu(both, inplace=True)


class SqueezeLayers(nn.Module):
    """SqueezeNet 1.1 without its classifier.

    Args:
        layers: `relu1` or names of fire modules such as `fire3`, in the order of the network.
        weights: `conv1.*` and `fireN.squeeze1x1.*`, `.expand1x1.*`, `.expand3x3.*`.
    """

    def __init__(self, layers: Sequence[str], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._layers = tuple(layers)
        self.first = _convolution(weights, "conv1", stride=2)
        self.fires = nn.ModuleDict(
            {name: Fire(weights, name) for name in _SQUEEZE_ORDER if name != "pool"}
        )

    def forward(self, prepared: Tensor) -> list[Tensor]:
        """Activations `[B, C, s, s]` of every layer of prepared images `[B, 3, S, S]`."""
        features = functional.relu(self.first(prepared), inplace=True)
        found = [features] if "relu1" in self._layers else []
        for name in _SQUEEZE_ORDER:
            if name == "pool":
                features = functional.max_pool2d(features, 3, 2, ceil_mode=True)
                continue
            features = self.fires[name](features)
            if name in self._layers:
                found.append(features)
        return found


def vgg19(layers: Sequence[str], read: Mapping[str, Tensor]) -> VggLayers:
    """VGG19 from a Caffe training's file."""
    return VggLayers("vgg19", layers, caffe_vgg_weights("vgg19", read))


def vgg16(layers: Sequence[str], read: Mapping[str, Tensor]) -> VggLayers:
    """VGG16 from a Caffe training's file, or from VGGFace's."""
    return VggLayers("vgg16", layers, caffe_vgg_weights("vgg16", read))


def vgg19_small(layers: Sequence[str], read: Mapping[str, Tensor]) -> VggLayers:
    """The distilled VGG19 from its file."""
    return VggLayers("vgg19", layers, small_vgg_weights(read), padding_mode="reflect")


def torchvision_squeeze(layers: Sequence[str], read: Mapping[str, Tensor]) -> SqueezeLayers:
    """SqueezeNet 1.1 from torchvision's file."""
    return SqueezeLayers(layers, torchvision_squeeze_weights(read))


def vgg_order(network: Vgg, last_layer: str = "") -> tuple[str, ...]:
    """Names of a VGG's convolutions, `pool` between blocks, up to and with a layer.

    Args:
        network: which VGG.
        last_layer: such as `relu5_1`; the whole network if empty.
    """
    order: list[str] = []
    for block, n_convolutions in enumerate(_BLOCKS[network], start=1):
        order += ["pool"] if order else []
        for convolution in range(1, n_convolutions + 1):
            order.append(f"conv{block}_{convolution}")
            if order[-1].replace("conv", "relu") == last_layer:
                return tuple(order)
    return tuple(order)


def caffe_vgg_weights(network: Vgg, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring a Caffe VGG's weights to the names that `VggLayers` takes.

    Layouts: `features.N.weight` (torchvision's numbers, as in the conversions of
    jcjohnson/pytorch-vgg) or `N.weight` (the same without the classifier), BGR as in Caffe;
    `convB_I.weight` (as in albanie/pytorch-mcn, VGGFace), which come from MatConvNet and take
    RGB: their first convolution is turned to BGR here, so that all are fed alike.

    Args:
        network: which VGG.
        read: tensors of a file; what is not a convolution is left out.

    Returns:
        `convB_I.weight` and `.bias`; empty if the layout is none of these.
    """
    numbers = _torchvision_numbers(network)
    found: dict[str, Tensor] = {}
    for key, value in read.items():
        numbered = re.fullmatch(r"(?:features\.)?(\d+)\.(weight|bias)", key)
        if numbered and int(numbered[1]) in numbers:
            found[f"{numbers[int(numbered[1])]}.{numbered[2]}"] = value
        elif re.fullmatch(r"conv\d_\d\.(weight|bias)", key):
            found[key] = value.flip(1) if key == "conv1_1.weight" else value
    return found


def small_vgg_weights(read: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring the distilled VGG19's weights to the names that `VggLayers` takes.

    Layout: `convBI.weight` for block B and convolution I, `conv0` for the 1 x 1 preface; the
    `_aux` convolutions, which lead to the channels of the full network, are left out.
    """
    found: dict[str, Tensor] = {}
    for key, value in read.items():
        if named := re.fullmatch(r"conv(\d)(\d)\.(weight|bias)", key):
            found[f"conv{named[1]}_{named[2]}.{named[3]}"] = value
        elif named := re.fullmatch(r"conv0\.(weight|bias)", key):
            found[f"preface.{named[1]}"] = value
    return found


def torchvision_squeeze_weights(read: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring torchvision's SqueezeNet 1.1 to the names that `SqueezeLayers` takes.

    Layout: `features.0.weight` and, for the fire modules in their order, `features.N.squeeze`,
    `.expand1x1` and `.expand3x3`; poolings have numbers too, and the first ReLU.
    """
    names = {f"features.{number}": name for number, name in enumerate(_SQUEEZE_ORDER, start=2)}
    found: dict[str, Tensor] = {}
    for key, value in read.items():
        module, _, rest = key.rpartition(".")
        place, _, part = module.rpartition(".")
        if module == "features.0":
            found[f"conv1.{rest}"] = value
        elif place in names:
            part = "squeeze1x1" if part == "squeeze" else part
            found[f"{names[place]}.{part}.{rest}"] = value
    return found


def _torchvision_numbers(network: Vgg) -> dict[int, str]:
    numbers: dict[int, str] = {}
    place = count()
    for name in vgg_order(network):
        number = next(place)
        if name != "pool":
            numbers[number] = name
            next(place)  # its ReLU
    return numbers


def _convolution(
    weights: Mapping[str, Tensor], name: str, *, stride: int = 1, padding: int = 0
) -> nn.Conv2d:
    """A convolution of the size that its weights have.

    Raises:
        KeyError: there are no such weights.
        ValueError: they are not those of a square convolution.
    """
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3] or bias.shape != weight.shape[:1]:
        raise ValueError(f"{name} has the shapes {list(weight.shape)} and {list(bias.shape)}")
    n_out, n_in, side, _ = weight.shape
    conv = nn.Conv2d(n_in, n_out, side, stride, padding)
    conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return conv
