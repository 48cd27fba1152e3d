"""Several processes that train one model: each takes its part of every batch.

`torchrun` starts them and says by environment variables who is who. Gradients and losses are
averaged over all, so that the result is that of one process with the whole batch, beside
rounding; every process then does the same update and holds the same weights.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist

from thvideo.errors import DeviceError

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """This process among those of a run; alone, it has nobody to ask.

    Args:
        rank: Its number.
        size: How many there are.
        local_size: How many of them share this machine and its memory.
        device: Where tensors have to lie that are passed on.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    device: torch.device = _CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> range:
        """Return which episodes of a batch are this process's; `size` divides the batch."""
        n_own = batch_size // self.size
        return range(self.rank * n_own, (self.rank + 1) * n_own)

    def mean(self, values: Tensor) -> Tensor:
        """Average a vector over all processes."""
        if self.size == 1:
            return values
        summed = values.detach().to(self.device, torch.float32)
        dist.all_reduce(summed)
        return summed / self.size

    def agreed(self, *wishes: bool) -> list[bool]:
        """Return what any process wishes; all have to ask at the same point."""
        if self.size == 1:
            return list(wishes)
        flags = torch.tensor(wishes, dtype=torch.int32, device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return [bool(flag) for flag in flags.tolist()]

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes.

        Dense ones travel as one flat vector; of sparse ones only the rows that were touched.
        """
        if self.size == 1:
            return
        dense = []
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = self._mean_rows(parameter.grad)
            elif parameter.grad is not None:
                dense.append(parameter.grad)
        if not dense:
            return
        flat = torch.cat([gradient.flatten() for gradient in dense])
        dist.all_reduce(flat)
        flat /= self.size
        pieces = torch.split(flat, [gradient.numel() for gradient in dense])
        for gradient, piece in zip(dense, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))

    def _mean_rows(self, gradient: Tensor) -> Tensor:
        gradient = gradient.coalesce()
        ids, rows = gradient.indices()[0], gradient.values()
        counts = self._gathered(torch.tensor([len(ids)], device=ids.device))
        longest = int(torch.cat(counts).max())
        missing = longest - len(ids)
        all_ids = self._gathered(torch.cat([ids, ids.new_zeros(missing)]))
        all_rows = self._gathered(torch.cat([rows, rows.new_zeros(missing, rows.shape[1])]))
        ends = [int(count) for count in counts]
        ids = torch.cat([found[:end] for found, end in zip(all_ids, ends, strict=True)])
        rows = torch.cat([found[:end] for found, end in zip(all_rows, ends, strict=True)])
        mean = torch.sparse_coo_tensor(
            ids[None], rows / self.size, gradient.shape, check_invariants=False
        )
        return mean.coalesce()

    def _gathered(self, values: Tensor) -> list[Tensor]:
        found = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(found, values.contiguous())
        return found


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Meet the processes that `torchrun` started beside this one.

    Args:
        device: This process's own.

    Raises:
        DeviceError: They do not meet, or the device cannot pass on tensors.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"several processes cannot train on {device.type}", hint="use --device cpu or cuda"
        )
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the {size} processes do not meet ({error})",
            hint="start them with torchrun --nproc-per-node N -m thvideo metatrain ...",
        ) from error
    try:
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
        yield Processes(dist.get_rank(), size, local_size, device)
        # Whoever leaves while another still writes is now and then ended by gloo's own threads.
        with suppress(RuntimeError):
            dist.barrier()
    finally:
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """Return which of a machine's GPUs is this process's, if only their kind was chosen."""
    if device.type != "cuda" or device.index is not None:
        return device
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take numbers near zero for zero inside the block: processors are slow with them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
