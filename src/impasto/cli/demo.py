"""``impasto demo``: the pictures in the package, stylized as any others."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import typer

from impasto.cli.options import check_choice, flag, resolve, with_flags
from impasto.cli.preflight import check_job
from impasto.cli.running import run_job

__all__ = ["EXAMPLES", "demo"]

STYLES = ("swirls", "mosaic", "woodcut")

EXAMPLES = """Examples:

impasto demo

impasto demo --style mosaic --size 256 --preset draft

impasto demo --style woodcut --strength 0.8 -o woodcut.png -y
"""


def _demo(*, painting: str, **values: Any) -> None:
    """Stylize a landscape that comes with impasto.

    Writes impasto-demo.png into the current folder, or the file of -o. All options of "impasto stylize" may be
    given.
    """
    check_choice("--style", painting, STYLES)
    with ExitStack() as stack:
        content, style = (picture(name, stack) for name in ("landscape", painting))
        run_job(
            lambda: check_job(
                str(content), str(style), values["output"], values["overwrite"], resolve(values), "impasto-demo"
            ),
            values,
        )


def picture(name: str, stack: ExitStack) -> Path:
    """The file of a picture in the package, kept until ``stack`` is left."""
    return stack.enter_context(as_file(files("impasto") / "demo" / f"{name}.jpg"))


demo = with_flags(
    _demo,
    first=(
        flag(
            "painting",
            str,
            typer.Option(
                "--style",
                metavar="NAME",
                help=f"The picture to paint like: {', '.join(STYLES)} (default: {STYLES[0]}).",
                show_default=False,
            ),
            STYLES[0],
        ),
    ),
)
