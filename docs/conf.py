"""How Sphinx builds these pages; `scripts/docs` runs it. Nothing is fetched from the network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

from impasto import __version__

project = "impasto"
author = "The impasto Authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "options_table"]
myst_heading_anchors = 3
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"impasto {__version__}"
html_copy_source = False
html_show_copyright = False


def escape_formulas(app: Sphinx, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    """Docstrings use no markup but ``code``: other stars and bars in them are those of formulas."""
    for number, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "``".join(parts)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_formulas)
