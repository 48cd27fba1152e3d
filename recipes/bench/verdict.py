"""Whether something costs more than in an earlier run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from recipes.bench.rounds import Figure

#: More than this share above the earlier ratio is worth a word.
TOLERANCE = 0.10


class Change(NamedTuple):
    """One quantity, then and now.

    Attributes:
        name: Which.
        before: Its ratio to the baseline then.
        now: And now.
        verdict: "costs more"; or "unsure" where the rounds of both runs overlap.
    """

    name: str
    before: float
    now: float
    verdict: Literal["costs more", "unsure"]


def read_saved(path: Path) -> Mapping[str, Any]:
    """Read what an earlier run wrote with ``--json``.

    Raises:
        ValueError: It is something else.
    """
    saved = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(saved, dict) or "figures" not in saved:
        raise ValueError(f"{path} was not written by the bench")
    return saved


def changes(figures: Sequence[Figure], saved: Mapping[str, Any]) -> list[Change]:
    """Return what costs more than `TOLERANCE` above an earlier run.

    Ratios to the baseline are compared, not seconds: they differ less between days and machines.
    What only one of the runs measured is passed over.
    """
    before = {(each["group"], each["name"]): each["ratio"] for each in saved["figures"]}
    found = []
    for figure in figures:
        then = before.get((figure.quantity.group, figure.quantity.name))
        if then is None or figure.ratio.median <= (1 + TOLERANCE) * then["median"]:
            continue
        is_apart = figure.ratio.least > then["greatest"]
        verdict: Literal["costs more", "unsure"] = "costs more" if is_apart else "unsure"
        found.append(Change(figure.quantity.name, then["median"], figure.ratio.median, verdict))
    return found
