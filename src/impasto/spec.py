"""The options, in one place: command-line flags, TOML keys and the record in the picture come from here.

``StyleSpec`` holds what decides the picture, ``RunOptions`` where and how it is computed, and
``OutputOptions`` what is written. Values come from default < preset < TOML file < flag.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from impasto.errors import OptionError
from impasto.quantity import parse_bytes, parse_seconds

__all__ = [
    "COARSEST_SIDE",
    "MAX_SIDE",
    "MIN_SIDE",
    "REFERENCE_SIDE",
    "STARTS",
    "OutputOptions",
    "RunOptions",
    "StyleSpec",
    "doublings",
    "output_size",
    "scaled_to_long_side",
]

MIN_SIDE = 16
"""The shortest side a picture can have, in pixels: one position of relu5_1."""

COARSEST_SIDE = 40
"""The short side in pixels down to which pictures are halved: fewer positions of relu5_1 leave seams between them."""

REFERENCE_SIDE = 512
"""The long side in pixels for which ``octaves`` and ``coarse_iterations`` are meant; see ``doublings``."""

STARTS = ("content", "style", "noise")
"""What ``init`` may be, besides the path of a picture."""

FormatName = Literal["png", "jpeg", "webp", "avif", "tiff", "gif"]

MAX_SIDE = 65_500
"""The longest side that can be asked for, in pixels."""

MAX_SEED = 2**63 - 1


def parse_size(value: Any) -> Any:
    """Accept 512, "512", "640x480" and "original"; return the text form."""
    text = str(value).strip().lower()
    if text == "original":
        return text
    if not re.fullmatch(r"\d{1,6}(x\d{1,6})?", text):
        raise ValueError("expected the long side in pixels (512), WIDTHxHEIGHT (640x480) or 'original'")
    sides = [int(side) for side in text.split("x")]
    if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE:
        raise ValueError(f"each side has to be from {MIN_SIDE} to {MAX_SIDE} pixels")
    return "x".join(map(str, sides))


def parse_layers(value: Any) -> Any:
    """Accept {"relu4_2": 1}, ["relu4_2"] and "relu3_1,relu4_2=0.5"; return layer -> weight."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping):
        return dict(value)
    layers: dict[str, Any] = {}
    for part in value if isinstance(value, list | tuple) else ():
        name, _, weight = str(part).partition("=")
        layers[name.strip()] = weight.strip() or 1.0
    return layers


def check_layers(layers: dict[str, float]) -> dict[str, float]:
    """Raise ValueError unless there is a layer that counts."""
    if not any(layers.values()):
        raise ValueError("expected at least one layer, such as relu4_2, with a weight above 0")
    return layers


