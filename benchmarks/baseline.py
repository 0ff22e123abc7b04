"""Neural style transfer as everybody writes it: the yardstick for speed.

VGG-19 as torch.nn layers in float32 and NCHW, losses by autograd, torch.optim.LBFGS with a history of 100 on pixels
from 0 to 255 less the mean, one size, from the content; the objective of neural-style-pt (preset ``classic``). Nothing
of impasto computes here but the table of VGG-19's layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from impasto.networks import VGG19

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_WEIGHT, STYLE_WEIGHT, TV_WEIGHT = 5.0, 100.0, 1e-3
HISTORY = 100


@dataclass(frozen=True)
class BaselineStep:
    """One evaluation: the loss of ``pixels``, which are preprocessed."""

    pixels: Tensor
    loss: float

    @property
    def picture(self) -> Tensor:
        """What would be saved, 1 x 3 x H x W, sRGB in [0, 1]."""
        return picture_of(self.pixels)


class Baseline:
    """One pair, ready to be optimized: ``content`` and ``style`` are 1 x 3 x H x W, sRGB in [0, 1]."""

    def __init__(self, weights: Mapping[str, Tensor], content: Tensor, style: Tensor, history: int = HISTORY) -> None:
        self.content, self.history = content, history
        self.layers = _vgg19(weights, content.device)
        with torch.no_grad():
            self.content_target = self.features(preprocessed(content))[CONTENT_LAYER]
            seen = self.features(preprocessed(style))
            self.style_targets = {layer: gram(seen[layer]) for layer in STYLE_LAYERS}

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """All layers that are compared."""
        seen = {}
        for layer, part in self.layers.items():
            pixels = seen[layer] = part(pixels)
        return seen

    def loss(self, pixels: Tensor) -> Tensor:
        """The objective of preprocessed pixels."""
        seen = self.features(pixels)
        loss = CONTENT_WEIGHT * nn.functional.mse_loss(seen[CONTENT_LAYER], self.content_target)
        for layer, target in self.style_targets.items():
            loss = loss + STYLE_WEIGHT * nn.functional.mse_loss(gram(seen[layer]), target)
        across = (pixels[:, :, :, 1:] - pixels[:, :, :, :-1]).abs().sum()
        down = (pixels[:, :, 1:, :] - pixels[:, :, :-1, :]).abs().sum()
        return loss + TV_WEIGHT * (across + down)

    def steps(self) -> Iterator[BaselineStep]:
        """Optimize from the content, without end."""
        descent = Descent(self)
        while True:
            yield descent.step()


class Descent:
    """The optimization of one pair, which can be put away and taken up again to the last bit."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.pixels = preprocessed(baseline.content).requires_grad_()
        self.solver = torch.optim.LBFGS(
            [self.pixels], max_iter=1, history_size=baseline.history, tolerance_grad=-1, tolerance_change=-1
        )
        self.losses: list[float] = []

    def step(self) -> BaselineStep:
        """One step of torch's solver, which is one evaluation here."""
        evaluated = self.pixels.detach().clone()
        self.losses.append(float(self.solver.step(self._closure).detach()))  # type: ignore[no-untyped-call]
        return BaselineStep(evaluated, self.losses[-1])

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {"pixels": self.pixels.detach(), "solver": self.solver.state_dict(), "losses": self.losses}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.pixels.data = state["pixels"]
        self.solver.load_state_dict(state["solver"])
        self.losses = list(state["losses"])

    def _closure(self) -> Tensor:
        self.solver.zero_grad()
        loss = self.baseline.loss(self.pixels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss


def preprocessed(image: Tensor) -> Tensor:
    """sRGB in [0, 1] -> blue, green, red from 0 to 255 less the mean."""
    return (image.detach().flip(1) * 255 - _mean(image)).contiguous()


def picture_of(pixels: Tensor) -> Tensor:
    """The way back, clipped to what can be saved."""
    return ((pixels.detach() + _mean(pixels)) / 255).clamp(0, 1).flip(1)


def gram(features: Tensor) -> Tensor:
    """F Fᵀ / (C H W), of 1 x C x H x W."""
    _, channels, height, width = features.shape
    flat = features.view(channels, height * width)
    return flat @ flat.T / (channels * height * width)


def _mean(image: Tensor) -> Tensor:
    return torch.tensor(VGG19.mean, device=image.device, dtype=image.dtype).view(1, 3, 1, 1)


def _vgg19(weights: Mapping[str, Tensor], device: torch.device) -> dict[str, nn.Sequential]:
    """The network in parts, each up to a layer that is compared."""
    parts: dict[str, nn.Sequential] = {}
    modules: list[nn.Module] = []
    at_block = 0
    for block, conv in VGG19:
        if block > at_block:
            modules.append(nn.MaxPool2d(2))
            at_block = block
        module = nn.Conv2d(conv.inputs, conv.outputs, 3, padding=1)
        module.weight.data = weights[f"{conv.name}.weight"].float().contiguous()
        module.bias.data = weights[f"{conv.name}.bias"].float()  # type: ignore[union-attr]
        modules += [module, nn.ReLU()]
        if conv.layer in (CONTENT_LAYER, *STYLE_LAYERS):
            parts[conv.layer] = nn.Sequential(*modules).to(device).requires_grad_(False)
            modules = []
        if len(parts) == len(STYLE_LAYERS) + 1:
            break
    return parts
