"""Evaluations on NVIDIA's devices without the time it takes to launch them, by CUDA graphs.

An evaluation is some hundreds of kernels, always the same ones. To launch them one by one takes a processor longer than
it takes the device to compute a small picture; so they are recorded once and then launched together.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from impasto.objective import Evaluate, Evaluation

__all__ = ["RECORDED_AT", "Recorder", "Replayed", "on_cuda", "replayed"]

log = logging.getLogger("impasto")

RECORDED_AT = 3
"""The evaluation that is recorded: libraries choose their kernels, and tables are made, at the first ones."""

LARGEST = 1 << 21
"""Pixels; with more of them, the device is busy all the time, and what is recorded takes memory."""

TOLERANCE = 1e-2
"""How far a gradient may be from the one computed before, relative to it: sums in bfloat16 depend on their order."""

Tensors: TypeAlias = tuple[Tensor, Tensor]
Recorder: TypeAlias = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], None]]]
"""Computes once; gives where the results are, and what computes them there again from where it was read."""


def replayed(evaluate: Evaluate, pixels: Tensor, *, in_tiles: bool = False) -> Evaluate:
    """The same for pictures like ``pixels``, 1 x 3 x H x W, replayed where that is of use."""
    is_of_use = pixels.device.type == "cuda" and not in_tiles and pixels[0, 0].numel() <= LARGEST
    return Replayed(evaluate, on_cuda) if is_of_use else evaluate


def on_cuda(compute: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
    """Record the kernels of ``compute`` as a CUDA graph; RuntimeError if one of them cannot be."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = compute()
    return results, graph.replay


@dataclass(frozen=True)
class _Recording:
    """What ``replay`` computes of ``pixels``: the ``gradient``; ``numbers``, the loss and then its named terms."""

    pixels: Tensor
    gradient: Tensor
    names: tuple[str, ...]
    numbers: Tensor
    replay: Callable[[], None]

    def __call__(self, pixels: Tensor) -> Evaluation:
        self.pixels.copy_(pixels)
        self.replay()
        loss, *weighted = self.numbers.clone().unbind()  # the next replay writes over these
        return Evaluation(loss, self.gradient.clone(), dict(zip(self.names, weighted, strict=True)))


class Replayed:
    """``evaluate`` for pictures of one size: the first times as it is, then recorded and replayed.

    If it cannot be recorded, or what is replayed is not the same, it goes on as it is.
    """

    def __init__(self, evaluate: Evaluate, record: Recorder) -> None:
        self._evaluate, self._record = evaluate, record
        self._count = 0
        self._recording: _Recording | None = None

    def __call__(self, pixels: Tensor) -> Evaluation:
        if self._recording is not None:
            return self._recording(pixels)
        evaluation = self._evaluate(pixels)
        self._count += 1
        if self._count == RECORDED_AT:
            self._recording = self._recorded(pixels, evaluation)
        return evaluation

    def _recorded(self, pixels: Tensor, expected: Evaluation) -> _Recording | None:
        names, read_from = tuple(expected.weighted), pixels.clone()

        def compute() -> tuple[Tensor, Tensor]:
            evaluation = self._evaluate(read_from)
            numbers = [evaluation.loss, *evaluation.weighted.values()]
            return evaluation.gradient, torch.stack([number.to(pixels.dtype) for number in numbers])

        try:
            (gradient, numbers), replay = self._record(compute)
            recording = _Recording(read_from, gradient, names, numbers, replay)
            found = recording(pixels)
        except RuntimeError as error:
            log.debug("Evaluations are launched one by one: they cannot be recorded (%s).", error)
            return None
        distance = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
        if not distance <= TOLERANCE:
            log.debug("Evaluations are launched one by one: recorded ones are off by %.1g.", distance)
            return None
        return recording
