"""L-BFGS and Adam over (loss, gradient): each call of ``step`` takes one evaluation and returns the next point.

A solver's state is its own object in the caller's hands: an exception between two steps loses nothing, and
``state_dict`` / ``load_state_dict`` continue a run exactly. Points are tensors of any shape; the arithmetic is in their
dtype and on their device.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.curvature import Curvature, Difference
from impasto.errors import ImpastoError

__all__ = ["LBFGS", "Adam", "Solver"]

GROWTH = 2.0
"""A loss that has grown by this factor over the best one, or is not finite, is a failed step."""

SMALLEST_SHRINK = 1e-6
"""How much shorter steps may become after failed ones."""

TINY = 1e-30
"""What lengths are divided by at least."""

NOT_FINITE = "The loss is not finite at the start: check the weights (impasto doctor) and the --*-weight options."


class Solver(Protocol):
    """Minimizes a function from its values and gradients, one evaluation a step."""

    def step(self, point: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        """Learn that ``loss`` and ``gradient`` belong to ``point``; return where to look next."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, which the next step may change, and numbers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        ...


class LBFGS:
    """Limited-memory BFGS without line search (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5).

    Departures: the first step moves the values by ``first_step`` (root mean square) instead of by a length that
    depends on the scale of the loss; a pair (s, y) is kept if sᵀy > ``curvature`` |s| |y|, a test without units; no
    step moves the values by more than ``max_step`` (root mean square); after a failed step it returns to the last good
    point, forgets the curvature and goes a shorter way down the gradient. Memory: 2 ``history`` times the point in
    ``memory_dtype``, that of the point unless given, and twice the point.
    """

    def __init__(
        self,
        *,
        history: int = 20,
        first_step: float = 0.01,
        max_step: float = 0.25,
        curvature: float = 1e-8,
        memory_dtype: torch.dtype | None = None,
    ) -> None:
        self.history = history
        self.first_step = first_step
        self.max_step = max_step
        self.curvature = curvature
        self._pairs = Curvature(history, memory_dtype)
        self._point: Tensor | None = None  # the last good one
        self._gradient: Tensor | None = None
        self._unit = 0.0  # the largest entry of the first gradient: in it, no product over- or underflows
        self._best = math.inf
        self._shrink = 1.0

    def step(self, point: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        if self._point is None or self._gradient is None:
            self._begin(loss, gradient)
            self._point, self._gradient = point, gradient
        step, change = Difference(point, self._point), Difference(gradient, self._gradient, self._unit)
        seen = self._pairs.look(step, change, gradient, self._unit, loss)  # the only wait for the device
        (value,) = seen.also
        if not self._is_good(value, float(seen.own[2, 2])):
            return self._restart(self._point, self._gradient)
        seen = self._pairs.remember(step, change, seen, self.curvature)
        self._point, self._gradient = point, gradient
        self._best = min(self._best, value)
        self._shrink = min(1.0, 2 * self._shrink)
        direction = self._pairs.direction(gradient, self._unit, seen) if self._pairs else self._downhill(gradient)
        return self._limited(direction).add_(point)

    def _begin(self, loss: Tensor, gradient: Tensor) -> None:
        largest = float(gradient.abs().max())  # NaN if one of them is
        if not (math.isfinite(float(loss)) and math.isfinite(largest)):
            raise ImpastoError(NOT_FINITE)
        self._unit = self._unit or largest or 1.0

    def _is_good(self, value: float, gradient_squared: float) -> bool:
        finite = math.isfinite(value) and math.isfinite(gradient_squared)
        return finite and value <= self._best + (GROWTH - 1) * abs(self._best)

    def _restart(self, point: Tensor, gradient: Tensor) -> Tensor:
        self._pairs.clear()
        self._shrink = max(self._shrink / 4, SMALLEST_SHRINK)
        return self._limited(self._downhill(gradient)).add_(point)

    def _downhill(self, gradient: Tensor) -> Tensor:
        direction = gradient / self._unit
        length = self.first_step * self._shrink * math.sqrt(gradient.numel())
        return direction.mul_(-length / direction.norm().clamp_min(TINY))

    def _limited(self, direction: Tensor) -> Tensor:
        """``direction`` itself, no longer than a step may be."""
        longest = self.max_step * math.sqrt(direction.numel())
        return direction.mul_((longest / direction.norm().clamp_min(TINY)).clamp_max(1.0))

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, which the next step may change, and numbers."""
        return {
            "pairs": self._pairs.state_dict(),
            "point": self._point,
            "gradient": self._gradient,
            "unit": self._unit,
            "best": self._best,
            "shrink": self._shrink,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._pairs.load_state_dict(state["pairs"])
        self._point, self._gradient = state["point"], state["gradient"]
        self._unit, self._best, self._shrink = state["unit"], state["best"], state["shrink"]


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1).

    Departure: a point whose loss or gradient is not finite is dropped, and half the step is taken from the last good
    one.
    """

    def __init__(
        self, *, learning_rate: float = 0.02, betas: tuple[float, float] = (0.9, 0.99), epsilon: float = 1e-8
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.epsilon = epsilon
        self._unit = 0.0  # the largest entry of the first gradient: its squares neither over- nor underflow
        self._count = 0
        self._mean: Tensor | None = None
        self._square: Tensor | None = None
        self._point: Tensor | None = None  # the last good one
        self._shrink = 1.0

    def step(self, point: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        if not bool(torch.isfinite(gradient).all() & torch.isfinite(loss).to(gradient.device)):
            if self._point is None:
                raise ImpastoError(NOT_FINITE)
            self._shrink = max(self._shrink / 2, SMALLEST_SHRINK)
            return self._point + self._update()
        self._unit = self._unit or float(gradient.abs().max())
        gradient = gradient / (self._unit or 1.0)
        self._point = point
        self._shrink = min(1.0, 2 * self._shrink)
        self._count += 1
        first, second = self.betas
        mean = torch.zeros_like(gradient) if self._mean is None else self._mean
        square = torch.zeros_like(gradient) if self._square is None else self._square
        self._mean = first * mean + (1 - first) * gradient
        self._square = second * square + (1 - second) * gradient.square()
        return point + self._update()

    def _update(self) -> Tensor:
        assert self._mean is not None
        assert self._square is not None
        first, second = self.betas
        mean = self._mean / (1 - first**self._count)
        square = self._square / (1 - second**self._count)
        return mean / (square.sqrt() + self.epsilon) * (-self.learning_rate * self._shrink)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, which the next step may change, and numbers."""
        return {
            "count": self._count,
            "unit": self._unit,
            "mean": self._mean,
            "square": self._square,
            "point": self._point,
            "shrink": self._shrink,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        self._count, self._unit, self._shrink = state["count"], state["unit"], state["shrink"]
        self._mean, self._square, self._point = state["mean"], state["square"], state["point"]
