"""A damaged picture of any format is the person's input, never a fault of ours."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from thvideo.errors import InputError
from thvideo.imaging.picture import load_picture, picture_kind

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
ANIMATED = ("PNG", "WEBP", "GIF", "AVIF", "TIFF")
DAMAGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), max_size=4
)


def picture_bytes(kind: str, n_frames: int) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (n_frames, 70, 66, 3), np.uint8)
    first, *others = (Image.fromarray(frame) for frame in noise)
    file = io.BytesIO()
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(file, kind, **more)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "n_frames"), [*((kind, 1) for kind in FORMATS), *((kind, 2) for kind in ANIMATED)]
)
def test_a_damaged_picture_is_read_or_refused(kind: str, n_frames: int, tmp_path: Path) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    whole, path = picture_bytes(kind, n_frames), tmp_path / "picture"

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(DAMAGES, st.floats(0, 1))
    def check(damages: list[tuple[float, bytes]], kept: float) -> None:
        content = bytearray(whole)
        for place, change in damages:
            # Headers are damaged as often as all the rest.
            start = int(place * 2 * 64) if place < 0.5 else int((place - 0.5) * 2 * len(whole))
            content[start : start + len(change)] = change
        path.write_bytes(content[: max(1, int(2 * kept * len(whole)))])
        picture_kind(path)
        try:
            assert load_picture(path, 64).shape[2] == 3
        except InputError as error:
            assert error.hint

    check()
