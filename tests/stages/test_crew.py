"""Work in processes: what is thrown, and that items are taken only when they are needed."""

import os
from collections.abc import Iterator

import pytest

from thvideo.errors import StageError, WorkspaceError
from thvideo.stages.crew import Died, in_processes


def squares():
    return lambda number: number * number


def deadly():
    return lambda number: os._exit(7) if number == 3 else number


def refusing():
    def work(number):
        raise WorkspaceError(f"no space for {number}", hint="free some")

    return work


def stillborn():
    os._exit(5)


def test_every_item_comes_back_with_its_result() -> None:
    assert sorted(in_processes(squares, iter(range(1, 8)), 2)) == [(n, n * n) for n in range(1, 8)]
    assert list(in_processes(squares, iter(()), 2)) == []


def test_items_are_taken_when_a_worker_is_free() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1, 100):
            taken.append(number)
            yield number

    results = in_processes(squares, items(), 1)
    assert next(results) == (1, 1)
    assert len(taken) <= 2
    results.close()  # type: ignore[attr-defined]


def test_a_death_costs_one_item() -> None:
    results = dict(in_processes(deadly, iter(range(1, 6)), 1))
    assert results == {1: 1, 2: 2, 3: Died(7), 4: 4, 5: 5}


def test_an_error_of_the_house_ends_it_with_its_hint() -> None:
    with pytest.raises(WorkspaceError, match="no space for 1") as caught:
        list(in_processes(refusing, iter([1, 2]), 1))
    assert caught.value.hint == "free some"


def test_workers_that_cannot_start_are_not_started_for_every_item() -> None:
    with pytest.raises(StageError, match=r"could not start \(exit code 5\)"):
        list(in_processes(stillborn, iter([1, 2, 3]), 1))
