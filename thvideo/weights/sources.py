"""Public weights that are not ours to ship: where they are, and how a copy is recognised."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from thvideo.errors import UsageError
from thvideo.reading import expanded


@dataclass(frozen=True)
class Source:
    """A public file of weights.

    Args:
        name: what a person calls it.
        what: the network.
        file: the name under which it is kept.
        urls: where it is, the next is tried where one fails.
        licence: its name, or the page on which the authors state it.
        n_bytes: its size; 0 where nobody published it.
        sha256: the first characters of its SHA-256, as many as were published; empty where
            nobody published any.
    """

    name: str
    what: str
    file: str
    urls: tuple[str, ...]
    licence: str
    n_bytes: int = 0
    sha256: str = ""


SOURCES = (
    Source(
        "vgg19",
        "VGG19 as Caffe trained it (Simonyan and Zisserman), converted by jcjohnson/pytorch-vgg",
        "vgg19-d01eb7cb.pth",
        (
            "https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",
            "https://s3-us-west-2.amazonaws.com/jcjohns-models/vgg19-d01eb7cb.pth",
        ),
        "http://www.robots.ox.ac.uk/~vgg/research/very_deep/",
        sha256="d01eb7cb",  # the file's own name says so, as PyTorch's model zoo names files
    ),
    Source(
        "vggface",
        "VGG16 trained on faces (Parkhi et al. 2015), converted by albanie/pytorch-mcn",
        "vgg_face_dag.pth",
        ("https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth",),
        "https://www.robots.ox.ac.uk/~vgg/software/vgg_face/",
    ),
    Source(
        "squeezenet",
        "SqueezeNet 1.1 as torchvision trained it, the backbone of LPIPS",
        "squeezenet1_1-b8a52dc0.pth",
        ("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",),
        "https://github.com/pytorch/vision",
        sha256="b8a52dc0",
    ),
    Source(
        "lpips",
        "linear layers of LPIPS v0.1 for SqueezeNet (richzhang/PerceptualSimilarity)",
        "lpips_squeeze_linear.pth",
        (
            "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/"
            "weights/v0.1/squeeze.pth",
        ),
        "BSD-2-Clause",
        n_bytes=10_811,
        sha256="4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ),
)


def source(name: str) -> Source:
    """The public weights of a name.

    Raises:
        UsageError: there are none.
    """
    for one in SOURCES:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in SOURCES)
    raise UsageError(f"no public weights are called {name!r}", hint=f"take one of {known}")


def fetched_folder() -> Path:
    """Where fetched weights are kept."""
    return cache_folder() / "weights"


def cache_folder() -> Path:
    """What can be fetched or measured again: THVIDEO_CACHE, else where the platform caches."""
    if chosen := os.environ.get("THVIDEO_CACHE"):
        return expanded(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "thvideo"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "thvideo" / "Cache"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "thvideo"
