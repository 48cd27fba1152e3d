"""The swift preset's embedder and generator: a draft by geometry, and what geometry cannot show.

Not in arXiv:1905.08233: the source crop nearest in pose is moved onto the driver's landmarks by
the warp generator, which bends what is behind the head along with it. A small network corrects
where its pixels come from and says what stays as it was in the source, and the generator adds what
is missing to the rest. The last layers start at zero: training starts near the draft.

Shapes: B frames, S pixels along a side, C channels.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from thvideo.imaging.warp import fetch, upsample_flow
from thvideo.models.fovea import Fovea
from thvideo.models.fused import RaisingConvolution, folded_in
from thvideo.models.shown import Drawn, DrawnPatches, Patches, Shown
from thvideo.models.swift_blocks import SLOPE, AdaINBlock, PlainBlock, active, convolution, lit

#: The flow network's last layer speaks in this share of half a side: its first steps are small.
_FLOW_UNIT = 0.1

#: Over this share of the side what is drawn becomes the still crop: there the draft rests as well,
#: and the crop goes back into its picture.
_RIM = 0.06

#: What stays still is a sigmoid from a little below 0 to a little above 1, cut to these: the source
#: shines through nowhere else. It begins a little above 0, where it can learn.
_STRETCH, _STAYS_AT_FIRST = 0.1, -2.3


@dataclass(frozen=True)
class SwiftOptions:
    """The architecture of the swift preset.

    Args:
        size_px: Side of the pictures that the networks are trained on.
        embedding: Values of the identity embedding.
        widths: Channels at a half, a quarter and an eighth of the picture's side.
        n_blocks: Residual blocks at an eighth.
        flow_px: Side of what the flow network reads and writes, whatever the picture's.
        flow_widths: Its channels at 1, 1/2 and 1/4 of that side.
        embedder_widths: Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side.
        foveal_widths: Channels of the foveal networks at 1/2, 1/4 and 1/8 of a patch's side; none
            for a generator without them.
    """

    size_px: int = 256
    embedding: int = 256
    widths: tuple[int, int, int] = (24, 64, 128)
    n_blocks: int = 3
    flow_px: int = 64
    flow_widths: tuple[int, int, int] = (24, 48, 64)
    embedder_widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    foveal_widths: tuple[int, ...] = field(default=(), metadata={"unstated": True})


class FlowNet(nn.Module):
    """Moves the draft's pixels and says what stays: hair goes with the head, necks bend.

    Args:
        options: The architecture.
    """

    #: Draft, both landmark images and the still crop, 3 channels each, the draft's flow (2), and
    #: the still crop's head.
    CHANNELS = 15

    def __init__(self, options: SwiftOptions) -> None:
        super().__init__()
        fine, middle, coarse = options.flow_widths
        self.stem = convolution(self.CHANNELS, fine)
        self.down_1 = convolution(fine, middle, stride=2)
        self.encode = PlainBlock(middle)
        self.down_2 = convolution(middle, coarse, stride=2)
        self.core = nn.Sequential(PlainBlock(coarse), PlainBlock(coarse))
        self.up_1 = RaisingConvolution(coarse, middle)
        self.up_2 = RaisingConvolution(middle, fine)
        self.last = convolution(fine, 3)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        with torch.no_grad():
            self.last.bias.copy_(torch.tensor([0.0, 0.0, _STAYS_AT_FIRST]))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Look at ``[B, 15, F, F]``.

        Returns:
            A correction ``[B, 2, F, F]`` in half sides of the picture, and what stays still,
            ``[B, 1, F, F]`` from 0 to 1.
        """
        fine = self.stem(seen)
        middle = self.encode(self.down_1(active(fine)))
        coarse = self.core(self.down_2(active(middle)))
        middle = middle + self.up_1(active(coarse))
        fine = fine + self.up_2(active(middle))
        moved, stays = self.last(active(fine)).float().split([2, 1], dim=1)
        stretched = (1 + 2 * _STRETCH) * torch.sigmoid(stays) - _STRETCH
        return _FLOW_UNIT * moved, stretched.clamp(0, 1)


class SwiftEmbedder(nn.Module):
    """Reads one source crop and its landmark image into an identity embedding.

    As the paper's E without norms and with global sum pooling, at a quarter of the side.

    Args:
        options: The architecture.
    """

    def __init__(self, options: SwiftOptions) -> None:
        super().__init__()
        first, *rest = options.embedder_widths
        self.stem = convolution(6 * 16, first)
        steps: list[nn.Module] = [PlainBlock(first)]
        for width in rest:
            steps += [nn.LeakyReLU(SLOPE), convolution(first, width, stride=2), PlainBlock(width)]
            first = width
        self.encode = nn.Sequential(*steps)
        self.out = nn.Linear(first, options.embedding)
        # PyTorch's own start shrinks a picture's differences about threefold a layer: embeddings
        # of all people were the same to within a hundredth, and stayed so.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, SLOPE)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        # A sum over S / 32 squared cells: as large as a mean where S is ``size_px``.
        self.share = 1.0 / (options.size_px / 32) ** 2

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """``[B, 3, S, S]`` and ``[B, 3, S, S]``, both in -1..1, to ``[B, embedding]``."""
        features = folded_in(torch.cat([images, lit(maps)], dim=1), self.stem, 4)
        features = active(self.encode(features))
        return self.out(features.float().sum(dim=(2, 3)) * self.share)


