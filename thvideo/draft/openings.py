"""Eyes and mouth of a warped face: lids and lips that part and meet.

A smooth warp can only stretch the line between closed lips or squeeze an open eye. Here each
opening is drawn in layers: lids or lips slide over what lies behind them, which stays as it is
(the eyeball, the upper teeth) or, where the picture never showed it, is a shadow in the
picture's own colours.

All geometry is done in the source's crop, after the head's warp has taken head motion away, in
the opening's own coordinates: x runs from corner to corner, -1 to 1, y across it, in the same
unit, positive downwards. A lid is a curve ``y(x) = (1 - x^2) (c0 + c1 x + ...)``.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Opening:
    """Which landmarks bound an opening.

    Args:
        kind: "eye" or "mouth".
        corners: Landmark at x = -1 and at x = 1.
        upper: Landmarks along the upper lid or inner lip, left to right.
        lower: The same below.
        iris: The iris, or None.
        middle: Landmarks on the face's middle line; none where that does not pass through it.
        around: Landmarks as far as which its layers reach, beside these.
    """

    kind: Literal["eye", "mouth"]
    corners: tuple[int, int]
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    iris: int | None = None
    middle: tuple[int, ...] = ()
    around: tuple[int, ...] = ()


OPENINGS = (
    Opening("eye", (36, 39), (37, 38), (41, 40), iris=68),
    Opening("eye", (42, 45), (43, 44), (47, 46), iris=69),
    Opening("mouth", (60, 64), (61, 62, 63), (67, 66, 65), None, (51, 57, 62, 66), (33, 48, 54, 8)),
)


#: A mouth seen farther from the side than this is treated as one seen so.
_MOST_TURNED = 0.75


@dataclass(frozen=True)
class Frame:
    """An opening's coordinates in the source crop.

    Args:
        middle: ``[2]`` pixels.
        axis: ``[2]`` unit vector from corner to corner.
        half_px: Half the distance of the corners.
        turned: Where between the corners the opening's own middle is seen, -1 to 1: on a turned
            head its far half is foreshortened.
    """

    middle: Tensor
    axis: Tensor
    half_px: float
    turned: float = 0.0

    def to_local(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y of points ``[..., 2]`` in pixels."""
        offset_x, offset_y = ((points - self.middle) / self.half_px).unbind(dim=-1)
        x = offset_x * self.axis[0] + offset_y * self.axis[1]
        y = offset_y * self.axis[0] - offset_x * self.axis[1]
        if self.turned:
            # Corners stay, the middle goes to 0. Beyond the corners it does not matter.
            x = torch.where(x.abs() < 1, (x - self.turned) / (1 - self.turned * x), x)
        return x, y

    def to_pixels(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y in pixels."""
        if self.turned:
            x = torch.where(x.abs() < 1, (x + self.turned) / (1 + self.turned * x), x)
        along_x, along_y = self.half_px * self.axis
        return (
            self.middle[0] + along_x * x - along_y * y,
            self.middle[1] + along_y * x + along_x * y,
        )


def frame_of(points: Tensor, opening: Opening) -> Frame:
    """Return an opening's coordinates in the source, from its landmarks ``[70, 2]``."""
    start, end = points[opening.corners[0]], points[opening.corners[1]]
    half = float(torch.linalg.vector_norm(end - start)) / 2
    half = max(half, 1.0)
    frame = Frame((start + end) / 2, (end - start) / (2 * half), half)
    if not opening.middle:
        return frame
    seen_at = float(frame.to_local(points[list(opening.middle)].mean(dim=0))[0])
    return replace(frame, turned=max(-_MOST_TURNED, min(_MOST_TURNED, seen_at)))


def _basis(x: Tensor, n_terms: int) -> Tensor:
    inside = (1 - x * x).clamp_min(0)
    return torch.stack([inside * x**power for power in range(n_terms)], dim=-1)


#: How dear an edge's first coefficient is, in squared half widths; each further one four times.
_RIDGE = 5e-4


def edge_curve(frame: Frame, points: Tensor) -> Tensor:
    """Fit a lid's coefficients ``[B, K]`` to its points ``[B, K, 2]``."""
    return fit_curve(*frame.to_local(points), points.shape[1])


def fit_curve(x: Tensor, y: Tensor, n_terms: int) -> Tensor:
    """Fit coefficients ``[B, n_terms]`` to places ``[B, K]`` between the corners."""
    # Near the corners every curve is 0 and says nothing about the rest.
    basis = _basis(x.clamp(-0.85, 0.85), n_terms)
    # Points that crowd on a turned head say little about how a curve goes on: it stays plain.
    ridge = torch.diag(_RIDGE * 4.0 ** torch.arange(n_terms, dtype=x.dtype, device=x.device))
    fitted: Tensor = torch.linalg.solve(basis.mT @ basis + ridge, basis.mT @ y[..., None])
    return fitted[..., 0]


def along(coefficients: Tensor, x: Tensor) -> Tensor:
    """Evaluate curves ``[B, K]`` at x ``[B, H, W]``."""
    *lower, last = coefficients[:, None, None].unbind(dim=-1)
    value = last
    for coefficient in reversed(lower):
        value = coefficient + value * x
    return (1 - x * x).clamp_min(0) * value


#: Layers end this far above and below an opening, in half its width: there they show the same as
#: the warp. A patch that serves many frames reaches further, over what other openings have drawn.
REACH = 1.3


@dataclass(frozen=True)
class Edges:
    """Curves of an opening's upper and lower edge in the source ``[1, K]``, and new ``[B, K]``."""

    upper: Tensor
    lower: Tensor
    new_upper: Tensor
    new_lower: Tensor


def edges_of(opening: Opening, frame: Frame, source: Tensor, unposed: Tensor) -> Edges:
    """Fit an opening's edges.

    Args:
        opening: Which opening.
        frame: Its coordinates.
        source: ``[70, 2]`` the source's landmarks.
        unposed: ``[B, 70, 2]`` the adapted landmarks with the head's motion taken away.
    """
    return Edges(
        edge_curve(frame, source[None, list(opening.upper)]),
        edge_curve(frame, source[None, list(opening.lower)]),
        edge_curve(frame, unposed[:, list(opening.upper)]),
        edge_curve(frame, unposed[:, list(opening.lower)]),
    )


@dataclass(frozen=True)
class Lids:
    """Upper and lower edge in the source and where they have to go, at every pixel of a patch.

    All ``[B, H, W]`` in the opening's coordinates.
    """

    x: Tensor
    y: Tensor
    upper: Tensor
    lower: Tensor
    new_upper: Tensor
    new_lower: Tensor


def lids_at(edges: Edges, x: Tensor, y: Tensor) -> Lids:
    """Evaluate an opening's edges at places ``[B, H, W]`` in its coordinates."""
    upper, lower = along(edges.upper, x), along(edges.lower, x)
    new_upper, new_lower = along(edges.new_upper, x), along(edges.new_lower, x)
    lower = torch.maximum(lower, upper)
    # Edges that crossed meet where they would have met.
    meeting = (new_upper + new_lower) / 2
    crossed = new_upper > new_lower
    new_upper = torch.where(crossed, meeting, new_upper)
    new_lower = torch.where(crossed, meeting, new_lower)
    return Lids(x, y, upper, lower, new_upper, new_lower)


def change_of(lids: Lids, frame: Frame, shift: Tensor) -> Tensor:
    """Return how far an eye is from rest, 0..1 ``[B, 1, H, W]``; 0 where it does not reach.

    At rest a picture shows its own pixels; layers come in over the first half pixel of movement.

    Args:
        lids: The opening's edges over the patch.
        frame: Its coordinates.
        shift: ``[B, 2]`` how far what lies behind the lids goes, x and y.
    """
    moved = (lids.upper - lids.new_upper).abs() + (lids.lower - lids.new_lower).abs()
    moved = torch.maximum(moved, torch.linalg.vector_norm(shift, dim=-1)[:, None, None])
    above = torch.minimum(lids.upper, lids.new_upper) - lids.y
    below = lids.y - torch.maximum(lids.lower, lids.new_lower)
    near = (lids.x.abs() < 1) & (above < REACH) & (below < REACH)
    return ((2 * frame.half_px * moved).clamp(0, 1) * near)[:, None]


def between(y: Tensor, upper: Tensor, lower: Tensor, half_px: float) -> Tensor:
    """Return how much of a pixel lies between two edges, antialiased."""
    covered = ((y - upper) * half_px + 0.5).clamp(0, 1) * ((lower - y) * half_px + 0.5).clamp(0, 1)
    # Edges less than half a pixel apart touch.
    return covered * ((lower - upper) * half_px - 0.5).clamp(0, 1)
