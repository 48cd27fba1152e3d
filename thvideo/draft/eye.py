"""Drawing an eye: lids slide over an eyeball that stays where it is and turns."""

import torch
from torch import Tensor

from thvideo.draft.openings import Edges, Frame, Lids, between, lids_at
from thvideo.imaging.lookup import sample
from thvideo.shapes import F32Array

#: How far above and below a moving lid the skin gives way, in half eye widths.
_SKIN_ABOVE, _SKIN_BELOW = 0.95, 0.7

#: A closing lid takes its colours from this far outside its line, in heights of the open eye:
#: beyond the lashes, short of the brow's shadow.
_LID_MARGIN = 0.45

#: Lashes and the socket's shade darken what lies right beside an open eye. A lid that covers it is
#: lit like the cheek: below its crease it nears, by this share, the colour found this far below,
#: in heights of the open eye, and is nowhere darkened.
_LID_LIGHT, _CHEEK = 0.3, 1.0

#: The lash line goes down with a closing lid: how far above and below the lid's edge it reaches, in
#: half eye widths.
_LASH_ABOVE, _LASH_BELOW = 0.3, 0.16

#: Keeps ratios of heights calm where both vanish, at the corners; in half eye widths.
_NO_HEIGHT = 0.02

#: Half the iris' width in half eye widths: this much of the eye shifts rigidly with the gaze.
_IRIS_HALF = 0.40


def draw_eye(image: F32Array, frame: Frame, edges: Edges, lids: Lids, shift: Tensor) -> Tensor:
    """Draw an eye's patch: skin that slides, and the eyeball behind it.

    Args:
        image: ``[1, S, S, 4]`` the source crop.
        frame: The eye's coordinates.
        edges: Its edges.
        lids: The same over the patch.
        shift: ``[B, 2]`` how far the iris goes, x and y.

    Returns:
        ``[B, 3, H, W]``.
    """
    x, y = lids.x, lids.y
    opening = _opening(lids)
    closing = (opening < 1)[:, None]
    skin = _slid_skin(image, frame, lids)
    if closing.any():
        skin = torch.where(closing, _lid_skin(image, frame, edges, lids), skin)

    # A closing lid covers the eyeball, which stays; an eye opened wider than the picture's is
    # stretched with it.
    stays = ((1 - opening) / 0.5).clamp(0, 1)
    with_lids = lids.lower + (y - lids.new_lower) / opening.clamp_min(1)
    ball_y = with_lids + stays * (y - with_lids)
    ball_y = ball_y - shift[:, 1, None, None] * (1 - x * x).clamp_min(0)
    rim = 0.08 * (lids.lower - lids.upper)
    ball_y = torch.where(
        shift[:, 1, None, None].abs() > 1e-4,
        torch.minimum(
            torch.maximum(ball_y, torch.minimum(lids.upper + rim, y)),
            torch.maximum(lids.lower - rim, y),
        ),
        ball_y,
    )
    ball = sample(image, *frame.to_pixels(_shifted(x, shift[:, 0]), ball_y))
    cover = between(y, lids.new_upper, lids.new_lower, frame.half_px)
    cover = cover * (x.abs() < 1)
    return skin + cover[:, None] * (ball - skin)


def _opening(lids: Lids) -> Tensor:
    """Return the new height of the eye over the picture's ``[B, H, W]``."""
    height, new_height = lids.lower - lids.upper, lids.new_lower - lids.new_upper
    return (new_height + _NO_HEIGHT) / (height + _NO_HEIGHT)


def _slid_skin(image: F32Array, frame: Frame, lids: Lids) -> Tensor:
    """Move the skin along with the lids of an eye that opens wider than the picture's."""
    x, y = lids.x, lids.y
    move_up = (lids.upper - lids.new_upper).clamp_min(0)
    move_low = (lids.lower - lids.new_lower).clamp_max(0)
    above = (lids.new_upper - y) / (_SKIN_ABOVE + move_up.abs())
    below = (y - lids.new_lower) / (_SKIN_BELOW + move_low.abs())
    # Inside the opening the skin layer only fills half-covered pixels: it stops at the edge.
    skin_up = torch.where(above < 0, lids.upper, y + move_up * _fade(above))
    skin_low = torch.where(below < 0, lids.lower, y + move_low * _fade(below))
    upper_skin = sample(image, *frame.to_pixels(x, skin_up))
    lower_skin = sample(image, *frame.to_pixels(x, skin_low))
    middle = (lids.new_upper + lids.new_lower) / 2
    is_lower = ((y - middle) * frame.half_px + 0.5).clamp(0, 1)[:, None]
    return upper_skin + is_lower * (lower_skin - upper_skin)


