"""Reading pictures: every kind comes out upright, 8-bit, sRGB; faults are explained."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageFile

from thvideo.errors import InputError
from thvideo.imaging.picture import load_picture, picture_kind, save_png
from thvideo.shapes import U8Array


def scene(height: int = 90, width: int = 120) -> U8Array:
    """Smooth colours, brighter to the right, redder to the bottom."""
    rows, columns = np.mgrid[:height, :width]
    red = 40 + 170 * rows / height
    green = 60 + 120 * columns / width
    blue = np.full_like(red, 90)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def close(a: U8Array, b: U8Array, limit: int) -> bool:
    return a.shape == b.shape and int(np.abs(a.astype(int) - b.astype(int)).max()) <= limit


@pytest.mark.parametrize(
    ("suffix", "options", "limit"),
    [
        (".png", {}, 0),
        (".bmp", {}, 0),
        (".tif", {}, 0),
        (".webp", {"lossless": True}, 0),
        (".jpg", {"quality": 95, "subsampling": 0}, 6),
        (".jpg", {"quality": 95, "subsampling": 0, "progressive": True}, 6),
    ],
)
def test_ordinary_pictures_come_out_as_they_are(
    tmp_path: Path, suffix: str, options: dict[str, Any], limit: int
) -> None:
    path = tmp_path / f"scene{suffix}"
    Image.fromarray(scene()).save(path, **options)
    assert close(load_picture(path, 4096), scene(), limit)
    assert picture_kind(path) == "still"


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "scene.mp4"
    Image.fromarray(scene()).save(path, format="PNG")
    assert picture_kind(path) == "still"
    assert close(load_picture(path, 4096), scene(), 0)


def test_transparent_parts_show_white(tmp_path: Path) -> None:
    alpha = np.full((90, 120), 255, dtype=np.uint8)
    alpha[:, :60] = 0
    alpha[:, 60:80] = 128
    Image.fromarray(np.dstack([scene(), alpha])).save(tmp_path / "alpha.png")
    got = load_picture(tmp_path / "alpha.png", 4096)
    assert (got[:, :60] == 255).all()
    half = (scene().astype(float) * 128 + 255 * 127) / 255
    assert np.abs(got[:, 60:80] - half[:, 60:80]).max() <= 1
    assert close(got[:, 80:], scene()[:, 80:], 0)


def test_reducing_a_cut_out_does_not_bleed_the_hidden_colour(tmp_path: Path) -> None:
    pixels = np.zeros((400, 400, 4), dtype=np.uint8)
    pixels[:, :, 0] = 255  # hidden pure red
    pixels[100:300, 100:300] = (0, 0, 255, 255)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    got = load_picture(tmp_path / "cut.png", 100).astype(int)
    # Blue on white has no more red than green anywhere.
    assert (got[..., 0] - got[..., 1]).max() <= 2


@pytest.mark.parametrize("transparent", [False, True])
def test_palette_pictures_get_their_colours(tmp_path: Path, transparent: bool) -> None:
    pixels = np.zeros((80, 80), dtype=np.uint8)
    pixels[:, 40:] = 1
    image = Image.new("P", (80, 80))
    image.putdata(pixels.ravel().tolist())
    image.putpalette([200, 30, 40, 10, 180, 60])
    options: dict[str, Any] = {"transparency": 0} if transparent else {}
    image.save(tmp_path / "palette.png", **options)
    got = load_picture(tmp_path / "palette.png", 4096)
    assert got[0, 0].tolist() == ([255, 255, 255] if transparent else [200, 30, 40])
    assert got[0, 79].tolist() == [10, 180, 60]


def test_grey_and_black_and_white_pictures_get_three_equal_channels(tmp_path: Path) -> None:
    grey = scene()[..., 1]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert close(load_picture(tmp_path / "grey.png", 4096), np.dstack([grey] * 3), 0)
    Image.fromarray(grey).convert("LA").save(tmp_path / "la.png")
    assert close(load_picture(tmp_path / "la.png", 4096), np.dstack([grey] * 3), 0)
    Image.fromarray(grey > 100).save(tmp_path / "one.png")
    assert set(np.unique(load_picture(tmp_path / "one.png", 4096))) == {0, 255}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_greys_keep_their_brightness(tmp_path: Path, suffix: str) -> None:
    grey = scene()[..., 1].astype(np.uint16) * 257
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(grey).save(path)
    assert close(load_picture(path, 4096), np.dstack([scene()[..., 1]] * 3), 0)


def test_16_bit_colour_tiffs_keep_their_brightness(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", scene().astype(np.uint16) * 257, photometric="rgb")
    assert close(load_picture(tmp_path / "deep.tif", 4096), scene(), 1)


def test_16_bit_colour_pngs_keep_their_brightness(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    deep = scene().astype(np.uint16)[..., ::-1] * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert close(load_picture(tmp_path / "deep.png", 4096), scene(), 1)


def test_a_cmyk_jpeg_looks_like_its_rgb(tmp_path: Path) -> None:
    # Pillow writes the inverted values and the mark that Adobe's programs write.
    Image.fromarray(scene()).convert("CMYK").save(tmp_path / "print.jpg", quality=98, subsampling=0)
    assert close(load_picture(tmp_path / "print.jpg", 4096), scene(), 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turns[orientation](scene()))
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    assert close(load_picture(tmp_path / "turned.png", 4096), scene(), 0)


def _profile_with_swapped_primaries() -> bytes:
    """Make sRGB's profile with red and blue exchanged: colours come out visibly different."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(data[131])}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red : red + 4], data[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(data)


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    profile = _profile_with_swapped_primaries()
    Image.fromarray(scene()).save(tmp_path / "wide.png", icc_profile=profile)
    assert close(load_picture(tmp_path / "wide.png", 4096), scene()[..., ::-1], 2)


