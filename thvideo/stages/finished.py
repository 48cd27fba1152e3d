"""The finished file: its chunks joined, its sound added and listened to, and its marks."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thvideo.errors import StageError
from thvideo.stages.base import Container

if TYPE_CHECKING:
    from thvideo.video.audio import Sound
    from thvideo.video.drift import Drift
    from thvideo.video.encode import EncodeSettings
    from thvideo.video.timing import FrameTimes

#: Kept in every container: whoever meets the file later shall know what it is.
METADATA = {
    "title": "Synthetic video",
    "comment": "Made with thvideo: the person shown was animated by software.",
    "description": "Synthetic media: a still portrait animated with another person's motion.",
}


@dataclass(frozen=True)
class Finished:
    """What became of a file's picture and sound.

    Args:
        drift: What is late or missing in it.
        sound: The sound, as it was added; None without one.
        notices: What the person should know, in sentences.
    """

    drift: "Drift"
    sound: "Sound | None"
    notices: tuple[str, ...]

    def facts(self, container: Container) -> dict[str, Any]:
        """Return the facts that the manifest and the report keep."""
        return {
            "drift": dataclasses.asdict(self.drift),
            "sound": None if self.sound is None else self.sound.facts(container),
        }


def join_and_listen(
    chunks: Sequence[Path],
    out: Path,
    times: "FrameTimes",
    settings: "EncodeSettings",
    sound: "Sound | None",
) -> Finished:
    """Join chunks to the finished file, and compare what is heard with what should be.

    A copy of the sound that fails, or that sounds wrong, is replaced by encoded sound.

    Args:
        chunks: What ``encode_chunk`` wrote, in order, together all frames.
        out: The file to write.
        times: The times of all frames.
        settings: What the chunks were encoded with.
        sound: The sound to add.

    Raises:
        StageError: The chunks do not hold all frames, or ffmpeg fails.
        WorkspaceError: The disk is full or the place cannot be written.
    """
    from thvideo.video.drift import measure_drift
    from thvideo.video.write import join

    container, notices = settings.container, []
    if sound is not None and sound.is_copied(container):
        try:
            join(chunks, out, times, settings, sound, METADATA)
            drift = measure_drift(out, times, sound)
            wrong = drift.sound_fault
        except StageError as error:
            wrong = error.fact
        if not wrong:
            return Finished(drift, sound, ())
        notices.append(f"a copy of the sound fails ({wrong}): it is encoded")
        sound = dataclasses.replace(sound, is_encoded=True)
    elif sound is not None and sound.is_cut(container):
        notices.append(
            f"the sound begins before the picture, which {container} cannot hide: "
            f"it is cut there and encoded as {sound.encoding(container).codec}"
        )
    join(chunks, out, times, settings, sound, METADATA)
    drift = measure_drift(out, times, sound)
    if drift.sound_fault:
        notices.append(drift.sound_fault)
    return Finished(drift, sound, tuple(notices))
