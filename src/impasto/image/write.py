"""Writing pictures: beside the target first, then renamed into place, so that no half picture is ever seen."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import OutputError
from impasto.image.files import check_output, format_of, new_file_beside

__all__ = ["encode", "to_pil", "write_image"]

JPEG_QUALITY = 98
"""At 95 the file's loss would be 2 % above that of the picture: Gram matrices see the noise of compression."""


def to_pil(image: Tensor) -> Image.Image:
    """Convert 1 x 3 x H x W in [0, 1] to an 8-bit RGB picture, rounded to the nearest value."""
    values = image.detach()[0].to("cpu", torch.float32).clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).numpy()))


def encode(image: Tensor, format: str) -> bytes:
    """Return the bytes of a file in ``format`` ("PNG" or "JPEG") for 1 x 3 x H x W in [0, 1]."""
    buffer = io.BytesIO()
    options = {"quality": JPEG_QUALITY, "subsampling": 0} if format == "JPEG" else {}
    to_pil(image).save(buffer, format, **options)
    return buffer.getvalue()


def write_image(image: Tensor, path: Path, *, overwrite: bool = False) -> None:
    """Write 1 x 3 x H x W in [0, 1] to ``path`` in the format of its extension.

    Raises OutputError if the file exists and ``overwrite`` is false, or if it cannot be written; then a file that was
    there before is left whole.
    """
    data = encode(image, format_of(path))
    check_output(path, overwrite=overwrite, needed=len(data))
    write_bytes(data, path, overwrite=overwrite)


def write_bytes(data: bytes, path: Path, *, overwrite: bool) -> None:
    """Write to a temporary file in the same folder, flush it to the disk, and rename it to ``path``."""
    temporary = None
    try:
        temporary = new_file_beside(path)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(temporary, path, overwrite=overwrite)
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be written ({error.strerror or error}): make room, or choose another -o."
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, fails if someone else made the file meanwhile
    except FileExistsError:
        raise OutputError(f"'{path}' exists already: add -y to replace it, or choose another -o.") from None
    except OSError:  # a file system without hard links
        temporary.replace(path)
