"""``impasto cache``: what is kept on this machine besides pictures, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli import checkpoints
from impasto.cli.options import unwrapped
from impasto.weights.cache import cache_folder, styles_folder, weights_folder

__all__ = ["EXAMPLES", "app"]

EXAMPLES = """Examples:

impasto cache show

impasto cache clear

impasto cache clear --checkpoints
"""

app = typer.Typer()

HELP = """See and clear what is kept in the cache (IMPASTO_CACHE).

These are the weights of networks (see "impasto weights"), what the networks saw in paintings, so that the next run with
the same one begins at once, and the checkpoints of long runs."""


@app.callback(invoke_without_command=True, help=unwrapped(HELP), epilog=EXAMPLES)
def cache(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example:\n\nimpasto cache show")
def show() -> None:
    """Say how much of what is kept where."""
    typer.echo(cache_folder())
    for name, files in (
        ("weights", _files(weights_folder())),
        ("paintings", _files(styles_folder())),
        ("checkpoints", _files(checkpoints.folder())),
    ):
        typer.echo(f"{name + ':':<13}{len(files):>4} files {sum(_size(path) for path in files) / 1e6:>9.1f} MB")


@app.command(epilog="Example:\n\nimpasto cache clear")
def clear(
    runs: Annotated[
        bool, typer.Option("--checkpoints", help="Remove the checkpoints of unfinished runs as well.")
    ] = False,
) -> None:
    """Remove what was seen in paintings. Weights stay, and so do unfinished runs unless said otherwise."""
    removed = _remove(_files(styles_folder()))
    before = sum(map(_size, _files(checkpoints.folder())))
    if runs:
        checkpoints.remove_all()
    removed += before - sum(map(_size, _files(checkpoints.folder())))
    typer.echo(f"{removed / 1e6:.1f} MB removed.")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError:
        return []


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _remove(files: Iterable[Path]) -> int:
    """Remove them; the bytes of those that could be."""
    removed = 0
    for path in files:
        size = _size(path)
        with suppress(OSError):
            path.unlink()
            removed += size
    return removed
