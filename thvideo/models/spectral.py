"""Spectral norm: a layer's weight divided by its largest singular value (arXiv:1802.05957).

The singular value is followed by one power iteration for each forward pass in training mode, as
in the paper; unlike PyTorch's own, it stays in float32 under autocast.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

_Layer = TypeVar("_Layer", bound=nn.Module)
_EPS = 1e-12
# What a layer's keys have between its name and `original`, `0.u` and `0.v`.
_NORMED = ".parametrizations.weight."
# Iterations at construction, as PyTorch's own: fresh weights start close to norm 1.
_START_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """Parametrization of a weight `[n_out, ...]` by its largest singular value.

    Args:
        weight: the weight it will be used for.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer(
            "u", functional.normalize(matrix.new_empty(len(matrix)).normal_(), dim=0)
        )
        self.register_buffer(
            "v", functional.normalize(matrix.new_empty(matrix.shape[1]).normal_(), dim=0)
        )
        if not weight.is_meta:
            self.iterate(weight, _START_ITERATIONS)

    @torch.no_grad()
    def iterate(self, weight: Tensor, n_iterations: int) -> None:
        """Bring `u` and `v` nearer to the weight's first singular vectors, in place."""
        with _without_autocast(weight.device):
            matrix = weight.flatten(1)
            for _ in range(n_iterations):
                self.v.copy_(functional.normalize(matrix.T @ self.u, dim=0, eps=_EPS))
                self.u.copy_(functional.normalize(matrix @ self.v, dim=0, eps=_EPS))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with a largest singular value of about 1."""
        if self.training:
            self.iterate(weight, 1)
        with _without_autocast(weight.device):
            # Copies: a second forward pass may move u and v before the first one's backward pass.
            u, v = self.u.clone(), self.v.clone()
            return _normed(weight, u, v)


def _normed(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return weight / torch.dot(u, weight.flatten(1) @ v)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    # The meta device, on which networks are counted, knows no autocast.
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def spectral(layer: _Layer) -> _Layer:
    """Put spectral norm on a convolution or linear layer, in place.

    Args:
        layer: a module with a `weight`.

    Returns:
        The same layer.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight), unsafe=True)
    return layer


def settle_spectral_norms(network: nn.Module, n_iterations: int = 20) -> None:
    """Follow the singular values of weights that were replaced, say by their moving average.

    Args:
        network: any network; layers without spectral norm stay as they are.
        n_iterations: power iterations for each layer.
    """
    for module in network.modules():
        if isinstance(module, parametrize.ParametrizationList):
            for step in module:
                if isinstance(step, SpectralNorm):
                    step.iterate(module.original, n_iterations)


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's tensors as `fold_spectral_norms` leaves them."""
    plain = {}
    for name, tensor in tensors.items():
        layer, found, part = name.partition(_NORMED)
        if not found:
            plain[name] = tensor
        elif part == "original":
            u, v = (tensors[f"{layer}{_NORMED}0.{vector}"] for vector in "uv")
            plain[f"{layer}.weight"] = _normed(tensor, u, v)
    return plain


def fold_spectral_norms(network: nn.Module) -> nn.Module:
    """Replace every normed weight by its value, in place, so that inference does not divide.

    Args:
        network: a network in eval mode that will not be trained again.

    Returns:
        The same network; its state has plain `weight` keys afterwards.
    """
    for module in list(network.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return network
