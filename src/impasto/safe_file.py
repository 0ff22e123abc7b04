"""Reading files of safetensors wherever they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

__all__ = ["opened"]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open ``path`` as ``safetensors.safe_open`` does, which by itself takes only names that are UTF-8.

    Raises OSError or SafetensorError if it cannot be read.
    """
    if os.fsencode(path) == str(path).encode(errors="replace"):
        with safe_open(path, framework="pt") as contents:
            yield contents
    else:  # Linux takes any bytes, which Python has as surrogates
        with path.open("rb") as file, safe_open(f"/dev/fd/{file.fileno()}", framework="pt") as contents:
            yield contents
