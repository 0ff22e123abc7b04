"""From pictures and options to a run that is ready: all that can go wrong does so here, before the first evaluation."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from impasto.allocator import hand_back
from impasto.color import match_color, match_lightness, to_gray
from impasto.device import resolve_machine
from impasto.errors import InputError
from impasto.features import Extractor
from impasto.footprint import BASE, VECTOR, Footprint
from impasto.free_memory import available_bytes, memory_bytes, resident_bytes, total_bytes
from impasto.image.paths import expanded
from impasto.image.picture import Picture
from impasto.image.read import ImageLike, read_picture
from impasto.image.resize import as_floats, crop_to_aspect
from impasto.memory import check_reading, fit_memory
from impasto.networks import Network, get_network, preferred_network
from impasto.pyramid import Level, coarse_network, plan_pyramid
from impasto.quantity import spell_bytes
from impasto.record import new_record
from impasto.spec import STARTS, RunOptions, StyleSpec, output_size
from impasto.styles import KeptStyles
from impasto.transfer import Transfer
from impasto.weights import best_present, fingerprint, load_weights, recognize_file
from impasto.weights.advice import using_instead
from impasto.weights.cache import styles_folder

__all__ = ["Schedule", "prepare"]


log = logging.getLogger("impasto")


@dataclass(frozen=True)
class Schedule:
    """The (height, width) of the finished picture in pixels, and the levels that lead there: as they were fitted into
    memory before, or still to be fitted."""

    size: tuple[int, int]
    levels: Sequence[Level]
    is_fitted: bool = True


def prepare(
    content: ImageLike,
    style: ImageLike,
    spec: StyleSpec,
    options: RunOptions,
    *,
    start: ImageLike | None = None,
    schedule: Schedule | None = None,
) -> Transfer:
    """Read, check and resolve everything before the first evaluation.

    ``start`` is the picture that ``spec.init`` names, if it names one, and ``schedule`` replaces the sizes and
    evaluations that ``spec`` asks for. Raises InputError for pictures, OptionError for options and MissingWeightsError
    for weights that cannot be used.
    """
    # Of a run that goes on, the state is there already.
    others = max(0.0, resident_bytes() - BASE) if schedule is None else 0.0
    network, by_name = _network(spec, options), {spec.network, spec.coarse_network}
    spec = spec.model_copy(update={"network": network.name})
    pictures = _read(
        content, style, expanded(spec.init) if start is None and spec.init not in STARTS else start, options
    )
    photo, painting = pictures["content"], pictures["style"]
    schedule = schedule or _scheduled(photo.size, painting.size, spec)
    networks = {level.network: get_network(level.network) for level in schedule.levels}
    _check_layers(spec, networks.values())
    # What is there to be compared with other programs is computed as they do.
    machine = resolve_machine(options, exact=spec.normalization == "classic")
    room = options.memory or available_bytes(machine.device)
    # What was fitted before stays as it is, unless the machine cannot do it at all.
    limit = options.memory or (total_bytes(machine.device) if schedule.is_fitted else room)
    if machine.device.type != "cuda":  # there is no other memory
        schedule = replace(schedule, levels=[replace(level, vectors="device") for level in schedule.levels])
    held = _held_bytes(pictures, schedule, spec)
    main = available_bytes(torch.device("cpu"))
    footprint = Footprint(spec, machine, networks, held, room, main, _reading_bytes(pictures.values()), others)
    check_reading(footprint, options.memory)
    schedule = Schedule(schedule.size, fit_memory(schedule.levels, footprint, limit))
    log.debug("about %s of memory, of %s", spell_bytes(footprint.of_run(schedule.levels)), spell_bytes(limit))
    _tell_if_short(footprint, schedule.levels)
    cropped = photo.cropped_to_aspect(schedule.size)
    if spec.color != "style":  # colors are changed at the sizes that count, not at those of a camera
        cropped, painting = cropped.resized(schedule.size), painting.resized(schedule.levels[-1].style_size)
    seen, model = _colored(cropped, painting, spec)
    weights = {}
    for name, each in networks.items():
        file = expanded(options.weights) if options.weights and each is network else None
        weights[name] = load_weights(each, file=file, offline=options.offline or name not in by_name)
    resolved = _resolved(spec, pictures)
    origins = {role: picture.origin for role, picture in pictures.items() if picture.origin}
    prints = {name: fingerprint(tensors) for name, tensors in weights.items()}
    return Transfer(
        photo=cropped,
        content=seen,
        style=model,
        init=_starting_picture(seen, model, pictures.get("init"), schedule.size, spec),
        size=schedule.size,
        spec=resolved,
        machine=machine,
        levels=tuple(schedule.levels),
        extractors={
            name: Extractor(
                networks[name],
                tensors,
                device=machine.device,
                dtype=machine.dtype,
                padding=spec.padding,
                pooling=spec.pooling,
            )
            for name, tensors in weights.items()
        },
        footprint=footprint,
        record=new_record(resolved, machine, schedule.levels, schedule.size, origins, prints),
        styles=KeptStyles(styles_folder()),
        remarks=tuple(remark for picture in pictures.values() for remark in picture.remarks),
    )


def _held_bytes(pictures: Mapping[str, Picture], schedule: Schedule, spec: StyleSpec) -> float:
    """What is kept all the while: the pictures as they were read, or with other colors at the sizes that count; and
    what to start from, if that is another one."""
    pixels, read = math.prod(schedule.size), {role: float(picture.bytes) for role, picture in pictures.items()}
    noise = VECTOR * float(pixels) if spec.init == "noise" else 0.0
    if spec.color == "style":
        return sum(read.values()) + noise
    photos = 2 if spec.color == "content" else 1  # gray, and with the colors to go back to
    start = read.get("init", 0.0)
    if "init" in pictures and spec.color == "content":
        start = VECTOR * float(math.prod(pictures["init"].size))
    return VECTOR * float(photos * pixels + math.prod(schedule.levels[-1].style_size)) + start + noise


def _reading_bytes(pictures: Iterable[Picture]) -> float:
    """The most that was in memory while one of them was read after the other."""
    most = kept = 0
    for picture in pictures:
        most, kept = max(most, kept + picture.read_with), kept + picture.bytes
    return float(most)


def _tell_if_short(footprint: Footprint, levels: Iterable[Level]) -> None:
    """Warn if less memory is free than is to be taken: --memory may say so, and a run that goes on may find it so."""
    free = memory_bytes()[1]
    if free is None or footprint.machine.device.type != "cpu":
        return
    needed = footprint.to_come(levels)
    if needed > free:
        log.warning(
            "This takes about %s more memory, and %s is free: close other programs, or the system may slow it down or"
            " end it.",
            spell_bytes(needed),
            spell_bytes(free),
        )


def _network(spec: StyleSpec, options: RunOptions) -> Network:
    """The network asked for, or the one whose weights were given, or the best one whose weights are here."""
    if spec.network != "auto":
        return get_network(spec.network)
    if options.weights:
        return recognize_file(expanded(options.weights))
    preferred = preferred_network()
    present = best_present() or preferred
    if present is not preferred:
        log.warning(using_instead(present, preferred))
    return present


def _check_layers(spec: StyleSpec, networks: Iterable[Network]) -> None:
    for network in networks:
        for layer in (*spec.content_layers, *spec.style_layers):
            network.check_layer(layer)


def _read(content: ImageLike, style: ImageLike, start: ImageLike | None, options: RunOptions) -> dict[str, Picture]:
    pictures = {}
    sources: dict[str, Any] = {"content": content, "style": style, **({} if start is None else {"init": start})}
    for role, source in sources.items():
        pictures[role] = read_picture(source, max_pixels=options.max_pixels)
        _check_visible(role, pictures[role])
        hand_back()  # what reading it left, before the next one
    return pictures


def _check_visible(role: str, picture: Picture) -> None:
    if picture.alpha is not None and not bool(picture.alpha.any()):
        raise InputError(f"The {role} is transparent everywhere: give a picture in which something can be seen.")


def _scheduled(photo: tuple[int, int], painting: tuple[int, int], spec: StyleSpec) -> Schedule:
    size = output_size(spec, photo)
    return Schedule(size, plan_pyramid(size, painting, spec), is_fitted=False)


def _colored(photo: Picture, painting: Picture, spec: StyleSpec) -> tuple[Picture, Picture]:
    """What is compared of both: they as they are, gray, or the painting in the photo's colors."""
    if spec.color == "style":
        return photo, painting
    match = match_lightness if spec.color == "content" else match_color
    model = replace(painting, stored=match(painting.pixels, photo.pixels, painting.alpha, photo.alpha))
    return replace(photo, stored=to_gray(photo.pixels)) if spec.color == "content" else photo, model


def _starting_picture(
    photo: Picture, painting: Picture, start: Picture | None, size: tuple[int, int], spec: StyleSpec
) -> Tensor:
    if start is not None:
        cropped = crop_to_aspect(start.stored, size)
        return to_gray(as_floats(cropped)) if spec.color == "content" else cropped
    if spec.init == "content":
        return photo.stored
    if spec.init == "noise":
        generator = torch.Generator().manual_seed(spec.seed)
        return (0.5 + 0.1 * torch.randn(1, 3, *size, generator=generator, dtype=torch.float32)).clamp(0, 1)
    return crop_to_aspect(painting.stored, size)


def _resolved(spec: StyleSpec, pictures: dict[str, Picture]) -> StyleSpec:
    """The options with each choice made: what is written down has no folders in it."""
    start = pictures.get("init")
    named = {"init": start.origin.name} if start and start.origin else {}
    return spec.model_copy(update={"coarse_network": coarse_network(spec) or "none", **named})
