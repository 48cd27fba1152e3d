"""Wide-gamut and HDR pictures come out as sRGB, by whatever their file says of its colours."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from thvideo.errors import InputError
from thvideo.imaging.gamut import SRGB, space_of_code_points, to_srgb
from thvideo.imaging.picture import Animation, Picture, picture_kind, read_picture

# sRGB's colours in other spaces' numbers, as CSS Color 4 gives them, and a grey.
IN_P3 = {
    (255, 0, 0): (0.91749, 0.20029, 0.13856),
    (0, 255, 0): (0.45840, 0.98526, 0.29829),
    (0, 0, 255): (0.0, 0.0, 0.95959),
    (128, 128, 128): (0.50196, 0.50196, 0.50196),
}
# Luminance in cd/m2 of greys whose SDR white is 203, as PQ and HLG have it (ITU-R BT.2408).
GREYS_PQ = {255: 0.58069, 188: 0.50888, 118: 0.42}
P3_D65, BT2020, SRGB_CURVE, PQ, HLG = 12, 9, 13, 16, 18


def patches(colours: list[tuple[float, ...]], largest: int) -> np.ndarray:
    """Return a picture `[80, 64 N, 3]` with one patch for each colour, as 8 or 16 bits."""
    row = np.repeat(np.array(colours), 64, axis=0)[None]
    kind = np.uint16 if largest > 255 else np.uint8
    return np.rint(np.repeat(row, 80, axis=0) * largest).astype(kind)


def centres(picture: Picture) -> np.ndarray:
    return picture.pixels[40, 32::64].astype(int)


def with_chunks(path: Path, **chunks: bytes) -> None:
    """Put chunks behind a PNG's header, and take away what else it says of colours."""
    data, out = path.read_bytes(), b""
    position = 8
    while position < len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        if name not in (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP"):
            out += data[position : position + 12 + size]
        if name == b"IHDR":
            for kind, content in chunks.items():
                body = kind.encode() + content
                out += struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
        position += 12 + size
    path.write_bytes(data[:8] + out)


def write_png(path: Path, pixels: np.ndarray, **chunks: bytes) -> None:
    cv2.imwrite(str(path), pixels[..., ::-1])
    with_chunks(path, **chunks)


def chromaticities(*values: float) -> bytes:
    return struct.pack(">8I", *(round(value * 100_000) for value in values))


@pytest.mark.parametrize("largest", [255, 65535])
def test_a_png_in_display_p3_by_code_points(tmp_path: Path, largest: int) -> None:
    path = tmp_path / "p3.png"
    cicp = bytes((P3_D65, SRGB_CURVE, 0, 1))
    write_png(path, patches(list(IN_P3.values()), largest), cICP=cicp)
    picture = read_picture(path, 4096)
    # Eight bits do not resolve the darkest number, of the green's red.
    assert np.abs(centres(picture) - list(IN_P3)).max() <= (3 if largest == 255 else 1)
    assert picture.notices == ()


def test_code_points_go_before_everything_else_a_png_says(tmp_path: Path) -> None:
    path = tmp_path / "p3.png"
    more = {"gAMA": struct.pack(">I", 100_000), "sRGB": b"\0"}
    cicp = bytes((P3_D65, SRGB_CURVE, 0, 1))
    write_png(path, patches(list(IN_P3.values()), 255), cICP=cicp, **more)
    assert np.abs(centres(read_picture(path, 4096)) - list(IN_P3)).max() <= 3


@pytest.mark.parametrize(("gamma", "largest"), [(1.0, 65535), (1 / 1.8, 255), (1 / 2.6, 255)])
def test_a_png_with_another_gamma(tmp_path: Path, gamma: float, largest: int) -> None:
    greys = np.array([[20.0] * 3, [60] * 3, [128] * 3, [200] * 3, [255] * 3])
    light = np.where(greys > 10.3, ((greys / 255 + 0.055) / 1.055) ** 2.4, greys / 255 / 12.92)
    path = tmp_path / "gamma.png"
    chunk = struct.pack(">I", round(gamma * 100_000))
    write_png(path, patches([tuple(v) for v in light**gamma], largest), gAMA=chunk)
    assert np.abs(centres(read_picture(path, 4096)) - greys).max() <= 2


def test_srgbs_own_gamma_and_an_srgb_chunk_change_nothing(tmp_path: Path) -> None:
    pixels = patches([(0.1, 0.5, 0.9), (0.02, 0.01, 0.0)], 255)
    gamma = struct.pack(">I", 45455)
    srgb = chromaticities(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
    sets: list[dict[str, bytes]] = [
        {"gAMA": gamma},
        {"gAMA": gamma, "cHRM": srgb},
        {"sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)},
        {"cICP": bytes((1, 13, 0, 1))},
    ]
    for number, chunks in enumerate(sets):
        path = tmp_path / f"{number}.png"
        write_png(path, pixels, **chunks)
        picture = read_picture(path, 4096)
        assert (picture.pixels == pixels).all(), chunks
        assert picture.notices == ()


def test_a_png_with_other_primaries(tmp_path: Path) -> None:
    path = tmp_path / "chroma.png"
    p3 = chromaticities(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    gamma = struct.pack(">I", 45455)
    write_png(path, patches(list(IN_P3.values()), 255), cHRM=p3, gAMA=gamma)
    assert np.abs(centres(read_picture(path, 4096)) - list(IN_P3)).max() <= 3


def write_avif(path: Path, pixels: np.ndarray, primaries: int, transfer: int, **more: Any) -> None:
    """Write an AVIF and set the code points that Pillow has no option for."""
    options = {"quality": 100, "subsampling": "4:4:4", "speed": 8} | more
    Image.fromarray(pixels).save(path, format="AVIF", **options)
    data = bytearray(path.read_bytes())
    place = data.index(b"colrnclx") + 8
    data[place : place + 4] = struct.pack(">HH", primaries, transfer)
    path.write_bytes(data)


def test_an_avif_in_display_p3_by_code_points(tmp_path: Path) -> None:
    path = tmp_path / "p3.avif"
    write_avif(path, patches(list(IN_P3.values()), 255), P3_D65, SRGB_CURVE)
    picture = read_picture(path, 4096)
    assert np.abs(centres(picture) - list(IN_P3)).max() <= 3  # 1 of it by the codec
    assert picture.notices == ()


def test_an_ordinary_avif_is_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plain.avif"
    pixels = patches(list(IN_P3.values()), 255)
    write_avif(path, pixels, 1, SRGB_CURVE)
    assert np.abs(read_picture(path, 4096).pixels.astype(int) - pixels).max() <= 2


def test_hdr_pictures_have_the_brightness_of_sdr_ones_and_a_notice(tmp_path: Path) -> None:
    greys = [(code,) * 3 for code in GREYS_PQ.values()]
    png = tmp_path / "pq.png"
    write_png(png, patches(greys, 65535), cICP=bytes((BT2020, PQ, 0, 1)))
    picture = read_picture(png, 4096)
    assert np.abs(centres(picture).mean(1) - list(GREYS_PQ))[:2].max() <= 2
    assert "HDR" in picture.notices[0]
    hlg = tmp_path / "hlg.png"
    write_png(hlg, patches([(0.75,) * 3], 65535), cICP=bytes((BT2020, HLG, 0, 1)))
    assert centres(read_picture(hlg, 4096)).mean() == pytest.approx(255, abs=2)
    avif = tmp_path / "pq.avif"
    write_avif(avif, patches(greys, 255), BT2020, PQ)
    picture = read_picture(avif, 4096)
    assert np.abs(centres(picture).mean(1) - list(GREYS_PQ))[:2].max() <= 5
    assert "HDR" in picture.notices[0]


def test_light_brighter_than_white_keeps_order_and_hue() -> None:
    space = space_of_code_points(1, PQ)
    assert space is not None
    # 50 to 4000 cd/m2 of an orange.
    nits = np.geomspace(50, 4000, 200)[None, :, None] * np.array([1.0, 0.5, 0.25])
    root = (nits / 10_000) ** 0.1593017578125
    codes = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    got = to_srgb(np.rint(codes * 65535).astype(np.uint16), space, 65535)[0].astype(int)
    assert (np.diff(got, axis=0) >= 0).all()
    light = np.where(got > 10.3, ((got / 255 + 0.055) / 1.055) ** 2.4, got / 255 / 12.92)
    assert np.abs(light[:, 1] / light[:, 0] - 0.5).max() < 0.02


def test_srgb_is_srgb() -> None:
    every = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert (to_srgb(every, SRGB) == every).all()


def test_colours_that_nobody_knows_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.png"
    write_png(path, patches([(0.2, 0.4, 0.6)], 255), cICP=bytes((10, 17, 0, 1)))
    (notice,) = read_picture(path, 4096).notices
    assert "primaries 10 with transfer 17" in notice


def test_a_profile_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    Image.new("RGB", (80, 80), (1, 2, 3)).save(path, icc_profile=b"no profile" * 20)
    (notice,) = read_picture(path, 4096).notices
    assert "profile" in notice


def test_a_camera_jpeg_in_adobe_rgb_is_known_by_its_exif(tmp_path: Path) -> None:
    # sRGB's green is (144, 255, 60) in Adobe RGB, its red (219, 0, 0).
    pixels = patches([(144 / 255, 1, 60 / 255), (219 / 255, 0, 0)], 255)
    exif = Image.Exif()
    exif[0x8769] = {0xA005: {1: "R03"}}
    path = tmp_path / "camera.jpg"
    Image.fromarray(pixels).save(path, exif=exif, quality=100, subsampling=0)
    got = centres(read_picture(path, 4096))
    assert np.abs(got - [(0, 255, 0), (255, 0, 0)]).max() <= 4  # JPEG's


def test_a_deep_picture_is_turned_and_shown_on_white_as_others_are(tmp_path: Path) -> None:
    pixels = np.zeros((80, 120, 4), np.uint16)
    pixels[..., :3] = 30_000
    pixels[:40, :, 3] = 65535
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), pixels)
    with_chunks(path, cICP=bytes((P3_D65, SRGB_CURVE, 0, 1)), eXIf=exif_turned())
    got = read_picture(path, 4096).pixels
    assert got.shape == (120, 80, 3)
    # The stored top is the right side.
    assert np.abs(got[60, 60].astype(int) - 117).max() <= 1
    assert (got[60, 20] == 255).all()


def test_a_deep_picture_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 65536, (90, 90, 3)).astype(np.uint16)
    write_png(path, noise, cICP=bytes((BT2020, PQ, 0, 1)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.png"):
        read_picture(path, 4096)


def test_each_frame_of_an_hdr_animation_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "moves.avif"
    first, second = (Image.new("RGB", (80, 80), (grey,) * 3) for grey in (60, 120))
    first.save(path, save_all=True, append_images=[second], duration=40, quality=100)
    data = path.read_bytes().replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x09\0\x10")
    path.write_bytes(data)
    dark, bright = (frame.mean() for frame in Animation(path, 4096).frames())
    assert bright > dark + 20


def exif_turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_heic_is_read_or_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    try:
        import pillow_heif
    except ImportError:
        path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(99))
        assert picture_kind(path) == "still"
        with pytest.raises(InputError, match="HEIC, which needs pillow-heif") as caught:
            read_picture(path, 4096)
        assert "thvideo[heic]" in caught.value.hint
        return
    pillow_heif.register_heif_opener()
    Image.fromarray(patches(list(IN_P3.values()), 255)).save(path, quality=100, chroma=444)
    data = bytearray(path.read_bytes())
    place = data.index(b"colrnclx") + 8
    data[place : place + 4] = struct.pack(">HH", P3_D65, SRGB_CURVE)
    path.write_bytes(data)
    assert picture_kind(path) == "still"
    assert np.abs(centres(read_picture(path, 4096)) - list(IN_P3)).max() <= 4
