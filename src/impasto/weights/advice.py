"""How weights that are missing get here: what messages say. No torch here."""

from __future__ import annotations

from pathlib import Path

from impasto.networks import Network

__all__ = ["doubt", "how_to_get", "how_to_replace", "megabytes", "using_instead"]


def how_to_get(network: Network) -> str:
    """Say how to get the weights of ``network``: directly, through a proxy, and by way of another machine."""
    if network.is_built_in:
        return "They come with impasto: install it again."
    size = f" ({megabytes(network.size)})" if network.size else ""
    return (
        f"Get them{size} with\n"
        f"    impasto weights get {network.name}\n"
        f"or, behind a proxy, with\n"
        f"    HTTPS_PROXY=http://proxy:port impasto weights get {network.name}\n"
        f"or, without internet here, download on any other machine\n"
        f"    {network.source}\n"
        f"and bring the file here for\n"
        f"    impasto weights import {network.file_name}"
    )


def doubt(network: Network) -> str:
    """What is not certain of a file that was taken for ``network`` by its layout, to go on with how to say otherwise;
    empty if its layout tells.

    VGG-19's original weights go about in torchvision's layout too, and nothing in such a file says so.
    """
    if network.layout != "torch":
        return ""
    return f"taken for {network.name} by its layout. If it is the original in that layout, as neural-style-pt has it"


def how_to_replace(path: Path, network: Network | None = None) -> str:
    """Say how to get sound weights, of ``network`` if that is known, in the place of those in ``path``."""
    if path.parent == Path(__file__).parent:
        return "install impasto again."
    if network is None:
        return "delete the file, and download or import it again."
    if network.is_built_in:
        return "delete the file; those that come with impasto are used then."
    return f"delete the file, then run 'impasto weights get {network.name}', or copy or import it again."


def using_instead(present: Network, preferred: Network) -> str:
    """Say which network is used for want of the preferred one, and how to get that."""
    return f"Using {present.name}; 'impasto weights get {preferred.name}' gets {preferred.name}, the usual network."


def megabytes(count: float) -> str:
    """A number of bytes as people say it, in units of 1000: "80 MB", "12 kB", "1.2 GB".

    >>> megabytes(80_134_624), megabytes(12_345), megabytes(1_234_567_890)
    ('80 MB', '12 kB', '1.2 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
