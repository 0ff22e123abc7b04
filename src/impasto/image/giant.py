"""TIFF for giants, by libvips (extra ``large``): beyond 4 GB, and with ever smaller copies of the picture inside."""

from __future__ import annotations

import numpy as np

from impasto.errors import MissingExtraError, OutputError
from impasto.image.vips import has_pyvips

__all__ = ["LARGEST_CLASSIC", "check_giants", "encode_giant", "needs_giant"]

LARGEST_CLASSIC = 4_000_000_000
"""Bytes of pixels above which a TIFF of the classic kind, whose places in the file have 32 bits, may not hold them."""

TILE = 256
"""Side in pixels of the tiles in the file, as viewers of giant pictures expect them."""


def check_giants() -> None:
    """Raise MissingExtraError where giants cannot be written."""
    if not has_pyvips():
        raise MissingExtraError(
            "Pyramids, and TIFF beyond 4 GB, are written by libvips, which is not here: pip install 'impasto[large]'."
        )


def needs_giant(bytes_of_pixels: int) -> bool:
    """Whether a classic TIFF may be too small for so many bytes."""
    return bytes_of_pixels > LARGEST_CLASSIC


def encode_giant(pixels: np.ndarray, *, profile: bytes | None, xmp: bytes, pyramid: bool) -> bytes:
    """Return the bytes of a TIFF for H x W x 3, or 4 with alpha, uint8 or uint16, deflated; BigTIFF where it has to be.

    With ``pyramid`` it has tiles, and after the picture its half, its quarter, and so on. No EXIF is written. Raises
    MissingExtraError without the extra ``large``, OutputError if libvips fails.
    """
    check_giants()
    import pyvips

    height, width, channels = pixels.shape
    kind = {1: "uchar", 2: "ushort"}[pixels.itemsize]
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), width, height, channels, kind)
    image = image.copy(interpretation="srgb" if kind == "uchar" else "rgb16").copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    tiles = {"tile": True, "tile_width": TILE, "tile_height": TILE, "pyramid": True} if pyramid else {}
    try:
        data: bytes = image.tiffsave_buffer(
            compression="deflate", predictor="horizontal", bigtiff=needs_giant(pixels.nbytes * 4 // 3), **tiles
        )
    except pyvips.Error as error:
        raise OutputError(f"The TIFF cannot be written: {' '.join(str(error).split())[:200]}.") from None
    return data
