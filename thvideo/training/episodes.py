"""Episodes: K source frames and one other frame of the same video, changed alike.

A picture is a clip of one frame: its sources are the picture, moved by geometry as faces move.

Every batch is made from a random generator of its own, seeded by the run's seed and the batch's
number: whoever makes it, in whichever process and after whatever interruption, it is the same.

Shapes: K source frames, S pixels along a side.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from thvideo.errors import InputError
from thvideo.landmarks.patches import MOUTH, RIGHT_EYE, opening
from thvideo.landmarks.pose import angles_deg, fit_pose
from thvideo.landmarks.schema import outer_eye_distance
from thvideo.shapes import F32Array, F64Array, I64Array
from thvideo.training.batch import Batch, Episode, stack
from thvideo.training.change import PLAIN, Change, EpisodeOptions, landmark_noise
from thvideo.training.clip_source import (
    CachedClips,
    ClipSource,
    Cut,
    StreamedClips,
    cached_bytes,
    shrunk,
)
from thvideo.training.dataset import ClipTable
from thvideo.training.patch_batch import FOVEAL_PX
from thvideo.training.self_pairs import moved_picture

#: What an open mouth counts beside a turned head in the choice of the nearest source: a tenth of
#: the eye distance as much as 8 degrees.
_MOUTH_DEG = 80.0

#: Of so many frames a telling target is taken, so often for its mouth and else for its eyes.
_N_TOLD, _MOUTH_SHARE = 6, 0.6


class Episodes:
    """Draws batches of episodes from a dataset.

    Args:
        root: The dataset's folder.
        split: Whose people: "train" or "val".
        size_px: Side of the pictures.
        options: How episodes are drawn and changed.
        seed: The run's.
        with_patches: Whether the generator has foveal networks.

    Raises:
        InputError: The split has no clip with two frames.
    """

    def __init__(
        self,
        root: Path,
        split: Literal["train", "val"],
        size_px: int,
        options: EpisodeOptions,
        *,
        seed: int = 0,
        with_patches: bool = False,
    ) -> None:
        table = ClipTable(root)
        people, lengths = table.people_and_lengths()
        of_split = table.indices(split)
        rows = of_split[lengths[of_split] > 1]
        if not len(rows):
            raise InputError(
                f"{root} has no {split} clip with two frames",
                hint="two people are needed, one to train on and one to validate with: the column "
                "split of clips.tsv says who is for which",
            )
        self.size_px, self.options, self._seed = size_px, options, seed
        self._with_patches = with_patches
        #: Side of the pictures as episodes hold them.
        self._fine_px = max(size_px, FOVEAL_PX) if with_patches else size_px
        self._lengths = lengths[rows]
        self._streamed = StreamedClips(table, rows)
        self._clips: ClipSource = self._streamed
        # Their numbers follow those of the clips. They are read as large as they are: what is
        # moved at the size of the networks is blurred, and sources are not.
        wants_pictures = options.picture_share > 0
        pictures = of_split[lengths[of_split] == 1] if wants_pictures else of_split[:0]
        self.n_pictures = len(pictures)
        self._pictures = StreamedClips(table, pictures)
        # Clips in the order of their people, and where each person's begin: arrays, not lists of
        # lists, because there may be a million.
        self._by_person = np.argsort(people[rows], kind="stable")
        self._starts = np.flatnonzero(np.diff(people[rows][self._by_person], prepend=-1))

    def keep_in_memory(self, most_bytes: int) -> None:
        """Decode all frames now and keep them, if they take no more than so many bytes.

        Raises:
            InputError: A clip is missing or damaged.
        """
        is_kept = isinstance(self._clips, CachedClips)
        if not is_kept and cached_bytes(self._lengths, self._fine_px) <= most_bytes:
            self._clips = CachedClips(self._streamed, self._lengths, self._fine_px)

    def digest(self) -> str:
        """Return a SHA-256 of the clips' names in the order of their numbers."""
        clips = self._streamed.digest()
        if not self.n_pictures:
            return clips
        return hashlib.sha256((clips + self._pictures.digest()).encode()).hexdigest()

    @property
    def n_clips(self) -> int:
        """How many clips of two frames or more there are."""
        return len(self._lengths)

    @property
    def n_columns(self) -> int:
        """How many columns W needs: one for each clip, then one for each picture."""
        return self.n_clips + self.n_pictures

    @property
    def n_people(self) -> int:
        """Whose clips they are."""
        return len(self._starts)

    def _clips_of(self, person: int) -> I64Array:
        end = self._starts[person + 1] if person + 1 < self.n_people else self.n_clips
        return self._by_person[self._starts[person] : end]

    def batch(self, number: int, part: range) -> Batch:
        """Make a part of a batch; processes that share a batch make a part each.

        Args:
            number: Which batch: the same number gives the same one.
            part: Which of its episodes.
        """
        rng = np.random.default_rng([self._seed, number])
        n_shots = self.options.fixed_shots or _drawn_shots(rng, self.options.max_shots)
        # From 1 on: NumPy seeds [a, b] and [a, b, 0] alike.
        own = [np.random.default_rng([self._seed, number, 1 + index]) for index in part]
        return self.stacked([self._episode(rng, n_shots) for rng in own])

    def stacked(self, episodes: Sequence[Episode]) -> Batch:
        """Put episodes of the same K into one batch."""
        return stack(
            episodes,
            self.size_px,
            with_drafts=self.options.with_drafts,
            with_patches=self._with_patches,
        )

    def fixed(self, size: int, n_shots: int) -> list[Episode]:
        """Return unchanged episodes spread over people and frames, always the same ones.

        Args:
            size: How many; people take turns.
            n_shots: K.
        """
        rng = np.random.default_rng([self._seed, 2**31])
        episodes = []
        for index in range(size):
            clips = self._clips_of(index % self.n_people)
            clip = int(clips[(index // self.n_people) % len(clips)])
            episodes.append(self._changed(rng, self._cut(rng, clip, n_shots), clip, PLAIN))
        return episodes

    def _episode(self, rng: np.random.Generator, n_shots: int) -> Episode:
        if self.n_pictures and rng.random() < self.options.picture_share:
            picture = int(rng.integers(self.n_pictures))
            cut = moved_picture(self._pictures.cut(picture, [0]), n_shots, rng)
            return self._changed(rng, cut, self.n_clips + picture, self.options)
        clips = self._clips_of(int(rng.integers(self.n_people)))
        clip = int(clips[rng.integers(len(clips))])
        telling = self.options.telling
        is_telling = bool(telling) and rng.random() < telling
        cut = self._cut(rng, clip, n_shots, is_telling=is_telling)
        return self._changed(rng, cut, clip, self.options)

    def _cut(
        self, rng: np.random.Generator, clip: int, n_shots: int, *, is_telling: bool = False
    ) -> Cut:
        # The target is never among the sources: copied pixels would teach nothing.
        frames = drawn_frames(rng, int(self._lengths[clip]), n_shots)
        if is_telling:
            frames[0] = telling_frame(rng, self._clips.points(clip), frames[1:])
        return self._clips.cut(clip, frames)

    def _changed(
        self, rng: np.random.Generator, cut: Cut, clip: int, options: EpisodeOptions
    ) -> Episode:
        size_px, n_shots = self._fine_px, len(cut.frames) - 1
        # A change reads four pixels: of frames that are larger still, it would skip some.
        cut = shrunk(cut, 2 * size_px)
        scale = size_px / cut.frames.shape[1]
        change = Change.draw(rng, options, size_px)
        points = change.points((cut.points + 0.5) * scale - 0.5)
        matrix = change.matrix_from(scale)
        pictures = np.stack([change.picture(frame, matrix, size_px) for frame in cut.frames])
        mask = cv2.warpAffine(cut.mask, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
        noisy = points + landmark_noise(rng, points, options.noise)
        if rng.random() < options.any_source:
            chosen = int(rng.integers(n_shots))
        else:
            chosen = nearest_source(points[1:], points[0])
        return Episode(pictures, noisy, points[0], np.asarray(mask, np.uint8), chosen, clip)


def drawn_frames(rng: np.random.Generator, n_frames: int, n_shots: int) -> list[int]:
    """Draw a target and ``n_shots`` other frames; a short clip's frames serve repeatedly."""
    target = int(rng.integers(n_frames))
    others = np.delete(np.arange(n_frames), target)
    sources = rng.choice(others, n_shots, replace=len(others) < n_shots)
    return [target, *(int(frame) for frame in sources)]


def telling_frame(rng: np.random.Generator, points: F32Array, sources: Sequence[int]) -> int:
    """Draw a target whose mouth or eyes are far from as open as the first source's.

    Of a few frames the one that differs most is taken: most frames of a clip show a mouth nearly
    shut and eyes open, from which neither teeth nor lids are learned.

    Args:
        rng: Draws the frames.
        points: ``[T, 70, 2]`` of the whole clip.
        sources: Frames that it is not to be among.
    """
    others = np.setdiff1d(np.arange(len(points)), sources)
    if len(others) == 0:
        others = np.arange(len(points))
    some = rng.choice(others, min(_N_TOLD, len(others)), replace=False)
    place = MOUTH if rng.random() < _MOUTH_SHARE else RIGHT_EYE
    apart = np.abs(opening(points[some], place) - opening(points[[sources[0]]], place))
    return int(some[apart.argmax()])


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


def _drawn_shots(rng: np.random.Generator, max_shots: int) -> int:
    chances = 1 / np.arange(1, max_shots + 1)
    return int(rng.choice(max_shots, p=chances / chances.sum())) + 1
