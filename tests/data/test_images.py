from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lorasweep.data.images import BadImage, Facts, look, open_image, pixel_digest

WHITE = "#ffffff"


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def pixel(path: Path, place: tuple[int, int] = (0, 0), background: str = WHITE) -> tuple[int, ...]:
    image = open_image(path, background)
    assert image.mode == "RGB"
    return image.getpixel(place)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_transparency_shows_the_background(tmp_path, suffix):
    image = Image.new("RGBA", (2, 1), (200, 100, 0, 255))
    image.putpixel((1, 0), (200, 100, 0, 0))
    path = saved(image, tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert pixel(path) == (200, 100, 0)
    assert pixel(path, (1, 0)) == (255, 255, 255)
    assert pixel(path, (1, 0), "#123456") == (0x12, 0x34, 0x56)


def test_half_transparency_is_half_way(tmp_path):
    path = saved(Image.new("RGBA", (1, 1), (255, 0, 0, 128)), tmp_path / "a.png")
    assert pixel(path, background="blue") == pytest.approx((128, 0, 127), abs=1)
    grey = saved(Image.new("LA", (1, 1), (100, 128)), tmp_path / "grey.png")
    assert pixel(grey, background="black") == pytest.approx((50, 50, 50), abs=1)


def test_palette_and_its_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert pixel(saved(image, tmp_path / "plain.png"), (1, 0)) == (40, 50, 60)
    path = saved(image, tmp_path / "transparent.png", transparency=1)
    assert [pixel(path), pixel(path, (1, 0))] == [(10, 20, 30), (255, 255, 255)]
    path = saved(image, tmp_path / "transparent.gif", transparency=1)
    assert [pixel(path), pixel(path, (1, 0))] == [(10, 20, 30), (255, 255, 255)]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_rotation_in_exif_is_applied(tmp_path, suffix):
    image = Image.new("RGB", (24, 16), (250, 0, 0))
    image.paste((0, 0, 250), (0, 0, 24, 8))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise: what is above comes to the right
    path = saved(image, tmp_path / f"a.{suffix}", exif=exif)
    assert open_image(path, WHITE).size == (16, 24)
    assert pixel(path, (14, 12))[2] > 200
    assert pixel(path, (2, 12))[0] > 200


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    expected = [(grey,) * 3 for grey in (0, 1, 128, 255)]
    for name in ("a.png", "a.tif"):
        path = saved(Image.fromarray(values), tmp_path / name)
        assert [pixel(path, (x, 0)) for x in range(4)] == expected


def test_sixteen_bit_transparent_grey(tmp_path):
    path = saved(Image.fromarray(np.array([[0, 2570]], np.uint16)), tmp_path / "a.png", transparency=2570)
    assert [pixel(path, (0, 0), "red"), pixel(path, (1, 0), "red")] == [(0, 0, 0), (255, 0, 0)]


def test_sixteen_bit_colour(tmp_path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + struct.pack(">3H", 65535, 128 * 257, 0)
    header = struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert pixel(tmp_path / "a.png") == (255, 128, 0)


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 51.0, 255.0], [0, 51, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),  # the range is stretched
        ([0.0, 500.0, 1000.0], [0, 128, 255]),
        ([5000.0, 5000.0, 5000.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled(tmp_path, values, greys):
    path = saved(Image.fromarray(np.array([values], np.float32)), tmp_path / "a.tif")
    assert [pixel(path, (x, 0))[0] for x in range(3)] == greys


def test_thirty_two_bit_integers_are_scaled(tmp_path):
    for values, greys in [([0, 128 * 257, 65535], [0, 128, 255]), ([-100, 0, 100], [0, 128, 255])]:
        path = saved(Image.fromarray(np.array([values], np.int32)), tmp_path / "a.tif")
        assert [pixel(path, (x, 0))[0] for x in range(3)] == greys


def test_no_numbers(tmp_path):
    path = saved(Image.fromarray(np.array([[0.0, np.nan]], np.float32)), tmp_path / "a.tif")
    with pytest.raises(BadImage, match="no number"):
        open_image(path, WHITE)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "LAB"])
def test_other_modes(tmp_path, mode):
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(red, srgb, lab, outputMode="LAB")
    else:
        image = red.convert(mode, dither=Image.Dither.NONE)
    expected = {"1": (0, 0, 0), "L": (76, 76, 76)}.get(mode, (255, 0, 0))
    assert pixel(saved(image, tmp_path / "a.tif")) == pytest.approx(expected, abs=6)


def test_cmyk_jpeg(tmp_path):
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    assert pixel(path) == pytest.approx((255, 0, 0), abs=4)


def profile_of_matrix(red, green, blue) -> bytes:
    """Build an ICC profile (version 2) whose primaries have these XYZ values and whose curves are linear."""

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    name = b"odd colours\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 78
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    tags = {b"desc": description, b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0"}
    tags |= {b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)}
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += tag + struct.pack(">2I", start + len(content), len(value))
        content += value
    size = struct.pack(">I", start + len(content))
    header = size + b"\0" * 4 + struct.pack(">I", 0x02100000) + b"mntrRGB XYZ " + b"\0" * 12 + b"acsp"
    header += b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + content


# Red, green and blue of sRGB under ICC's D50 white.
SRGB_PRIMARIES = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7142)]


