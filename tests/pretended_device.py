"""A CUDA device for machines that have none: what it would refuse is refused, the rest is computed.

Tensors on it hold one of the processor's, which does the work, so that numbers are the processor's
own. It cannot show what needs the device itself: speed, memory, streams, its own rounding, and
what autocast does there: here it does nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda:0")
_ATEN = torch.ops.aten

#: These may meet tensors of several devices: copies do, and indices may lie on the processor.
_COPIES = {_ATEN.copy_.default, _ATEN._to_copy.default}
_INDEXED = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default}
_INDEXED |= {_ATEN._index_put_impl_.default}


class OnDevice(torch.Tensor):
    """A tensor that lies on the pretended device."""

    held: torch.Tensor
    device = CUDA
    is_cuda, is_meta = True, False

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnDevice":
        """Wrap a tensor of the processor's."""
        layout: dict[str, Any] = {"layout": held.layout}
        if held.layout is torch.strided:
            layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        # For torch itself they lie on a device that every build has: a backward pass asks for it.
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, dtype=held.dtype, device="meta", **layout
        )
        made.held = held
        return made

    def numpy(self, *_: object, **__: object) -> Any:
        """Refuse, as torch does."""
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")

    def tolist(self) -> Any:
        """Copy to the processor, as torch does."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: object, *_: object) -> Any:
        """Refuse: whoever still computes with it left the pretence's block or thread."""
        raise RuntimeError(f"{func} on the pretended device, outside of the pretence")


class _Pretence(TorchDispatchMode):
    """Sees every operation."""

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _done(func, args, dict(kwargs or {}))


def _bare(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _done(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    leaves = tree_flatten((args, kwargs))[0]
    ours = {id(leaf.held): leaf for leaf in leaves if isinstance(leaf, OnDevice)}
    wanted = kwargs.get("device")
    is_there = bool(ours) if wanted is None else torch.device(wanted).type != "cpu"
    if ours:
        _refuse_strangers(func, args, leaves)
    if is_there and kwargs.get("generator") is not None:
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if wanted is not None:
        kwargs["device"] = torch.device("cpu")
    out = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
    if func is _ATEN.copy_.default:
        return args[0]
    return tree_map(lambda value: _wrapped(value, ours), out) if is_there else out


def _wrapped(value: Any, ours: dict[int, OnDevice]) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    # What is changed in place stays the same tensor.
    return ours[id(value)] if id(value) in ours else OnDevice(value)


def _refuse_strangers(func: Any, args: tuple[Any, ...], leaves: list[Any]) -> None:
    if func in _COPIES:
        return
    if func in _INDEXED:
        if not isinstance(args[0], OnDevice):
            raise RuntimeError("indices should be either on cpu or on the same device (cpu)")
        leaves = [args[0], *args[2:3]]
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    # Torch makes one of a list of indices, without a word to anybody.
    assert not any(type(tensor) is torch.Tensor and tensor.is_meta for tensor in tensors), func
    # A number on the processor may meet any tensor.
    if any(not isinstance(tensor, OnDevice) and tensor.dim() for tensor in tensors):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found cuda:0 and cpu! ({func})"
        )


@contextmanager
def pretended_cuda() -> Iterator[torch.device]:
    """Give this machine a CUDA device inside the block, in every thread that begins there."""
    run = threading.Thread.run

    def run_so(thread: threading.Thread) -> None:
        with _Pretence():
            run(thread)

    def yes(*_: object, **__: object) -> bool:
        return True

    with pytest.MonkeyPatch.context() as patch, _Pretence():
        tensor = torch.tensor
        patch.setattr(torch, "tensor", lambda *a, device=None, **k: tensor(*a, **k).to(device))
        # Views of what is made for inference alone are none that a wrapper can be.
        patch.setattr(torch, "inference_mode", torch.no_grad)
        # A parameter that stays the same object cannot come to be one of another class.
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", yes)
        sparse = torch.optim._functional.sparse_adam
        patch.setattr(
            torch.optim._functional,
            "sparse_adam",
            lambda *a, **k: sparse(*tree_map(_bare, a), **tree_map(_bare, k)),
        )
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "is_available", yes)
        patch.setattr(torch.cuda, "is_bf16_supported", yes)
        patch.setattr(torch.cuda, "device", nullcontext)
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(torch.cuda, "empty_cache", lambda: None)
        patch.setattr(threading.Thread, "run", run_so)
        yield CUDA
