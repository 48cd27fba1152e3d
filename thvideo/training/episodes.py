"""Episodes: K source frames and one other frame of the same video, changed alike.

Every batch is made from a random generator of its own, seeded by the run's seed and the batch's
number: whoever makes it, in whichever process and after whatever interruption, it is the same.

Shapes: B episodes, K source frames, S pixels along a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from thvideo.errors import InputError
from thvideo.landmarks import schema
from thvideo.landmarks.draw import draw_landmarks
from thvideo.landmarks.pose import angles_deg, fit_pose
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.landmarks.show import head_flow
from thvideo.models.shown import Shown
from thvideo.shapes import F32Array, F64Array, U8Array
from thvideo.training.clip_source import CachedClips, ClipSource, StreamedClips, cached_bytes
from thvideo.training.dataset import ClipRow, ClipTable

#: What an open mouth counts beside a turned head in the choice of the nearest source: a tenth of
#: the eye distance as much as 8 degrees.
_MOUTH_DEG = 80.0


@dataclass(frozen=True)
class EpisodeOptions:
    """How episodes are drawn and changed.

    Args:
        max_shots: K is drawn from 1 to this, smaller K more often (by 1 / K): one source picture
            is the usual case.
        fixed_shots: K itself, as the paper has it; 0 draws it.
        flip: Chance of mirroring.
        turn_deg: Standard deviation of a turn of the whole picture.
        zoom: Least and greatest zoom; below 1 there is room around the head.
        colour: Strength of the shared change of colours, 0 to 1.
        noise: Standard deviation of the landmarks' noise over the outer-eye distance.
        any_source: Chance that a random source is warped, not the nearest one in pose.
    """

    max_shots: int = 8
    fixed_shots: int = 0
    flip: float = 0.5
    turn_deg: float = 5.0
    zoom: tuple[float, float] = (0.75, 1.1)
    colour: float = 0.5
    noise: float = 0.004
    any_source: float = 0.3


#: The frames as they are.
PLAIN = EpisodeOptions(
    flip=0.0, turn_deg=0.0, zoom=(1.0, 1.0), colour=0.0, noise=0.0, any_source=0.0
)


@dataclass(frozen=True)
class Batch:
    """B episodes on a device; pictures are uint8 RGB ``[..., 3, S, S]``.

    Args:
        sources: ``[B, K, 3, S, S]``.
        source_maps: ``[B, K, 3, S, S]`` their landmark images.
        chosen: ``[B]`` which source is warped.
        target: ``[B, 3, S, S]``, the frame to draw.
        target_map: ``[B, 3, S, S]``.
        flow: ``[B, n, n, 2]`` in pixels from the chosen source to the target.
        mask: ``[B, 1, S, S]``, 255 where pixels count.
        region: ``[B, 1, S, S]``, 255 on mouth and eyes.
        points: ``[B, 70, 2]`` the target's landmarks without noise.
        video: ``[B]`` the clips' numbers, the columns of W.
    """

    sources: Tensor
    source_maps: Tensor
    chosen: Tensor
    target: Tensor
    target_map: Tensor
    flow: Tensor
    mask: Tensor
    region: Tensor
    points: Tensor
    video: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})

    def part(self, episodes: slice) -> "Batch":
        """Return some of the episodes."""
        return Batch(**{k: v[episodes] for k, v in vars(self).items()})

    def shown(self) -> Shown:
        """Return what the generator is shown."""
        rows = torch.arange(len(self.chosen), device=self.chosen.device)
        return Shown(
            target_map=as_signed(self.target_map),
            source=as_signed(self.sources[rows, self.chosen]),
            source_map=as_signed(self.source_maps[rows, self.chosen]),
            flow=self.flow,
        )


def as_signed(pictures: Tensor) -> Tensor:
    """Turn uint8 pictures ``[B, 3, S, S]`` into floats in -1..1, channels last in memory."""
    signed = pictures.float() / 127.5 - 1
    return signed.contiguous(memory_format=torch.channels_last)


class Episodes:
    """Draws batches of episodes from a dataset.

    Args:
        root: The dataset's folder.
        split: Whose people: "train" or "val".
        size_px: Side of the pictures.
        options: How episodes are drawn and changed.
        seed: The run's.
        cache_bytes: Decoded frames are kept in memory if they take no more than this.

    Raises:
        InputError: The split has no clip with two frames.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        size_px: int,
        options: EpisodeOptions,
        *,
        seed: int = 0,
        cache_bytes: int = 8 << 30,
    ) -> None:
        table = ClipTable(root)
        indices = table.indices("train" if split == "train" else "val")
        rows = [row for row in (table[int(i)] for i in indices) if row.n_frames > 1]
        if not rows:
            raise InputError(
                f"{root} has no {split} clip with two frames",
                hint="the column split of clips.tsv says which clips are for train and for val",
            )
        self.rows: Sequence[ClipRow] = rows
        self.size_px, self.options, self._seed = size_px, options, seed
        cached = cached_bytes(rows, size_px) <= cache_bytes
        self._clips: ClipSource = (
            CachedClips(root, rows, size_px) if cached else StreamedClips(root, rows)
        )
        people: dict[str, list[int]] = {}
        for clip, row in enumerate(rows):
            people.setdefault(row.identity, []).append(clip)
        self._people = [people[name] for name in sorted(people)]

    def batch(self, number: int, part: range) -> Batch:
        """Make a part of a batch; processes that share a batch make a part each.

        Args:
            number: Which batch: the same number gives the same one.
            part: Which of its episodes.
        """
        rng = np.random.default_rng([self._seed, number])
        n_shots = self.options.fixed_shots or _drawn_shots(rng, self.options.max_shots)
        own = [np.random.default_rng([self._seed, number, index]) for index in part]
        return stack([self._episode(rng, n_shots) for rng in own], self.size_px)

    def fixed(self, size: int, n_shots: int) -> list["Episode"]:
        """Return unchanged episodes spread over people and frames, always the same ones.

        Args:
            size: How many; people take turns.
            n_shots: K.
        """
        rng = np.random.default_rng([self._seed, 2**31])
        episodes = []
        for index in range(size):
            clips = self._people[index % len(self._people)]
            clip = clips[(index // len(self._people)) % len(clips)]
            episodes.append(self._cut(rng, clip, n_shots, PLAIN))
        return episodes

    def _episode(self, rng: np.random.Generator, n_shots: int) -> "Episode":
        clips = self._people[rng.integers(len(self._people))]
        return self._cut(rng, int(clips[rng.integers(len(clips))]), n_shots, self.options)

    def _cut(
        self, rng: np.random.Generator, clip: int, n_shots: int, options: EpisodeOptions
    ) -> "Episode":
        # The target is never among the sources: copied pixels would teach nothing.
        wanted = drawn_frames(rng, self.rows[clip].n_frames, n_shots)
        cut = self._clips.cut(clip, wanted)
        size_px = self.size_px
        scale = size_px / cut.frames.shape[1]
        change = _Change.draw(rng, options, size_px)
        points = change.points((cut.points + 0.5) * scale - 0.5)
        matrix = change.matrix_from(scale)
        pictures = np.stack([change.picture(frame, matrix, size_px) for frame in cut.frames])
        mask = cv2.warpAffine(cut.mask, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
        noisy = points + _noise(rng, points, options.noise)
        if rng.random() < options.any_source:
            chosen = int(rng.integers(n_shots))
        else:
            chosen = nearest_source(points[1:], points[0])
        return Episode(pictures, noisy, points[0], np.asarray(mask, np.uint8), chosen, clip)


@dataclass(frozen=True)
class Episode:
    """One episode; the target comes first.

    Args:
        pictures: ``[1 + K, S, S, 3]`` uint8 RGB.
        points: ``[1 + K, 70, 2]`` as the networks see them, with noise.
        true_points: ``[70, 2]`` the target's, without.
        mask: ``[S, S]`` 255 where pixels count.
        chosen: Which source is warped.
        video: The clip's number.
    """

    pictures: U8Array
    points: F32Array
    true_points: F32Array
    mask: U8Array
    chosen: int
    video: int


def stack(episodes: Sequence[Episode], size_px: int) -> Batch:
    """Put episodes of the same K into one batch."""
    pictures = np.stack([episode.pictures for episode in episodes])
    points = np.stack([episode.points for episode in episodes])
    n_batch, n_frames = points.shape[:2]
    maps = draw_landmarks(points.reshape(-1, schema.N_POINTS, 2), (size_px, size_px))
    maps = maps.reshape(n_batch, n_frames, size_px, size_px, 3)
    chosen = np.array([episode.chosen for episode in episodes])
    flow = head_flow(
        points[np.arange(n_batch), 1 + chosen], points[:, 0], size_px, torch.device("cpu")
    )
    true_points = np.stack([episode.true_points for episode in episodes])
    region = np.stack([region_of(face, size_px) for face in true_points])
    channels_first = (0, 1, 4, 2, 3)
    pictures, maps = pictures.transpose(channels_first), maps.transpose(channels_first)
    return Batch(
        sources=torch.from_numpy(pictures[:, 1:].copy()),
        source_maps=torch.from_numpy(maps[:, 1:].copy()),
        chosen=torch.from_numpy(chosen),
        target=torch.from_numpy(pictures[:, 0].copy()),
        target_map=torch.from_numpy(maps[:, 0].copy()),
        flow=flow,
        mask=torch.from_numpy(np.stack([episode.mask for episode in episodes])[:, None]),
        region=torch.from_numpy(region[:, None]),
        points=torch.from_numpy(true_points.astype(np.float32)),
        video=torch.tensor([episode.video for episode in episodes]),
    )


def drawn_frames(rng: np.random.Generator, n_frames: int, n_shots: int) -> list[int]:
    """Draw a target and ``n_shots`` other frames; a short clip's frames serve repeatedly."""
    target = int(rng.integers(n_frames))
    others = np.delete(np.arange(n_frames), target)
    sources = rng.choice(others, n_shots, replace=len(others) < n_shots)
    return [target, *(int(frame) for frame in sources)]


def nearest_source(sources: F64Array | F32Array, target: F64Array | F32Array) -> int:
    """Return which source face is nearest to the target in pose and mouth.

    Args:
        sources: ``[K, 70, 2]``.
        target: ``[70, 2]``.
    """
    if len(sources) == 1:
        return 0
    faces = np.concatenate([target[None], sources])
    angles = angles_deg(fit_pose(faces).rotation)
    mouth = np.linalg.norm(faces[:, 62] - faces[:, 66], axis=-1) / outer_eye_distance(faces)
    apart = np.abs(angles[1:] - angles[0]).sum(axis=1) + _MOUTH_DEG * np.abs(mouth[1:] - mouth[0])
    return int(apart.argmin())


def region_of(points: F64Array | F32Array, size_px: int) -> U8Array:
    """Draw where people look: mouth and eyes, ``[S, S]`` 255 inside, soft at the edge."""
    region = np.zeros((size_px, size_px), np.uint8)
    for part in (schema.RIGHT_EYE, schema.LEFT_EYE, schema.OUTER_LIP):
        outline = points[part]
        centre = outline.mean(axis=0)
        width = np.linalg.norm(outline - centre, axis=1).max()
        away = outline - centre
        grown = centre + away + 0.3 * width * away / (np.linalg.norm(away, axis=1)[:, None] + 1e-6)
        cv2.fillConvexPoly(region, cv2.convexHull(np.round(grown).astype(np.int32)), 255)
    soft = max(1, round(size_px / 64)) * 2 + 1
    return np.asarray(cv2.GaussianBlur(region, (soft, soft), 0), np.uint8)


@dataclass(frozen=True)
class _Change:
    """A change shared by all frames of an episode.

    Args:
        matrix: ``[2, 3]`` from pixels of the plain picture to those of the changed one.
        flip: Whether it mirrors.
        table: ``[256, 3]`` new values by channel; None changes no colours.
        saturation: Colours' distance from grey is multiplied by this.
    """

    matrix: F64Array
    flip: bool
    table: U8Array | None
    saturation: float

    @classmethod
    def draw(cls, rng: np.random.Generator, options: EpisodeOptions, size_px: int) -> "_Change":
        """Draw a change."""
        flip = bool(rng.random() < options.flip)
        zoom = float(np.exp(rng.uniform(*np.log(options.zoom))))
        turn = float(rng.normal(0, options.turn_deg)) if options.turn_deg else 0.0
        middle = (size_px - 1) / 2
        matrix = np.vstack([cv2.getRotationMatrix2D((middle, middle), turn, zoom), [0, 0, 1]])
        if options.turn_deg:
            matrix[:2, 2] += rng.normal(0, 0.02 * size_px, 2)
        if flip:
            matrix = matrix @ np.array([[-1.0, 0, size_px - 1], [0, 1, 0], [0, 0, 1]])
        table, saturation = None, 1.0
        if options.colour and rng.random() < 0.8:
            strength = options.colour
            gamma = np.exp(rng.normal(0, 0.3 * strength) + rng.normal(0, 0.1 * strength, 3))
            gain = np.exp(rng.normal(0, 0.15 * strength) + rng.normal(0, 0.1 * strength, 3))
            values = (np.linspace(0, 1, 256)[:, None] ** gamma) * gain
            table = np.clip(255 * values, 0, 255).round().astype(np.uint8)
            saturation = float(np.clip(rng.normal(1, 0.4 * strength), 0, 1.6))
            if rng.random() < 0.15 * strength:
                saturation = 0.0
        return cls(matrix[:2], flip, table, saturation)

    def points(self, points: F32Array) -> F32Array:
        """Move landmarks ``[N, 70, 2]``; mirrored, each keeps its own name."""
        moved = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return (moved[:, schema.FLIP] if self.flip else moved).astype(np.float32)

    def matrix_from(self, scale: float) -> F64Array:
        """Return the map from pixels of a frame that is ``1 / scale`` as large."""
        grow = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5], [0, 0, 1]])
        return self.matrix @ grow

    def picture(self, frame: U8Array, matrix: F64Array, size_px: int) -> U8Array:
        """Change one frame."""
        size = (size_px, size_px)
        changed = cv2.warpAffine(
            frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if self.saturation != 1:
            grey = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            changed = cv2.addWeighted(changed, self.saturation, grey, 1 - self.saturation, 0)
        if self.table is not None:
            changed = cv2.LUT(changed, self.table[None])
        return np.asarray(changed, np.uint8)


def _drawn_shots(rng: np.random.Generator, max_shots: int) -> int:
    chances = 1 / np.arange(1, max_shots + 1)
    return int(rng.choice(max_shots, p=chances / chances.sum())) + 1


def _noise(rng: np.random.Generator, points: F32Array, strength: float) -> F32Array:
    if not strength:
        return np.zeros_like(points)
    size = outer_eye_distance(points)[:, None, None] * strength
    return (rng.normal(0, 1, points.shape) * size).astype(np.float32)
