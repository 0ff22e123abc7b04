"""What is minimized, term by term: named losses with weights, one part for each tile of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import OptionError
from impasto.grid import Tile
from impasto.losses import Loss

__all__ = ["Octave", "Term"]


@dataclass(frozen=True)
class Term:
    """One named loss and its weight: ``parts`` summarize a tile each; the value of their sum is that of any of them."""

    name: str
    weight: float
    parts: tuple[Loss, ...]

    @property
    def loss(self) -> Loss:
        """What takes the value of the sum of all summaries."""
        return self.parts[0]


@dataclass(frozen=True)
class Octave:
    """The terms that look at the picture at one size, and the tiles in which they do."""

    terms: tuple[Term, ...]
    tiles: tuple[Tile, ...]

    def __post_init__(self) -> None:
        for term in self.terms:
            if len(self.tiles) > 1 and not term.loss.additive:
                raise OptionError(
                    f"The loss '{term.name}' has to see the whole picture at once, which does not fit: use a smaller"
                    " --size, more --memory, or leave that loss out."
                )

    @property
    def layers(self) -> set[str]:
        """All that has to be seen."""
        return {layer for term in self.terms for layer in term.loss.layers}
