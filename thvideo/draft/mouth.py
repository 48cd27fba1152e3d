"""Drawing a mouth: lips that part over teeth and shadow, and meet again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thvideo.draft.openings import OPENINGS, Frame, Lids, Opening, along, between, edge_curve
from thvideo.imaging.lookup import sample
from thvideo.shapes import F32Array

#: Lips are at least this thick, in half mouth widths, so that they never vanish.
_LEAST_LIP = 0.03


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
class Mouth:
    """A mouth beyond its inner lips.

    Args:
        upper_lip: Thickness in the source ``[B, H, W]``.
        lower_lip: The same.
        teeth_edge: Where the upper teeth end ``[B, H, W]``.
        stretch: How much higher the head's warp has made mouth and lips ``[B, 1, 1]``; what lies
            behind them is not stretched.
        colours: What shows between the lips.
        guessed: How much of it has to be guessed, 0..1: a mouth that is open in the picture shows
            its teeth, or that it shows none.
    """

    upper_lip: Tensor
    lower_lip: Tensor
    teeth_edge: Tensor
    stretch: Tensor
    colours: MouthColours
    guessed: float


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
    edge = along(edge_curve(frame, teeth), lids.x)
    gap = float(torch.linalg.vector_norm(source[66] - source[62])) / frame.half_px
    guessed = 1 - min(1.0, max(0.0, (gap - _SHUT) / (_OPEN - _SHUT)))
    return Mouth(upper, lower, edge, stretch[:, None, None].clamp_min(0.5), colours, guessed)


def draw_mouth(image: F32Array, frame: Frame, lids: Lids, mouth: Mouth) -> Tensor:
    """Draw a mouth's patch: lips that part, the upper teeth if the picture shows them, shadow.

    Args:
        image: ``[1, S, S, 4]`` the source crop in 0..255.
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
    outside = (y < top) | (y > bottom) | (x.abs() >= 1)
    upper_y = torch.where(outside, y, torch.minimum(up, lids.upper))
    lower_y = torch.where(outside, y, torch.maximum(low, lids.lower))
    upper_lip = sample(image, *frame.to_pixels(x, upper_y))
    lower_lip = sample(image, *frame.to_pixels(x, lower_y))
    is_lower = ((y - (new_upper + new_lower) / 2) * frame.half_px + 0.5).clamp(0, 1)[:, None]
    lips = upper_lip + is_lower * (lower_lip - upper_lip)

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
    inside = shade + shown[:, None] * (teeth - shade)
    cover = between(y, new_upper, new_lower, frame.half_px) * (x.abs() < 1)
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
    under_lip = 0.7 + 0.3 * ((y - upper) * mouth.stretch / 0.16).clamp(0, 1)
    inwards = (1 - 0.65 * x * x).clamp_min(0)
    lines = 1 - 0.10 * torch.exp(-((nearest / 0.025) ** 2))
    fade = ((1 - x.abs()) / 0.25).clamp(0, 1)
    return cover * fade, under_lip * inwards * lines


def lip_thickness(
    frame: Frame, opening: Opening, source: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the thickness of the source's lips at x ``[B, H, W]``, upper and lower."""

    def thickness(outer: tuple[int, ...], inner: tuple[int, ...]) -> Tensor:
        at, outside = frame.to_local(source[list(outer)])
        inside = along(edge_curve(frame, source[None, list(inner)]), at[None, None])[0, 0]
        thick = (outside - inside).abs().clamp_min(2 * _LEAST_LIP)
        # The three measures, middle and both sides, joined by a parabola; it stays positive.
        middle = thick[1]
        side = (thick[0] + thick[2]) / 2
        reach = ((at[2] - at[0]) / 2).abs().clamp_min(0.2)
        return (middle + (side - middle) * (x / reach) ** 2).clamp_min(2 * _LEAST_LIP)

    return thickness(opening.outer_upper, opening.upper), thickness(
        opening.outer_lower, opening.lower
    )
