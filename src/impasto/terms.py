"""What is minimized, term by term: named losses with weights, one part for each tile of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import OptionError
from impasto.grid import Tile
from impasto.losses import Loss

__all__ = ["Octave", "Term"]


@dataclass(frozen=True)
class Term:
    """One named loss and its weight: ``parts`` summarize a tile each; the value of their sum is that of any of them.

    ``back`` summarize the tiles of the way back, if they are wider there; nobody asks for their value.
    """

    name: str
    weight: float
    parts: tuple[Loss, ...]
    back: tuple[Loss, ...] = ()

    @property
    def loss(self) -> Loss:
        """What takes the value of the sum of all summaries."""
        return self.parts[0]

    @property
    def parts_back(self) -> tuple[Loss, ...]:
        """What summarizes each tile on the way back."""
        return self.back or self.parts


@dataclass(frozen=True)
class Octave:
    """The terms that look at the picture at one size, and the tiles in which they do; ``back`` are the tiles of the way
    back, if they are wider there: each has all that decides the gradient of the narrower one's core."""

    terms: tuple[Term, ...]
    tiles: tuple[Tile, ...]
    back: tuple[Tile, ...] = ()

    def __post_init__(self) -> None:
        for term in self.terms:
            if (len(term.parts), len(term.back)) != (len(self.tiles), len(self.back)):
                raise ValueError(f"'{term.name}' needs a part for each tile, there and back")
            if len(self.tiles) > 1 and not term.loss.additive:
                raise OptionError(
                    f"The loss '{term.name}' has to see the whole picture at once, which does not fit: use a smaller"
                    " --size, more --memory, or leave that loss out."
                )

    @property
    def tiles_back(self) -> tuple[Tile, ...]:
        """The tiles of the way back."""
        return self.back or self.tiles
