"""The recipe: look at the photo, look at the painting, and move the photo's pixels until it blends both."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.device import Machine, resolve_machine, using_threads
from impasto.features import Extractor
from impasto.image.files import expanded
from impasto.image.read import ImageLike, read_image
from impasto.image.resize import crop_to_aspect, resize
from impasto.memory import check_memory
from impasto.networks import VGG19, get_network
from impasto.objective import Evaluation, Objective, bounded, style_transfer_objective
from impasto.optimize import Step, optimize
from impasto.presets import resolve_spec
from impasto.pyramid import Level, plan_pyramid
from impasto.result import Result
from impasto.solvers import LBFGS, Adam, Solver
from impasto.spec import RunOptions, StyleSpec, build, output_size
from impasto.weights import load_weights

__all__ = ["Transfer", "iterate", "prepare", "stylize"]

log = logging.getLogger("impasto")


@dataclass(frozen=True)
class Transfer:
    """Everything that a run needs, checked and resolved: the pictures, the options, the plan, the network."""

    content: Tensor
    style: Tensor
    init: Tensor
    spec: StyleSpec
    machine: Machine
    levels: tuple[Level, ...]
    extractor: Extractor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the finished picture in pixels."""
        return self.levels[-1].size

    def objective(self, level: Level) -> Objective:
        """What is minimized at ``level``."""
        device = self.machine.device
        content = resize(self.content, level.size).to(device)
        style = resize(self.style, level.style_size).to(device)
        return style_transfer_objective(self.extractor, content, style, self.spec)

    def steps(self) -> Iterator[Step]:
        """Optimize coarse to fine, yielding every evaluation; each size starts from the best of the one before."""
        return _with_threads(self._steps(), self.machine.threads)

    def _steps(self) -> Iterator[Step]:
        if self.spec.strength == 0:
            photo = resize(self.content, self.size)
            yield Step(photo, Evaluation(torch.zeros(()), torch.zeros_like(photo)), 1, 1)
            return
        previous = self.init
        for level in self.levels:
            log.debug("%d x %d, %d evaluations", level.size[1], level.size[0], level.iterations)
            evaluate = bounded(self.objective(level))
            start = self.starting_point(level, previous)
            for step in optimize(start, evaluate, self._solver(), level.iterations):
                yield step
                previous = step.image  # of the last step, which is the best one

    def starting_point(self, level: Level, previous: Tensor | None = None) -> Tensor:
        """Where ``level`` starts: from ``previous``, or from what ``init`` asked for, brought to its size."""
        return resize(self.init if previous is None else previous, level.size).to(self.machine.device)

    def _solver(self) -> Solver:
        if self.spec.optimizer == "adam":
            return Adam(learning_rate=self.spec.learning_rate)
        return LBFGS(history=self.spec.history)


def _with_threads(steps: Iterator[Step], threads: int | None) -> Iterator[Step]:
    """Compute each step with so many threads; whoever consumes the steps finds the setting as it was."""
    while True:
        with using_threads(threads):
            step = next(steps, None)
        if step is None:
            return
        yield step


def prepare(content: ImageLike, style: ImageLike, spec: StyleSpec, options: RunOptions) -> Transfer:
    """Read, check and resolve everything before the first evaluation.

    Raises InputError for pictures, OptionError for options and MissingWeightsError for weights that cannot be used.
    """
    photo, painting = read_image(content), read_image(style)
    size = output_size(spec, (photo.shape[-2], photo.shape[-1]))
    photo = crop_to_aspect(photo, size)
    levels = plan_pyramid(size, (painting.shape[-2], painting.shape[-1]), spec)
    network = VGG19 if spec.network == "auto" else get_network(spec.network)
    for layer in (*spec.content_layers, *spec.style_layers):
        network.check_layer(layer)
    # What is there to be compared with other programs is computed as they do.
    machine = resolve_machine(options, exact=spec.normalization == "classic")
    check_memory(size, spec, machine)
    init = _starting_picture(photo, painting, size, spec)
    extractor = Extractor(
        network,
        load_weights(network),
        device=machine.device,
        dtype=machine.dtype,
        padding=spec.padding,
        pooling=spec.pooling,
    )
    resolved = spec.model_copy(update={"network": network.name})
    return Transfer(photo, painting, init, resolved, machine, tuple(levels), extractor)


def _starting_picture(photo: Tensor, painting: Tensor, size: tuple[int, int], spec: StyleSpec) -> Tensor:
    if spec.init == "content":
        return photo
    if spec.init == "noise":
        generator = torch.Generator().manual_seed(spec.seed)
        return (0.5 + 0.1 * torch.randn(1, 3, *size, generator=generator, dtype=torch.float32)).clamp(0, 1)
    picture = painting if spec.init == "style" else read_image(expanded(spec.init))
    return crop_to_aspect(picture, size)


def iterate(content: ImageLike, style: ImageLike, *, preset: str = "standard", **options: Any) -> Iterator[Step]:
    """Yield every evaluation as a Step, for those who want the loop in their own hands.

    Takes what ``stylize`` takes. The best step at the largest size is the picture that ``stylize`` would return.
    """
    return _prepare(content, style, preset, options).steps()


def stylize(content: ImageLike, style: ImageLike, *, preset: str = "standard", **options: Any) -> Result:
    """Make ``content`` look painted by the hand of ``style`` (Gatys, Ecker and Bethge 2016).

    Both are paths, bytes of a file, PIL images, numpy arrays or torch tensors (see ``impasto.read_image``).
    ``options`` are the fields of StyleSpec and RunOptions, such as ``size=512, strength=0.5, device="cpu"``, laid
    over the preset: ``draft``, ``standard``, ``fine`` or ``classic``.

    Raises InputError, OptionError or MissingWeightsError, all ImpastoError, with what to do about it.
    """
    transfer = _prepare(content, style, preset, options)
    return Result.collect(transfer.steps(), transfer.spec, transfer.size)


def _prepare(content: ImageLike, style: ImageLike, preset: str, options: Mapping[str, Any]) -> Transfer:
    run = {key: value for key, value in options.items() if key in RunOptions.model_fields}
    look = {key: value for key, value in options.items() if key not in run}
    return prepare(content, style, resolve_spec(preset, look), build(RunOptions, run))