def parse_list(value: Any) -> Any:
    """Accept [2, 3] and "2,3"."""
    return [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def parse_format(value: Any) -> Any:
    """Accept the extensions jpg and tif as well."""
    return {"jpg": "jpeg", "tif": "tiff"}.get(str(value).lower(), value)


def parse_path(value: Any) -> Any:
    """Accept paths of every kind but empty ones."""
    if value == "":
        raise ValueError("a file name is empty; check what stands for it, perhaps a variable of the shell")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def to_bytes(value: Any) -> Any:
    """Accept 4G and 800M; return bytes."""
    return parse_bytes(value) if isinstance(value, str) else value


def to_seconds(value: Any) -> Any:
    """Accept 60, "60s" and "1h30m"; return seconds."""
    return parse_seconds(value) if isinstance(value, str) else value


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FilePath = Annotated[str, BeforeValidator(parse_path)]
Bytes = Annotated[int, BeforeValidator(to_bytes)]
Seconds = Annotated[float, BeforeValidator(to_seconds)]
Size = Annotated[str, BeforeValidator(parse_size)]
Layers = Annotated[dict[str, Weight], BeforeValidator(parse_layers), AfterValidator(check_layers)]
Factor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Factors = Annotated[tuple[Factor, ...], BeforeValidator(parse_list), Field(max_length=12)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class StyleSpec(_Options):
    """Everything that decides what the finished picture looks like."""

    size: Size = Field("512", description="Long side in pixels, WIDTHxHEIGHT (crops to fill), or 'original'.")
    strength: float = Field(
        0.5, ge=0, le=1, allow_inf_nan=False, description="How far to go from the photo (0) to the style (1)."
    )
    content_weight: Weight = Field(1.0, description="Weight of the photo's deep features.")
    style_weight: Weight = Field(2.0, description="Weight of the painting's Gram matrices.")
    tv_weight: Weight = Field(2.0, description="Weight of smoothness (total variation).")
    style_scale: float = Field(
        1.0,
        ge=0.1,
        le=10,
        allow_inf_nan=False,
        description="Long side of the painting as it is read, in long sides of the result.",
    )
    color: Literal["style", "content", "match"] = Field(
        "style",
        description="Whose colors: the painting's; the photo's, of which only the lightness is painted; or those of"
        " the painting, matched to the photo's beforehand.",
    )
    content_layers: Layers = Field(
        {"relu4_2": 1.0}, description="Layers that hold the content; weights as relu3_1=0.5,relu4_2."
    )
    style_layers: Layers = Field(
        {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0},
        description="Layers that hold the style; weights as relu1_1=2,relu3_1.",
    )
    init: FilePath = Field("content", description="Where to start: content, style, noise, or the path of a picture.")
    optimizer: Literal["lbfgs", "adam"] = Field("lbfgs", description="The solver.")
    history: int = Field(20, ge=1, le=1000, description="Steps that L-BFGS remembers.")
    learning_rate: float = Field(
        0.02, gt=0, le=1, allow_inf_nan=False, description="Step of Adam, in units of the range [0, 1]."
    )
    pooling: Literal["max", "average"] = Field("max", description="How the network pools.")
    padding: Literal["replicate", "reflect", "zeros"] = Field(
        "reflect", description="What the network sees beyond the border."
    )
    normalization: Literal["relative", "classic"] = Field(
        "relative", description="Terms relative to their targets, or as neural-style-pt scales them."
    )
    octaves: int = Field(
        3,
        ge=1,
        le=6,
        description="Sizes at which a picture of up to 512 pixels is compared: itself, its half, its quarter, ... A"
        " larger one has one more for each doubling, unless it is 1.",
    )
    num_iterations: int = Field(40, ge=1, le=1_000_000, description="Evaluations at the full size.")
    coarse_iterations: Factors = Field(
        (2.0, 3.0, 4.0),
        description="Evaluations at half, quarter, ... size, as multiples of those at the full size; 0 for none. Above"
        " 512 pixels the last one goes on, down to the size that 512 would begin with.",
    )
    network: str = Field("auto", description="The network that looks: auto, vgg19, vgg19-torchvision or compact.")
    coarse_network: str = Field(
        "auto",
        description="The network between the smallest sizes and the last evaluations: auto (compact, for vgg19), none,"
        " or a network.",
    )
    early_iterations: Factor = Field(
        1.0,
        description="Evaluations of the coarse network at the full size, as a multiple of --num-iterations.",
    )
    final_iterations: Factor = Field(
        0.6,
        gt=0,
        description="Evaluations of --network after those of the coarse one, as a multiple of --num-iterations.",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Decides the noise of --init noise.")


class RunOptions(_Options):
    """Where and how the picture is computed."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to compute.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Of the convolutions; auto takes bf16 where the hardware has it and is faster with it, else, and"
        " with --normalization classic, fp32.",
    )
    memory: Bytes | None = Field(
        None,
        ge=1,
        description="How much may be used, such as 800M or 4G; three quarters of what is free unless given. Pictures"
        " that need more are computed tile by tile.",
    )
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; all cores unless given.")
    time: Seconds | None = Field(
        None, gt=0, description="The best picture in that time: 60s, 5m, 1h30m. Replaces the number of iterations."
    )
    weights: FilePath | None = Field(None, description="A file with the network's weights, before all other places.")
    offline: bool = Field(False, description="Never download anything.")
    max_pixels: int = Field(
        178_000_000, ge=1, le=2**40, description="Refuse pictures of more pixels, before they are decoded."
    )


class OutputOptions(_Options):
    """What is written."""

    format: Annotated[FormatName, BeforeValidator(parse_format)] | None = Field(
        None, description="Of the file; by the extension of -o unless given, else png."
    )
    quality: int | None = Field(
        None, ge=1, le=100, description="Of lossy formats: jpeg 98, webp 95 (100: lossless), avif 90 unless given."
    )
    pyramid: bool = Field(
        False, description="TIFF with ever smaller copies inside, in tiles, as viewers of giant pictures want it."
    )
    metadata: bool = Field(
        True, description="Keep the photo's metadata, and put the settings into the picture for `impasto rerun`."
    )
    animate: FilePath | None = Field(
        None, description="Also save the picture coming into being: FILE.gif, FILE.webp or FILE.mp4."
    )
    checkpoint: FilePath | None = Field(
        None,
        description="Keep the state of the run in FILE, for `impasto resume`; runs of over two minutes are kept"
        " in the cache.",
    )
    checkpoint_every: Seconds | None = Field(
        None, gt=0, description="How often: 10s, 5m; every 30 seconds, or as seldom as takes 5 % of the time."
    )
    no_checkpoint: bool = Field(False, description="Do not keep the state of a run of over two minutes.")
    save_every: int | None = Field(
        None, ge=1, description="Also save the picture after every N evaluations, as NAME_0001.png and so on."
    )


def output_size(spec: StyleSpec, content: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) in pixels of the result for a photo of (height, width) ``content``.

    Raises OptionError if the shorter side would be under ``MIN_SIDE`` pixels.
    """
    height, width = content
    if "x" in spec.size:
        wanted_width, wanted_height = map(int, spec.size.split("x"))
        return wanted_height, wanted_width
    long_side = max(content) if spec.size == "original" else int(spec.size)
    size = scaled_to_long_side(content, long_side)
    if min(size) < MIN_SIDE:
        needed = math.ceil(MIN_SIDE * max(content) / min(content))
        remedy = f"Use --size {needed} or more, or crop" if needed <= MAX_SIDE else "Crop"
        raise OptionError(
            f"A photo of {width} x {height} pixels would become {size[1]} x {size[0]}; the short side has to"
            f" have {MIN_SIDE} pixels at least. {remedy} the photo."
        )
    return size


def doublings(size: tuple[int, int]) -> int:
    """How often the long side of ``REFERENCE_SIDE`` pixels would have to be doubled for ``size``, roughly; at least 0.

    So many sizes more are looked at, and begun with: else a larger picture had finer forms only.
    """
    return max(0, round(math.log2(max(size) / REFERENCE_SIDE)))


def scaled_to_long_side(size: tuple[int, int], long_side: float) -> tuple[int, int]:
    """Scale (height, width) so that the longer one is ``long_side``; rounded, at least 1 pixel."""
    factor = long_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
