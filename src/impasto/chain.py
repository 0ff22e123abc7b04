"""Along a network's chain and back: the gradient in the pixels by hand, for weights that do not learn.

Autograd keeps the padded input of every convolution, which only gradients in the weights need, copies and fills whole
buffers for the border, and masks in full size what pooling is about to drop. Here outputs alone are kept, each until
the way back has passed it; borders are folded in place; and as max(relu(x)) = relu(max(x)), what nobody asked for is
rectified after pooling.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.networks import Network

__all__ = ["Chain", "Padding", "Pooling", "WayBack"]

Padding = Literal["replicate", "reflect", "zeros"]
Pooling = Literal["max", "average"]

WayBack: TypeAlias = list[str | Callable[[Tensor], Tensor]]
"""The way from the deepest layer to the pixels, to be followed from its end: gradient -> gradient, and the name of each
layer where another gradient comes in."""


@dataclass(frozen=True)
class Chain:
    """The convolutions of a network with their weights, and what lies between them."""

    network: Network
    weights: Mapping[str, Tensor]
    padding: Padding = "reflect"
    pooling: Pooling = "max"

    def __call__(self, signal: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Preprocessed pixels, B x 3 x H x W -> the rectified outputs of ``layers``, no deeper than needed.

        Differentiable once, in ``signal``; any number of times, and in the weights too, where those ask for gradients.
        """
        learns = any(tensor.requires_grad for tensor in self.weights.values())
        if learns or not (torch.is_grad_enabled() and signal.requires_grad):
            return self.walk(signal, layers)
        names = [conv.layer for _, conv in self.network if conv.layer in layers]
        return dict(zip(names, _There.apply(signal, self, names), strict=True))  # type: ignore[no-untyped-call]

    def walk(self, signal: Tensor, layers: Collection[str], back: WayBack | None = None) -> dict[str, Tensor]:
        """The same, by operations that autograd knows; ``back`` is told the way back without it."""
        seen: dict[str, Tensor] = {}
        last = {block: conv.name for block, conv in self.network}
        at_block, is_rectified = 0, True
        for block, conv in self.network:
            if len(seen) == len(layers):
                break
            if block > at_block:
                signal, at_block = self._pooled(signal, back), block
            if not is_rectified:
                signal = _rectified(signal, back)
            signal = self._convolved(signal, conv.name, back)
            is_rectified = conv.layer in layers or conv.name != last[block] or self.pooling != "max"
            if is_rectified:
                signal = _rectified(signal, back)
            if conv.layer in layers:
                seen[conv.layer] = signal
                if back is not None:
                    back.append(conv.layer)
        return seen

    def _convolved(self, signal: Tensor, name: str, back: WayBack | None) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        # A single row has no second one to reflect; there, reflecting and repeating are the same.
        padding = "replicate" if self.padding == "reflect" and min(signal.shape[-2:]) == 1 else self.padding
        if back is not None:
            back.append(partial(_before_convolution, shape=signal.shape, weight=weight, padding=padding))
        if padding == "zeros":
            return F.conv2d(signal, weight, bias, padding=1)
        return F.conv2d(F.pad(signal, (1, 1, 1, 1), mode=padding), weight, bias)

    def _pooled(self, signal: Tensor, back: WayBack | None) -> Tensor:
        if self.pooling == "average":
            if back is not None:
                back.append(partial(_before_average, shape=signal.shape))
            return F.avg_pool2d(signal, 2)
        if back is None:
            return F.max_pool2d(signal, 2)
        return _maxima(signal, back)


def _rectified(signal: Tensor, back: WayBack | None) -> Tensor:
    if back is None:
        return F.relu(signal)
    signal = signal.relu_()
    back.append(partial(_before_rectification, output=signal, version=signal._version))
    return signal


def _before_rectification(gradient: Tensor, *, output: Tensor, version: int) -> Tensor:
    if output._version != version:
        raise RuntimeError("A layer was written into before the gradient in the pixels was taken; copy it first.")
    return torch.ops.aten.threshold_backward(gradient, output, 0)  # type: ignore[no-any-return]