class SwiftGenerator(nn.Module):
    """Corrects the draft and adds what is missing to it; AdaIN from the identity.

    Args:
        options: The architecture.
    """

    def __init__(self, options: SwiftOptions) -> None:
        super().__init__()
        self.options = options
        half, quarter, eighth = options.widths
        self.flow = FlowNet(options)
        self.stem = convolution(6 * 4, half)
        self.down_1 = convolution(half, quarter, stride=2)
        self.encode_quarter = PlainBlock(quarter)
        self.down_2 = convolution(quarter, eighth, stride=2)
        self.core = nn.ModuleList(AdaINBlock(eighth) for _ in range(options.n_blocks))
        self.up_1 = convolution(eighth, quarter, kernel=1)
        self.decode_quarter = AdaINBlock(quarter)
        self.up_2 = convolution(quarter, half, kernel=1)
        self.decode_half = PlainBlock(half)
        self.last = convolution(half, 3 * 4)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        #: P of the paper: from the embedding to all AdaIN parameters.
        self.projection = nn.Linear(options.embedding, sum(self._n_adain()))
        widths = options.foveal_widths
        #: Draws mouth and eyes over what the generator has drawn; None in weights of old.
        self.fovea = Fovea(options.embedding, widths) if widths else None

    @property
    def n_adain(self) -> int:
        """How many AdaIN parameters the generator takes, the foveal networks' among them."""
        return sum(self._n_adain()) + (self.fovea.projection.out_features if self.fovea else 0)

    def adain_parameters(self, embedding: Tensor) -> Tensor:
        """``psi_i = P e_i``: ``[B, embedding]`` to ``[B, n_adain]``, the foveal networks' last."""
        whole: Tensor = self.projection(embedding)
        if self.fovea is None:
            return whole
        return torch.cat([whole, self.fovea.projection(embedding)], dim=1)

    def draw_patches(self, patches: Patches, adain: Tensor) -> DrawnPatches:
        """Draw mouth and eyes of ``B`` frames; the generator has to have foveal networks.

        Args:
            patches: What they are shown.
            adain: ``[B, n_adain]`` as the generator takes it.
        """
        assert self.fovea is not None
        drawn: DrawnPatches = self.fovea(patches, adain[:, self.projection.out_features :])
        return drawn

    def forward(self, shown: Shown, adain: Tensor) -> Drawn:
        """Draw frames.

        Args:
            shown: What to draw, ``B`` frames of ``S`` by ``S`` pixels; ``S`` divisible by 8.
            adain: ``[B, n_adain]``; the foveal networks' part is not looked at.
        """
        flow, stays = self.corrected_flow(shown)
        side = shown.draft.shape[-1]
        moved = fetch(shown.draft, upsample_flow(flow, side))
        still = functional.interpolate(stays, (side, side), mode="bilinear")
        warped = torch.lerp(moved, shown.still.to(moved), still)
        # What stays is the source's own, to the pixel.
        added = self.correction(warped, shown.target_map, adain)
        return Drawn(warped + (1 - still) * added, warped, flow, stays)

    def corrected_flow(self, shown: Shown) -> tuple[Tensor, Tensor]:
        """Return where the draft's cells fetch from, and what stays still.

        Returns:
            ``[B, F, F, 2]`` in -1..1, and ``[B, 1, F, F]`` from 0 to 1.
        """
        draft, target_map, source_map, still, head = (
            shrunk(picture.float(), self.options.flow_px)
            for picture in (*shown[:3], shown.still, shown.still_head)
        )
        came = upsample_flow(shown.flow.float(), self.options.flow_px).permute(0, 3, 1, 2)
        # Ten times: as large as the pictures beside it.
        seen = [draft, lit(target_map), lit(source_map), 10 * came, still, head]
        moved, stays = self.flow(torch.cat(seen, dim=1))
        line = torch.linspace(-1, 1, self.options.flow_px, device=draft.device)
        y, x = torch.meshgrid(line, line, indexing="ij")
        rim = (1 - (1 - torch.maximum(x.abs(), y.abs())) / (2 * _RIM)).clamp(min=0)
        # A head that has moved away must not be seen where it was.
        stays = torch.maximum(stays * (1 - head), rim)
        return torch.stack([x, y], dim=-1) + moved.permute(0, 2, 3, 1), stays

    def correction(self, warped: Tensor, target_map: Tensor, adain: Tensor) -> Tensor:
        """Return what is added to the warped draft, ``[B, 3, S, S]``."""
        parts = iter(self._slices(adain))
        seen = torch.cat([warped.to(target_map), lit(target_map)], dim=1)
        half = folded_in(seen, self.stem, 2)
        quarter = self.encode_quarter(self.down_1(active(half)))
        eighth = self.down_2(active(quarter))
        for block in self.core:
            eighth = block(eighth, next(parts))
        raised = functional.interpolate(self.up_1(active(eighth)), scale_factor=2.0)
        quarter = self.decode_quarter(quarter + raised, next(parts))
        raised = functional.interpolate(self.up_2(active(quarter)), scale_factor=2.0)
        half = self.decode_half(half + raised)
        return functional.pixel_shuffle(self.last(active(half)), 2).float()

    def _slices(self, adain: Tensor) -> list[Tensor]:
        sizes = self._n_adain()
        return list(torch.split(adain[:, : sum(sizes)], sizes, dim=1))

    def _n_adain(self) -> list[int]:
        """How many AdaIN parameters each block takes."""
        return [block.n_adain for block in (*self.core, self.decode_quarter)]


def shrunk(picture: Tensor, side_px: int) -> Tensor:
    """Average a picture ``[B, C, S, S]`` down to ``[B, C, side, side]``."""
    # Torch's own pooling takes six times as long where three channels lie last.
    while picture.shape[-1] % (2 * side_px) == 0:
        rows = picture[..., ::2, :] + picture[..., 1::2, :]
        picture = 0.25 * (rows[..., ::2] + rows[..., 1::2])
    if picture.shape[-1] == side_px:
        return picture
    return functional.interpolate(picture, (side_px, side_px), mode="area")
