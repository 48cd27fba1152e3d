"""Fréchet distance of features (FID, arXiv:1706.08500), and the network that they are of."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from thvideo.errors import InputError
from thvideo.shapes import F32Array, F64Array, U8Array, check_shape

_SOURCE = (
    "a TorchScript file that takes uint8 [B, 3, H, W] and return_features=True, as "
    "inception-2015-12-05.pt of NVlabs/stylegan2-ada-pytorch does"
)
_BATCH = 8


def frechet_distance(a: F32Array, b: F32Array) -> float:
    """Return the Fréchet distance of two sets of features, each taken for a Gaussian.

    Args:
        a: ``[N, C]``.
        b: ``[M, C]``.

    Raises:
        ValueError: A set has fewer than two rows, or the two have other columns.
    """
    n_columns = check_shape(a, "N C")["C"]
    check_shape(b, "M C", C=n_columns)
    if min(len(a), len(b)) < 2:
        raise ValueError("a covariance needs two rows of features")
    apart = a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)
    spread_a, spread_b = (np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b))
    # tr sqrt(AB) = tr sqrt(sqrt(A) B sqrt(A)): symmetric, so that no root turns out complex.
    root = _root(spread_a)
    middle = np.linalg.eigvalsh(root @ spread_b @ root)
    both = np.sqrt(np.maximum(middle, 0)).sum()
    return float(apart @ apart + np.trace(spread_a) + np.trace(spread_b) - 2 * both)


def _root(matrix: F64Array) -> F64Array:
    values, vectors = np.linalg.eigh(matrix)
    root: F64Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


class Inception:
    """Features of pictures by a network that the person gives.

    Args:
        path: The file.
        device: Where to compute.

    Raises:
        InputError: It is missing, damaged, or no such network.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path, self._device = path, device
        if not path.is_file():
            raise InputError(f"there is no network at {path}", hint=_SOURCE)
        try:
            self._network: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device
            ).eval()
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            raise InputError(f"{path} is no TorchScript network ({first})", hint=_SOURCE) from error

    def features(self, frames: U8Array) -> F32Array:
        """Return the features ``[T, C]`` of frames ``[T, S, S, 3]`` RGB.

        Raises:
            InputError: The network does not answer as it should.
        """
        found = []
        with torch.inference_mode():
            for start in range(0, len(frames), _BATCH):
                pictures = torch.from_numpy(np.ascontiguousarray(frames[start : start + _BATCH]))
                pictures = pictures.permute(0, 3, 1, 2).to(self._device)
                try:
                    answer = self._network(pictures, return_features=True)
                    check_shape(answer, "B C", B=len(pictures))
                except (RuntimeError, ValueError, AttributeError) as error:
                    first = str(error).strip().partition("\n")[0]
                    raise InputError(
                        f"{self._path} gives no features ({first})", hint=_SOURCE
                    ) from error
                found.append(answer.float().cpu().numpy())
        return np.concatenate(found)
