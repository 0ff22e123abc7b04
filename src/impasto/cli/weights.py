"""``impasto weights``: which networks are here, and how the others get here."""

from __future__ import annotations

from typing import Annotated

import typer

from impasto.cli.options import unwrapped
from impasto.image.files import expanded

__all__ = ["EXAMPLES", "app"]

EXAMPLES = """Examples:

impasto weights list

impasto weights import vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5

impasto weights where
"""

app = typer.Typer()

HELP = """Find and import the trained weights of the networks.

Impasto needs the weights of VGG-19, 80 MB, once. They are kept in the cache; IMPASTO_WEIGHTS_DIR may name another
folder."""


@app.callback(invoke_without_command=True, help=unwrapped(HELP), epilog=EXAMPLES)
def weights(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", epilog="Example:\n\nimpasto weights list")
def list_weights() -> None:
    """List the networks: where each one's weights are, their licence, and how to get those that are missing."""
    from impasto.networks import NETWORKS
    from impasto.weights import find_weights, how_to_get

    for network in NETWORKS.values():
        path = find_weights(network)
        typer.echo(f"{network.name}: {path or 'missing'}")
        typer.echo(f"    licence: {network.licence}")
        if path is None:
            typer.echo("    " + how_to_get(network).replace("\n", "\n    "))


@app.command("import", epilog="Example:\n\nimpasto weights import vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A Keras HDF5 or safetensors file.", show_default=False)],
) -> None:
    """Check a file with the weights of a network, recognize the network, and keep a copy in the cache."""
    from impasto.weights import import_weights

    network, path = import_weights(expanded(file))
    typer.echo(f"{network.name} imported: {path}")


@app.command("where", epilog="Example:\n\nimpasto weights where")
def where() -> None:
    """Print the folders in which weights are looked for, the first one first."""
    from impasto.weights import search_path

    for folder in search_path():
        typer.echo(folder)
