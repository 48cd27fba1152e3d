"""The Fréchet distance against SciPy and against its closed form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from tests.evaluation.colour_features import save_colours
from thvideo.errors import InputError
from thvideo.evaluation.frechet import Inception, frechet_distance

CPU = torch.device("cpu")


def test_it_equals_scipys_root() -> None:
    rng = np.random.default_rng(0)
    a = (rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))).astype(np.float32)
    b = (rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6)) + 1).astype(np.float32)
    spread_a, spread_b = (np.cov(x.astype(np.float64), rowvar=False) for x in (a, b))
    apart = a.astype(np.float64).mean(0) - b.astype(np.float64).mean(0)
    root = sqrtm(spread_a @ spread_b)
    wanted = apart @ apart + np.trace(spread_a + spread_b - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6)


def test_one_column_has_a_closed_form() -> None:
    a, b = np.array([[0], [2]], np.float32), np.array([[10], [14]], np.float32)
    # Means 1 and 12, variances 2 and 8: (1 - 12)^2 + (sqrt 2 - sqrt 8)^2.
    assert frechet_distance(a, b) == pytest.approx(121 + 2)


def test_fewer_frames_than_features_are_no_trouble() -> None:
    features = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(features, features + 1) == pytest.approx(64, rel=1e-5)
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(features[:1], features)


class _Deaf(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures


def test_features_are_those_of_the_network_that_is_given(tmp_path: Path) -> None:
    path = save_colours(tmp_path / "inception.pt")
    frames = np.random.default_rng(0).integers(0, 255, (11, 8, 8, 3)).astype(np.uint8)
    found = Inception(path, CPU).features(frames)
    np.testing.assert_allclose(found, frames.mean(axis=(1, 2)), rtol=1e-4)


def test_files_that_are_no_such_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network at"):
        Inception(tmp_path / "nowhere.pt", CPU)
    text = tmp_path / "text.pt"
    text.write_text("no network")
    with pytest.raises(InputError, match="no TorchScript"):
        Inception(text, CPU)
    deaf = tmp_path / "deaf.pt"
    torch.jit.script(_Deaf()).save(str(deaf))
    with pytest.raises(InputError, match="gives no features"):
        Inception(deaf, CPU).features(np.zeros((1, 8, 8, 3), np.uint8))
