"""What L-BFGS remembers of the curvature, and the direction that follows from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Curvature"]


class Curvature:
    """The last ``history`` pairs of a step s and the change y of the gradient over it, as rows of one block.

    The two-loop recursion (Nocedal and Wright, algorithm 7.4) is done in coefficients of these rows and of the gradient
    (Chen, Wang and Zhou, "Large-scale L-BFGS using MapReduce", 2014): with the inner products of all rows, which are
    small matrices in float64, it needs no long vector. A step then reads the block twice, instead of the gradient and
    four vectors for each pair.

    Departure: the recursion starts from |s| / |y| of the newest pair, the geometric mean of the two steps of Barzilai
    and Borwein (1988), instead of the shorter one, sᵀy / yᵀy; that measured lower losses.
    """

    def __init__(self, history: int) -> None:
        self.history = history
        self._rows: Tensor | None = None  # s, y, s, y, ...: 2 history x values; the system provides what is written
        self._order: list[int] = []  # the places of the pairs, oldest first
        self._products = torch.zeros(0, 0, dtype=torch.float64)
        self._is_settled = True  # the products of the newest pair are known too

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        """Forget all pairs."""
        self._order.clear()
        self._is_settled = True

    def remember(self, step: Tensor, change: Tensor, least: float) -> bool:
        """Keep the pair, in place of the oldest one, if sᵀy > ``least`` |s| |y|; return whether it was kept."""
        s, y = step.flatten(), change.flatten()
        curvature, lengths = float(torch.dot(s, y)), float(s.norm()) * float(y.norm())
        if curvature <= least * lengths:
            return False
        self._settle()
        if self._rows is None:
            self._rows = s.new_empty(2 * self.history, s.numel())
            self._products = torch.zeros(2 * self.history, 2 * self.history, dtype=torch.float64)
        place = self._order.pop(0) if len(self) == self.history else len(self)
        self._order.append(place)
        self._rows[2 * place], self._rows[2 * place + 1] = s, y
        self._is_settled = False
        return True

    def direction(self, gradient: Tensor) -> Tensor:
        """-H g; at least one pair has to be known."""
        assert self._rows is not None
        used = 2 * len(self)
        g = gradient.flatten()
        with_gradient = self._settle(g)
        products = self._products[:used, :used]
        of_rows = torch.zeros(used, dtype=torch.float64)
        of_gradient = -1.0

        def along(row: int) -> float:
            before: float = with_gradient[row]
            return float(products[row] @ of_rows) + of_gradient * before

        alphas = {}
        for place in reversed(self._order):
            s, y = 2 * place, 2 * place + 1
            alphas[place] = along(s) / float(products[s, y])
            of_rows[y] -= alphas[place]
        s, y = 2 * self._order[-1], 2 * self._order[-1] + 1
        scale = (float(products[s, s]) / float(products[y, y])) ** 0.5
        of_rows *= scale
        of_gradient *= scale
        for place, alpha in reversed(alphas.items()):
            s, y = 2 * place, 2 * place + 1
            of_rows[s] += alpha - along(y) / float(products[s, y])
        direction = of_rows.to(g) @ self._rows[:used]
        return direction.add_(g, alpha=of_gradient).view_as(gradient)

    def _settle(self, *others: Tensor) -> list[float]:
        """Find the products of the newest pair, and of at most one other vector, with all rows; return the latter."""
        if self._rows is None or (self._is_settled and not others):
            return []
        used = 2 * len(self)
        fresh = slice(0, 0) if self._is_settled else slice(2 * self._order[-1], 2 * self._order[-1] + 2)
        products = (self._rows[:used] @ torch.stack([*self._rows[fresh], *others]).T).double().cpu()
        count = fresh.stop - fresh.start
        self._products[:used, fresh] = products[:, :count]
        self._products[fresh, :used] = products[:, :count].T
        self._is_settled = True
        return products[:, count:].flatten().tolist()

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors and numbers."""
        self._settle()
        used = 2 * len(self)
        rows = None if self._rows is None else self._rows[:used].clone()
        return {"rows": rows, "order": list(self._order), "products": self._products[:used, :used].tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        rows, self._order = state["rows"], list(state["order"])
        if rows is None:
            self._rows = None
            return
        used = len(rows)
        self._rows = rows.new_empty(2 * self.history, rows.shape[1])
        self._rows[:used] = rows
        self._is_settled = True
        self._products = torch.zeros(2 * self.history, 2 * self.history, dtype=torch.float64)
        self._products[:used, :used] = torch.tensor(state["products"], dtype=torch.float64).view(used, used)
