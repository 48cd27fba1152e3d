"""The dataset of drawn faces, made once, and how small runs compute."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.drawn_faces import write_drawn_faces


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of drawn faces: four people to train on, two to validate with."""
    return write_drawn_faces(tmp_path_factory.mktemp("drawn") / "set")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread: others only cost in so small a run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
