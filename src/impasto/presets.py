"""Named starting points: each is the set of options in which it differs from the defaults of StyleSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impasto.errors import OptionError, did_you_mean
from impasto.spec import StyleSpec
from impasto.validation import build

__all__ = ["PRESETS", "get_preset", "resolve_spec"]

PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"num_iterations": 15, "coarse_iterations": (1.0, 1.0, 1.5), "network": "compact"},
    "standard": {},
    "fine": {"num_iterations": 150},
    # What neural-style-pt does by default, started from the content: one size, its weights, its units.
    "classic": {
        "content_weight": 5.0,
        "style_weight": 100.0,
        "tv_weight": 1e-3,
        "normalization": "classic",
        "padding": "zeros",
        "octaves": 1,
        "coarse_iterations": (),
        "coarse_network": "none",
        "num_iterations": 1000,
        "history": 100,
    },
}


def get_preset(name: str) -> dict[str, Any]:
    """Return the options of a preset; raise OptionError naming the choices."""
    if name not in PRESETS:
        raise OptionError(
            f"There is no preset '{name}'.{did_you_mean(name, PRESETS)} Choose from {', '.join(PRESETS)}."
        )
    return PRESETS[name]


def resolve_spec(preset: str = "standard", *overrides: Mapping[str, Any]) -> StyleSpec:
    """Lay ``overrides`` over the preset, the later ones on top, and check the result."""
    values = dict(get_preset(preset))
    for layer in overrides:
        values.update(layer)
    return build(StyleSpec, values)
