"""Batches: order, and what happens when memory runs out."""

import pytest
import torch

from thvideo.errors import DeviceError
from thvideo.synthesis.batching import in_batches, is_out_of_memory


def test_items_come_in_order_and_every_one_once() -> None:
    done = [list(range(10))[part] for part, _ in in_batches(10, 4, lambda part: part)]
    assert done == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_smaller_first_batch_moves_no_later_one() -> None:
    parts = [part for part, _ in in_batches(21, 8, lambda part: part, first_size=2)]
    assert parts == [slice(0, 2), slice(2, 8), slice(8, 16), slice(16, 21)]
    assert [part for part, _ in in_batches(3, 2, lambda part: part, first_size=5)] == [
        slice(0, 2),
        slice(2, 3),
    ]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        MemoryError(),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(error: Exception) -> None:
    tried = []

    def work(part: slice) -> int:
        tried.append(part.stop - part.start)
        if part.stop - part.start > 3:
            raise error
        return part.start

    assert [start for _, start in in_batches(9, 8, work)] == [0, 2, 4, 6, 8]
    assert tried == [8, 4, 2, 2, 2, 2, 1]


def test_one_item_that_does_not_fit_is_a_device_error_with_a_hint() -> None:
    def work(part: slice) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceError) as caught:
        list(in_batches(3, 2, work))
    assert caught.value.hint


def test_other_errors_pass_unchanged() -> None:
    def work(part: slice) -> None:
        raise RuntimeError("sizes of tensors must match")

    with pytest.raises(RuntimeError, match="sizes of tensors"):
        list(in_batches(3, 2, work))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch size"):
        list(in_batches(3, 0, lambda part: part))
