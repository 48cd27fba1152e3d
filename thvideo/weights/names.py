"""The names of the tensors in a weights file, read from its beginning. Loads no torch."""

import re
import zipfile
import zlib
from pathlib import Path

from thvideo.errors import InputError, reason_of
from thvideo.weights.cards import header_of

# Before zip files PyTorch wrote the names first, then the tensors.
_HEAD_BYTES = 1 << 20
# Names of a network's tensors take less than a hundredth of this.
_MOST_NAMES_BYTES = 16 << 20
# What zipfile raises on archives that are damaged, encrypted or packed in an unknown way.
_DAMAGE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
_OLD_MAGIC = b"\x80\x02"
# Pickled text is plain bytes with its length before it, so names can be found without unpickling.
_NAME = re.compile(rb"[\w.]+\.(?:weight|bias)")


def tensor_names(path: Path) -> set[str]:
    """Return the names of a file's tensors that end in ``.weight`` or ``.bias``.

    Args:
        path: A ``.safetensors`` file, or a ``.pth`` or ``.pt`` file.

    Raises:
        InputError: The file cannot be read, or is no such file.
    """
    if path.suffix == ".safetensors":
        return {name for name in header_of(path) if name.endswith((".weight", ".bias"))}
    try:
        return {name.decode() for name in _NAME.findall(_pickled(path))}
    except _DAMAGE as error:
        raise InputError(
            f"{path} is not a file of weights, or damaged ({reason_of(error)})",
            hint="give a .safetensors, .pth or .pt file, or get it again",
        ) from error


def _pickled(path: Path) -> bytes:
    if path.suffix not in (".pth", ".pt"):
        raise ValueError(f"its name ends in {path.suffix or 'nothing'}")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_OLD_MAGIC):
        return head
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not inside:
            raise ValueError("it holds no tensors")
        n_bytes = archive.getinfo(inside[0]).file_size
        if n_bytes > _MOST_NAMES_BYTES:
            raise ValueError(f"the names in it take {n_bytes} bytes")
        return archive.read(inside[0])
