"""The formats of picture files: what each is called, what it can hold, and how well it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto.errors import OptionError, OutputError, did_you_mean

__all__ = ["EXTENSIONS", "FORMATS", "READABLE", "Format", "check_sides", "format_of", "named_format"]


@dataclass(frozen=True)
class Format:
    """One that can be written; ``name`` is Pillow's.

    ``quality`` is what --quality is when it is not given, None where the format loses nothing or has no such number;
    ``longest_side`` is in pixels.
    """

    name: str
    extensions: tuple[str, ...]
    quality: int | None = None
    keeps_alpha: bool = True
    keeps_profile: bool = True
    keeps_16_bits: bool = False
    longest_side: int = 2**31 - 1

    @property
    def key(self) -> str:
        """What --format calls it."""
        return self.name.lower()


FORMATS: dict[str, Format] = {
    "png": Format("PNG", (".png",), keeps_16_bits=True),
    # At 95 the file's loss would be 2 % above that of the picture: Gram matrices see the noise of compression.
    "jpeg": Format("JPEG", (".jpg", ".jpeg"), quality=98, keeps_alpha=False, longest_side=65_500),
    "webp": Format("WEBP", (".webp",), quality=95, longest_side=16_383),
    # AVIF may be larger, but most readers refuse what is.
    "avif": Format("AVIF", (".avif",), quality=90, longest_side=32_768),
    "tiff": Format("TIFF", (".tif", ".tiff"), keeps_16_bits=True),
    "gif": Format("GIF", (".gif",), keeps_profile=False, longest_side=65_535),
}

EXTENSIONS: dict[str, str] = {extension: name for name, format in FORMATS.items() for extension in format.extensions}

READABLE = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF")
"""Pillow's names of what is read without an extra; JPEG includes MPO, the JPEG with a second picture of many phones."""


def named_format(name: str) -> Format:
    """Return the format of that name, ``jpg`` and ``tif`` being names as well; raise OptionError with the choices."""
    key = EXTENSIONS.get(f".{name.lower()}", name.lower())
    if key not in FORMATS:
        raise OptionError(f"--format is '{name}'.{did_you_mean(name, FORMATS)} Choose from {', '.join(FORMATS)}.")
    return FORMATS[key]


def format_of(path: Path, *, remedy: str = ", or give --format") -> Format:
    """Return the format that the extension of ``path`` names; raise OutputError with the extensions to choose from, or
    what else is a ``remedy``."""
    extension = path.suffix.lower()
    if extension in EXTENSIONS:
        return FORMATS[EXTENSIONS[extension]]
    found = f"the extension '{path.suffix}'" if path.suffix else "no extension"
    is_heic = extension in (".heic", ".heif")
    hint = " HEIC can be read, but not written." if is_heic else did_you_mean(extension, EXTENSIONS)
    raise OutputError(f"'{path}' has {found}.{hint} Use one of {', '.join(EXTENSIONS)}{remedy}.")


def check_sides(format: Format, size: tuple[int, int]) -> None:
    """Raise OutputError if a picture of (height, width) ``size`` is too large for ``format``."""
    height, width = size
    if max(size) > format.longest_side:
        raise OutputError(
            f"{format.name} holds {format.longest_side:,} pixels a side at most, and the picture has {width} x"
            f" {height}: use PNG or TIFF, or a smaller --size."
        )
