"""Whether a file can be that of a perceptual network, by what is at its beginning. Loads no torch.

Fine-tuning reads its networks when minutes of work are done; a file of something else is found
before them.
"""

from pathlib import Path

from thvideo.errors import InputError
from thvideo.weights.names import tensor_names
from thvideo.weights.sources import SOURCES

# A late convolution of each network that the others lack, in every layout that is known.
_TELLING = {
    "vgg19": {"features.25.weight", "25.weight", "conv4_4.weight"},
    "vggface": {"features.24.weight", "24.weight", "conv5_1.weight"},
    "vgg19-small": {"conv51.weight"},
}


def check_perceptual_file(name: str, path: Path) -> None:
    """Check that a file holds tensors called as those of a network that fine-tuning knows.

    Args:
        name: A preset of ``FEW_SHOT_CONTENT``.
        path: Its file.

    Raises:
        InputError: It does not, or cannot be read.
    """
    refuse_other_scale(name, path)
    if not _TELLING[name] & tensor_names(path):
        raise InputError(f"{path} does not hold the weights of {name}", hint=_hint(name))


def refuse_other_scale(name: str, path: Path) -> None:
    """Refuse torchvision's VGG19, which cannot be told from Caffe's by its tensors.

    Raises:
        InputError: It is that file.
    """
    if path.name.startswith("vgg19-dcbb9e9d"):
        # Its keys are those of Caffe's, but it was trained on other pixel values.
        fact = f"{path} is torchvision's VGG19, not the Caffe-trained one that {name} feeds"
        raise InputError(fact, hint=_hint(name))


def _hint(name: str) -> str:
    if name in {source.name for source in SOURCES}:
        return f"thvideo weights fetch {name}"
    return f"give the file of {name}, or another network: thvideo weights fetch vgg19"
