"""Eyes and mouth of a warped face: lids and lips that part and meet.

A smooth warp can only stretch the line between closed lips or squeeze an open eye. Here each
opening is drawn in layers: lids or lips slide over what lies behind them, which stays as it is
(the eyeball, the upper teeth) or, where the picture never showed it, is a shadow in the
picture's own colours.

All geometry is done in the source's crop, after the head's warp has taken head motion away, in
the opening's own coordinates: x runs from corner to corner, -1 to 1, y across it, in the same
unit, positive downwards. A lid is a curve ``y(x) = (1 - x^2) (c0 + c1 x + ...)``.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from thvideo.imaging.warp import sample

#: How far above and below a moving lid the skin gives way, in half eye widths.
_SKIN_ABOVE, _SKIN_BELOW = 0.95, 0.7

#: Half the iris' width in half eye widths: this much of the eye shifts rigidly with the gaze.
_IRIS_HALF = 0.40

#: Lips are at least this thick, in half mouth widths, so that they never vanish.
_LEAST_LIP = 0.03


@dataclass(frozen=True)
class Opening:
    """Which landmarks bound an opening.

    Args:
        kind: "eye" or "mouth".
        corners: Landmark at x = -1 and at x = 1.
        upper: Landmarks along the upper lid or inner lip, left to right.
        lower: The same below.
        iris: The iris, or None.
        outer_upper: Landmarks along the outer edge of the upper lip.
        outer_lower: The same below.
    """

    kind: Literal["eye", "mouth"]
    corners: tuple[int, int]
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    iris: int | None = None
    outer_upper: tuple[int, ...] = ()
    outer_lower: tuple[int, ...] = ()


OPENINGS = (
    Opening("eye", (36, 39), (37, 38), (41, 40), iris=68),
    Opening("eye", (42, 45), (43, 44), (47, 46), iris=69),
    Opening("mouth", (60, 64), (61, 62, 63), (67, 66, 65), None, (50, 51, 52), (58, 57, 56)),
)


@dataclass(frozen=True)
class Frame:
    """An opening's coordinates in the source crop.

    Args:
        middle: ``[2]`` pixels.
        axis: ``[2]`` unit vector from corner to corner.
        half_px: Half the distance of the corners.
    """

    middle: Tensor
    axis: Tensor
    half_px: float

    def to_local(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y of points ``[..., 2]`` in pixels."""
        offset = (points - self.middle) / self.half_px
        x = offset[..., 0] * self.axis[0] + offset[..., 1] * self.axis[1]
        y = offset[..., 1] * self.axis[0] - offset[..., 0] * self.axis[1]
        return x, y

    def to_pixels(self, x: Tensor, y: Tensor) -> Tensor:
        """Return points ``[..., 2]`` in pixels."""
        across = torch.stack([-self.axis[1], self.axis[0]])
        return self.middle + self.half_px * (x[..., None] * self.axis + y[..., None] * across)


def frame_of(points: Tensor, opening: Opening) -> Frame:
    """Return an opening's coordinates in the source, from its landmarks ``[70, 2]``."""
    start, end = points[opening.corners[0]], points[opening.corners[1]]
    half = float(torch.linalg.vector_norm(end - start)) / 2
    half = max(half, 1.0)
    return Frame((start + end) / 2, (end - start) / (2 * half), half)


def _basis(x: Tensor, n_terms: int) -> Tensor:
    inside = (1 - x * x).clamp_min(0)
    return torch.stack([inside * x**power for power in range(n_terms)], dim=-1)


def _curve(frame: Frame, points: Tensor) -> Tensor:
    """Fit a lid's coefficients ``[B, K]`` to its points ``[B, K, 2]``."""
    x, y = frame.to_local(points)
    # Near the corners every curve is 0 and says nothing about the rest.
    basis = _basis(x.clamp(-0.85, 0.85), points.shape[1])
    # A trace of ridge keeps points that coincide on a turned head from swinging the curve.
    ridge = 1e-4 * torch.eye(points.shape[1], dtype=x.dtype, device=x.device)
    return torch.linalg.solve(basis.mT @ basis + ridge, (basis.mT @ y[..., None]))[..., 0]


