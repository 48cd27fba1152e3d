"""The dataset of drawn faces, made once."""

from pathlib import Path

import pytest

from tests.training.drawn_faces import write_drawn_faces


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of drawn faces: four people to train on, two to validate with."""
    return write_drawn_faces(tmp_path_factory.mktemp("drawn") / "set")
