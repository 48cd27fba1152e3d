"""Perceptual networks as presets of network, layers, preprocessing and weights; their losses.

What a network was trained on decides how it must be fed: Caffe's take BGR from 0 to 255 with
the mean subtracted. Fed with RGB from 0 to 1 they answer hundreds of times too weakly.
Shapes: B images, S their side in pixels, C channels and s the side of a layer's activations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.errors import InputError, UsageError, reason_of
from thvideo.models.perceptual_files import refuse_other_scale
from thvideo.models.perceptual_nets import (
    SqueezeLayers,
    torchvision_squeeze,
    vgg16,
    vgg19,
    vgg19_small,
)
from thvideo.shapes import check_shape
from thvideo.weights.pth import read_tensors

# Activations are divided by their length over channels; this keeps silent places finite.
_LENGTH_EPS = 1e-10
_TRIAL_PX = 64
LINEAR_FILE = "lpips_squeeze_linear.pth"


@dataclass(frozen=True)
class Preprocessing:
    """How a network is fed.

    Args:
        white: value of a white pixel; black is 0.
        is_bgr: whether blue comes first.
        mean: what is subtracted, in the network's own order of channels.
        scale: what the rest is divided by.
    """

    white: float
    is_bgr: bool
    mean: tuple[float, float, float]
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class PerceptualPreset:
    """A network, the layers that count, how to feed it, and where its weights are from.

    Args:
        build: makes the network from the layers and the tensors of a weights file.
        layers: names of the layers, in the order of the network.
        preprocessing: how to feed it.
        file: the usual name of the weights file.
        source: where a person gets it.
        has_linear: whether LPIPS' linear layers lie beside the file.
    """

    build: Callable[[tuple[str, ...], Mapping[str, Tensor]], nn.Module]
    layers: tuple[str, ...]
    preprocessing: Preprocessing
    file: str
    source: str
    has_linear: bool = False


_FIRST_OF_BLOCKS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
# The mean colour of ImageNet, blue first, as in Caffe's model zoo; SqueezeNet rounds it.
_CAFFE = Preprocessing(255.0, is_bgr=True, mean=(103.939, 116.779, 123.68))
_CAFFE_ROUND = Preprocessing(255.0, is_bgr=True, mean=(104.0, 117.0, 123.0))
# The mean colour of VGGFace's faces, blue first (Parkhi et al., Deep Face Recognition, 2015).
_CAFFE_FACE = Preprocessing(255.0, is_bgr=True, mean=(93.594, 104.7624, 129.1863))
# The mean and the spread of ImageNet's colours, as torchvision's networks were trained.
_TORCHVISION = Preprocessing(
    1.0, is_bgr=False, mean=(0.485, 0.456, 0.406), scale=(0.229, 0.224, 0.225)
)
_PLAIN = Preprocessing(1.0, is_bgr=False, mean=(0.0, 0.0, 0.0))
_LPIPS_LAYERS = ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
_SQUEEZE_FILE = "squeezenet11_imagenet.safetensors"
_SQUEEZE_SOURCE = "SqueezeNet 1.1 of Caffe's model zoo, keys conv1 and fireN.*"

PERCEPTUAL: dict[str, PerceptualPreset] = {
    "vgg19": PerceptualPreset(
        vgg19, _FIRST_OF_BLOCKS, _CAFFE, "vgg19-d01eb7cb.pth", "thvideo weights fetch vgg19"
    ),
    # Conv 1, 6, 11, 18, 25 in the paper's count, which counts ReLUs and poolings too.
    "vggface": PerceptualPreset(
        vgg16, _FIRST_OF_BLOCKS, _CAFFE_FACE, "vgg_face_dag.pth", "thvideo weights fetch vggface"
    ),
    "vgg19-small": PerceptualPreset(
        vgg19_small,
        _FIRST_OF_BLOCKS,
        _PLAIN,
        "vgg19_small16x.safetensors",
        "VGG19 distilled 16x, of Collaborative Distillation (CVPR 2020), keys conv0 to conv51",
    ),
    "squeezenet": PerceptualPreset(
        SqueezeLayers,
        ("relu1", "fire3", "fire5", "fire9"),
        _CAFFE_ROUND,
        _SQUEEZE_FILE,
        _SQUEEZE_SOURCE,
    ),
    "lpips-squeeze": PerceptualPreset(
        SqueezeLayers,
        _LPIPS_LAYERS,
        _CAFFE_ROUND,
        _SQUEEZE_FILE,
        f"{_SQUEEZE_SOURCE}, and {LINEAR_FILE} (LPIPS v0.1) beside it",
        has_linear=True,
    ),
    "lpips": PerceptualPreset(
        torchvision_squeeze,
        _LPIPS_LAYERS,
        _TORCHVISION,
        "squeezenet1_1-b8a52dc0.pth",
        "thvideo weights fetch squeezenet lpips",
        has_linear=True,
    ),
}


class PerceptualNet(nn.Module):
    """A frozen network that tells how alike pictures look: gradients reach only the images.

    Args:
        preset: what it is.
        layers: the network, prepared images to a list of activations.
        linear: weights `[C]` of every layer's channels, of LPIPS; none for other presets.
    """

    def __init__(
        self, preset: PerceptualPreset, layers: nn.Module, linear: tuple[Tensor, ...] = ()
    ) -> None:
        super().__init__()
        self.preset = preset
        self.layers = layers
        self.linear = nn.ParameterList(linear)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Activations `[B, C, s, s]` of every layer.

        Args:
            images: `[B, 3, S, S]` RGB in -1..1.
        """
        check_shape(images, "B 3 H W")
        return self.layers(prepare(images, self.preset.preprocessing))