def _along(coefficients: Tensor, x: Tensor) -> Tensor:
    """Evaluate curves ``[B, K]`` at x ``[B, H, W]``."""
    basis = _basis(x, coefficients.shape[-1])
    return (basis * coefficients[:, None, None]).sum(dim=-1)


def _fade(share: Tensor) -> Tensor:
    """Fall from 1 to 0 as ``share`` goes from 0 to 1, flat at both ends."""
    share = share.clamp(0, 1)
    return 1 - share * share * (3 - 2 * share)


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


def lids_at(
    opening: Opening, frame: Frame, source: Tensor, unposed: Tensor, positions: Tensor
) -> Lids:
    """Evaluate an opening's edges over a patch.

    Args:
        opening: Which opening.
        frame: Its coordinates.
        source: ``[70, 2]`` the source's landmarks.
        unposed: ``[B, 70, 2]`` the adapted landmarks with the head's motion taken away.
        positions: ``[B, H, W, 2]`` where the head's warp fetches every pixel of the patch.
    """
    x, y = frame.to_local(positions)
    upper = _along(_curve(frame, source[None, list(opening.upper)]), x)
    lower = _along(_curve(frame, source[None, list(opening.lower)]), x)
    new_upper = _along(_curve(frame, unposed[:, list(opening.upper)]), x)
    new_lower = _along(_curve(frame, unposed[:, list(opening.lower)]), x)
    lower = torch.maximum(lower, upper)
    # Edges that crossed meet where they would have met.
    meeting = (new_upper + new_lower) / 2
    crossed = new_upper > new_lower
    new_upper = torch.where(crossed, meeting, new_upper)
    new_lower = torch.where(crossed, meeting, new_lower)
    return Lids(x, y, upper, lower, new_upper, new_lower)


def change_of(lids: Lids, frame: Frame) -> Tensor:
    """Return how far an opening is from rest, 0..1 ``[B, 1, H, W]``.

    At rest a picture shows its own pixels; layers come in over the first half pixel of movement.
    """
    moved = (lids.upper - lids.new_upper).abs() + (lids.lower - lids.new_lower).abs()
    return (2 * frame.half_px * moved).clamp(0, 1)[:, None]


def draw_eye(image: Tensor, frame: Frame, lids: Lids, shift: Tensor) -> Tensor:
    """Draw an eye's patch: skin that slides, and the eyeball behind it.

    Args:
        image: ``[1, 3, S, S]`` the source crop.
        frame: The eye's coordinates.
        lids: Its edges over the patch.
        shift: ``[B, 2]`` how far the iris goes, x and y.

    Returns:
        ``[B, 3, H, W]``.
    """
    x, y = lids.x, lids.y
    move_up, move_low = lids.upper - lids.new_upper, lids.lower - lids.new_lower
    above = (lids.new_upper - y) / (_SKIN_ABOVE + move_up.abs())
    below = (y - lids.new_lower) / (_SKIN_BELOW + move_low.abs())
    upper_half = y < (lids.new_upper + lids.new_lower) / 2
    # Inside the opening the skin layer only fills half-covered pixels: it stops at the edge.
    skin_up = torch.minimum(y + move_up * _fade(above), torch.where(above < 0, lids.upper, y + 9))
    skin_low = torch.maximum(y + move_low * _fade(below), torch.where(below < 0, lids.lower, y - 9))
    skin = sample(image, frame.to_pixels(x, torch.where(upper_half, skin_up, skin_low)))

    height, new_height = lids.lower - lids.upper, lids.new_lower - lids.new_upper
    # A closing lid covers the eyeball; an eye opened wider than the picture's is stretched.
    widen = torch.clamp(new_height / height.clamp_min(1e-3), min=1)
    ball_y = torch.where(widen > 1, lids.lower + (y - lids.new_lower) / widen, y)
    ball_y = ball_y - shift[:, 1, None, None] * (1 - x * x).clamp_min(0)
    rim = 0.08 * height
    ball_y = torch.where(
        shift[:, 1, None, None].abs() > 1e-4,
        torch.minimum(
            torch.maximum(ball_y, torch.minimum(lids.upper + rim, y)),
            torch.maximum(lids.lower - rim, y),
        ),
        ball_y,
    )
    ball = sample(image, frame.to_pixels(_shifted(x, shift[:, 0]), ball_y))
    cover = _inside(y, lids.new_upper, lids.new_lower, frame.half_px)
    cover = cover * (x.abs() < 1)
    return skin + cover[:, None] * (ball - skin)


