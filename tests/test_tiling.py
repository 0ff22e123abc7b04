"""Tile by tile is the same as at once: that is what these tests are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.errors import OptionError
from impasto.features import Extractor, Features
from impasto.grid import Tiling
from impasto.hardware import has_native_bf16
from impasto.losses import ContentLoss, Loss
from impasto.networks import VGG19, Network
from impasto.objective import Evaluation, Objective, bounded
from impasto.optimize import optimize
from impasto.solvers import LBFGS, Adam, Solver
from impasto.spec import StyleSpec
from impasto.targets import style_transfer_objective
from impasto.terms import Octave, Term
from impasto.validation import build

Weights = dict[str, Tensor]
Picture = Callable[..., Tensor]

SIZE = (203, 230)
LARGER = (417, 391)
STYLE_SIZE = (190, 141)

LOOKS: dict[str, dict[str, Any]] = {
    "relative": {},
    "classic": {"normalization": "classic", "padding": "zeros", "octaves": 1},
    "content alone": {"strength": 0},
    "style alone": {"strength": 1, "tv_weight": 0},
    "smoothness alone": {"content_weight": 0, "style_weight": 0},
    "other layers": {"content_layers": "relu2_2,relu3_1=2", "style_layers": "relu1_2,relu4_3"},
    "average pooling": {"pooling": "average", "padding": "replicate"},
}


def spec(**options: Any) -> StyleSpec:
    return build(StyleSpec, options)


@pytest.fixture
def student(tiny: Network) -> Extractor:
    blocks = ((3, 3), (5, 5), (6,) * 4, (6,) * 4, (6,))
    network = replace(tiny, name="student", source="", blocks=blocks, teacher=tiny, guard=("relu3_1", 0.2))
    generator = torch.Generator().manual_seed(5)
    weights = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) * 0.3
        for name, shape in network.tensor_shapes.items()
    }
    return Extractor(network, weights, dtype=torch.float64)


def evaluated(
    extractor: Extractor,
    picture: Picture,
    tiling: Tiling | None,
    options: StyleSpec,
    size: tuple[int, int] = SIZE,
    **others: Any,
) -> Evaluation:
    content, style = picture(*size, seed=1), picture(*STYLE_SIZE, seed=2)
    objective = style_transfer_objective(extractor, content, style, options, tiling=tiling, **others)
    return objective(picture(*size, seed=3))


APART = Tiling(64, unit=32, apart=True)
"""Of which LARGER has several: a picture is whole if it is no larger than a padded tile."""


def error(ours: Tensor, theirs: Tensor) -> float:
    """Relative, in the root mean square."""
    return float((ours - theirs).norm() / theirs.norm())


def assert_same(ours: Evaluation, theirs: Evaluation) -> None:
    assert list(ours.terms) == list(theirs.terms)
    assert ours.terms == pytest.approx(theirs.terms, rel=1e-12)
    assert error(ours.gradient, theirs.gradient) < 1e-12


@pytest.mark.parametrize("tiling", [Tiling(16), Tiling(50), Tiling(96), Tiling(140)], ids=str)
@pytest.mark.parametrize("look", LOOKS)
def test_tiles_give_the_same_as_the_whole(
    look: str, tiling: Tiling, tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    options = spec(**LOOKS[look])
    extractor = Extractor(tiny, tiny_weights, dtype=torch.float64, padding=options.padding, pooling=options.pooling)
    ours, theirs = (evaluated(extractor, picture, each, options) for each in (tiling, None))
    assert_same(ours, theirs)


@pytest.mark.parametrize("tiling", [Tiling(32), Tiling(77)], ids=str)
def test_tiles_give_the_same_for_a_student(tiling: Tiling, student: Extractor, picture: Picture) -> None:
    ours, theirs = (evaluated(student, picture, each, spec()) for each in (tiling, None))
    assert_same(ours, theirs)


@pytest.mark.parametrize("tiling", [None, Tiling(48)], ids=str)
@pytest.mark.parametrize("look", ["relative", "classic", "other layers"])
def test_content_that_is_seen_again_gives_the_same_to_the_last_bit(
    look: str, tiling: Tiling | None, extractor: Extractor, student: Extractor, picture: Picture
) -> None:
    options = spec(**LOOKS[look])
    alpha = torch.linspace(-0.5, 1.5, SIZE[1], dtype=torch.float64).clamp(0, 1).expand(1, 1, *SIZE)
    for each in (extractor, student):
        kept, again = (
            evaluated(each, picture, tiling, options, content_alpha=alpha, keep_content=keep) for keep in (True, False)
        )
        assert again.terms == kept.terms
        assert torch.equal(again.gradient, kept.gradient)


def test_tiles_give_the_same_where_some_is_hidden(extractor: Extractor, picture: Picture) -> None:
    ramps = [torch.linspace(-0.5, 1.5, w, dtype=torch.float64).clamp(0, 1) for w in (SIZE[1], STYLE_SIZE[1])]
    alphas = {
        "content_alpha": ramps[0].expand(1, 1, *SIZE),
        "style_alpha": ramps[1].expand(1, 1, *STYLE_SIZE).flip(-1),
    }
    ours, theirs = (evaluated(extractor, picture, tiling, spec(), **alphas) for tiling in (Tiling(48), None))
    assert_same(ours, theirs)


def test_a_painting_that_is_larger_than_the_picture_is_cut(
    extractor: Extractor, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (240, 208)
    alpha = torch.linspace(-0.5, 1.5, size[1], dtype=torch.float64).clamp(0, 1).expand(1, 1, *size)
    asked: list[object] = []

    def recall(pixels: Tensor, _: object, how: Mapping[str, object], look: Callable[[], Any]) -> Any:
        asked.append(how["tiling"])
        return look()

    def looked_at(tiling: Tiling | None) -> Evaluation:
        monkeypatch.setattr(Tiling, "of_painting", lambda *_: tiling)
        objective = style_transfer_objective(
            extractor, small, picture(*size, seed=2), spec(octaves=1), style_alpha=alpha, recall=recall
        )
        return objective(small.flip(-1))

    small = picture(48, 64, seed=1)
    assert_same(looked_at(Tiling(16)), looked_at(None))
    assert_same(looked_at(Tiling(1000)), looked_at(None))
    assert asked == [Tiling(16), None, None, None]  # what is not cut is remembered whatever the picture's size is


@pytest.mark.parametrize(
    ("network", "look", "is_hidden", "is_kept"),
    [
        ("tiny", "relative", False, True),
        ("tiny", "relative", True, False),
        ("tiny", "classic", True, True),
        ("student", "relative", True, True),
        ("student", "relative", False, False),
    ],
)
def test_tiles_that_are_apart_give_the_same(
    network: str, look: str, is_hidden: bool, is_kept: bool, extractor: Extractor, student: Extractor, picture: Picture
) -> None:
    each = {"tiny": extractor, "student": student}[network]
    assert len(APART.tiles(LARGER, each.network, ["relu5_1"])) > 30
    ramp = torch.linspace(-0.5, 1.5, LARGER[1], dtype=torch.float64).clamp(0, 1).expand(1, 1, *LARGER)
    hidden = ramp if is_hidden else None
    ours, theirs = (
        evaluated(each, picture, tiling, spec(**LOOKS[look]), LARGER, content_alpha=hidden, keep_content=is_kept)
        for tiling in (APART, None)
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("deepest", "halo", "is_exact"),
    [("relu5_1", 80, True), ("relu5_1", 64, False), ("relu4_2", 40, True), ("relu4_2", 24, False)],
)
def test_the_halo_is_as_large_as_it_has_to_be(
    deepest: str, halo: int, is_exact: bool, extractor: Extractor, picture: Picture
) -> None:
    options = spec(octaves=1, style_layers=f"relu1_1,{deepest}", content_layers=deepest)
    ours, theirs = (evaluated(extractor, picture, tiling, options) for tiling in (Tiling(48, halo), None))
    assert (error(ours.gradient, theirs.gradient) < 1e-12) == is_exact
    if not is_exact:
        assert error(ours.gradient, theirs.gradient) > 1e-9


@pytest.mark.parametrize("solver", [LBFGS, Adam])
def test_a_whole_run_in_tiles_ends_where_one_without_does(
    solver: type[LBFGS] | type[Adam], extractor: Extractor, picture: Picture
) -> None:
    ends = []
    for tiling in (Tiling(64), None):
        own: Solver = solver()
        content, style = picture(*SIZE, seed=1), picture(*STYLE_SIZE, seed=2)
        evaluate = bounded(style_transfer_objective(extractor, content, style, spec(), tiling=tiling))
        *_, last = optimize(content, evaluate, own, 6)
        ends.append(last)
    assert ends[0].loss == pytest.approx(ends[1].loss, rel=1e-9)
    assert error(ends[0].pixels, ends[1].pixels) < 1e-9


def test_in_single_precision_tiles_are_as_good_as_the_whole(
    tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    def single(*size: int, seed: int = 0) -> Tensor:
        return picture(*size, seed=seed).float()

    exact = evaluated(Extractor(tiny, tiny_weights, dtype=torch.float64), picture, None, spec())
    extractor = Extractor(tiny, tiny_weights, dtype=torch.float32)
    errors = [
        error(evaluated(extractor, single, tiling, spec()).gradient.double(), exact.gradient)
        for tiling in (Tiling(48), None)
    ]
    assert errors[0] < 2 * errors[1] < 1e-4


class Watch(TorchDispatchMode):
    """Keeps the largest number of positions of any tensor of more than three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and tensor.ndim == 4 and tensor.shape[1] > 3:
                self.largest = max(self.largest, tensor.shape[-2] * tensor.shape[-1])
        return result


