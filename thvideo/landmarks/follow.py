"""Follow one person's face through a stream of frames.

On key frames a face is looked for where it was, and detected anew only where it is lost or has
moved far. Its landmarks, found in two looks, give boxes; the boxes between key frames are
interpolated, and one look at every frame places its landmarks.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from thvideo.landmarks.careful import (
    IN_PASSING,
    THOROUGH,
    find_carefully,
    landmarks_precisely,
    less_doubtful,
)
from thvideo.landmarks.choice import (
    STRANGER_LIKENESS,
    Candidate,
    FaceChoice,
    choose,
    needs_likeness,
)
from thvideo.landmarks.continuity import (
    Face,
    Tracklet,
    has_drifted,
    is_same_face,
    link,
    match,
)
from thvideo.landmarks.doubt import NO_FACE, SURE
from thvideo.landmarks.faces import BEGUN, faces_at, looked_at
from thvideo.landmarks.likeness import describe, similarity
from thvideo.landmarks.placing import FOUND, detect_leaning, place
from thvideo.landmarks.tracker import Tracker, box_from_detection
from thvideo.landmarks.windows import KEY_INTERVAL, Window, cut_windows
from thvideo.shapes import BoolArray, F32Array, U8Array

# After so many frames without a face it is looked for anew, by its likeness.
_LOST_FRAMES = 24
# Who comes back elsewhere in the picture must be this much like the person followed: 1 in 15
# pairs from one clip is less alike, and 1 in 7 pairs from two clips is more.
_SAME_LIKENESS = 0.65
# Who comes back no farther away than a face moves in so many frames need not be so alike.
_NEAR_FRAMES = 16
# How often the memory of a person's looks is renewed, and by how much.
_MEMORY_FRAMES, _MEMORY_SHARE = 96, 0.3
# Windows that are looked at while later key frames are searched: as many as fit into so much.
_MOST_AHEAD, _AHEAD_BYTES = 2, 330_000_000


@dataclass(frozen=True, eq=False)
class FollowState:
    """What has to be known to go on following at a later frame.

    Args:
        next_frame: The frame to go on with.
        likeness: Descriptor of the person followed; None when nobody was seen yet.
        remembered_at: The frame at which the descriptor was renewed last.
        box: ``[4]`` where the face was seen last in this shot; None when it was not.
        seen_at: The frame at which it was.
        next_key_box: ``[4]`` its box at the next frame, if it is known.
    """

    next_frame: int = 0
    likeness: F32Array | None = None
    remembered_at: int = 0
    box: F32Array | None = None
    seen_at: int = 0
    next_key_box: F32Array | None = None


@dataclass(frozen=True, eq=False)
class FollowedBatch:
    """The face followed, over the next B frames.

    Args:
        points: ``[B, 70, 2]`` pixels, NaN where no face was found.
        confidence: ``[B]`` in 0..1, 0 where no face was found.
        found: ``[B]``.
        covered: ``[B]`` log odds that the mouth is covered, NaN where that is not known.
        state: What to go on with after these frames.
    """

    points: F32Array
    confidence: F32Array
    found: BoolArray
    covered: F32Array
    state: FollowState = field(default_factory=FollowState)


def follow(
    batches: Iterable[U8Array],
    tracker: Tracker,
    choice: FaceChoice,
    cuts: Sequence[int],
    *,
    name: str = "the input",
    state: FollowState | None = None,
    pool: Executor | None = None,
) -> Iterator[FollowedBatch]:
    """Follow one face; the result does not depend on how the frames are batched.

    Args:
        batches: Frames ``[B, H, W, 3]`` RGB in order; at most one batch is held, and 13 frames:
            with a pool 37, of large ones 25.
        tracker: Finds faces and landmarks.
        choice: Whose face, where there are several.
        cuts: First frame of each new shot; the face is chosen anew there, by its likeness to
            the person followed if several are there.
        name: The file's name as the person knows it, for messages.
        state: From an earlier batch, to go on after it: the first frame that comes is then
            ``state.next_frame``.
        pool: Looks at the frames between key frames, while the next key frames are searched.

    Yields:
        Batches of results, in order, of sizes of their own.

    Raises:
        InputError: Fewer faces are there than the choice's index asks for.
    """
    state = FollowState() if state is None else state
    follower = _Follower(tracker, choice, name, state)
    waiting: deque[Callable[[], FollowedBatch]] = deque()
    for window in cut_windows(batches, cuts, state.next_frame):
        boxes = follower.find(window)
        known = follower.state(window.first + window.n_own)
        look = partial(follower.look, window, boxes, known)
        waiting.append(look if pool is None else pool.submit(look).result)
        n_ahead = min(_MOST_AHEAD, _AHEAD_BYTES // max(1, window.frames.nbytes))
        # Neither name shall hold the frames while the next ones come.
        del window, look
        while len(waiting) > (n_ahead if pool else 0):
            yield waiting.popleft()()
    for found in waiting:
        yield found()


class _Follower:
    """What is known of the person followed, from window to window."""

    def __init__(self, tracker: Tracker, choice: FaceChoice, name: str, state: FollowState) -> None:
        self._tracker = tracker
        self._choice = choice
        self._name = name
        self._likeness = state.likeness
        self._remembered_at = state.remembered_at
        self._box = state.box
        self._seen_at = state.seen_at
        self._next_key_box = state.next_key_box

    def state(self, next_frame: int) -> FollowState:
        """Return what has to be known to go on at the next frame."""
        return FollowState(
            next_frame,
            self._likeness,
            self._remembered_at,
            self._box,
            self._seen_at,
            self._next_key_box,
        )

    def find(self, window: Window) -> F32Array:
        """Find the face at a window's key frames.

        Returns:
            Boxes ``[K, 4]``, NaN where it is not found.
        """
        if window.starts_shot:
            self._box, self._next_key_box = None, None
        if _is_still(window):
            return self._find_carefully(window)
        lost = self._box is None or window.first - self._seen_at > _LOST_FRAMES
        boxes = self._begin(window) if lost else self._go_on(window)
        keys = window.keys
        known = np.flatnonzero(np.isfinite(boxes[:, 0]))
        if len(known):
            self._box = boxes[known[-1]]
            self._seen_at = window.first + keys[known[-1]]
        self._next_key_box = None if window.ends_shot else boxes[-1]
        return boxes

    def look(self, window: Window, boxes: F32Array, state: FollowState) -> FollowedBatch:
        """Place the landmarks of a window's own frames; may run beside `find` of later ones.

        Args:
            window: The frames.
            boxes: What `find` has returned.
            state: What to go on with after these frames.
        """
        if _is_still(window) and np.isfinite(boxes).all():
            points, confidence = landmarks_precisely(window.frames[0], boxes[0], self._tracker)
            covered = np.full(1, np.nan, dtype=np.float32)
        else:
            points, confidence, covered = place(window, boxes, self._tracker)
        known = np.isfinite(points[:, :68]).all(axis=(1, 2))
        found = (confidence >= FOUND) & known
        return FollowedBatch(
            np.where(found[:, None, None], points, np.nan).astype(np.float32),
            np.where(found, confidence, 0.0).astype(np.float32),
            found,
            covered,
            state,
        )

    def _find_carefully(self, window: Window) -> F32Array:
        """Find the face in a picture: there is time for all care."""
        candidates = find_carefully(window.frames[0], self._tracker)
        chosen = self._choose([Tracklet({0: face}) for face in candidates], window)
        if chosen is None:
            return np.full((1, 4), np.nan, dtype=np.float32)
        return chosen.faces[0].box[None]

    def _begin(self, window: Window) -> F32Array:
        """Choose a face among those that stay for more than one key frame.

        Returns:
            Boxes ``[K, 4]`` of the chosen face at the window's key frames, NaN where absent.
        """
        keys = window.keys
        found = self._tracker.detect(window.frames[keys])
        faces = {
            key: faces_at(window.frames[key], detections, self._tracker)
            for key, detections in zip(keys, found, strict=True)
        }
        lasting = _lasting(link(faces), len(keys))
        if not any(_least_doubt(track) <= SURE for track in lasting):
            lasting = self._search(window, lasting)
        chosen = self._choose(lasting, window)
        boxes = np.full((len(keys), 4), np.nan, dtype=np.float32)
        if chosen is not None:
            for row, key in enumerate(keys):
                if key in chosen.faces:
                    boxes[row] = chosen.faces[key].box
        return boxes

    def _search(self, window: Window, upright: list[Tracklet]) -> list[Tracklet]:
        """Look on the first frame with care, and at any turn, and follow on what that finds.

        Args:
            window: The frames.
            upright: What was found without, none of it sure.
        """
        looks = THOROUGH if window.starts_shot else IN_PASSING
        tracks = []
        for face in find_carefully(window.frames[0], self._tracker, looks):
            faces = {0: face}
            for key in window.keys[1:]:
                last = faces[max(faces)]
                [next_face] = looked_at(window.frames[key], last.box[None], self._tracker)
                if next_face.confidence >= FOUND and is_same_face(last.box, next_face.box):
                    faces[key] = next_face
            tracks.append(Tracklet(faces))
        tracks = _lasting(tracks, len(window.keys))
        kept = less_doubtful([_first(track) for track in upright], [_first(t) for t in tracks])
        return [track for track in (*upright, *tracks) if _first(track) in kept]

    def _choose(self, tracklets: list[Tracklet], window: Window) -> Tracklet | None:
        """Choose the person; a stranger is not taken for someone lost within the shot."""
        looks: list[F32Array | None] = [None] * len(tracklets)
        if self._box is not None or needs_likeness(self._choice, self._likeness, len(tracklets)):
            looks = [_describe(window, track) for track in tracklets]
        if self._box is not None:
            kept = [i for i, look in enumerate(looks) if self._may_return(tracklets[i], look)]
            tracklets, looks = [tracklets[i] for i in kept], [looks[i] for i in kept]
        if not tracklets:
            return None
        candidates = [
            Candidate(_corners(_first(track).points), look)
            for track, look in zip(tracklets, looks, strict=True)
        ]
        where = f"frame {window.first} of {self._name}"
        index = choose(candidates, self._choice, self._likeness, where)
        if self._likeness is None:
            self._likeness = _describe(window, tracklets[index])
            self._remembered_at = window.first
        return tracklets[index]

    def _may_return(self, tracklet: Tracklet, look: F32Array | None) -> bool:
        if self._likeness is None or look is None or self._box is None:
            return True
        alike = similarity(self._likeness, look)
        near = is_same_face(self._box, _first(tracklet).box, n_frames_lost=_NEAR_FRAMES)
        return alike >= (STRANGER_LIKENESS if near else _SAME_LIKENESS)

    def _go_on(self, window: Window) -> F32Array:
        """Find the face followed at the window's key frames.

        Returns:
            Boxes ``[K, 4]``, NaN where it is not found.
        """
        keys = window.keys
        boxes = np.full((len(keys), 4), np.nan, dtype=np.float32)
        n_known = 0
        if self._next_key_box is not None:
            boxes[0], n_known = self._next_key_box, 1
        if self._box is None:
            return boxes
        last, seen_at = self._box, self._seen_at
        faces: dict[int, Face] = {}
        for row in range(n_known, len(keys)):
            key, at = keys[row], window.first + keys[row]
            was_there = row > 0 and bool(np.isfinite(boxes[row - 1, 0]))
            n_lost = max(at - seen_at - KEY_INTERVAL, 0)
            where, face = self._find_next(window.frames[key][None], last, was_there, n_lost)
            if where is not None:
                last, seen_at = where, at
            if face is not None:
                boxes[row], faces[key] = face.box, face
        self._remember(window, faces)
        return boxes

    def _find_next(
        self, frame: U8Array, last: F32Array, was_there: bool, n_lost: int
    ) -> tuple[F32Array | None, Face | None]:
        """Find the face followed at the next key frame.

        Most faces have hardly moved: only where one has is it detected anew.

        Args:
            frame: ``[1, H, W, 3]``.
            last: ``[4]`` where the face was seen last.
            was_there: It was seen at the key frame before.
            n_lost: For how many frames more it was not.

        Returns:
            Where it is, ``[4]``, and its landmarks if they convince.
        """
        face = self._look_from(frame, last) if was_there else None
        if (
            face is not None
            and face.confidence >= BEGUN
            and not has_drifted(last[None], face.box[None])[0]
        ):
            return face.box, face
        # Whoever was lost meanwhile may be anywhere.
        [found] = detect_leaning(frame, last[3], self._tracker, last if was_there else None)
        others = box_from_detection(found)
        chosen = match(last, others, n_lost)
        rough = last
        if chosen is not None:
            # The detector knows no roll: it is the face's last one.
            rough = np.append(others[chosen, :3], last[3]).astype(np.float32)
        if chosen is not None or face is None:
            face = self._look_from(frame, rough)
        if face.confidence >= FOUND and is_same_face(rough, face.box, n_lost):
            return face.box, face
        return (None if chosen is None else rough), None

    def _look_from(self, frame: U8Array, rough: F32Array) -> Face:
        [face] = looked_at(frame[0], rough[None], self._tracker)
        return face

    def _remember(self, window: Window, faces: dict[int, Face]) -> None:
        """Renew the memory of the person's looks now and then, from faces at key frames."""
        is_due = window.first - self._remembered_at >= _MEMORY_FRAMES
        if faces and is_due and self._likeness is not None:
            key = min(faces)
            look = describe(window.frames[key], faces[key].points)
            self._likeness = (1 - _MEMORY_SHARE) * self._likeness + _MEMORY_SHARE * look
            self._remembered_at = window.first


def _is_still(window: Window) -> bool:
    return len(window.frames) == 1 and window.starts_shot


def _lasting(tracklets: list[Tracklet], n_keys: int) -> list[Tracklet]:
    """Keep faces that are there for two key frames, if there are so many, and pass the check."""
    n_needed = min(2, n_keys)
    return [t for t in tracklets if len(t.faces) >= n_needed and _least_doubt(t) < NO_FACE]


def _least_doubt(tracklet: Tracklet) -> float:
    return min(face.doubt for face in tracklet.faces.values())


def _first(tracklet: Tracklet) -> Face:
    return tracklet.faces[min(tracklet.faces)]


def _describe(window: Window, tracklet: Tracklet) -> F32Array:
    key = min(tracklet.faces)
    return describe(window.frames[key], tracklet.faces[key].points)


def _corners(points: F32Array) -> F32Array:
    return np.concatenate([points[:68].min(axis=0), points[:68].max(axis=0)])
