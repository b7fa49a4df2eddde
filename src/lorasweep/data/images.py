"""Opening any picture as plain RGB, and saying precisely what is wrong with one that does not open.

What the model sees must be what the user sees in a viewer: EXIF rotation applied, transparency on the
background colour, 16-bit and float greys scaled rather than clipped, wide-gamut and CMYK colours brought to
sRGB.
"""

from __future__ import annotations

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

EXTENSIONS = frozenset({".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})
# Pictures, but of a kind that Pillow does not read by itself: worth a word rather than silence.
UNREADABLE = frozenset(
    {".heic", ".heif", ".jxl", ".jp2", ".psd", ".xcf", ".kra", ".svg", ".eps", ".ai", ".tga", ".dds", ".exr", ".hdr"}
    | {".ppm", ".pgm", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}
)
# Above any camera's picture (Pillow's own limit for an error); a bomb declares more, to exhaust the memory.
MAX_PIXELS = 178_956_970
# Beyond this ratio of its sides a file is a line rather than a picture: a bucket of 4 : 1 would show a tenth of it.
MAX_RATIO = 40

_MAGIC = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"ftypavi": "AVIF",
}


class BadImage(Exception):
    """This file cannot be used; the text says why and what to do, to be put after the file's name."""


@dataclass(frozen=True)
class Facts:
    """What must be known of an image before it is used.

    Args:
        width: pixels, after EXIF rotation.
        height: pixels, after EXIF rotation.
        digest: `pixel_digest` of the opened image.
        moving: whether it is the first of several frames or pages.
    """

    width: int
    height: int
    digest: str
    moving: bool = False


def look(path: Path, background: str) -> Facts:
    """Decode the whole image and return its facts.

    Raises:
        BadImage: as `open_image`.
    """
    image, moving = _decoded(path)
    image = _on_background(image, ImageColor.getcolor(background, "RGB"))
    return Facts(image.width, image.height, pixel_digest(image), moving)


def open_image(path: Path, background: str) -> Image.Image:
    """Return the image at `path` as RGB, upright, on `background` where it is transparent; an animation's
    first frame.

    Args:
        path: an image file; its content decides the format, not its extension.
        background: a colour as CSS writes it, such as `#ffffff` or `white`.

    Raises:
        BadImage: empty, unreadable, not an image, damaged, a decompression bomb, or a line rather than a picture.
        ValueError: `background` is not a colour.
    """
    return _on_background(_decoded(path)[0], ImageColor.getcolor(background, "RGB"))


def open_mask(path: Path, alpha: bool) -> Image.Image:
    """Return the mask that an image file holds, as 8-bit grey: white counts, black does not.

    Args:
        path: an image file.
        alpha: whether the mask is the file's alpha channel rather than its brightness (on black where transparent).

    Raises:
        BadImage: as `open_image`, or there is no alpha channel.
    """
    image, _ = _decoded(path)
    if not alpha:
        return _on_background(image, (0, 0, 0)).convert("L")
    if image.mode != "RGBA":
        raise BadImage("has no transparency to be its mask: save it with an alpha channel, or use dataset.mask_path")
    return image.getchannel("A")


def check_file(path: Path) -> None:
    """Refuse what cannot be read to its end, or has nothing in it.

    Raises:
        BadImage: empty, no such file, no permission, or a pipe, socket or device, whose end may never come.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise BadImage(unreadable_message(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise BadImage("is a pipe, a socket or a device, not a file: delete it")
    if status.st_size == 0:
        raise BadImage("is empty (0 bytes): copy it again or delete it")


def _decoded(path: Path) -> tuple[Image.Image, bool]:
    """Return the image at `path` as RGB or RGBA, upright, and whether the file has more frames or pages than this one.

    Raises:
        BadImage: as `open_image`.
    """
    try:
        check_file(path)
        with Image.open(path) as lazy:
            _check_header(lazy)
            # Telephones put depth maps and the like behind the picture (MPO): that is no second picture.
            moving = lazy.format != "MPO" and getattr(lazy, "is_animated", False)
            lazy.load()
            return _eight_bit(_upright(lazy)), moving
    except Image.DecompressionBombError as error:
        raise BadImage(
            f"claims more than {MAX_PIXELS // 10**6} million pixels ({error}), a decompression bomb or a scan:"
            " make a smaller copy or delete it"
        ) from error
    except UnidentifiedImageError as error:
        raise BadImage(_unidentified(path)) from error
    except BadImage:
        raise
    except (PermissionError, FileNotFoundError, IsADirectoryError) as error:
        raise BadImage(unreadable_message(error)) from error
    except Exception as error:  # decoders raise many kinds on damaged bytes; each means the same to the user
        raise BadImage(f"is truncated or damaged ({error}): copy it again or delete it") from error


def _check_header(image: Image.Image) -> None:
    """Refuse what must not be decoded, before any memory is taken.

    Raises:
        BadImage: no pixels, or sides of an absurd ratio. Image.DecompressionBombError: too many pixels.
    """
    width, height = image.size
    if image.format == "EPS":
        raise BadImage("is a drawing in PostScript, not pixels: export it as PNG")
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{width} x {height}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadImage(f"is {width} x {height}, a line rather than a picture: cut a part out of it or delete it")


def pixel_digest(image: Image.Image) -> str:
    """Return the SHA-256 of the pixels and the size: equal for equal pictures, whatever file they came from."""
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def unreadable_message(error: OSError) -> str:
    """Return what to say of a file that the system does not let us read."""
    return f"cannot be read ({error.strerror}): check its permissions or where it links to"


def _unidentified(path: Path) -> str:
    with open(path, "rb") as stream:
        head = stream.read(16)
    if head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis"):
        return "is a HEIC photo or a video, which is not read here: convert it to PNG or JPEG, or delete it"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic) or head[4:].startswith(magic):
            return f"is truncated or damaged (a {kind} whose header cannot be read): copy it again or delete it"
    return f"is not an image (its content starts with {head[:12]!r}): replace it or delete it"


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing about rotation; the pixels themselves are fine
        return image.copy()


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the image as RGB or RGBA, 8 bits a channel, in sRGB."""
    if image.mode.startswith(("I", "F")):
        return _scaled_grey(image)
    profile = image.info.get("icc_profile")
    has_alpha = image.has_transparency_data
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        colours = _to_srgb(image, profile)
        if has_alpha:
            colours.putalpha(image.convert("RGBA").getchannel("A"))
        return colours
    return image.convert("RGBA" if has_alpha else "RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """Return a grey of more than 8 bits as RGB(A).

    16-bit values are divided by 257, so that 65535 is white. 32-bit integers within 0..65535 count as 16-bit;
    floats within 0..1 or 0..255 keep that scale; any other range is stretched, since its white is unknown.
    """
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise BadImage("holds pixels that are no number: export it again as 8- or 16-bit")
    low, high = float(values.min()), float(values.max())
    limit = (1.0 if high <= 1 else 255.0) if image.mode == "F" else 65535.0
    if low < 0 or high > limit:
        values, limit = values - low, (high - low) or 1.0
    grey = Image.fromarray(np.rint(values * 255 / limit).astype(np.uint8)).convert("RGB")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(opaque))
    return grey


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the colours of an image in sRGB; a profile that cannot be used is ignored, as viewers do."""
    plain = image if image.mode == "CMYK" else image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" not in ImageCms.getProfileDescription(source).lower():
            converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            assert converted is not None  # only inPlace=True returns None
            return converted
    except (ImageCms.PyCMSError, OSError):
        pass
    return plain.convert("RGB")


def _on_background(image: Image.Image, colour: tuple[int, ...] | int) -> Image.Image:
    if image.mode == "RGB":
        return image
    behind = Image.new("RGB", image.size, colour)
    behind.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return behind
