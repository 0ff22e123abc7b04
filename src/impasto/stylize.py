"""The recipe: look at the photo, look at the painting, and move the photo's pixels until it blends both."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from impasto.budget import within
from impasto.image.read import ImageLike
from impasto.optimize import Step
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.result import Result
from impasto.spec import RunOptions
from impasto.transfer import Transfer
from impasto.validation import build

__all__ = ["iterate", "stylize"]

log = logging.getLogger("impasto")


def iterate(content: ImageLike, style: ImageLike, *, preset: str = "standard", **options: Any) -> Iterator[Step]:
    """Yield every evaluation as a Step, for those who want the loop in their own hands.

    Takes what ``stylize`` takes. The best step at the largest size is the picture that ``stylize`` would return.
    """
    return _started(content, style, preset, options)[1]


def stylize(content: ImageLike, style: ImageLike, *, preset: str = "standard", **options: Any) -> Result:
    """Make ``content`` look painted by the hand of ``style`` (Gatys, Ecker and Bethge 2016).

    Both are paths, bytes of a file, PIL images, numpy arrays or torch tensors (see ``impasto.read_image``).
    ``options`` are the fields of StyleSpec and RunOptions, such as ``size=512, strength=0.5, device="cpu"``, laid
    over the preset: ``draft``, ``standard``, ``fine`` or ``classic``.

    Raises InputError, OptionError or MissingWeightsError, all ImpastoError, with what to do about it.
    """
    transfer, steps = _started(content, style, preset, options)
    return transfer.result(steps)


def _started(
    content: ImageLike, style: ImageLike, preset: str, options: Mapping[str, Any]
) -> tuple[Transfer, Iterator[Step]]:
    run = build(RunOptions, {key: value for key, value in options.items() if key in RunOptions.model_fields})
    look = {key: value for key, value in options.items() if key not in RunOptions.model_fields}
    transfer = prepare(content, style, resolve_spec(preset, look), run)
    for remark in transfer.remarks:
        log.warning(remark)
    return within(transfer, run.time)