def prepare(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn images into what a network was trained on.

    Args:
        images: `[B, 3, S, S]` RGB in -1..1.
        preprocessing: what the network wants.

    Returns:
        The same shape, float32.
    """
    scaled = (images.float() + 1.0) * (preprocessing.white / 2.0)
    ordered = scaled.flip(1) if preprocessing.is_bgr else scaled
    mean, scale = torch.tensor([preprocessing.mean, preprocessing.scale], device=images.device)[
        :, :, None, None
    ]
    return (ordered - mean) / scale


def perceptual_net(name: str, path: Path) -> PerceptualNet:
    """Load a perceptual network.

    Args:
        name: a preset, such as `vgg19`.
        path: its weights file, or the folder that holds it under its usual name, such as
            that of `thvideo weights fetch`. The linear layers of LPIPS lie beside the file, as
            `lpips_squeeze_linear.pth`.

    Raises:
        UsageError: there is no such preset.
        InputError: the weights are missing, damaged, or those of another network.
    """
    if name not in PERCEPTUAL:
        known = ", ".join(PERCEPTUAL)
        raise UsageError(f"there is no perceptual network {name!r}", hint=f"take one of {known}")
    preset = PERCEPTUAL[name]
    file = path / preset.file if path.is_dir() else path
    linear_file = file.with_name(LINEAR_FILE)
    for needed in (file, linear_file) if preset.has_linear else (file,):
        if not needed.is_file():
            raise InputError(f"{name} needs {needed}, which is not there", hint=preset.source)
    refuse_other_scale(name, file)
    read = read_tensors(file)
    linear = read_tensors(linear_file) if preset.has_linear else {}
    try:
        net = PerceptualNet(preset, preset.build(preset.layers, read), _channel_weights(linear))
        _try(net)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{file} does not hold the weights of {name} ({reason_of(error)})", hint=preset.source
        ) from error
    return net


def content_loss(
    net: PerceptualNet, images: Tensor, targets: Tensor, mask: Tensor | None = None
) -> Tensor:
    """L_CNT of the paper: mean absolute difference of activations, summed over the layers.

    Args:
        net: a perceptual network.
        images: `[B, 3, S, S]` RGB in -1..1; gradients reach these alone.
        targets: the same shape.
        mask: `[B, 1, S, S]` in 0..1; pixels at 0 count nothing at all: they are taken from the
            targets, and a layer's mean over a sample is weighted by the mask averaged over its
            cells.

    Returns:
        A scalar, float32.
    """
    if mask is not None:
        images = torch.lerp(targets.detach().float(), images.float(), mask.float())
    with torch.no_grad():
        wanted = net(targets)
    loss = images.new_zeros((), dtype=torch.float32)
    for found, target in zip(net(images), wanted, strict=True):
        difference = (found.float() - target.float()).abs()
        if mask is None:
            loss = loss + difference.mean()
            continue
        weight = functional.interpolate(mask.float(), size=difference.shape[-2:], mode="area")
        loss = loss + _masked_mean(difference, weight)
    return loss


def lpips_distance(net: PerceptualNet, a: Tensor, b: Tensor) -> Tensor:
    """How different two pictures look, after LPIPS v0.1 (arXiv:1801.03924).

    The preset `lpips` is LPIPS itself with SqueezeNet; `lpips-squeeze`, with Caffe's SqueezeNet
    in the place of torchvision's, is close to it.

    Args:
        net: a preset with linear layers.
        a: `[B, 3, S, S]` RGB in -1..1.
        b: the same shape.

    Returns:
        `[B]`, 0 for equal pictures, float32.

    Raises:
        ValueError: the network has no linear layers.
    """
    if not len(net.linear):
        raise ValueError(
            "this perceptual network has no linear layers: take lpips or lpips-squeeze"
        )
    distance = a.new_zeros(len(a), dtype=torch.float32)
    for weight, left, right in zip(net.linear, net(a), net(b), strict=True):
        squared = (_unit_length(left.float()) - _unit_length(right.float())).square()
        distance = distance + torch.einsum("c,bcyx->b", weight, squared) / squared[0, 0].numel()
    return distance


def _unit_length(features: Tensor) -> Tensor:
    length = features.square().sum(dim=1, keepdim=True).add(_LENGTH_EPS**2).sqrt()
    return features / (length + _LENGTH_EPS)


def _masked_mean(difference: Tensor, weight: Tensor) -> Tensor:
    """Mean of `[B, C, s, s]` weighted by `[B, 1, s, s]` in each sample; 0 without any weight."""
    total = weight.sum(dim=(1, 2, 3)) * difference.shape[1]
    sums = (difference * weight).sum(dim=(1, 2, 3))
    return (sums / total.clamp(min=torch.finfo(torch.float32).eps)).mean()


def _channel_weights(linear: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """LPIPS' `linN.model.1.weight` `[1, C, 1, 1]`, in the order of N, as `[C]`."""
    names = (f"lin{layer}.model.1.weight" for layer in range(len(linear)))
    return tuple(linear[name].flatten().float() for name in names)


def _try(net: PerceptualNet) -> None:
    """Run a network once, so that weights that do not fit or are no numbers are found here."""
    grey = torch.zeros(1, 3, _TRIAL_PX, _TRIAL_PX)
    with torch.no_grad():
        if not all(features.isfinite().all() for features in net(grey)):
            raise ValueError("it answers with numbers that are none")
        if net.preset.has_linear:
            lpips_distance(net, grey, grey)
