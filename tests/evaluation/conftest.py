"""A small dataset of drawn faces, and weights of tiny networks."""

from pathlib import Path

import pytest

from tests.synthesis.tiny_networks import write_tiny
from tests.training.drawn_faces import SMALL_SWIFT, write_drawn_faces


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of drawn faces: two people to train on, three to evaluate, two clips each."""
    return write_drawn_faces(tmp_path_factory.mktemp("drawn") / "set", n_train=2, n_val=3)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny swift generator."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return write_tiny(path, SMALL_SWIFT, spread=0.02)
