"""``impasto evaluate``: how near finished pictures are to the photo and to the painting, and how clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.figures import print_figures
from impasto.cli.preflight import file_of
from impasto.cli.printable import printable
from impasto.cli.progress import can_redraw
from impasto.errors import InputError, OptionError, did_you_mean
from impasto.image.files import MAX_PIXELS, File, name_of, picture_size
from impasto.image.paths import expanded
from impasto.networks import VGG19, VGG19_TORCHVISION, get_network
from impasto.spec import MIN_SIDE, RunOptions, StyleSpec, scaled_to_long_side
from impasto.validation import build

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.features import Extractor
    from impasto.metrics import Figures
    from impasto.networks import Network

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = """Examples:

impasto evaluate photo.jpg painting.jpg painted.png

impasto evaluate photo.jpg painting.jpg one.png two.png three.png

impasto evaluate photo.jpg painting.jpg painted.png --style-scale 0.5 --json
"""

MEASURING = (VGG19.name, VGG19_TORCHVISION.name)
"""The networks that figures are of: those of any other could be compared with nobody's."""

MOST_CUT = 0.03
"""The share of the photo that may be cut off without a word: what rounding to whole pixels makes of the proportions."""

BASE_BYTES, BYTES_PER_PIXEL = 500e6, 1450
"""What measuring takes, as measured: PyTorch and the weights; and for each pixel of the picture and of the painting."""


@dataclass(frozen=True)
class Request:
    """What was asked for; ``names`` are the outputs as they were typed."""

    content: File
    style: File
    outputs: tuple[File, ...]
    names: tuple[str, ...]
    style_scale: float
    max_pixels: int

    @property
    def files(self) -> tuple[File, ...]:
        """All pictures: the photo, the painting, the outputs."""
        return self.content, self.style, *self.outputs


def evaluate(
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The photo.", show_default=False)],
    style: Annotated[str, typer.Argument(metavar="STYLE", help="The painting.", show_default=False)],
    outputs: Annotated[
        list[str], typer.Argument(metavar="OUTPUT", help="The finished pictures, as saved.", show_default=False)
    ],
    style_scale: Annotated[
        str, typer.Option(metavar="X", help="Long side of the painting as it is read, in long sides of the output.")
    ] = "1",
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"The network that looks: {' or '.join(MEASURING)}.", show_default=MEASURING[0]
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A file with the network's weights, before all other places.", show_default=False
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never download anything.")] = False,
    max_pixels: Annotated[
        str, typer.Option(metavar="N", help="Refuse pictures of more pixels, before they are decoded.")
    ] = str(MAX_PIXELS),
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")] = False,
) -> None:
    """Print how near finished pictures are to the photo and to the painting, and how clean they are.

    All figures are those of VGG-19 and of the pictures as they were saved. Content error and SSIM compare with the
    photo; style error and Wasserstein distance, both at three sizes, and color cast with the painting; color grain,
    border energy and specks look for what no photo has. Lower is nearer or cleaner; SSIM alone is 1 for the photo
    itself, and lower farther from it.
    """
    _check_network(network)
    run = build(RunOptions, {"weights": weights, "offline": offline, "max_pixels": max_pixels})
    spec = build(StyleSpec, {"style_scale": style_scale})
    photo, painting, *finished = _files(content, style, *outputs)
    request = Request(photo, painting, tuple(finished), tuple(outputs), spec.style_scale, run.max_pixels)
    _check(request)
    extractor = _extractor(network, run)
    found: list[Figures] = []
    try:
        for figures in _measured(request, extractor):
            found.append(figures)
    finally:  # an error, or Ctrl-C, does not take what was measured before
        if found:
            print_figures(request.names[: len(found)], found, extractor.network.name, as_json=as_json)


def _check_network(name: str | None) -> None:
    if name is not None and name not in MEASURING:
        raise OptionError(
            f"--network is '{name}', and figures are those of VGG-19.{did_you_mean(name, MEASURING)}"
            f" Choose from {', '.join(MEASURING)}."
        )


def _files(*arguments: str) -> list[File]:
    if arguments.count("-") > 1:
        raise InputError("Only one picture can come from standard input: give files for the others.")
    return [file_of(argument) for argument in arguments]


