"""The ways in which Pillow holds pixels, brought down to color and transparency apart."""

from __future__ import annotations

import numpy as np
from PIL import Image

from impasto.errors import InputError

__all__ = ["flattened", "upright"]

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0


def flattened(image: Image.Image, name: str, depth: int = 8) -> tuple[Image.Image, np.ndarray | None]:
    """Return the colors as RGB, L, CMYK or I;16, and the transparency as H x W, uint8, or None.

    ``depth`` is the bits a channel of the file. Raises InputError, calling the picture ``name``, for numbers of 32
    bits, which have no agreed white.
    """
    if image.mode in ("I", "F"):
        raise InputError(
            f"{name} has 32 bits a channel, and nothing says which number is white: save it with 16 or 8 bits."
        )
    if image.mode.startswith("I;16"):
        return _with_black_at_zero(image), _hidden_value(image)
    hidden = image.info.get("transparency")
    if depth == 16 and isinstance(hidden, tuple):  # Pillow has reduced the pixels, but not the color that is hidden
        image.info["transparency"] = tuple(number >> 8 for number in hidden)
    if not image.has_transparency_data:
        return _opaque(image), None
    if image.mode == "La":  # multiplied by alpha, and convertible to LA alone
        image = image.convert("LA")
    layer = image.convert("RGBA")
    # A gray picture stays gray, because the profile in it is one of gray.
    flat = image.convert("L") if image.mode in ("1", "L", "LA") else layer.convert("RGB")
    return flat, np.asarray(layer.getchannel("A"))


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "L", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")  # from CIE Lab through Little CMS


def _with_black_at_zero(image: Image.Image) -> Image.Image:
    """TIFF may have white there (TIFF 6.0, PhotometricInterpretation), which Pillow minds at 8 bits alone."""
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        return Image.fromarray(np.uint16(65535) - np.asarray(image, dtype=np.uint16))
    return image


def _hidden_value(image: Image.Image) -> np.ndarray | None:
    """PNG may name one value of gray that is transparent."""
    hidden = image.info.get("transparency")
    if not isinstance(hidden, int):
        return None
    return np.where(np.asarray(image) == hidden, np.uint8(0), np.uint8(255))


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turn H x W (x C) as the EXIF ``orientation``, 1 to 8, says (CIPA DC-008, tag 274); a view."""
    turned = values.swapaxes(0, 1) if orientation >= 5 else values
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return turned[::-1] if orientation in (3, 4, 7, 8) else turned
