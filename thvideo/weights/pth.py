"""Weights that other projects publish as `.pth` files. The only place that calls `torch.load`."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from thvideo.errors import InputError, reason_of

_PICKLED = "convert it first: torch.save(model.state_dict(), ...), or safetensors.torch.save_file"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a flat file of named tensors, as they are stored, onto the CPU.

    Args:
        path: a `.safetensors` file, or a `.pth` or `.pt` file that holds a state dict.

    Raises:
        InputError: the file is missing, of another kind, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise InputError(f"there are no weights at {path}", hint="check the path")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            hint = "get the file again: it is damaged or not a safetensors file"
            raise InputError(f"{path} cannot be read ({reason_of(error)})", hint=hint) from error
    if path.suffix in (".pth", ".pt"):
        return _read_pth(path)
    raise InputError(
        f"{path} is no weights file: its name ends in {path.suffix or 'nothing'}",
        hint="give a .safetensors, .pth or .pt file",
    )


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        # weights_only: the file may hold tensors and plain containers, and can run nothing.
        read = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        # The loader raises whatever the damaged bytes lead it to; its first line says enough.
        reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise InputError(f"{path} holds no plain tensors ({reason})", hint=_PICKLED) from error
    if not isinstance(read, dict) or not all(isinstance(value, Tensor) for value in read.values()):
        raise InputError(f"{path} holds more than a state dict", hint=_PICKLED)
    return {str(name): value for name, value in read.items()}