def _before_convolution(gradient: Tensor, *, shape: torch.Size, weight: Tensor, padding: Padding) -> Tensor:
    if padding == "zeros":
        return _transposed(gradient, shape, weight, 1)
    batch, channels, height, width = shape
    padded = _transposed(gradient, (batch, channels, height + 2, width + 2), weight, 0)
    # What was read beyond the border counts for the positions that it was read from.
    inward = 1 if padding == "reflect" else 0
    for dimension, size in ((2, height), (3, width)):
        padded.select(dimension, 1 + inward).add_(padded.select(dimension, 0))
        padded.select(dimension, size - inward).add_(padded.select(dimension, size + 1))
    return padded[:, :, 1:-1, 1:-1]


def _transposed(gradient: Tensor, shape: Sequence[int], weight: Tensor, padding: int) -> Tensor:
    """The gradient in the input of a convolution. torch.nn.grad.conv2d_input is that, and copies a made-up input."""
    before, pad, one = _blank(shape, gradient), [padding, padding], [1, 1]
    result: Tensor = torch.ops.aten.convolution_backward(
        gradient, before, weight, None, one, pad, one, False, [0, 0], 1, [True, False, False]
    )[0]
    return result


def _maxima(signal: Tensor, back: WayBack) -> Tensor:
    """The maxima of 2 x 2 values, first of those above each other, then of those side by side.

    Of equal ones it is the upper and the left one that counts. Where the maximum was is kept as 1 and 0 in the type of
    the signal: to multiply by these takes a CPU half the time of indices, there and back.
    """
    height, width = (side - side % 2 for side in signal.shape[-2:])
    upper, lower = signal[:, :, 0:height:2, :width], signal[:, :, 1:height:2, :width]
    rows = torch.maximum(upper, lower)
    left, right = rows[..., 0::2], rows[..., 1::2]
    pooled = torch.maximum(left, right)
    is_upper = torch.eq(upper, rows, out=torch.empty_like(rows))
    is_left = torch.eq(left, pooled, out=torch.empty_like(pooled))
    back.append(partial(_before_maxima, shape=signal.shape, is_upper=is_upper, is_left=is_left))
    return pooled


def _before_maxima(gradient: Tensor, *, shape: torch.Size, is_upper: Tensor, is_left: Tensor) -> Tensor:
    rows = torch.empty_like(is_upper)
    torch.mul(gradient, is_left, out=rows[..., 0::2])
    torch.sub(gradient, rows[..., 0::2], out=rows[..., 1::2])
    height, width = (side - side % 2 for side in shape[-2:])
    before = _blank(shape, gradient)
    before[:, :, height:], before[..., width:] = 0, 0
    whole = before[:, :, :height, :width]
    torch.mul(rows, is_upper, out=whole[:, :, 0::2])
    torch.sub(rows, whole[:, :, 0::2], out=whole[:, :, 1::2])
    return before


def _before_average(gradient: Tensor, *, shape: torch.Size) -> Tensor:
    before = _blank(shape, gradient)
    return torch.ops.aten.avg_pool2d_backward(  # type: ignore[no-any-return]
        gradient, before, [2, 2], [2, 2], [0, 0], False, True, None
    )


def _blank(shape: Sequence[int], like: Tensor) -> Tensor:
    """A tensor whose values are yet to be written, or not needed: on a CPU, memory that is never touched is free."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


class _There(torch.autograd.Function):
    """The walk as a single operation of autograd, whose backward follows the way back and lets go of what it passed."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, chain: Chain, names: list[str]) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(signal)
        ctx.chain, ctx.names, ctx.back = chain, names, []
        seen = chain.walk(signal, names, ctx.back)
        # Other tensors over the same memory: those on the way back must not lead to this operation again.
        return tuple(seen[name].detach() for name in names)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        given = dict(zip(ctx.names, gradients, strict=True))
        back, ctx.back = ctx.back, []
        if not back:  # it was gone, at least in part, before
            ctx.chain.walk(ctx.saved_tensors[0], ctx.names, back)
        gradient: Tensor | None = None
        while back:
            step = back.pop()
            if isinstance(step, str):
                here = given[step]
                gradient = here if gradient is None else gradient if here is None else gradient + here
            elif gradient is not None:
                gradient = step(gradient)
        return gradient, None, None
