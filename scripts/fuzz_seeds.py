"""The pictures that ``fuzz_pictures.py`` damages: real ones, saved in every format and mode that can be read."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from impasto.image.deep import encode_deep
from impasto.image.metadata import Metadata, save_arguments
from impasto.image.profile import srgb_profile
from impasto.image.vips import has_pyvips

Save = Callable[[Image.Image], bytes]

LARGEST = 300_000
"""Bytes of a picture that is damaged as it is. One of a few megabytes may rightly have 100 million pixels."""


@dataclass(frozen=True)
class Seed:
    """A picture in order, and its sides in pixels, which mutations look for."""

    name: str
    data: bytes
    sides: tuple[int, ...]


def make_seeds(folder: Path) -> list[Seed]:
    """The pictures of ``folder`` as they are, and small ones in every format and mode; the same ones each time."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not files:
        raise SystemExit(f"There are no pictures in '{folder}'.")
    pictures = [opened(path) for path in files]
    seeds = [as_it_is(path, image) for path, image in zip(files, pictures, strict=True)]
    for number, (name, save) in enumerate({**pillow_ways(), **deep_ways(), **optional_ways()}.items()):
        small = pictures[number % len(pictures)].copy()
        small.thumbnail([(64, 64), (160, 160), (256, 256)][number % 3])
        seeds.append(Seed(name, save(small), small.size))
    return seeds


def as_it_is(path: Path, image: Image.Image) -> Seed:
    """The picture itself, unless it is so large that what it claims to be may well be larger than the limit allows."""
    if path.stat().st_size <= LARGEST:
        return Seed(path.name, path.read_bytes(), image.size)
    image.thumbnail((900, 900))
    return Seed(path.name, saved("JPEG", quality=80)(image), image.size)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def pillow_ways() -> dict[str, Save]:
    """The ways of saving that Pillow knows."""
    rich: dict[str, Any] = {"icc_profile": wide_profile(), "exif": exif(), "xmp": XMP}
    frames = {"save_all": True, "frames": 3}
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP, zip=True)
    texts.add_text("Title", "A picture", zip=True)
    described = save_arguments("PNG", Metadata(), '{"impasto": "0.1.0"}')
    ways = {
        "jpeg": saved("JPEG", quality=80),
        "jpeg rich": saved("JPEG", **rich, comment="noon", restart_marker_rows=1),
        "jpeg progressive": saved("JPEG", progressive=True, optimize=True, subsampling=0),
        "jpeg cmyk": saved("JPEG", "CMYK"),
        "jpeg gray": saved("JPEG", "L", exif=exif()),
        "mpo": saved("MPO", **frames, exif=exif()),
        "png rich": saved("PNG", icc_profile=wide_profile(), exif=exif(), pnginfo=texts),
        "png with settings": saved("PNG", **described),
        "apng": saved("PNG", "RGBA", **frames),
        "webp rich": saved("WEBP", **rich),
        "webp lossless": saved("WEBP", "RGBA", lossless=True),
        "webp animated": saved("WEBP", "RGBA", **frames, **rich),
        "avif rich": saved("AVIF", **rich, speed=8),
        "avif alpha": saved("AVIF", "RGBA", speed=8),
        "avif animated": saved("AVIF", **frames, speed=8),
        "gif": saved("GIF", "P"),
        "gif alpha": saved("GIF", "RGBA", comment="noon"),
        "gif animated": saved("GIF", "RGBA", **frames, disposal=2),
        "tiff rich": saved("TIFF", icc_profile=wide_profile(), tiffinfo={700: XMP, 274: 6}),
        "tiff pages": saved("TIFF", **frames),
        "tiff cmyk": saved("TIFF", "CMYK", icc_profile=srgb_profile()),
    }
    ways |= {f"png {mode}": saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    ways |= {f"png {mode} one hidden": saved("PNG", mode, transparency=hidden) for mode, hidden in ONE_HIDDEN.items()}
    ways |= {f"tiff {mode}": saved("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGBA", "LAB", "I;16", "F")}
    ways |= {f"tiff {how}": saved("TIFF", mode, compression=how) for how, mode in COMPRESSIONS.items()}
    return ways


COMPRESSIONS = {"tiff_lzw": "RGB", "tiff_adobe_deflate": "RGBA", "jpeg": "RGB", "packbits": "L", "group4": "1"}

ONE_HIDDEN = {"P": 3, "L": 90, "RGB": (90, 90, 90)}

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="a camera"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


def deep_ways() -> dict[str, Save]:
    """16 bits a channel, as impasto writes them."""
    return {
        f"{format} 16 bits{' alpha' if alpha else ''}": deep(format.upper(), alpha=alpha)
        for format in ("png", "tiff")
        for alpha in (False, True)
    }


def optional_ways() -> dict[str, Save]:
    """What the optional libraries write, where they are installed."""
    ways: dict[str, Save] = {}
    if has_pyvips():
        ways["png interlaced"] = vips(".png", interlace=True)
        ways["tiff tiled"] = vips(".tif", tile=True, pyramid=True, compression="deflate", predictor="horizontal")
        ways["tiff big"] = vips(".tif", bigtiff=True)
    try:
        import pillow_heif
    except ImportError:
        return ways
    pillow_heif.register_heif_opener()
    return ways | {"heic": saved("HEIF", exif=exif()), "heic alpha": saved("HEIF", "RGBA", icc_profile=wide_profile())}


def saved(format: str, mode: str = "RGB", *, frames: int = 1, **options: Any) -> Save:
    """A function that saves a picture in this way; as an animation, the picture moves to the left."""

    def save(image: Image.Image) -> bytes:
        image = in_mode(image, mode)
        if frames > 1:
            moved = [image.transform(image.size, 0, (1, 0, 9 * number, 0, 1, 0)) for number in range(1, frames)]
            options["append_images"] = moved
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return save


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture in ``mode``; with alpha, its left third is hidden and the next one half so."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "LAB":
        return Image.merge("LAB", image.split())
    image = image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(hidden(image.size))
    return image


def hidden(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.array([[0, 128, 255]], dtype=np.uint8)).resize(size, Image.Resampling.NEAREST)


def deep(format: str, *, alpha: bool) -> Save:
    def save(image: Image.Image) -> bytes:
        def widened(values: Image.Image) -> np.ndarray:
            return np.asarray(values).astype(np.uint16) * 257

        metadata, transparency = Metadata(exif(), XMP), widened(hidden(image.size)) if alpha else None
        profile = wide_profile()
        return encode_deep(widened(image), transparency, format, profile=profile, metadata=metadata, settings=None)

    return save


def vips(suffix: str, **options: Any) -> Save:
    def save(image: Image.Image) -> bytes:
        import pyvips

        return bytes(pyvips.Image.new_from_array(np.asarray(image)).write_to_buffer(suffix, **options))

    return save


def exif() -> bytes:
    """A block with a thumbnail's directory left out, but a pointer in it; the picture lies on its side."""
    block = Image.Exif()
    block[0x010F], block[0x0112] = "Kamera AG", 6
    block.get_ifd(0x8769).update({0x829A: TiffImagePlugin.IFDRational(1, 125), 0x9003: "2021:05:04 03:02:01"})
    return block.tobytes()


def wide_profile() -> bytes:
    """The profile of sRGB with the primaries of Display P3."""
    profile = bytearray(srgb_profile())
    for tag, values in P3.items():
        offset = struct.unpack_from(">I", profile, profile.index(tag) + 4)[0]
        struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in values))
    return bytes(profile)


P3 = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2919, 0.6922, 0.0419), b"bXYZ": (0.1572, 0.0666, 0.7841)}
