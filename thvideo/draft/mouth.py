"""Drawing a mouth: lips that part over teeth and shadow, and meet again."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from thvideo.draft.openings import Frame, Lids, along, between, edge_curve, fit_curve
from thvideo.imaging.lookup import sample
from thvideo.shapes import F32Array

#: Lips are at least this thick, in half mouth widths, so that they never vanish.
_LEAST_LIP = 0.03

#: A raised lip leaves at least this share of the skin between it and the nose, a lowered one of
#: that to the chin.
_LEAST_SKIN = 0.25

#: The lips' outer edges from the corner at x = -1 to the one at x = 1, and how they are fitted.
_OUTER_UPPER, _OUTER_LOWER = (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)
_OUTER_TERMS = 4

#: A picture's mouth is shut below the first gap of its inner lips and open above the second, in
#: half mouth widths.
_SHUT, _OPEN = 0.06, 0.16

#: What lies this near the lower lip's edge in the picture may be the lip itself: it is not shown
#: where the lips part farther.
_LIP_RIM = 0.08


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


def mouth_colours(image: F32Array, source: Tensor) -> MouthColours:
    """Take the colours inside the mouth from the picture's own lips, skin and darkest tones.

    A painting keeps its palette, a statue its stone and a black-and-white picture its greys.

    Args:
        image: ``[1, S, S, 4]`` in 0..255.
        source: ``[70, 2]`` landmarks in pixels.
    """
    size = image.shape[1]
    outer, inner = source[48:60], source[60:68]
    ring = torch.cat(
        [
            (outer[[1, 2, 3, 4, 5]] + inner[[0, 1, 2, 3, 4]]) / 2,
            (outer[[11, 10, 9, 8, 7]] + inner[[0, 7, 6, 5, 4]]) / 2,
        ]
    )
    lips = sample(image, *ring[None, None].unbind(dim=-1)).mean(dim=(0, 2, 3))
    low, high = source[:68].amin(dim=0), source[:68].amax(dim=0)
    x0, y0 = (int(v) for v in low.clamp(0, size - 2))
    x1, y1 = (int(v) for v in high.clamp(1, size - 1))
    pixels = image[0, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1), :3]
    face = torch.from_numpy(pixels.reshape(-1, 3)).T.contiguous()
    light = face.mean(dim=0)
    thinned = light[:: max(1, len(light) // 100_000)]
    darkest = face[:, light <= torch.quantile(thinned, 0.02)].mean(dim=1)
    dark = torch.minimum(darkest, 0.45 * lips)
    # Teeth are the picture's own light, less coloured than its skin, and no lamp: in the shade of
    # the lips they are about as bright as the skin is on the whole.
    cheeks = sample(image, *cheek_places(source)[None].unbind(dim=-1))[0].flatten(1)
    light = cheeks.mean(dim=0)
    brightest = cheeks[:, light >= torch.quantile(light, 0.9)].mean(dim=1)
    white = 0.2 * brightest.mean() + 0.8 * brightest
    # Cheeks as black as a silhouette's have no light to divide by.
    teeth = white * (1.02 * light.median() / white.mean().clamp_min(1e-3)).clamp(max=1)
    return MouthColours(0.75 * dark + 0.10 * lips, 0.5 * dark + 0.33 * lips, teeth)


#: Edges between upper teeth, in half mouth widths from the middle: incisors and canines of an
#: average mouth, foreshortened towards its corners.
_TOOTH_EDGES = (0.0, 0.33, 0.56, 0.74, 0.87)

#: The incisors reach this far below the resting upper lip, in outer eye distances: 3 mm.
TEETH_BELOW_LIP = 0.034


def cheek_places(landmarks: Tensor) -> Tensor:
    """Return a grid of points ``[32, 32, 2]`` over cheeks and nose of a face ``[70, 2]``."""
    ends, rows = landmarks[[1, 15]], landmarks[[28, 33]]
    x = torch.linspace(0.2, 0.8, 32, device=ends.device)
    y = torch.linspace(0, 1, 32, device=ends.device)
    across = ends[0] + x[:, None] * (ends[1] - ends[0])  # [32, 2]
    down = (rows[0] - ends.mean(dim=0)) + y[:, None] * (rows[1] - rows[0])
    return down[:, None] + across[None]


@dataclass(frozen=True)
class Lips:
    """The lips' outer edges over a patch, in the source and where they have to go.

    All ``[B, H, W]`` in the mouth's coordinates.

    Args:
        top: The upper lip's.
        bottom: The lower lip's.
        new_top: Where the upper lip's goes.
        new_bottom: Where the lower lip's goes.
    """

    top: Tensor
    bottom: Tensor
    new_top: Tensor
    new_bottom: Tensor


@dataclass(frozen=True)
class Mouth:
    """A mouth beyond its inner lips.

    Args:
        lips: Their outer edges.
        room: How far skin gives way in the mouth's coordinates: to the nose, and to the jaw's line
            ``[B, H, W]``.
        teeth_edge: Where the upper teeth end ``[B, H, W]``.
        stretch: How much higher the head's warp has made mouth and lips ``[B, 1, 1]``; what lies
            behind them is not stretched.
        colours: What shows between the lips.
        guessed: How much of it has to be guessed, 0..1: a mouth that is open in the picture shows
            its teeth, or that it shows none.
    """

    lips: Lips
    room: tuple[Tensor, Tensor]
    teeth_edge: Tensor
    stretch: Tensor
    colours: MouthColours
    guessed: float


def mouth_at(
    frame: Frame,
    source: Tensor,
    targets: Tensor,
    unposed: Tensor,
    lids: Lids,
    colours: MouthColours,
) -> Mouth:
    """Evaluate lips and teeth over a patch.

    Args:
        frame: The mouth's coordinates.
        source: ``[70, 2]`` the source's landmarks.
        targets: ``[B, 70, 2]`` the adapted landmarks.
        unposed: ``[B, 73, 2]`` the same and three points at the upper teeth's edge, with the head's
            motion taken away.
        lids: The inner lips over the patch.
        colours: What shows between the lips.
    """
    heights = (
        torch.linalg.vector_norm(points[:, 57] - points[:, 51], dim=-1)
        for points in (targets, unposed)
    )
    stretch = next(heights) / next(heights).clamp_min(1)
    edge = along(edge_curve(frame, unposed[:, 70:]), lids.x)
    gap = float(torch.linalg.vector_norm(source[66] - source[62])) / frame.half_px
    guessed = 1 - min(1.0, max(0.0, (gap - _SHUT) / (_OPEN - _SHUT)))
    room = frame.to_local(source[33])[1], _jaw_line(frame, source, lids.x)
    lips = _lips_at(frame, source, unposed, lids)
    return Mouth(lips, room, edge, stretch[:, None, None].clamp_min(0.5), colours, guessed)


def _lips_at(frame: Frame, source: Tensor, unposed: Tensor, lids: Lids) -> Lips:
    def edge(points: Tensor, around: tuple[int, ...]) -> Tensor:
        return _outer_edge(frame, points[:, list(around)], lids.x)

    top, bottom = edge(source[None], _OUTER_UPPER), edge(source[None], _OUTER_LOWER)
    return Lips(
        torch.minimum(top, lids.upper - 2 * _LEAST_LIP * _inwards(lids.x)),
        torch.maximum(bottom, lids.lower + 2 * _LEAST_LIP * _inwards(lids.x)),
        torch.minimum(edge(unposed, _OUTER_UPPER), lids.new_upper - _LEAST_LIP * _inwards(lids.x)),
        torch.maximum(edge(unposed, _OUTER_LOWER), lids.new_lower + _LEAST_LIP * _inwards(lids.x)),
    )


def _jaw_line(frame: Frame, source: Tensor, x: Tensor) -> Tensor:
    """Return where a face ends below its mouth, at x of any shape."""
    jaw = torch.stack(frame.to_local(source[3:14]), dim=-1).numpy()
    # The lower edge of the hull: beyond the chin of a turned head landmarks run back.
    hull = cv2.convexHull(jaw.astype(np.float32))[:, 0]
    hull = hull[np.argsort(hull[:, 0])]
    (x0, y0), (x1, y1) = hull[0], hull[-1]
    chord = y0 + (hull[:, 0] - x0) * (y1 - y0) / max(x1 - x0, 1e-3)
    below = hull[hull[:, 1] >= chord]
    return torch.from_numpy(np.interp(x.numpy(), *below.T)).to(x)


def _inwards(x: Tensor) -> Tensor:
    return (1 - x * x).clamp(0, 1)


def _outer_edge(frame: Frame, points: Tensor, x: Tensor) -> Tensor:
    """Fit a lip's outer edge to its points ``[B, K, 2]`` from corner to corner, and evaluate it.

    Beyond the corners it goes on along the line that joins them.
    """
    across, down = frame.to_local(points)
    middle = (across[:, :1] + across[:, -1:]) / 2
    half = (across[:, -1:] - across[:, :1]).clamp_min(0.2) / 2
    place = (across - middle) / half
    level, tilt = (down[:, :1] + down[:, -1:]) / 2, (down[:, -1:] - down[:, :1]) / 2
    beside = down - level - tilt * place
    curve = fit_curve(place[:, 1:-1], beside[:, 1:-1], _OUTER_TERMS)
    at = (x - middle[..., None]) / half[..., None]
    return level[..., None] + tilt[..., None] * at.clamp(-1, 1) + along(curve, at)


def draw_mouth(image: F32Array, frame: Frame, lids: Lids, mouth: Mouth) -> tuple[Tensor, Tensor]:
    """Draw a mouth's patch: lips that part, the upper teeth if the picture shows them, shadow.

    In every column skin, lip and what is between the lips follow each other as they do in the
    source, each as high as it has to be: nothing can fold.

    Args:
        image: ``[1, S, S, 4]`` the source crop in 0..255.
        frame: The mouth's coordinates.
        lids: The inner lips over the patch.
        mouth: What else there is to know.

    Returns:
        ``[B, 3, H, W]``, and how far the mouth is from rest, 0..1 ``[B, 1, H, W]``.
    """
    x, y, lips = lids.x, lids.y, mouth.lips
    new_upper, new_lower = lids.new_upper, torch.maximum(lids.new_lower, lids.new_upper)
    nose, jaw = mouth.room
    upper_y = _lip_column(y, (lips.new_top, new_upper), (lips.top, lids.upper), nose)
    lower_y = -_lip_column(-y, (-lips.new_bottom, -new_lower), (-lips.bottom, -lids.lower), -jaw)
    upper_lip = sample(image, *frame.to_pixels(x, upper_y))
    lower_lip = sample(image, *frame.to_pixels(x, lower_y))
    is_lower = ((y - (new_upper + new_lower) / 2) * frame.half_px + 0.5).clamp(0, 1)[:, None]
    face = upper_lip + is_lower * (lower_lip - upper_lip)
    inside = _inside(image, frame, lids, mouth)
    cover = between(y, new_upper, new_lower, frame.half_px) * (x.abs() < 1)
    moved = (lips.top - lips.new_top).abs() + (lips.bottom - lips.new_bottom).abs()
    moved = moved + ((lids.upper - new_upper).abs() + (lids.lower - new_lower).abs()) * (
        x.abs() < 1
    )
    near = (y > nose) & (y < jaw)
    change = (2 * frame.half_px * moved).clamp(0, 1) * near
    return face + cover[:, None] * (inside - face), change[:, None]


def _lip_column(
    y: Tensor, new: tuple[Tensor, Tensor], old: tuple[Tensor, Tensor], end: Tensor
) -> Tensor:
    """Return where in the source an upper lip and the skin above it come from, ``[B, H, W]``.

    Args:
        y: Places in the mouth's coordinates.
        new: The lip's outer and inner edge there.
        old: The same in the source.
        end: Where skin is at rest: the nose, broadcast to y.
    """
    (new_outer, new_inner), (outer, inner) = new, old
    # However high a lip is raised, some skin is left.
    room = (outer - end).clamp_min(_LEAST_LIP)
    new_outer = torch.maximum(new_outer, end + _LEAST_SKIN * room)
    new_inner = torch.maximum(new_inner, new_outer + 1e-3)
    share = (y - new_outer) / (new_inner - new_outer)
    lip = outer + share.clamp(0, 1) * (inner - outer)
    new_room = new_outer - end
    up = ((new_outer - y) / new_room.clamp_min(1e-3)).clamp(0, 1)
    # A shift that fades smoothly, as far as it leaves all skin in its order.
    shift = outer - new_outer
    steep = (1.5 * shift.abs() / new_room.clamp_min(1e-3)).clamp(0.75, 1)
    smooth = torch.lerp(1 - up * up * (3 - 2 * up), 1 - up, (steep - 0.75) * 4)
    return torch.where(y < new_outer, y + shift * smooth, lip)


def _inside(image: F32Array, frame: Frame, lids: Lids, mouth: Mouth) -> Tensor:
    """Draw what shows between parted lips, ``[B, 3, H, W]``."""
    x, y, new_upper = lids.x, lids.y, lids.new_upper
    new_lower = torch.maximum(lids.new_lower, new_upper)
    # What the picture shows between the lips hangs from the upper jaw, as teeth do.
    inner_y = lids.upper + (y - new_upper) * mouth.stretch
    wider = (new_lower - new_upper) - (lids.lower - lids.upper)
    rim = wider.clamp(0, _LIP_RIM)
    shown = ((lids.lower - rim - inner_y) * frame.half_px + 1).clamp(0, 1)
    # A closed mouth's line is lip, not what lies behind.
    shown = shown * ((lids.lower - lids.upper) * frame.half_px - 1).clamp(0, 1)
    teeth = sample(image, *frame.to_pixels(x, torch.minimum(inner_y, lids.lower)))
    depth = ((y - new_upper) / (new_lower - new_upper).clamp_min(1e-3)).clamp(0, 1)
    top_colour, bottom_colour, tooth = (
        colour[None, :, None, None]
        for colour in (mouth.colours.top, mouth.colours.bottom, mouth.colours.teeth)
    )
    shade = torch.lerp(top_colour, bottom_colour, depth[:, None] ** 1.5)
    cover, light = _teeth(x, y, new_upper, mouth, frame.half_px)
    shade = shade + mouth.guessed * cover[:, None] * (tooth * light[:, None] - shade)
    return shade + shown[:, None] * (teeth - shade)


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
    under_lip = 0.7 + 0.3 * ((y - upper) * mouth.stretch / 0.16).clamp(0, 1)
    inwards = (1 - 0.65 * x * x).clamp_min(0)
    lines = 1 - 0.10 * torch.exp(-((nearest / 0.025) ** 2))
    fade = ((1 - x.abs()) / 0.25).clamp(0, 1)
    return cover * fade, under_lip * inwards * lines
