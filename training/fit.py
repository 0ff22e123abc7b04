"""Maps in closed form, and a student to start from: VGG-19 with most of its channels left out.

Choosing channels whose linear combinations give all others, and folding the combinations into the next layer's
kernels, is the pruning of He et al. ("Channel Pruning for Accelerating Very Deep Neural Networks", 2017), with
a greedy choice in place of their lasso.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from impasto.features import Extractor
from impasto.networks import Network
from training.pictures import Corpus, disturbed
from training.student import TAPS, Student

__all__ = ["chosen_channels", "first_student", "fitted_map", "inner_products", "pruned"]

RIDGE = 3e-3
"""Of the mean energy of a channel, added to each, so that a fit does not rest on channels that hardly differ."""

CHOICE = 1e-2
"""The same where channels are chosen."""


def first_student(start: str, network: Network, teacher: Extractor, corpus: Corpus, seed: int) -> Student:
    """The student that a run begins with: VGG-19 ``pruned``, or ``random`` numbers."""
    generator = Generator().manual_seed(seed)
    if start == "random":
        return Student.random(network, generator)
    crops = [corpus.crops(8, 128, generator) for _ in range(16)]
    return pruned(
        network, teacher, [disturbed(crop, generator) if index % 2 else crop for index, crop in enumerate(crops)]
    )


def pruned(network: Network, teacher: Extractor, pictures: Sequence[Tensor]) -> Student:
    """Take channels of VGG-19 as they are, and make up for the others as well as the ones before allow.

    ``pictures`` are batches that are looked at, float32 in [0, 1].
    """
    weights: dict[str, Tensor] = {}
    slopes: dict[str, Tensor] = {}
    units: dict[str, float] = {}
    whole = {name: tensor.float() for name, tensor in teacher.weights.items()}
    affine: Tensor | None = None
    for _, conv in network:
        layer = conv.layer
        truth = _second_moments(teacher, layer, pictures)
        chosen = chosen_channels(truth, conv.outputs)
        spread = truth.diagonal()[:-1][chosen].sqrt().float().clamp_min(1e-3)
        kernel = whole[f"{conv.name}.weight"][chosen] / spread[:, None, None, None]
        bias = whole[f"{conv.name}.bias"][chosen] / spread
        if affine is not None:
            bias = bias + torch.einsum("oikl,i->o", kernel, affine[:, -1])
            kernel = torch.einsum("oikl,ic->ockl", kernel, affine[:, :-1])
        weights[f"{conv.name}.weight"], weights[f"{conv.name}.bias"] = kernel, bias
        student = Extractor(network, weights, device=teacher.device, dtype=teacher.dtype)
        affine = fitted_map(*inner_products(student, teacher, [layer], pictures)[layer])
        if layer in TAPS:
            units[layer] = float(truth.diagonal()[:-1].mean().sqrt())
            slopes[layer] = affine / units[layer]
    kernels = {conv.name: weights[f"{conv.name}.weight"].flatten(1).contiguous() for _, conv in network}
    biases = {conv.name: weights[f"{conv.name}.bias"] for _, conv in network}
    return Student(network, kernels, biases, slopes, units)


def chosen_channels(second: Tensor, count: int) -> Tensor:
    """The channels from which all others can best be told, one after the other: ``count`` indices.

    Channels that hardly say anything the ones before did not say would be given huge weights, and are passed over.

    ``second`` is the mean outer product of (features, 1), (C + 1) x (C + 1), float64.
    """
    rest = second[:-1, :-1] - torch.outer(second[:-1, -1], second[-1, :-1])  # the constant explains the means
    noise = CHOICE * second.diagonal()[:-1].mean()
    chosen: list[int] = []
    for _ in range(count):
        gain = rest.square().sum(dim=0) / (rest.diagonal() + noise)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        rest = rest - torch.outer(rest[:, best], rest[best]) / (rest[best, best] + noise)
    return torch.tensor(sorted(chosen), device=second.device)


def inner_products(
    student: Extractor, teacher: Extractor, layers: Sequence[str], pictures: Sequence[Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Sums over positions of s sᵀ and t sᵀ by layer, float64; s is (the student's features, 1), t are VGG-19's."""
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for batch in pictures:
        seen, truth = _positions(student, layers, batch), _positions(teacher, layers, batch)
        for layer in layers:
            own = (seen[layer].T @ seen[layer]).double()
            mixed = (truth[layer][:, :-1].T @ seen[layer]).double()
            before = sums.get(layer)
            sums[layer] = (own, mixed) if before is None else (before[0] + own, before[1] + mixed)
    return sums


def fitted_map(own: Tensor, mixed: Tensor) -> Tensor:
    """The affine map with the least squared error: VGG-19's channels x (own channels + 1)."""
    ridge = RIDGE * own.diagonal()[:-1].mean() * torch.ones(len(own), device=own.device)
    ridge[-1] = 0
    affine: Tensor = torch.linalg.solve(own + torch.diag(ridge), mixed.T).T
    return affine.float()


def _second_moments(extractor: Extractor, layer: str, pictures: Sequence[Tensor]) -> Tensor:
    """The mean outer product of (features, 1), (C + 1) x (C + 1), float64."""
    seen = (_positions(extractor, [layer], each)[layer] for each in pictures)
    total = torch.stack([(positions.T @ positions).double() for positions in seen]).sum(dim=0)
    return total / total[-1, -1]


@torch.no_grad()
def _positions(extractor: Extractor, layers: Sequence[str], batch: Tensor) -> dict[str, Tensor]:
    """(features, 1) at each position of each layer, N x (C + 1), float32."""
    found = {}
    for layer, features in extractor(batch.to(extractor.device), layers).items():
        positions = features.float().permute(0, 2, 3, 1).flatten(0, 2)
        found[layer] = torch.cat([positions, torch.ones_like(positions[:, :1])], dim=1)
    return found
