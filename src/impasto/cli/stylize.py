"""``impasto stylize``: a photo and a painting in, a picture out."""

from __future__ import annotations

from typing import Any

from impasto.cli.options import TWO_PICTURES, resolve, with_flags
from impasto.cli.preflight import check_job
from impasto.cli.running import run_job

__all__ = ["EXAMPLES", "stylize"]

EXAMPLES = """Examples:

impasto stylize photo.jpg painting.jpg

impasto stylize photo.jpg painting.jpg -o painted.png --size 1024

impasto stylize photo.jpg painting.jpg --strength 0.7 --color content --time 60s

impasto stylize photo.jpg painting.jpg --preset draft --animate growing.gif --show

impasto stylize photo.jpg painting.jpg --config look.toml --save-every 10

cat photo.jpg | impasto stylize - painting.jpg --format webp -o - | cat > painted.webp
"""


def _stylize(*, content: str, style: str, **values: Any) -> None:
    """Make the photo CONTENT look painted by the hand of STYLE.

    Both are JPEG, PNG, WebP, AVIF, TIFF, GIF or HEIC files, or - for standard input. The path of the finished picture
    is printed; everything else goes to stderr. Options come from the defaults, then the preset, then the file of
    --config, then the flags. Ctrl-C ends after the running step and saves the picture so far.
    """
    output, overwrite = values["output"], values["overwrite"]
    run_job(lambda: check_job(content, style, output, overwrite, resolve(values)), values)


stylize = with_flags(_stylize, first=TWO_PICTURES)