def _shifted(x: Tensor, shift: Tensor) -> Tensor:
    """Shift the iris rigidly along the eye; the white beside it gives way to the corners."""
    move = shift[:, None, None]
    centre_free = (1 - _IRIS_HALF) - 0.02
    move = move.clamp(-centre_free, centre_free)
    left_of, right_of = -_IRIS_HALF + move, _IRIS_HALF + move
    left = -1 + (x + 1) * (1 - _IRIS_HALF) / (left_of + 1)
    right = 1 - (1 - x) * (1 - _IRIS_HALF) / (1 - right_of)
    moved = torch.where(x < left_of, left, torch.where(x > right_of, right, x - move))
    return torch.where(x.abs() < 1, moved, x)


def _inside(y: Tensor, upper: Tensor, lower: Tensor, half_px: float) -> Tensor:
    """Return how much of a pixel lies between two edges, antialiased."""
    covered = ((y - upper) * half_px + 0.5).clamp(0, 1) * ((lower - y) * half_px + 0.5).clamp(0, 1)
    # Edges less than half a pixel apart touch.
    return covered * ((lower - upper) * half_px - 0.5).clamp(0, 1)


@dataclass(frozen=True)
class MouthColours:
    """What a mouth shows that was closed in the picture, ``[3]`` each, 0..255.

    Args:
        top: The shadow under the upper lip.
        bottom: The shadow above the lower lip.
        teeth: The upper teeth.
    """

    top: Tensor
    bottom: Tensor
    teeth: Tensor