def test_no_features_of_more_than_a_padded_tile_are_ever_there(extractor: Extractor, picture: Picture) -> None:
    border = 1  # what convolutions read beyond the border is there for a moment
    with Watch() as watch:
        evaluated(extractor, picture, Tiling(32), spec())
    assert 0 < watch.largest <= (32 + 15 + 2 * 80 + 2 * border) ** 2
    with Watch() as watch:
        evaluated(extractor, picture, None, spec())
    assert watch.largest >= SIZE[0] * SIZE[1]


def test_of_the_content_only_the_cores_are_kept(extractor: Extractor, picture: Picture) -> None:
    content, style = picture(*SIZE, seed=1), picture(*STYLE_SIZE, seed=2)
    objective = style_transfer_objective(extractor, content, style, spec(octaves=1), tiling=Tiling(48))
    (term,) = (term for term in objective.octaves[0].terms if term.name.startswith("content"))
    targets = targets_of(term.parts)
    assert len(targets) > 4
    for target in targets:
        assert target.untyped_storage().nbytes() == target.numel() * target.itemsize


def test_of_the_content_in_tiles_that_are_apart_there_is_one_target_each(student: Extractor, picture: Picture) -> None:
    content, style = picture(*LARGER, seed=1), picture(*STYLE_SIZE, seed=2)
    objective = style_transfer_objective(student, content, style, spec(octaves=1), tiling=APART)
    (term, _) = (term for term in objective.octaves[0].terms if term.name.startswith("content"))
    for core, wider in zip(targets_of(term.parts), targets_of(term.parts_back), strict=True):
        assert core.untyped_storage().data_ptr() == wider.untyped_storage().data_ptr()
        assert wider.untyped_storage().nbytes() == wider.numel() * wider.itemsize


