"""From figures of clips to means over people, with intervals; a person is the unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thvideo.evaluation.figures import Figure
from thvideo.shapes import F64Array, I64Array

_N_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Clip:
    """The figures of one row and one clip.

    Args:
        person: Whose clip.
        name: The take's name.
        figures: Values by figure; what could not be measured is not in it.
    """

    person: str
    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Mean:
    """A mean over people.

    Args:
        mean: Over people, of their clips' means.
        low: Where 95 % of bootstrap means begin.
        high: Where they end.
        n_people: Of how many people it is known.
        n_clips: In how many clips.
        worst: The worst person's: a mean hides them.
        worst_person: Who that is.
    """

    mean: float
    low: float
    high: float
    n_people: int
    n_clips: int
    worst: float
    worst_person: str


@dataclass(frozen=True)
class Change:
    """How a mean differs from the baseline's, over the people of whom both are known.

    Args:
        change: A share of the baseline's mean, or the plain difference, as the figure says.
        low: Where 95 % of bootstrap changes begin; people are resampled for both together.
        high: Where they end.
    """

    change: float
    low: float
    high: float


def mean_of(clips: Sequence[Clip], figure: Figure) -> Mean | None:
    """Return the mean of a figure over people; None where nobody has it."""
    by_person = _by_person(clips, figure.name)
    if not by_person:
        return None
    values = np.array(list(by_person.values()))
    means = values[_resampled(len(values))].mean(axis=1)
    low, high = (float(edge) for edge in np.percentile(means, _INTERVAL))
    n_clips = sum(figure.name in clip.figures for clip in clips)
    worst = max(by_person, key=lambda person: _badness(by_person[person], figure))
    return Mean(float(values.mean()), low, high, len(values), n_clips, by_person[worst], worst)


def _badness(value: float, figure: Figure) -> float:
    if figure.better == "one":
        return abs(value - 1)
    return value if figure.better == "less" else -value


def change_of(clips: Sequence[Clip], baseline: Sequence[Clip], figure: Figure) -> Change | None:
    """Return how a figure differs from the baseline's; None where nobody has both."""
    own, theirs = _by_person(clips, figure.name), _by_person(baseline, figure.name)
    people = [person for person in own if person in theirs]
    if not people:
        return None
    a, b = (np.array([values[person] for person in people]) for values in (own, theirs))
    again = _resampled(len(people))
    whole = _change(a.mean(), b.mean(), figure)
    if not np.isfinite(whole):
        return None
    low, high = np.nanpercentile(_change(a[again].mean(1), b[again].mean(1), figure), _INTERVAL)
    return Change(float(whole), float(low), float(high))


def _change(own: F64Array, baseline: F64Array, figure: Figure) -> F64Array:
    if figure.change == "difference":
        return own - baseline
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.asarray((own - baseline) / np.abs(baseline))
    return np.where(np.isfinite(share), share, np.nan)


def _by_person(clips: Sequence[Clip], figure: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for clip in clips:
        if figure in clip.figures:
            found.setdefault(clip.person, []).append(clip.figures[figure])
    return {person: float(np.mean(values)) for person, values in found.items()}


def _resampled(n_people: int) -> I64Array:
    """People drawn with replacement ``[N, P]``, always the same ones."""
    return np.random.default_rng(n_people).integers(n_people, size=(_N_RESAMPLES, n_people))
