"""What L-BFGS remembers of the curvature, and the direction that follows from it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["Curvature"]


class Curvature:
    """The last ``history`` pairs of a step s and the change y of the gradient over it, as rows of one block.

    The two-loop recursion (Nocedal and Wright, algorithm 7.4) is done in coefficients of these rows and of the gradient
    (Chen, Wang and Zhou, "Large-scale L-BFGS using MapReduce", 2014): with the inner products of all rows, which are
    small matrices in float64, it needs no long vector. A step then reads the block twice, instead of the gradient and
    four vectors for each pair; where the problem is ill-conditioned, that costs about one digit.

    Departure: the recursion starts from |s| / |y| of the newest pair, the geometric mean of the two steps of Barzilai
    and Borwein (1988), instead of the shorter one, sᵀy / yᵀy; that measured lower losses.
    """

    def __init__(self, history: int) -> None:
        self.history = history
        self._rows: Tensor | None = (
            None  # s, y, s, y, ...: 2 history x values; on a CPU, what is unused takes no memory
        )
        self._order: list[int] = []  # the places of the pairs, oldest first
        self._products = torch.zeros(0, 0, dtype=torch.float64)  # of all rows with each other
        self._unsettled: tuple[float, float, float] | None = None  # |s|², |y|², sᵀy of a pair without other products

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        """Forget all pairs."""
        self._order.clear()
        self._unsettled = None

    def remember(self, step: Tensor, change: Tensor, least: float) -> bool:
        """Keep the pair, in place of the oldest one, if sᵀy > ``least`` |s| |y|; return whether it was kept."""
        s, y = step.flatten(), change.flatten()
        squares, curvature = (float(torch.dot(s, s)), float(torch.dot(y, y))), float(torch.dot(s, y))
        if curvature <= least * math.sqrt(squares[0]) * math.sqrt(squares[1]):
            return False
        self._settle()
        if self._rows is None:
            self._provide(s, s.numel())
        assert self._rows is not None
        place = self._order.pop(0) if len(self) == self.history else len(self)
        self._order.append(place)
        self._rows[2 * place], self._rows[2 * place + 1] = s, y
        self._unsettled = (*squares, curvature)
        return True

    def direction(self, gradient: Tensor) -> Tensor:
        """-H g; at least one pair has to be known.

        Throughout, the direction is Σ of_rows[i] row i + of_gradient g.
        """
        assert self._rows is not None
        used = 2 * len(self)
        g = gradient.flatten()
        with_gradient = self._settle(g)
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
        direction = of_rows.to(g.dtype).to(g.device) @ self._rows[:used]
        return direction.add_(g, alpha=of_gradient).view_as(gradient)

    def _provide(self, like: Tensor, values: int) -> None:
        """A block for all pairs there will be, of so many values each."""
        self._rows = like.new_empty(2 * self.history, values)
        self._products = torch.zeros(2 * self.history, 2 * self.history, dtype=torch.float64)

    def _settle(self, gradient: Tensor | None = None) -> list[float]:
        """Find the products of an unsettled pair with all rows, and in the same pass those of ``gradient``; return the
        latter.
        """
        if self._rows is None or (self._unsettled is None and gradient is None):
            return []
        used = 2 * len(self)
        newest = [2 * self._order[-1], 2 * self._order[-1] + 1] if self._unsettled else []
        vectors = [*self._rows[newest], *([] if gradient is None else [gradient])]
        products = (self._rows[:used] @ torch.stack(vectors).T).cpu().double()
        if self._unsettled:
            s, y = newest
            self._products[:used, newest] = products[:, :2]
            self._products[newest, :used] = products[:, :2].T
            # The curvature that was found to be large enough; another order of summation may give less.
            self._products[s, s], self._products[y, y], curvature = self._unsettled
            self._products[s, y] = self._products[y, s] = curvature
            self._unsettled = None
        found: list[float] = products[:, len(newest) :].flatten().tolist()
        return found

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors and numbers. Rows are copied, as they are used again."""
        self._settle()
        used = 2 * len(self)
        rows = None if self._rows is None else self._rows[:used].clone()
        return {"rows": rows, "order": list(self._order), "products": self._products[:used, :used].tolist()}

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
        self._rows[: len(rows)] = rows
        self._products[: len(rows), : len(rows)] = products
