"""Which network a command uses, with its weights on this machine: asked for, downloaded, or the best one there is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from impasto.cli.download import download_progress
from impasto.errors import ImpastoError, MissingWeightsError
from impasto.networks import NETWORKS, Network, get_network, preferred_network

__all__ = ["choose_network"]

Say = Callable[[str], None]
Ask = Callable[[str], bool]


def choose_network(
    wanted: str,
    *,
    say: Say,
    ask: Ask | None = None,
    weights_file: Path | None = None,
    offline: bool = False,
    progress: str = "auto",
) -> Network:
    """Return the network that ``wanted`` names, ``auto`` among the names, once its weights are on this machine.

    A network asked for by name is downloaded when it must be, unless ``offline``; ``progress`` says how that is shown.
    ``auto`` takes the network of ``weights_file``, or else the preferred one. It never downloads unasked: ``ask``, for
    terminals, is put the question; where there is none, or the answer is no, the best network on this machine is
    taken, and ``say`` is told how to get the preferred one; the same after a download that failed.

    Raises MissingWeightsError, with what to do, when no network can be had; InputError for a file that cannot be used;
    OptionError when there is no network of that name.
    """
    if weights_file is not None:
        return _of_file(weights_file, None if wanted == "auto" else get_network(wanted), say)
    if wanted == "auto":
        return _best(say, None if offline else ask, progress)
    return _fetched(get_network(wanted), offline, progress)


def _of_file(file: Path, named: Network | None, say: Say) -> Network:
    """The network of a file; what is not certain of it is said."""
    from impasto.weights import is_published, metadata_of, recognize_file
    from impasto.weights.advice import doubt

    network = recognize_file(file, named)
    is_certain = named is not None or "network" in metadata_of(file) or is_published(file, network)
    if not is_certain and (words := doubt(network)):
        say(f"'{file}': {words}, add --network {preferred_network().name}.")
    return network


def _fetched(network: Network, offline: bool, progress: str, *, patient: bool = True) -> Network:
    """``network``, its weights downloaded if they are not here."""
    from impasto.weights import find_weights, how_to_get

    if find_weights(network) is not None:
        return network
    if network.is_built_in:
        raise MissingWeightsError(f"The weights of {network.name} are not where they should be. {how_to_get(network)}")
    if offline:
        raise MissingWeightsError(
            f"The weights of {network.name} are not on this machine, and --offline forbids to download them."
            f" {how_to_get(network)}"
        )
    from impasto.weights import fetch_weights  # which imports torch

    with download_progress(progress) as report:
        fetch_weights(network, report=report, patient=patient)
    return network


def _best(say: Say, ask: Ask | None, progress: str) -> Network:
    from impasto.weights import best_present, how_to_get
    from impasto.weights.advice import using_instead

    preferred, present = preferred_network(), best_present()
    if present is preferred:
        return preferred
    if ask is not None and not (present and _refusal_of(preferred).exists()) and _is_wanted(preferred, present, ask):
        try:
            return _fetched(preferred, False, progress, patient=present is None)
        except ImpastoError as error:
            if present is None:
                raise
            say(str(error))
            if isinstance(error, MissingWeightsError):  # of what else went wrong, the message says what to do
                _remember_refusal(preferred)
    if present is None:
        names = " or ".join(NETWORKS)
        raise MissingWeightsError(f"There are no weights of {names} on this machine. {how_to_get(preferred)}")
    say(using_instead(present, preferred))
    return present


def _is_wanted(network: Network, present: Network | None, ask: Ask) -> bool:
    """Put the question once: who says no, and has another network to go on with, is not asked again.

    Nor is who said yes where nothing could be downloaded.
    """
    from impasto.weights.advice import megabytes

    otherwise = f" Otherwise {present.name} is used." if present else ""
    size = f" ({megabytes(network.size)}, {network.licence})" if network.size else ""
    try:
        wanted = ask(f"The weights of {network.name} are not on this machine.{otherwise} Download them{size}?")
    except EOFError:  # nobody is there to answer
        return False
    if present and not wanted:
        _remember_refusal(network)
    return wanted


def _remember_refusal(network: Network) -> None:
    with suppress(OSError):  # then the question comes again
        _refusal_of(network).parent.mkdir(parents=True, exist_ok=True)
        _refusal_of(network).touch()


def _refusal_of(network: Network) -> Path:
    """An empty file in the cache that says that the download was not wanted, or was tried in vain."""
    from impasto.weights.cache import weights_folder

    return weights_folder() / f"{network.name}.declined"