def mouth_colours(image: Tensor, source: Tensor) -> MouthColours:
    """Take the colours inside the mouth from the picture's own lips, skin and darkest tones.

    A painting keeps its palette, a statue its stone and a black-and-white picture its greys.

    Args:
        image: ``[1, 3, S, S]`` in 0..255.
        source: ``[70, 2]`` landmarks in pixels.
    """
    size = image.shape[-1]
    outer, inner = source[48:60], source[60:68]
    ring = torch.cat(
        [
            (outer[[1, 2, 3, 4, 5]] + inner[[0, 1, 2, 3, 4]]) / 2,
            (outer[[11, 10, 9, 8, 7]] + inner[[0, 7, 6, 5, 4]]) / 2,
        ]
    )
    lips = sample(image, ring[None, None])[0, :, 0].mean(dim=1)
    low, high = source[:68].amin(dim=0), source[:68].amax(dim=0)
    x0, y0 = (int(v) for v in low.clamp(0, size - 2))
    x1, y1 = (int(v) for v in high.clamp(1, size - 1))
    face = image[0, :, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].flatten(1)
    light = face.mean(dim=0)
    thinned = light[:: max(1, len(light) // 100_000)]
    darkest = face[:, light <= torch.quantile(thinned, 0.02)].mean(dim=1)
    dark = torch.minimum(darkest, 0.45 * lips)
    # Teeth are the picture's own light, less coloured than its skin, and no lamp: in the shade of
    # the lips they are about as bright as the skin is on the whole.
    cheeks = sample(image, _between(source[[1, 15]], source[[28, 33]])[None])[0].flatten(1)
    light = cheeks.mean(dim=0)
    brightest = cheeks[:, light >= torch.quantile(light, 0.9)].mean(dim=1)
    white = 0.35 * brightest.mean() + 0.65 * brightest
    teeth = white * (1.02 * light.median() / white.mean()).clamp(max=1)
    return MouthColours(0.75 * dark + 0.10 * lips, 0.5 * dark + 0.33 * lips, teeth)


#: Edges between upper teeth, in half mouth widths from the middle: incisors and canines of an
#: average mouth, foreshortened towards its corners.
_TOOTH_EDGES = (0.0, 0.33, 0.56, 0.74, 0.87)

#: The incisors reach this far below the resting upper lip, in outer eye distances: 3 mm.
TEETH_BELOW_LIP = 0.034


def _between(ends: Tensor, rows: Tensor) -> Tensor:
    """Return a grid of points ``[32, 32, 2]`` from side to side at the height of two rows."""
    x = torch.linspace(0.2, 0.8, 32, device=ends.device)
    y = torch.linspace(0, 1, 32, device=ends.device)
    across = ends[0] + x[:, None] * (ends[1] - ends[0])  # [32, 2]
    down = (rows[0] - ends.mean(dim=0)) + y[:, None] * (rows[1] - rows[0])
    return down[:, None] + across[None]


@dataclass(frozen=True)
class Mouth:
    """A mouth beyond its inner lips.

    Args:
        upper_lip: Thickness in the source ``[B, H, W]``.
        lower_lip: The same.
        teeth_edge: Where the upper teeth end ``[B, H, W]``.
        stretch: How much higher the head's warp has made mouth and lips ``[B, 1, 1]``; what lies
            behind them is not stretched.
        colours: What shows between the lips.
    """

    upper_lip: Tensor
    lower_lip: Tensor
    teeth_edge: Tensor
    stretch: Tensor
    colours: MouthColours


def mouth_at(
    frame: Frame, source: Tensor, targets: Tensor, teeth: Tensor, lids: Lids, colours: MouthColours
) -> Mouth:
    """Evaluate lips and teeth over a patch.

    Args:
        frame: The mouth's coordinates.
        source: ``[70, 2]`` the source's landmarks.
        targets: ``[B, 70, 2]`` the adapted landmarks.
        teeth: ``[B, 3, 2]`` points at the upper teeth's edge, with the head's motion taken away.
        lids: The inner lips over the patch.
        colours: What shows between the lips.
    """
    upper, lower = lip_thickness(frame, OPENINGS[2], source, lids.x)
    now = torch.linalg.vector_norm(targets[:, 57] - targets[:, 51], dim=-1)
    stretch = now / torch.linalg.vector_norm(source[57] - source[51]).clamp_min(1)
    edge = _along(_curve(frame, teeth), lids.x)
    return Mouth(upper, lower, edge, stretch[:, None, None].clamp_min(0.5), colours)


def draw_mouth(image: Tensor, frame: Frame, lids: Lids, mouth: Mouth) -> Tensor:
    """Draw a mouth's patch: lips that part, the upper teeth if the picture shows them, shadow.

    Args:
        image: ``[1, 3, S, S]`` the source crop in 0..255.
        frame: The mouth's coordinates.
        lids: The inner lips over the patch.
        mouth: What else there is to know.

    Returns:
        ``[B, 3, H, W]``.
    """
    x, y = lids.x, lids.y
    top, bottom = lids.upper - mouth.upper_lip, lids.lower + mouth.lower_lip
    new_upper = torch.maximum(lids.new_upper, top + _LEAST_LIP)
    new_lower = torch.minimum(lids.new_lower, bottom - _LEAST_LIP)
    new_lower = torch.maximum(new_lower, new_upper)
    up = top + (y - top) * (lids.upper - top) / (new_upper - top)
    low = bottom - (bottom - y) * (bottom - lids.lower) / (bottom - new_lower).clamp_min(1e-3)
    is_upper = y < (new_upper + new_lower) / 2
    lip_y = torch.where(is_upper, torch.minimum(up, lids.upper), torch.maximum(low, lids.lower))
    lip_y = torch.where((y < top) | (y > bottom) | (x.abs() >= 1), y, lip_y)
    lips = sample(image, frame.to_pixels(x, lip_y))

    # What the picture shows between the lips hangs from the upper jaw, as teeth do.
    inner_y = lids.upper + (y - new_upper) * mouth.stretch
    shown = ((lids.lower - inner_y) * frame.half_px + 1).clamp(0, 1)
    # A closed mouth's line is lip, not what lies behind.
    shown = shown * ((lids.lower - lids.upper) * frame.half_px - 1).clamp(0, 1)
    teeth = sample(image, frame.to_pixels(x, torch.minimum(inner_y, lids.lower)))
    depth = ((y - new_upper) / (new_lower - new_upper).clamp_min(1e-3)).clamp(0, 1)
    top_colour, bottom_colour, tooth = (
        colour[None, :, None, None]
        for colour in (mouth.colours.top, mouth.colours.bottom, mouth.colours.teeth)
    )
    shade = torch.lerp(top_colour, bottom_colour, depth[:, None] ** 1.5)
    cover, light = _teeth(x, y, new_upper, mouth, frame.half_px)
    shade = shade + cover[:, None] * (tooth * light[:, None] - shade)
    inside = shade + shown[:, None] * (teeth - shade)
    cover = _inside(y, new_upper, new_lower, frame.half_px) * (x.abs() < 1)
    return lips + cover[:, None] * (inside - lips)


def _teeth(
    x: Tensor, y: Tensor, upper: Tensor, mouth: Mouth, half_px: float
) -> tuple[Tensor, Tensor]:
    """Return how much of every pixel upper teeth cover, and how they are lit, ``[B, H, W]``."""
    nearest = torch.stack([(x.abs() - at).abs() for at in _TOOTH_EDGES]).amin(dim=0)
    # Rounded corners: every tooth is a little shorter at its sides.
    edge = mouth.teeth_edge - 0.018 / mouth.stretch * torch.exp(-((nearest / 0.05) ** 2))
    shown_px = half_px * mouth.stretch
    cover = ((edge - y) * shown_px / 2 + 0.5).clamp(0, 1)
    cover = cover * ((edge - upper) * shown_px / 2).clamp(0, 1)
    # The lip's shadow above, the cheeks' at the sides, and the lines between the teeth.
    under_lip = 0.62 + 0.38 * ((y - upper) * mouth.stretch / 0.16).clamp(0, 1)
    inwards = (1 - 0.75 * x * x).clamp_min(0)
    lines = 1 - 0.10 * torch.exp(-((nearest / 0.025) ** 2))
    fade = ((1 - x.abs()) / 0.25).clamp(0, 1)
    return cover * fade, under_lip * inwards * lines


def lip_thickness(
    frame: Frame, opening: Opening, source: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the thickness of the source's lips at x ``[B, H, W]``, upper and lower."""

    def thickness(outer: tuple[int, ...], inner: tuple[int, ...]) -> Tensor:
        at, outside = frame.to_local(source[list(outer)])
        inside = _along(_curve(frame, source[None, list(inner)]), at[None, None])[0, 0]
        thick = (outside - inside).abs().clamp_min(2 * _LEAST_LIP)
        # The three measures, middle and both sides, joined by a parabola; it stays positive.
        middle = thick[1]
        side = (thick[0] + thick[2]) / 2
        reach = ((at[2] - at[0]) / 2).abs().clamp_min(0.2)
        return (middle + (side - middle) * (x / reach) ** 2).clamp_min(2 * _LEAST_LIP)

    return thickness(opening.outer_upper, opening.upper), thickness(
        opening.outer_lower, opening.lower
    )
