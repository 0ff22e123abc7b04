"""What L-BFGS remembers of the curvature, and the direction that follows from it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Curvature", "Difference", "Products"]

CHUNK = 2**18
"""Values of long vectors that are gone through at once: what is made of them on the way stays small."""


ALIGNMENT = 64
"""Bytes; PyTorch's tensors begin at multiples of them, those of a file anywhere."""


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


@dataclass(frozen=True)
class Products:
    """Inner products of a step s, the change y and the gradient g over its unit, in float64 on the CPU.

    ``own`` are the inner products of s, y and g with each other, 3 x 3, ``rows`` those of all rows with them, a column
    each, and ``also`` the numbers that were fetched along with them.
    """

    own: Tensor
    rows: Tensor
    also: tuple[float, ...]


class Curvature:
    """The last ``history`` pairs of a step s and the change y of the gradient over it, as rows of one block.

    The two-loop recursion (Nocedal and Wright, algorithm 7.4) is done in coefficients of these rows and of the gradient
    (Chen, Wang and Zhou, "Large-scale L-BFGS using MapReduce", 2014): with the inner products of all rows, which are
    small matrices in float64, it needs no long vector. A step then reads the block twice, instead of the gradient and
    four vectors for each pair, and waits for the device once; where the problem is ill-conditioned, that costs about
    one digit.

    Departure: the recursion starts from |s| / |y| of the newest pair, the geometric mean of the two steps of Barzilai
    and Borwein (1988), instead of the shorter one, sᵀy / yᵀy; that measured lower losses.

    Rows are kept in ``dtype``, that of the vectors unless given; the products are those of the rows as they are kept.
    """

    def __init__(self, history: int, dtype: torch.dtype | None = None) -> None:
        self.history = history
        self.dtype = dtype
        # s, y, s, y, ...: 2 history x values; on a CPU, what is unused takes no memory
        self._rows: Tensor | None = None
        self._order: list[int] = []  # the places of the pairs, oldest first
        # By place, for ever of the same pair: who keeps them need not keep one twice.
        self._names: list[str] = [""] * history
        self._family, self._kept = secrets.token_hex(4), 0
        self._products = torch.zeros(2 * history, 2 * history, dtype=torch.float64)  # of all rows with each other

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        """Forget all pairs."""
        self._order.clear()

    def look(
        self, step: Difference, change: Difference, gradient: Tensor, unit: float = 1.0, also: Tensor | None = None
    ) -> Products:
        """Find all that ``remember`` and ``direction`` need of a step, of the ``change`` and of the ``gradient`` after
        it; fetch the numbers in ``also`` from the device in the same transfer.
        """
        like, g = step.after, gradient.reshape(-1)
        dtype, precise = self.dtype or like.dtype, _precise(like)
        own = torch.zeros(3, 3, dtype=_wide(like), device=like.device)
        rows = own.new_zeros(2 * len(self), 3)
        for chunk in _chunks(len(step)):
            pair = [each.part(chunk).to(dtype).to(precise) for each in (step, change)]
            vectors = torch.stack([*pair, (g[chunk] / unit).to(precise)]).T
            own += vectors.T @ vectors
            if self:
                rows += self._part(chunk, precise) @ vectors
        others = own.new_zeros(0) if also is None else also.detach().reshape(-1).to(own.dtype)
        numbers = torch.cat([own.flatten(), rows.flatten(), others.to(own.device)]).cpu().double()
        last = 9 + rows.numel()
        return Products(numbers[:9].view(3, 3), numbers[9:last].view(-1, 3), tuple(numbers[last:].tolist()))

    def remember(self, step: Difference, change: Difference, seen: Products, least: float) -> Products:
        """Keep the pair, in place of the oldest one, if sᵀy > ``least`` |s| |y|.

        Return what was ``seen`` with the rows as they are now.
        """
        step_squared, change_squared, curvature = (float(seen.own[at]) for at in ((0, 0), (1, 1), (0, 1)))
        if not curvature > least * math.sqrt(step_squared) * math.sqrt(change_squared):
            return seen
        if self._rows is None:
            self._rows = step.after.new_empty(2 * self.history, len(step), dtype=self.dtype or step.after.dtype)
        place = self._order.pop(0) if len(self) == self.history else len(self)
        self._order.append(place)
        self._names[place], self._kept = f"{self._family}-{self._kept}", self._kept + 1
        for chunk in _chunks(len(step)):
            self._rows[2 * place, chunk] = step.part(chunk).to(self._rows.dtype)
            self._rows[2 * place + 1, chunk] = change.part(chunk).to(self._rows.dtype)
        used, new = 2 * len(self), slice(2 * place, 2 * place + 2)
        rows = torch.zeros(used, 3, dtype=torch.float64)
        rows[: len(seen.rows)] = seen.rows
        rows[new] = seen.own[:2]
        self._products[:used, new] = rows[:, :2]
        self._products[new, :used] = rows[:, :2].T
        return Products(seen.own, rows, seen.also)

    def direction(self, gradient: Tensor, unit: float, seen: Products) -> Tensor:
        """-H g for the ``gradient`` divided by ``unit``, of which the products with all rows are ``seen``; at least one
        pair has to be known.

        Throughout, the direction is Σ of_rows[i] row i + of_gradient g.
        """
        used = 2 * len(self)
        products = self._products[:used, :used]
        with_gradient: list[float] = seen.rows[:, 2].tolist()
        of_rows = torch.zeros(used, dtype=torch.float64)
        of_gradient = -1.0

        def along(row: int) -> float:
            """The inner product of the direction and a row."""
            return float(products[row] @ of_rows) + of_gradient * with_gradient[row]

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
        coefficients = of_rows.to(gradient.dtype).to(gradient.device, non_blocking=True)
        result, g = torch.empty_like(gradient, memory_format=torch.contiguous_format), gradient.reshape(-1)
        flat = result.view(-1)
        for chunk in _chunks(g.numel()):
            flat[chunk] = (coefficients @ self._part(chunk, g.dtype)).add_(g[chunk] / unit, alpha=of_gradient)
        return result

    def _part(self, chunk: slice, dtype: torch.dtype) -> Tensor:
        """Those values of all rows."""
        assert self._rows is not None
        return self._rows[: 2 * len(self), chunk].to(dtype)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later: tensors, which the next step changes, and numbers."""
        used = 2 * len(self)
        return {
            "rows": None if self._rows is None else self._rows[:used],
            "order": list(self._order),
            "names": self._names[: len(self)],
            "products": self._products[:used, :used].tolist(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned; if there were more pairs than ``history``, from the newest ones.

        Rows as many as there is room for here are taken over, not copied, if they lie in memory as PyTorch puts them:
        sums over others would differ in their last bits.
        """
        self.clear()
        self._rows = None
        rows, order, names = state["rows"], list(state["order"]), list(state["names"])
        if rows is None:
            return
        used = 2 * len(names)
        products = torch.tensor(state["products"], dtype=torch.float64).view(used, used)
        if len(order) > self.history:
            kept = [row for place in order[-self.history :] for row in (2 * place, 2 * place + 1)]
            names = [names[place] for place in order[-self.history :]]
            rows, products, order = rows[kept], products[kept][:, kept], list(range(self.history))
            used = len(kept)
        is_usual = rows.data_ptr() % ALIGNMENT == 0 and rows.dtype == (self.dtype or rows.dtype)
        if len(rows) == 2 * self.history and is_usual:
            self._rows = rows
        else:
            self._rows = rows.new_empty(2 * self.history, rows.shape[1], dtype=self.dtype or rows.dtype)
            self._rows[:used] = rows[:used]
        self._order, self._names[: len(names)] = order, names
        self._products[:used, :used] = products


def _chunks(values: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, values)) for start in range(0, values, CHUNK))


def _precise(like: Tensor) -> torch.dtype:
    """In which parts are multiplied."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def _wide(like: Tensor) -> torch.dtype:
    """In which they are added up."""
    return torch.float32 if like.device.type == "mps" else torch.float64