def targets_of(parts: Sequence[Loss]) -> list[Tensor]:
    return [part.target for part in parts if isinstance(part, ContentLoss) and isinstance(part.target, Tensor)]


class WholeOnly:
    """A loss that does not add over tiles: the largest feature."""

    layers = ("relu1_1",)
    additive: ClassVar[bool] = False

    def summarize(self, seen: Features) -> Tensor:
        return seen["relu1_1"].max()

    def value(self, summary: Tensor) -> Tensor:
        return summary


def test_a_loss_that_does_not_add_refuses_tiles(extractor: Extractor, picture: Picture) -> None:
    tiles = Tiling(32).tiles(SIZE, extractor.network, ["relu1_1"])
    with pytest.raises(OptionError, match=r"largest.*whole picture") as caught:
        Octave((Term("largest", 1.0, (WholeOnly(),) * len(tiles)),), tiles)
    assert caught.value.exit_code == 2
    alone = Octave((Term("largest", 1.0, (WholeOnly(),)),), Tiling(999).tiles(SIZE, extractor.network, ["relu1_1"]))
    assert float(Objective(extractor, (alone,))(picture(*SIZE)).loss) > 0


def test_in_bfloat16_tiles_round_nearly_as_the_whole_does(
    tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    extractor = Extractor(tiny, tiny_weights, dtype=torch.bfloat16)
    content, style, pixels = (picture(600, 500, seed=seed).float() for seed in range(3))
    alpha = torch.linspace(-0.5, 1.5, 500).clamp(0, 1).expand(1, 1, 600, 500)
    tilings = (None, Tiling.in_precision(64, torch.bfloat16), Tiling(64))
    objectives = [
        style_transfer_objective(extractor, content, style, spec(octaves=1), tiling=tiling, content_alpha=alpha)
        for tiling in tilings
    ]
    assert len(objectives[1].octaves[0].tiles) == 6
    whole, apart, added = (objective(pixels) for objective in objectives)
    assert apart.terms == pytest.approx(whole.terms, rel=1e-6)
    ours, theirs = (error(each.gradient, whole.gradient) for each in (apart, added))
    assert ours < min(1e-3, 0.5 * theirs)


@pytest.mark.skipif(not has_native_bf16(torch.device("cpu")), reason="takes minutes where bfloat16 is emulated")
def test_in_bfloat16_tiles_of_a_wide_network_have_the_gradient_of_the_whole(picture: Picture) -> None:
    # What rounds otherwise somewhere is made more by all layers that follow: to 1e-3, where there are many.
    generator = torch.Generator().manual_seed(2)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in VGG19.tensor_shapes.items()}
    weights = {name: each * (2 / each[0].numel()) ** 0.5 for name, each in weights.items()}
    extractor = Extractor(VGG19, weights, dtype=torch.bfloat16)
    layers = {"content_layers": "relu3_2", "style_layers": "relu1_1,relu2_1,relu3_1", "octaves": 1}
    content, style, pixels = (picture(288, 544, seed=seed).float() for seed in range(3))
    objectives = [
        style_transfer_objective(extractor, content, style, spec(**layers), tiling=tiling)
        for tiling in (None, Tiling.in_precision(256, torch.bfloat16))
    ]
    assert [len(objective.octaves[0].tiles) for objective in objectives] == [1, 6]
    whole, tiled = (objective(pixels) for objective in objectives)
    # On the processors that were tried, nothing at all; others may have other ways to put a sum in order.
    assert error(tiled.gradient, whole.gradient) < 1e-4