def test_an_srgb_profile_and_a_broken_profile_change_nothing(tmp_path: Path) -> None:
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("good", good), ("broken", b"not a profile at all" * 10)):
        Image.fromarray(scene()).save(tmp_path / f"{name}.png", icc_profile=profile)
        assert close(load_picture(tmp_path / f"{name}.png", 4096), scene(), 1)


def test_a_profile_for_another_number_of_channels_is_left_out(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = scene()[..., 1]
    Image.fromarray(grey).save(tmp_path / "grey.png", icc_profile=profile)
    assert close(load_picture(tmp_path / "grey.png", 4096), np.dstack([grey] * 3), 1)


def test_an_animation_is_no_picture_but_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.fromarray(scene()), Image.fromarray(scene()[::-1])
    kinds: dict[str, dict[str, Any]] = {"a.gif": {}, "a.webp": {"lossless": True}, "a.png": {}}
    for name, options in kinds.items():
        path = tmp_path / name
        first.save(path, save_all=True, append_images=[second], duration=100, **options)
        assert picture_kind(path) == "animation"
        # A GIF has 256 colours.
        assert close(load_picture(path, 4096), scene(), 24 if name == "a.gif" else 0)
    first.save(tmp_path / "still.gif")
    assert picture_kind(tmp_path / "still.gif") == "still"


def test_larger_pictures_are_reduced_to_max_side(tmp_path: Path) -> None:
    Image.fromarray(scene(900, 1200)).save(tmp_path / "large.png")
    got = load_picture(tmp_path / "large.png", 400)
    assert got.shape == (300, 400, 3)
    assert close(got, scene(300, 400), 3)


def test_a_hundred_megapixel_jpeg_is_decoded_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (10_000, 10_000), (30, 90, 160)).save(tmp_path / "huge.jpg")
    decoded: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> object:
        decoded.append(self.size)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    got = load_picture(tmp_path / "huge.jpg", 1080)
    assert got.shape == (1080, 1080, 3)
    assert np.abs(got.astype(int) - [30, 90, 160]).max() <= 2
    # The decoder itself makes an eighth of each side.
    assert decoded and max(max(size) for size in decoded) <= 2500


@pytest.mark.parametrize(
    ("size", "fact"), [((63, 500), "63 x 500"), ((10_001, 10_000), "100 megapixels")]
)
def test_too_small_and_too_large_pictures_are_refused_with_their_size(
    tmp_path: Path, size: tuple[int, int], fact: str
) -> None:
    Image.new("1", size).save(tmp_path / "wrong.png")
    with pytest.raises(InputError, match=fact) as caught:
        load_picture(tmp_path / "wrong.png", 1080)
    assert caught.value.hint


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (64, 64)).save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(InputError, match="100 megapixels"):
        load_picture(tmp_path / "bomb.png", 1080)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_file_cut_short_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=path.name) as caught:
        load_picture(path, 1080)
    assert caught.value.hint


def test_what_is_not_a_picture_is_refused_and_not_taken_for_one(tmp_path: Path) -> None:
    files = {
        "text.jpg": b"this is a text, not a picture",
        "film.mp4": b"\0\0\0\x18ftypisom" + bytes(2000),
        "film.mpg": b"\0\0\1\xba" + bytes(2000),
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n%%EndComments\n",
        "empty.png": b"",
        "zeros.png": bytes(4096),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert picture_kind(path) is None, name
        with pytest.raises(InputError, match=name):
            load_picture(path, 1080)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert picture_kind(tmp_path / "none.png") is None
    assert picture_kind(tmp_path) is None
    with pytest.raises(InputError, match="does not exist"):
        load_picture(tmp_path / "none.png", 1080)
    with pytest.raises(InputError, match="not a file"):
        load_picture(tmp_path, 1080)


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((80, 80), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match="floating-point"):
        load_picture(tmp_path / "float.tif", 1080)


def test_save_png_keeps_every_pixel_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    save_png(path, scene())
    assert close(load_picture(path, 4096), scene(), 0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="expected shape"):
        save_png(path, np.zeros((4, 4), dtype=np.uint8))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
