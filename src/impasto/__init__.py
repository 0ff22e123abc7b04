"""Neural style transfer: a photo and a painting in, the photo as that hand would have painted it out.

>>> import impasto
>>> result = impasto.stylize("photo.jpg", "painting.jpg", size=512, strength=0.5)  # doctest: +SKIP
>>> result.save("painted.png")  # doctest: +SKIP
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from impasto.version import __version__

if TYPE_CHECKING:
    from impasto.errors import (
        ImpastoError,
        InputError,
        MissingError,
        MissingExtraError,
        MissingWeightsError,
        OptionError,
        OutputError,
    )
    from impasto.image.read import read_image
    from impasto.optimize import Step
    from impasto.presets import PRESETS
    from impasto.result import Result
    from impasto.spec import RunOptions, StyleSpec
    from impasto.stylize import iterate, stylize

__all__ = [
    "PRESETS",
    "ImpastoError",
    "InputError",
    "MissingError",
    "MissingExtraError",
    "MissingWeightsError",
    "OptionError",
    "OutputError",
    "Result",
    "RunOptions",
    "Step",
    "StyleSpec",
    "__version__",
    "iterate",
    "read_image",
    "stylize",
]

_HOMES = {
    "impasto.errors": (
        "ImpastoError",
        "InputError",
        "MissingError",
        "MissingExtraError",
        "MissingWeightsError",
        "OptionError",
        "OutputError",
    ),
    "impasto.image.read": ("read_image",),
    "impasto.optimize": ("Step",),
    "impasto.presets": ("PRESETS",),
    "impasto.result": ("Result",),
    "impasto.spec": ("RunOptions", "StyleSpec"),
    "impasto.stylize": ("iterate", "stylize"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Importing impasto must not import torch, so the names are looked up when they are first used.
    if name not in _HOME_OF:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``impasto.stylize`` the function: importing the module of that name would put the module there."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
