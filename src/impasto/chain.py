"""Along a network's chain and back: the gradient in the pixels by hand, for weights that do not learn.

Autograd keeps the padded input of every convolution, which only gradients in the weights need, copies and fills whole
buffers for the border, and masks in full size what pooling is about to drop. Here outputs alone are kept, each until
the way back has passed it; borders are folded in place; and as max(relu(x)) = relu(max(x)), what nobody asked for is
rectified after pooling.

Where a CPU's convolutions put zeros around by themselves, they round bfloat16 otherwise near the border than inside:
only here and there, but each layer spreads what differs, to 1.4e-3 of the gradient at 4096 pixels. So zeros are put
there beforehand, and a tile rounds as the same place in the whole picture does.

Before each large buffer, memory that is kept though free is held to its bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.again import SeenAgain
from impasto.allocator import stay_within_bounds
from impasto.networks import Convolution, Network

__all__ = ["Chain", "Padding", "Pooling", "WayBack"]

Padding = Literal["replicate", "reflect", "zeros"]
Pooling = Literal["max", "average"]

FRAME = 2
"""Zeros around a gradient: all that a convolution reads for what it has of the border."""

WayBack: TypeAlias = list[Callable[[Tensor], Tensor]]
"""From a layer back to where its stretch of the chain began, gradient -> gradient, to be followed from its end."""

Stretch: TypeAlias = Sequence[tuple[int, Convolution]]
"""Convolutions with the number of poolings before each, from one layer that is asked for to the next."""


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
        return dict(self.look(signal, layers))

    def look(
        self, signal: Tensor, layers: Collection[str], again: SeenAgain | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """The same, one layer after the other.

        Autograd goes back in the order in which it came: who makes use of each layer before the next one is seen has
        its gradient made when the way back is there, and not all of them before it begins. Who does so within the hooks
        of ``again`` has the output of the first convolution, if that is asked for, not kept but computed again where it
        is needed: it takes the most room and the least time. (Not so a student's, which is narrow.)
        """
        learns = any(tensor.requires_grad for tensor in self.weights.values())
        by_hand = torch.is_grad_enabled() and signal.requires_grad and not learns
        block = 0
        for number, stretch in enumerate(self._stretches(layers)):
            walk = partial(self.walk, stretch=stretch, at_block=block)
            forgets = again is not None and number == 0 and len(stretch) == 1 and self.network.forgets_first
            before, signal = signal, _There.apply(signal, walk, forgets) if by_hand else walk(signal)  # type: ignore[no-untyped-call]
            if again is not None and forgets and by_hand:
                again.forget(signal, partial(walk, before.detach()))
            del before
            block, last = stretch[-1]
            yield last.layer, signal

    def _stretches(self, layers: Collection[str]) -> Iterator[Stretch]:
        stretch: list[tuple[int, Convolution]] = []
        for block, conv in self.network:
            stretch.append((block, conv))
            if conv.layer in layers:
                yield stretch
                stretch = []

    def walk(self, signal: Tensor, stretch: Stretch, at_block: int, back: WayBack | None = None) -> Tensor:
        """The last output of ``stretch``, by operations that autograd knows; ``back`` is told the way without it."""
        last = {block: conv.name for block, conv in self.network}
        is_rectified = True
        for block, conv in stretch:
            if block > at_block:
                signal, at_block = self._pooled(signal, back), block
            if not is_rectified:
                signal = _rectified(signal, back)
            signal = self._convolved(signal, conv.name, back)
            is_rectified = conv is stretch[-1][1] or conv.name != last[block] or self.pooling != "max"
            if is_rectified:
                signal = _rectified(signal, back)
        return signal

    def _convolved(self, signal: Tensor, name: str, back: WayBack | None) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        # A single row has no second one to reflect; there, reflecting and repeating are the same.
        padding = "replicate" if self.padding == "reflect" and min(signal.shape[-2:]) == 1 else self.padding
        if back is not None:
            size = signal.shape[-2], signal.shape[-1]
            back.append(partial(_before_convolution, size=size, weight=weight, padding=padding))
        stay_within_bounds()
        if padding == "zeros" and not _rounds(signal):
            return F.conv2d(signal, weight, bias, padding=1)
        padded = F.pad(signal, (1, 1, 1, 1), mode="constant" if padding == "zeros" else padding)
        stay_within_bounds()
        return F.conv2d(padded, weight, bias)

    def _pooled(self, signal: Tensor, back: WayBack | None) -> Tensor:
        if self.pooling == "average":
            if back is not None:
                back.append(partial(_before_average, shape=signal.shape))
            return F.avg_pool2d(signal, 2)
        if back is None:
            return F.max_pool2d(signal, 2)
        return _maxima(signal, back)


def _rectified(signal: Tensor, back: WayBack | None) -> Tensor:
    if torch.is_grad_enabled():
        return F.relu(signal)
    signal = signal.relu_()
    if back is not None:
        back.append(partial(_before_rectification, output=signal, version=signal._version))
    return signal


def _before_rectification(gradient: Tensor, *, output: Tensor, version: int) -> Tensor:
    if output._version != version:
        raise RuntimeError("A layer was written into before the gradient in the pixels was taken; copy it first.")
    return torch.ops.aten.threshold_backward(gradient, output, 0)  # type: ignore[no-any-return]


def _before_convolution(gradient: Tensor, *, size: tuple[int, int], weight: Tensor, padding: Padding) -> Tensor:
    stay_within_bounds()
    gradient, frame = (_framed(gradient), FRAME) if _rounds(gradient) else (gradient, 0)
    stay_within_bounds()
    if padding == "zeros":
        return F.conv_transpose2d(gradient, weight, padding=frame + 1)
    padded = F.conv_transpose2d(gradient, weight, padding=frame)
    # What was read beyond the border counts for the positions that it was read from.
    inward = 1 if padding == "reflect" else 0
    for dimension, side in zip((2, 3), size, strict=True):
        padded.select(dimension, 1 + inward).add_(padded.select(dimension, 0))
        padded.select(dimension, side - inward).add_(padded.select(dimension, side + 1))
    return padded[:, :, 1:-1, 1:-1]


def _rounds(signal: Tensor) -> bool:
    """Whether it matters who puts zeros around it."""
    return signal.dtype == torch.bfloat16 and signal.device.type == "cpu"


def _framed(gradient: Tensor) -> Tensor:
    """A copy within FRAME zeros on all sides."""
    height, width = (side + 2 * FRAME for side in gradient.shape[-2:])
    framed = _blank((*gradient.shape[:2], height, width), gradient)
    for edge in (slice(FRAME), slice(-FRAME, None)):
        framed[:, :, edge], framed[..., edge] = 0, 0
    framed[:, :, FRAME:-FRAME, FRAME:-FRAME] = gradient
    return framed


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
    """A stretch as one operation of autograd, whose backward follows the way back and lets go of what it passed."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, walk: Callable[..., Tensor], forgets: bool) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(signal)
        ctx.walk, ctx.back = walk, []
        # Another tensor over the same memory: that on the way back must not lead to this operation again.
        return walk(signal, back=None if forgets else ctx.back).detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, None, None]:
        if gradient is None:
            return None, None, None
        back, ctx.back = ctx.back, []
        if not back:  # it was forgotten, or is gone, at least in part
            ctx.walk(ctx.saved_tensors[0], back=back)
        while back:
            gradient = back.pop()(gradient)
        return gradient, None, None
