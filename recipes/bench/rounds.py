"""Timing in rounds: in each of them everything has its turn, so that a busy moment strikes all."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Group = Literal["pipeline", "models", "training"]

#: A turn lasts at least as long as this.
TURN_S = 0.3


@dataclass(frozen=True)
class Quantity:
    """What is timed.

    Args:
        group: To which table it belongs.
        name: Unlike all others.
        unit: What its seconds are for one of: "frame", "picture", "sample", "run", "convolution".
        gflop: Arithmetic of one unit in 10^9 operations; None if it is not counted.
        precision: In which arithmetic networks run; None if none do.
        is_emulated: Whether the machine has no instructions for that arithmetic.
        in_all: How many units a whole run has.
    """

    group: Group
    name: str
    unit: str
    gflop: float | None = None
    precision: Literal["fp32", "bf16"] | None = None
    is_emulated: bool = False
    in_all: int = 1


#: Seconds for one unit.
Readings = Mapping[Quantity, float]


class Probe(NamedTuple):
    """One turn of a round.

    Attributes:
        read: Takes the turn.
        is_slow: Whether the first round is enough.
    """

    read: Callable[[], Readings]
    is_slow: bool = False


class Summary(NamedTuple):
    """The rounds in short."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        """Summarise the values of all rounds."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Figure:
    """What was measured of a quantity.

    Args:
        quantity: Of what.
        seconds: For one unit.
        ratio: The same over the baseline's seconds for one frame in the same round.
    """

    quantity: Quantity
    seconds: Summary
    ratio: Summary

    @property
    def gflop_s(self) -> float | None:
        """Arithmetic a second, in 10^9 operations; None if it is not counted."""
        gflop = self.quantity.gflop
        return None if gflop is None else gflop / self.seconds.median


def looped(quantity: Quantity, call: Callable[[], object], n_units: int = 1) -> Probe:
    """Time a call that is too short, or too unsteady, to be timed once.

    Args:
        quantity: What it is.
        call: Returns when the work is done. What is emulated is called once in all, and else
            once before the first turn too.
        n_units: How many units a call does.
    """
    is_warm = quantity.is_emulated

    def read() -> Readings:
        nonlocal is_warm
        if not is_warm:
            call()
            is_warm = True
        n_calls, started_s = 0, time.perf_counter()
        while True:
            call()
            n_calls += 1
            passed_s = time.perf_counter() - started_s
            if passed_s >= TURN_S or quantity.is_emulated:
                return {quantity: passed_s / n_calls / n_units}

    return Probe(read, is_slow=quantity.is_emulated)


def rounds_of(probes: Sequence[Probe], n_rounds: int) -> Iterator[Readings]:
    """Let every probe take its turn in every round."""
    for index in range(n_rounds):
        readings: dict[Quantity, float] = {}
        for probe in probes:
            if index == 0 or not probe.is_slow:
                readings |= probe.read()
        yield readings


def figures_of(rounds: Sequence[Readings], baseline: Quantity) -> list[Figure]:
    """Summarise rounds.

    Args:
        rounds: All hold the baseline; others may be missing in some.
        baseline: What ratios are to.
    """
    quantities = dict.fromkeys(quantity for readings in rounds for quantity in readings)
    figures = []
    for quantity in quantities:
        with_it = [readings for readings in rounds if quantity in readings]
        seconds = [readings[quantity] for readings in with_it]
        ratios = [readings[quantity] / readings[baseline] for readings in with_it]
        figures.append(Figure(quantity, Summary.of(seconds), Summary.of(ratios)))
    return figures
