"""``impasto weights``: which networks are here, and how the others get here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.download import download_progress
from impasto.cli.options import unwrapped
from impasto.errors import ImpastoError, InputError, MissingError, MissingWeightsError
from impasto.image.paths import expanded
from impasto.networks import NETWORKS, get_network, preferred_network

if TYPE_CHECKING:
    from impasto.networks import Network

__all__ = ["EXAMPLES", "app"]

EXAMPLES = """Examples:

impasto weights get vgg19

impasto weights list

impasto weights import vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5

impasto weights verify
"""

app = typer.Typer()

HELP = """Find, download and import the trained weights of the networks.

Impasto comes with a network of its own, compact, and paints best with the weights of VGG-19, 80 MB, which are got once.
They are kept in the cache (IMPASTO_CACHE); IMPASTO_WEIGHTS_DIR may name a folder that is looked into first. What Keras
and torch hub have downloaded is used as well."""


@app.callback(invoke_without_command=True, help=unwrapped(HELP), epilog=EXAMPLES)
def weights(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list", epilog="Example:\n\nimpasto weights list --json")
def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")] = False,
) -> None:
    """List the networks: where each one's weights are, their licence, and how to get those that are missing."""
    from impasto.weights import how_to_get

    found = [_entry(network) for network in NETWORKS.values()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for entry in found:
        typer.echo(f"{entry['name']}: {entry['path'] or 'missing'}")
        typer.echo(f"    licence: {entry['licence']}")
    for entry in found:
        if entry["path"] is None:
            typer.echo(f"\n{entry['name']} is missing. {how_to_get(get_network(entry['name']))}")


def _entry(network: Network) -> dict[str, Any]:
    from impasto.weights import find_weights, metadata_of

    path = find_weights(network)
    return {
        "name": network.name,
        "path": str(path) if path else None,
        "licence": network.licence,
        "download_bytes": network.size,
        "source": network.source or None,
        "fingerprint": metadata_of(path).get("fingerprint") if path else None,
        "get": None if network.is_built_in else f"impasto weights get {network.name}",
    }


def _names(incomplete: str) -> list[str]:
    """What the shell proposes for the name of a network."""
    return [name for name in NETWORKS if name.startswith(incomplete)]


NAME = typer.Argument(
    metavar="NAME", help=f"A network: {', '.join(NETWORKS)}.", show_default=False, autocompletion=_names
)


@app.command("get", epilog="Example:\n\nimpasto weights get vgg19")
def get(
    name: Annotated[str, NAME],
    mirror: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Another address of the same file; its checksum is checked."),
    ] = None,
) -> None:
    """Download the weights of a network, check them and keep them in the cache; print the path of the file.

    A download that is broken off continues where it was. Proxies are those of the environment: HTTPS_PROXY.
    """
    network = get_network(name)
    path = _sound_file(network)
    if path is not None:
        typer.echo(f"The weights of {network.name} are on this machine already.", err=True)
    else:
        path = _fetch(network, mirror)
    typer.echo(path)


def _sound_file(network: Network) -> Path | None:
    """The file with the weights if it can be used; what is damaged in the cache can be replaced, and nowhere else."""
    from impasto.weights import cache_folder, find_weights, load_weights, verify_weights

    try:
        load_weights(network)  # takes into the cache what another program has
        return verify_weights(network)[0]
    except MissingWeightsError:
        return None
    except InputError as error:
        path = find_weights(network)
        if path is not None and cache_folder() not in path.parents:
            raise
        typer.echo(f"{error} It is replaced.", err=True)
        return None


def _fetch(network: Network, mirror: str | None) -> Path:
    from impasto.weights import fetch_weights

    try:
        with download_progress() as report:
            return fetch_weights(network, url=mirror, report=report)
    except KeyboardInterrupt:
        typer.echo("What has arrived is kept: the same command continues from there.", err=True)
        raise


@app.command("import", epilog="Example:\n\nimpasto weights import vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5")
def import_file(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A Keras (.h5), torch (.pth) or safetensors file.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help="Which network it is, where the file leaves that open.",
            autocompletion=_names,
        ),
    ] = None,
) -> None:
    """Check a file with the weights of a network, recognize the network, and keep a copy in the cache."""
    from impasto.weights import import_weights, metadata_of
    from impasto.weights.advice import doubt

    if "://" in file:
        raise InputError(f"'{file}' is an address: run 'impasto weights get NAME --from {file}'.")
    network, path = import_weights(expanded(file), get_network(name) if name else None)
    typer.echo(f"{network.name} imported: {path}")
    if metadata_of(path).get("published") != "yes":
        words = "" if name or "network" in metadata_of(expanded(file)) else doubt(network)
        typer.echo(
            "This is not the published file (its checksum differs), but it has the right names, shapes and finite"
            " values." + (f" It was {words}, import it with --network {preferred_network().name}." if words else ""),
            err=True,
        )


@app.command("verify", epilog="Example:\n\nimpasto weights verify")
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A network; all of them unless given.", show_default=False, autocompletion=_names
        ),
    ] = None,
) -> None:
    """Read the weights again: names, shapes, finite values, and whether they are what they were when they were kept.

    Ends with 3 if weights are damaged, or missing where they are asked for by NAME.
    """
    networks = [get_network(name)] if name else list(NETWORKS.values())
    results = [_verified(network, needed=bool(name)) for network in networks]
    if not all(results):
        raise typer.Exit(MissingError.exit_code)


def _verified(network: Network, *, needed: bool) -> bool:
    """Say how the weights of a network are; return False if something has to be done about it."""
    from impasto.weights import verify_weights

    try:
        path, compared = verify_weights(network)
    except MissingWeightsError as error:
        typer.echo(f"{network.name}: {error if needed else 'not on this machine'}", err=needed)
        return not needed
    except ImpastoError as error:
        remedy = "" if network.is_built_in else f" 'impasto weights get {network.name}' replaces it in the cache."
        typer.echo(f"{network.name}: {error}{remedy}", err=True)
        return False
    remark = "" if compared else ", with no fingerprint to compare with"
    typer.echo(f"{network.name}: sound{remark}: {path}")
    return True


@app.command("where", epilog="Example:\n\nimpasto weights where")
def where() -> None:
    """Print the folders in which weights are looked for, the first one first."""
    from impasto.weights import missing_folder, search_path

    for folder in search_path():
        typer.echo(folder)
    missing = missing_folder()
    if missing is not None:
        typer.echo(f"IMPASTO_WEIGHTS_DIR names '{missing}', and there is no such folder.", err=True)