def test_colour_profile_is_brought_to_srgb(tmp_path):
    red, green, blue = SRGB_PRIMARIES
    swapped = profile_of_matrix(blue, green, red)
    image = Image.new("RGB", (2, 2), (255, 0, 0))
    assert pixel(saved(image, tmp_path / "a.png", icc_profile=swapped)) == pytest.approx((0, 0, 255), abs=3)
    linear = profile_of_matrix(red, green, blue)
    grey = saved(Image.new("RGB", (2, 2), (55, 55, 55)), tmp_path / "b.png", icc_profile=linear)
    assert pixel(grey) == pytest.approx((128, 128, 128), abs=2)  # linear 0.2157 is sRGB 0.5020
    half = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    half.putpixel((0, 0), (255, 0, 0, 255))
    path = saved(half, tmp_path / "c.png", icc_profile=swapped)
    assert pixel(path) == pytest.approx((0, 0, 255), abs=3)
    assert pixel(path, (1, 1)) == (255, 255, 255)


def test_broken_colour_profile_is_ignored(tmp_path):
    path = saved(Image.new("RGB", (2, 2), (255, 0, 0)), tmp_path / "a.png", icc_profile=b"nonsense")
    assert pixel(path) == (255, 0, 0)


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert pixel(path) == (255, 0, 0)


def test_content_decides_not_the_extension(tmp_path):
    path = saved(Image.new("RGB", (2, 2), (1, 2, 3)), tmp_path / "a.jpg", format="PNG")
    assert pixel(path) == (1, 2, 3)


def bomb(path: Path) -> Path:
    """A PNG of a few bytes that claims 100,000 x 100,000 pixels."""
    header = struct.pack(">2I5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end
    path.write_bytes(content)
    return path


def test_bomb(tmp_path, monkeypatch):
    with pytest.raises(BadImage, match="decompression bomb"):
        open_image(bomb(tmp_path / "a.png"), WHITE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some libraries do
    with pytest.raises(BadImage, match=r"100000 x 100000.*make a smaller copy"):
        open_image(bomb(tmp_path / "a.png"), WHITE)


def noise(size: tuple[int, int] = (90, 60)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif", "avif"])
def test_truncated(tmp_path, suffix, share):
    path = saved(noise(), tmp_path / f"a.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: max(12, int(len(content) * share))])
    with pytest.raises(BadImage, match=r"truncated or damaged.*copy it again or delete it"):
        open_image(path, WHITE)


def test_flipped_bits(tmp_path):
    path = saved(noise(), tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadImage, match="truncated or damaged"):
        open_image(path, WHITE)


def test_not_an_image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("<html>404 not found</html>")
    with pytest.raises(BadImage, match=r"is not an image \(its content starts with b'<html>404 no'\)"):
        open_image(path, WHITE)
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    with pytest.raises(BadImage, match=r"HEIC photo .*convert it"):
        open_image(path, WHITE)


def test_empty_missing_and_folder(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for name, words in [("empty", "0 bytes"), ("folder", "is a pipe, a socket or a device"), ("link", "No such file")]:
        with pytest.raises(BadImage, match=words):
            open_image(tmp_path / f"{name}.png", WHITE)


def test_background_must_be_a_colour(tmp_path):
    with pytest.raises(ValueError, match="unknown color"):
        open_image(saved(noise(), tmp_path / "a.png"), "whitish")


def test_digest_is_of_the_picture_and_not_of_the_file(tmp_path):
    image = noise()
    a, b = saved(image, tmp_path / "a.png"), saved(image, tmp_path / "b.bmp")
    assert look(a, WHITE) == look(b, WHITE)
    assert look(a, WHITE) == Facts(90, 60, pixel_digest(image))
    edited = image.copy()
    edited.putpixel((0, 0), (1, 2, 3))
    reshaped = Image.frombytes("RGB", (60, 90), image.tobytes())
    assert len({pixel_digest(picture) for picture in (image, edited, reshaped)}) == 3
