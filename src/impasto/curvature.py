"""What L-BFGS remembers of the curvature, and the direction that follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Curvature", "Difference"]

CHUNK = 2**18
"""Values of long vectors that are gone through at once: what is made of them on the way stays small."""


@dataclass(frozen=True)
class Difference:
    """(after - before) / ``unit`` of two tensors, a part at a time."""

    after: Tensor
    before: Tensor
    unit: float = 1.0

    def __len__(self) -> int:
        return self.after.numel()

    def part(self, chunk: slice) -> Tensor:
        """The values of ``chunk``."""
        after, before = (each.reshape(-1)[chunk] for each in (self.after, self.before))
        return after - before if self.unit == 1 else after / self.unit - before / self.unit


class Curvature:
    """The last ``history`` pairs of a step s and the change y of the gradient over it, as rows of one block.

    The two-loop recursion (Nocedal and Wright, algorithm 7.4) is done in coefficients of these rows and of the gradient
    (Chen, Wang and Zhou, "Large-scale L-BFGS using MapReduce", 2014): with the inner products of all rows, which are
    small matrices in float64, it needs no long vector. A step then reads the block twice, instead of the gradient and
    four vectors for each pair; where the problem is ill-conditioned, that costs about one digit.

    Departure: the recursion starts from |s| / |y| of the newest pair, the geometric mean of the two steps of Barzilai
    and Borwein (1988), instead of the shorter one, sᵀy / yᵀy; that measured lower losses.

    Rows are kept in ``dtype``, that of the vectors unless given; the products are those of the rows as they are kept.
    """

    def __init__(self, history: int, dtype: torch.dtype | None = None) -> None:
        self.history = history
        self.dtype = dtype
        # s, y, s, y, ...: 2 history x values; on a CPU, what is unused takes no memory
        self._rows: Tensor | None = None
        self._precision = torch.float32  # of their products
        self._order: list[int] = []  # the places of the pairs, oldest first
        self._products = torch.zeros(0, 0, dtype=torch.float64)  # of all rows with each other
        self._unsettled: list[float] | None = None  # |s|², |y|², sᵀy of a pair without other products

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        """Forget all pairs."""
        self._order.clear()
        self._unsettled = None

    def remember(self, step: Difference, change: Difference, least: float) -> bool:
        """Keep the pair, in place of the oldest one, if sᵀy > ``least`` |s| |y|; return whether it was kept."""
        dtype = self.dtype or step.after.dtype

        def parts() -> Iterator[tuple[slice, Tensor, Tensor]]:
            for chunk in _chunks(len(step)):
                yield chunk, step.part(chunk).to(dtype), change.part(chunk).to(dtype)

        wide = _wide(step.after)
        sums = sum(
            torch.stack([torch.dot(s, s), torch.dot(y, y), torch.dot(s, y)]).to(wide)
            for s, y in ((s.to(step.after.dtype), y.to(step.after.dtype)) for _, s, y in parts())
        )
        assert isinstance(sums, Tensor)
        step_squared, change_squared, curvature = sums.tolist()
        if not curvature > least * math.sqrt(step_squared) * math.sqrt(change_squared):
            return False
        self._settle()
        if self._rows is None:
            self._provide(step.after, len(step))
        assert self._rows is not None
        place = self._order.pop(0) if len(self) == self.history else len(self)
        self._order.append(place)
        for chunk, s, y in parts():
            self._rows[2 * place, chunk], self._rows[2 * place + 1, chunk] = s, y
        self._unsettled = [step_squared, change_squared, curvature]
        return True

    def direction(self, gradient: Tensor, unit: float = 1.0) -> Tensor:
        """-H g for the ``gradient`` divided by ``unit``; at least one pair has to be known.

        Throughout, the direction is Σ of_rows[i] row i + of_gradient g.
        """
        assert self._rows is not None
        used = 2 * len(self)
        with_gradient = self._settle(gradient, unit)
        products = self._products[:used, :used]
        of_rows = torch.zeros(used, dtype=torch.float64)
        of_gradient = -1.0

        def along(row: int) -> float:
            """The inner product of the direction and a row."""
            before: float = with_gradient[row]
            return float(products[row] @ of_rows) + of_gradient * before

        alphas = {}
        for place in reversed(self._order):
            s, y = 2 * place, 2 * place + 1
            alphas[place] = along(s) / float(products[s, y])
            of_rows[y] -= alphas[place]
        s, y = 2 * self._order[-1], 2 * self._order[-1] + 1
        scale = math.sqrt(float(products[s, s])) / math.sqrt(float(products[y, y]))
        of_rows *= scale
        of_gradient *= scale
        for place, alpha in reversed(alphas.items()):
            s, y = 2 * place, 2 * place + 1
            of_rows[s] += alpha - along(y) / float(products[s, y])
        return self._combined(of_rows, gradient, of_gradient, unit)

    def _combined(self, of_rows: Tensor, gradient: Tensor, of_gradient: float, unit: float) -> Tensor:
        """Σ of_rows[i] row i + of_gradient gradient / unit."""
        assert self._rows is not None
        coefficients = of_rows.to(gradient.dtype).to(gradient.device)
        result, g = torch.empty_like(gradient, memory_format=torch.contiguous_format), gradient.reshape(-1)
        flat = result.view(-1)
        for chunk in _chunks(g.numel()):
            rows = self._rows[: len(of_rows), chunk].to(g.dtype)
            flat[chunk] = (coefficients @ rows).add_(g[chunk] / unit, alpha=of_gradient)
        return result

    def _provide(self, like: Tensor, values: int) -> None:
        """A block for all pairs there will be, of so many values each."""
        self._rows = like.new_empty(2 * self.history, values, dtype=self.dtype or like.dtype)
        self._precision = torch.float64 if like.dtype == torch.float64 else torch.float32
        self._products = torch.zeros(2 * self.history, 2 * self.history, dtype=torch.float64)

    def _settle(self, gradient: Tensor | None = None, unit: float = 1.0) -> list[float]:
        """Find the products of an unsettled pair with all rows, and in the same pass those of ``gradient``; return the
        latter.
        """
        if self._rows is None or (self._unsettled is None and gradient is None):
            return []
        used = 2 * len(self)
        newest = slice(2 * self._order[-1], 2 * self._order[-1] + 2) if self._unsettled else slice(0)
        products = self._with_rows(newest, gradient, unit)
        if self._unsettled:
            s, y = newest.start, newest.start + 1
            self._products[:used, newest] = products[:, :2]
            self._products[newest, :used] = products[:, :2].T
            # The curvature that was found to be large enough; another order of summation may give less.
            self._products[s, s], self._products[y, y], curvature = self._unsettled
            self._products[s, y] = self._products[y, s] = curvature
            self._unsettled = None
        found: list[float] = [] if gradient is None else products[:, -1].tolist()
        return found

    def _with_rows(self, newest: slice, gradient: Tensor | None, unit: float) -> Tensor:
        """The products of all rows with the ``newest`` ones and with the gradient, in float64, a column each."""
        assert self._rows is not None
        used, wide = 2 * len(self), self._precision
        g = None if gradient is None else gradient.reshape(-1)
        columns = len(range(used)[newest]) + (g is not None)
        sums = torch.zeros(used, columns, dtype=_wide(self._rows), device=self._rows.device)
        for chunk in _chunks(self._rows.shape[1]):
            rows = self._rows[:used, chunk].to(wide)
            vectors = [*rows[newest], *([] if g is None else [g[chunk] / unit])]
            sums += (rows @ torch.stack(vectors).T).to(sums.dtype)
        return sums.cpu().double()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, which the next step changes, and numbers."""
        used = 2 * len(self)
        return {
            "rows": None if self._rows is None else self._rows[:used],
            "order": list(self._order),
            "products": self._products[:used, :used].tolist(),
            "unsettled": self._unsettled,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned; if there were more pairs than ``history``, from the newest ones."""
        self.clear()
        self._rows = None
        rows, order = state["rows"], list(state["order"])
        if rows is None:
            return
        self._provide(rows, rows.shape[1])
        assert self._rows is not None
        products = torch.tensor(state["products"], dtype=torch.float64).view(len(rows), len(rows))
        if len(order) > self.history:
            kept = [row for place in order[-self.history :] for row in (2 * place, 2 * place + 1)]
            rows, products, order = rows[kept], products[kept][:, kept], list(range(self.history))
        self._order = order
        self._unsettled = state["unsettled"]
        self._rows[: len(rows)] = rows
        self._products[: len(rows), : len(rows)] = products


def _chunks(values: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, values)) for start in range(0, values, CHUNK))


def _wide(like: Tensor) -> torch.dtype:
    return torch.float32 if like.device.type == "mps" else torch.float64
