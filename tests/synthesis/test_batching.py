"""Batches: order, and what happens when memory runs out."""

from collections.abc import Callable

import pytest
import torch

from thvideo.errors import DeviceError
from thvideo.synthesis.batching import BatchSize, frames_at_once, in_batches


def test_items_come_in_order_and_every_one_once() -> None:
    done = [list(range(10))[part] for part, _ in in_batches(10, BatchSize(4), lambda part: part)]
    assert done == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_smaller_first_batch_moves_no_later_one() -> None:
    parts = [part for part, _ in in_batches(21, BatchSize(8), lambda part: part, 2)]
    assert parts == [slice(0, 2), slice(2, 8), slice(8, 16), slice(16, 21)]
    assert [part for part, _ in in_batches(3, BatchSize(2), lambda part: part, 5)] == [
        slice(0, 2),
        slice(2, 3),
    ]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
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

    assert [start for _, start in in_batches(9, BatchSize(8), work)] == [0, 2, 4, 6, 8]
    assert tried == [8, 4, 2, 2, 2, 2, 1]


def test_a_leftover_that_does_not_fit_once_costs_the_batches_to_come_a_half() -> None:
    at_once, tried = BatchSize(8), []

    def work(part: slice) -> None:
        tried.append(part.stop - part.start)
        if tried.count(1) == 1:
            raise MemoryError

    list(in_batches(9, at_once, work))
    list(in_batches(8, at_once, work))
    assert tried == [8, 1, 1, 4, 4]


def test_one_item_that_does_not_fit_is_a_device_error_with_a_hint() -> None:
    def work(part: slice) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceError) as caught:
        list(in_batches(3, BatchSize(2), work))
    assert caught.value.hint


def test_other_errors_pass_unchanged() -> None:
    def work(part: slice) -> None:
        raise RuntimeError("sizes of tensors must match")

    with pytest.raises(RuntimeError, match="sizes of tensors"):
        list(in_batches(3, BatchSize(2), work))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch size"):
        BatchSize(0)


def sizes_when(s_of_batch: Callable[[int], float], at_once: BatchSize, n_items: int) -> list[int]:
    """Return the sizes of the batches of many items, told how long a batch of a size takes."""
    now_s = 0.0

    def work(part: slice) -> int:
        nonlocal now_s
        now_s += s_of_batch(part.stop - part.start)
        return part.stop - part.start

    return [size for _, size in in_batches(n_items, at_once, work, clock=lambda: now_s)]


def test_a_batch_grows_while_that_makes_items_faster_and_returns_to_the_best() -> None:
    # Half a second for each batch, and more for each item where more than 16 crowd each other.
    def crowded(n_items: int) -> float:
        return 0.5 + n_items * (0.1 if n_items <= 16 else 0.2)

    sizes = sizes_when(crowded, BatchSize(4, most=128), 152)
    assert sizes == [4, 4, 8, 8, 8, 16, 16, 32, 32, 16, 8]


def test_a_batch_that_gains_nothing_worth_having_stays_and_so_does_one_that_may_not_grow() -> None:
    def hardly_faster(n_items: int) -> float:
        return 0.01 + n_items

    assert sizes_when(hardly_faster, BatchSize(4, most=128), 44)[-3:] == [4, 4, 4]
    assert sizes_when(lambda n: 1.0, BatchSize(4), 16) == [4] * 4
    assert max(sizes_when(lambda n: 1.0, BatchSize(4, most=8), 60)) == 8
    assert frames_at_once("cpu", 2).size == 16
    assert set(sizes_when(lambda n: 1.0, frames_at_once("cpu", 2), 96)) == {16}
    assert max(sizes_when(lambda n: 1.0, frames_at_once("cuda", 2), 2000)) == 128
    assert set(sizes_when(lambda n: 1.0, frames_at_once("cuda", 2, asked=5), 50)) == {5}


def test_what_was_learned_holds_for_calls_to_come() -> None:
    at_once = BatchSize(4, most=8)
    sizes_when(lambda n: 1.0, at_once, 16)
    assert sizes_when(lambda n: 1.0, at_once, 16) == [8, 8]


def test_no_batch_grows_again_once_memory_ran_out() -> None:
    def fits_four(n_items: int) -> float:
        if n_items > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0

    assert sizes_when(fits_four, BatchSize(2, most=64), 40) == [2, 2, *[4] * 9]