def _check(request: Request) -> None:
    """Find out from the headers that all can be measured."""
    _, painting, *sizes = (picture_size(file, max_pixels=request.max_pixels) for file in request.files)
    for file, size in zip(request.outputs, sizes, strict=True):
        if min(size) < MIN_SIDE:
            raise InputError(
                f"{name_of(file)} has {size[1]} x {size[0]} pixels, and its short side has to have {MIN_SIDE} at"
                " least for VGG-19 to see it: give a larger picture."
            )
        painted = scaled_to_long_side(painting, max(size) * request.style_scale)
        if min(painted) < MIN_SIDE:
            raise InputError(
                f"The painting would be read at {painted[1]} x {painted[0]} pixels, and its short side has to have"
                f" {MIN_SIDE} at least: use a larger --style-scale, or crop it to be less narrow."
            )
        _check_memory(name_of(file), size, painted)


def _check_memory(name: str, size: tuple[int, int], painted: tuple[int, int]) -> None:
    """Raise InputError if this cannot fit into all the memory of this machine: the system would kill it midway."""
    from impasto.free_memory import memory_bytes

    total, _ = memory_bytes()
    needed = BASE_BYTES + BYTES_PER_PIXEL * (size[0] * size[1] + painted[0] * painted[1])
    if total is not None and needed > total:
        raise InputError(
            f"To measure {name}, {size[1]} x {size[0]} pixels beside a painting of {painted[1]} x {painted[0]}, takes"
            f" about {needed / 2**30:.0f} GiB of memory, and this machine has {total / 2**30:.0f} GiB: reduce it first,"
            " or use a smaller --style-scale."
        )


def _extractor(name: str | None, run: RunOptions) -> Extractor:
    """VGG-19 as it was trained."""
    from impasto.features import Extractor
    from impasto.weights import load_weights

    file = expanded(run.weights) if run.weights else None
    network = _network(name, run)
    return Extractor(network, load_weights(network, file=file), padding="zeros")


def _network(name: str | None, run: RunOptions) -> Network:
    """The network asked for by name, downloaded if it must be; nothing is downloaded for who names none."""
    from impasto.cli.networks import choose_network

    if run.weights is not None:
        return _network_of_file(run.weights, name)
    if name is None:
        return get_network(MEASURING[0])
    return choose_network(name, say=_say, offline=run.offline)


def _network_of_file(file: str, name: str | None) -> Network:
    from impasto.cli.networks import choose_network

    network = choose_network(name or "auto", say=_say, weights_file=expanded(file))
    if network.name not in MEASURING:
        raise OptionError(
            f"--weights is '{file}', which has {network.name}, and figures are those of VGG-19: leave it out, or give a"
            " file of VGG-19."
        )
    return network


def _measured(request: Request, extractor: Extractor) -> Iterator[Figures]:
    from impasto.metrics import measure

    photo, painting = (_seen(file, request.max_pixels) for file in (request.content, request.style))
    for number, file in enumerate(request.outputs, start=1):
        output = _seen(file, request.max_pixels)
        _say_what_is_cut(photo, output, name_of(file))
        if can_redraw():
            _say(f"Measuring {name_of(file)}, {number} of {len(request.outputs)}.")
        yield measure(extractor, output, photo, painting, style_scale=request.style_scale)


def _seen(file: File, max_pixels: int) -> Tensor:
    """A picture as people see it, 1 x 3 x H x W; whatever is not measured as it is in the file is said."""
    from impasto.image.read import read_picture

    picture = read_picture(file, max_pixels=max_pixels)
    for remark in picture.remarks:
        _say(remark)
    if picture.alpha is not None:
        _say(f"{name_of(file)} is transparent in parts, and is measured as it looks on white.")
    return picture.on_white()


def _say_what_is_cut(photo: Tensor, output: Tensor, name: str) -> None:
    from impasto.image.resize import crop_to_aspect

    cut = 1 - crop_to_aspect(photo, (output.shape[-2], output.shape[-1])).numel() / photo.numel()
    if cut > MOST_CUT:
        _say(
            f"{name} has other proportions than the photo, of which {cut:.0%} is cut off to compare them: right if"
            " --size cropped it; otherwise, is it made of this photo?"
        )


def _say(text: str) -> None:
    typer.echo(printable(text), err=True)
