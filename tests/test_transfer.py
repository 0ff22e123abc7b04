from __future__ import annotations

from typing import Any

import pytest
import torch

from impasto import transfer as module
from impasto.networks import Network
from impasto.prepare import prepare
from impasto.spec import RunOptions, StyleSpec


def test_what_is_hardly_visible_hardly_colors_what_is_looked_at(
    installed: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = torch.zeros(1, 4, 128, 128)
    photo[:, 1, :, :66], photo[:, 3, :, :66] = 0.6, 1  # green, and seen
    photo[:, 0, :, 66:], photo[:, 2, :, 66:], photo[:, 3, :, 66:] = 1, 1, 1 / 255  # magenta junk
    seen: dict[str, Any] = {}
    original = module.style_transfer_objective

    def look(extractor: Any, content: Any, *arguments: Any, **options: Any) -> Any:
        seen["content"] = content
        return original(extractor, content, *arguments, **options)

    monkeypatch.setattr(module, "style_transfer_objective", look)
    run = prepare(photo, torch.rand(1, 3, 64, 64), StyleSpec(size="32"), RunOptions(precision="fp32"))
    run.objective(run.levels[-1])
    border = seen["content"][0, :, 16, 16]  # half of its columns are green, the others junk
    assert float(border[1]) > 0.55
    assert float(border[0]) < 0.05