def _lid_skin(image: F32Array, frame: Frame, edges: Edges, lids: Lids) -> Tensor:
    """Grow a lid over a closing eye, from the colours above and below it.

    Skin that slid down instead would bring the shadow under the brow along.
    """
    x, y = lids.x, lids.y
    closed, ripe, margin = _growth(lids)
    top, bottom = lids.upper - margin, lids.lower + margin
    share = ((y - top) / (bottom - top).clamp_min(1e-3)).clamp(0, 1)
    above, below, cheek = _colours_beside(image, frame, edges, x)
    grown = above + (share * share * (3 - 2 * share))[:, None] * (below - above)
    lit = _LID_LIGHT * closed * (1 - _fade(1.5 * share))
    grown = grown + lit[:, None] * (cheek - grown).clamp_min(0)
    past = y - lids.new_upper
    lash = sample(image, *frame.to_pixels(x, lids.upper + past.clamp_max(0)))
    line = _fade(-past / _LASH_ABOVE) * _fade(past / _LASH_BELOW) * ripe
    grown = grown + line[:, None] * (torch.minimum(lash, grown) - grown)
    still = sample(image, *frame.to_pixels(x, y))
    ramp = (0.4 * margin).clamp_min(1e-3)
    inside = _fade(1 - (y - top) / ramp) * _fade(1 - (bottom - y) / ramp) * (x.abs() < 1)
    return still + inside[:, None] * (grown - still)


def _growth(lids: Lids) -> tuple[Tensor, Tensor, Tensor]:
    """Return how closed the eye is, how grown its lid, and where its colours come from."""
    closed = (1 - _opening(lids)).clamp(0, 1)
    ripe = (3 * closed).clamp(0, 1)
    height = (lids.lower - lids.upper).clamp_min(0)
    return closed, ripe, ripe * (_LID_MARGIN * height + _NO_HEIGHT)


def _colours_beside(
    image: F32Array, frame: Frame, edges: Edges, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the colours above a closing lid, below it and of the cheek at x, ``[B, 3, H, W]``.

    They change along the eye only: a line of each is made, and looked up.
    """
    n_places = 4 * round(frame.half_px) + 1
    line = torch.linspace(-1, 1, n_places).expand(len(x), 1, -1)
    lids = lids_at(edges, line, torch.zeros_like(line))
    _, _, margin = _growth(lids)
    height = (lids.lower - lids.upper).clamp_min(0)
    cheek = lids.lower + _CHEEK * height + _NO_HEIGHT
    rows = torch.cat([lids.upper - margin, lids.lower + margin, cheek], dim=1)  # [B, 3, N]
    lines = _around(image, frame, line.expand(-1, 3, -1), rows)
    tables = torch.nn.functional.pad(lines, (0, 0, 0, 0, 0, 1)).permute(0, 2, 3, 1).contiguous()
    place = (x + 1) * ((n_places - 1) / 2)
    above, below, light = (sample(tables.numpy(), place, torch.full_like(x, k)) for k in range(3))
    return above, below, light


def _around(image: F32Array, frame: Frame, x: Tensor, y: Tensor) -> Tensor:
    """Average the picture around a line, so that a lash or a crease makes no streak."""
    spots = [(dx, dy) for dx in (-0.3, -0.15, 0.0, 0.15, 0.3) for dy in (-0.06, 0.06)]
    seen = [sample(image, *frame.to_pixels((x + dx).clamp(-1, 1), y + dy)) for dx, dy in spots]
    return torch.stack(seen).mean(dim=0)


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


def _fade(share: Tensor) -> Tensor:
    """Fall from 1 to 0 as ``share`` goes from 0 to 1, flat at both ends."""
    share = share.clamp(0, 1)
    return 1 - share * share * (3 - 2 * share)
