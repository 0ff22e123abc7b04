from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.errors import OptionError
from impasto.features import Extractor
from impasto.moments import moments
from impasto.networks import VGG19, Network
from impasto.objective import Evaluate, Evaluation, Objective, bounded
from impasto.presets import resolve_spec
from impasto.spec import COARSEST_SIDE, StyleSpec
from impasto.targets import style_transfer_objective
from impasto.validation import build

Weights = dict[str, Tensor]
Picture = Callable[..., Tensor]
Look = Callable[[Tensor], dict[str, Tensor]]


def spec(**options: Any) -> StyleSpec:
    return build(StyleSpec, options)


def as_function(evaluate: Evaluate) -> Callable[[Tensor], Tensor]:
    """``evaluate`` with its own gradient, as autograd wants it."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, pixels: Tensor) -> Tensor:
            evaluation = evaluate(pixels)
            context.save_for_backward(evaluation.gradient)
            return evaluation.loss.clone()

        @staticmethod
        def backward(context: Any, *outer: Tensor) -> Tensor:
            (gradient,) = context.saved_tensors
            return outer[0] * gradient

    return Function.apply


@pytest.fixture
def objective(extractor: Extractor, picture: Picture) -> Objective:
    return style_transfer_objective(extractor, picture(16, 20, seed=1), picture(24, 18, seed=2), spec())


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("normalization", ["relative", "classic"])
def test_the_gradient_of_the_whole_is_right(
    normalization: str, pooling: str, bound: bool, tiny: Network, tiny_weights: Weights, picture: Picture
) -> None:
    extractor = Extractor(tiny, tiny_weights, dtype=torch.float64, pooling=pooling)  # type: ignore[arg-type]
    options = spec(normalization=normalization, content_layers="relu3_1=0.5,relu4_2")
    evaluate: Evaluate = style_transfer_objective(extractor, picture(16, 20, seed=1), picture(24, 18, seed=2), options)
    start = picture(16, 20, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(as_function(bounded(evaluate) if bound else evaluate), start, fast_mode=True)


def test_the_gradient_of_the_whole_is_right_pixel_by_pixel(objective: Objective, picture: Picture) -> None:
    pixels, step = picture(16, 20, seed=3), 1e-6
    gradient = objective(pixels).gradient
    for position in [(0, 0, 0, 0), (0, 1, 15, 19), (0, 2, 7, 9), (0, 0, 3, 19), (0, 1, 8, 0)]:
        shift = torch.zeros_like(pixels)
        shift[position] = step
        slope = (objective(pixels + shift).loss - objective(pixels - shift).loss) / (2 * step)
        assert float(slope) == pytest.approx(float(gradient[position]), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("size", [(2 * COARSEST_SIDE, 2 * COARSEST_SIDE + 5), (4 * COARSEST_SIDE, 4 * COARSEST_SIDE)])
def test_the_gradient_of_several_octaves_is_right(
    size: tuple[int, int], extractor: Extractor, picture: Picture
) -> None:
    evaluate = style_transfer_objective(extractor, picture(*size, seed=1), picture(*size, seed=2), spec(octaves=3))
    assert torch.autograd.gradcheck(as_function(evaluate), picture(*size, seed=3).requires_grad_(), fast_mode=True)


def test_an_octave_is_added_where_half_the_sides_allow_it(extractor: Extractor, picture: Picture) -> None:
    def names(height: int, width: int, octaves: int) -> set[str]:
        images = [picture(height, width, seed=seed) for seed in range(2)]
        return set(style_transfer_objective(extractor, *images, spec(octaves=octaves))(images[0]).terms)

    enough = 2 * COARSEST_SIDE
    assert "content relu4_2 /2" in names(enough, enough, octaves=2)
    assert names(enough - 2, enough, octaves=3) == names(enough, enough, octaves=1)
    assert len(names(enough, enough, octaves=3)) == 2 * len(names(enough, enough, octaves=1)) - 1


def test_with_a_margin_it_is_the_objective_of_the_mirrored_content(extractor: Extractor, picture: Picture) -> None:
    side, margin = 2 * COARSEST_SIDE, 8
    content, style = picture(side, side, seed=1), picture(side, side, seed=2)
    pixels = picture(side + 2 * margin, side + 2 * margin, seed=3)
    mirrored = torch.nn.functional.pad(content, (margin,) * 4, mode="reflect")
    alpha = torch.rand(1, 1, side, side, dtype=content.dtype)
    mirrored_alpha = torch.nn.functional.pad(alpha, (margin,) * 4, mode="reflect")
    spec = build(StyleSpec, {})
    ours = style_transfer_objective(extractor, content, style, spec, content_alpha=alpha, margin=margin)(pixels)
    theirs = style_transfer_objective(extractor, mirrored, style, spec, content_alpha=mirrored_alpha)(pixels)
    assert ours.loss == theirs.loss
    assert torch.equal(ours.gradient, theirs.gradient)


def test_a_margin_makes_no_octave_possible(extractor: Extractor, picture: Picture) -> None:
    side = 2 * COARSEST_SIDE - 16
    content, style = picture(side, side, seed=1), picture(2 * side, 2 * side, seed=2)
    spec = build(StyleSpec, {})
    assert len(style_transfer_objective(extractor, content, style, spec, margin=16).octaves) == 1


def test_octaves_are_averaged_so_that_their_number_does_not_change_the_weights(
    extractor: Extractor, picture: Picture
) -> None:
    side = 2 * COARSEST_SIDE
    black = torch.zeros(1, 3, side, side, dtype=torch.float64)

    def at_black(octaves: int) -> float:
        options = spec(octaves=octaves, content_weight=0, tv_weight=0, style_layers="relu1_1")
        blurred = nn.functional.interpolate(picture(4, 4), (side, side), mode="nearest")
        return float(style_transfer_objective(extractor, black, blurred, options)(black).loss)

    assert at_black(2) == pytest.approx(at_black(1), rel=0.05)


def test_the_terms_add_up_to_the_loss(objective: Objective, picture: Picture) -> None:
    evaluation = objective(picture(16, 20, seed=3))
    assert sum(evaluation.terms.values()) == pytest.approx(float(evaluation.loss))
    assert all(share > 0 for share in evaluation.terms.values())


def test_terms_are_named_by_what_they_look_at(objective: Objective, picture: Picture) -> None:
    names = set(objective(picture(16, 20)).terms)
    assert names == {"content relu4_2", *(f"style relu{block}_1" for block in range(1, 6)), "smoothness"}


def test_the_photo_itself_has_no_content_error_and_the_painting_no_style_error(
    extractor: Extractor, picture: Picture
) -> None:
    content, style = picture(32, 32, seed=1), picture(32, 32, seed=2)
    evaluate = style_transfer_objective(extractor, content, style, spec())
    assert evaluate(content).terms["content relu4_2"] == 0
    at_style = evaluate(style).terms
    assert all(share == 0 for name, share in at_style.items() if name.startswith("style"))
    assert at_style["content relu4_2"] > 0


def test_evaluating_leaves_the_pixels_without_gradient_and_graph(objective: Objective, picture: Picture) -> None:
    pixels = picture(16, 20)
    before = pixels.clone()
    evaluation = objective(pixels)
    assert pixels.grad is None
    assert not pixels.requires_grad
    assert torch.equal(pixels, before)
    assert not any(tensor.requires_grad for tensor in (evaluation.loss, evaluation.gradient))
    assert evaluation.gradient.shape == pixels.shape


def test_evaluating_works_where_gradients_are_switched_off(objective: Objective, picture: Picture) -> None:
    expected = objective(picture(16, 20)).gradient
    with torch.no_grad():
        assert torch.equal(objective(picture(16, 20)).gradient, expected)
        assert not torch.is_grad_enabled()


def test_evaluating_twice_gives_the_same(objective: Objective, picture: Picture) -> None:
    first, second = objective(picture(16, 20)), objective(picture(16, 20))
    assert torch.equal(first.gradient, second.gradient)
    assert first.terms == second.terms


@pytest.mark.parametrize("term", ["content", "style", "tv"])
def test_a_term_without_weight_is_left_out(term: str, extractor: Extractor, picture: Picture) -> None:
    evaluate = style_transfer_objective(extractor, picture(16, 16), picture(16, 16), spec(**{f"{term}_weight": 0}))
    prefix = "smoothness" if term == "tv" else term
    assert not [name for name in evaluate(picture(16, 16, seed=3)).terms if name.startswith(prefix)]


@pytest.mark.parametrize("normalization", ["relative", "classic"])
@pytest.mark.parametrize("term", ["content", "style", "tv"])
def test_a_term_is_proportional_to_its_weight(
    term: str, normalization: str, extractor: Extractor, picture: Picture
) -> None:
    def shares(weight: float) -> dict[str, float]:
        options = spec(normalization=normalization, **{f"{term}_weight": weight})
        evaluate = style_transfer_objective(extractor, picture(16, 16, seed=1), picture(16, 16, seed=2), options)
        return evaluate(picture(16, 16, seed=3)).terms

    prefix = "smoothness" if term == "tv" else term
    once, thrice = shares(0.7), shares(2.1)
    for name, share in once.items():
        assert thrice[name] == pytest.approx(share * (3 if name.startswith(prefix) else 1))


def test_layers_share_the_weight_in_proportion_to_theirs(extractor: Extractor, picture: Picture) -> None:
    def style_shares(layers: str) -> dict[str, float]:
        options = spec(style_layers=layers, style_weight=1)
        evaluate = style_transfer_objective(extractor, picture(16, 16, seed=1), picture(16, 16, seed=2), options)
        return {name: share for name, share in evaluate(picture(16, 16, seed=3)).terms.items() if "style" in name}

    alone, mixed = style_shares("relu1_1"), style_shares("relu1_1=1,relu2_1=3")
    assert mixed["style relu1_1"] == pytest.approx(alone["style relu1_1"] / 4)
    assert style_shares("relu1_1=2,relu2_1=6") == pytest.approx(mixed)


def test_the_dial_turns_from_content_to_style(extractor: Extractor, picture: Picture) -> None:
    def shares(strength: float) -> tuple[float, float]:
        options = spec(strength=strength)
        evaluate = style_transfer_objective(extractor, picture(16, 16, seed=1), picture(16, 16, seed=2), options)
        terms = evaluate(picture(16, 16, seed=3)).terms
        content = sum(share for name, share in terms.items() if name.startswith("content"))
        style = sum(share for name, share in terms.items() if name.startswith("style"))
        return content, style

    contents, styles = zip(*(shares(strength / 10) for strength in range(11)), strict=True)
    assert list(contents) == sorted(set(contents), reverse=True)
    assert list(styles) == sorted(set(styles))
    assert contents[-1] == 0
    assert styles[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"content_weight": 0, "style_weight": 0, "tv_weight": 0},
        {"strength": 1, "style_weight": 0, "tv_weight": 0},
    ],
)
def test_options_that_leave_nothing_to_minimize_are_refused(
    options: dict[str, Any], extractor: Extractor, picture: Picture
) -> None:
    with pytest.raises(OptionError):
        style_transfer_objective(extractor, picture(16, 16), picture(16, 16), spec(**options))(picture(16, 16))


def test_layers_of_weight_zero_are_left_out(extractor: Extractor, picture: Picture) -> None:
    options = spec(content_layers="relu3_1=0,relu4_2", style_layers="relu1_1=0,relu2_1")
    evaluate = style_transfer_objective(extractor, picture(16, 16, seed=1), picture(16, 16, seed=2), options)
    assert set(evaluate(picture(16, 16, seed=3)).terms) == {"content relu4_2", "style relu2_1", "smoothness"}


def test_numbers_are_read_only_when_asked_for_and_all_at_once() -> None:
    class Reading(TorchDispatchMode):
        read = 0

        def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), options: Any = None) -> Any:
            Reading.read += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.stack.default)
            return function(*words, **(options or {}))

    with Reading():
        evaluation = Evaluation(torch.tensor(3.0), torch.zeros(1), {"a": torch.tensor(1.0), "b": torch.tensor(2.0)})
        assert Reading.read == 0
        assert evaluation.terms == evaluation.terms == {"a": 1.0, "b": 2.0}
        assert Reading.read == 1
        assert evaluation.value == evaluation.without_gradient().value == 3.0
        assert Reading.read == 1


def half_hidden(height: int, width: int) -> Tensor:
    """An alpha that is 0 on the left, 1 on the right, and anything between."""
    return torch.linspace(-0.5, 1.5, width, dtype=torch.float64).clamp(0, 1).expand(1, 1, height, width)


@pytest.mark.parametrize("normalization", ["relative", "classic"])
def test_alpha_that_hides_nothing_changes_nothing(normalization: str, extractor: Extractor, picture: Picture) -> None:
    content, style, options = picture(16, 20, seed=1), picture(24, 18, seed=2), spec(normalization=normalization)
    ones = {"content_alpha": torch.ones(1, 1, 16, 20), "style_alpha": torch.ones(1, 1, 24, 18)}
    plain = style_transfer_objective(extractor, content, style, options)(picture(16, 20, seed=3))
    ours = style_transfer_objective(extractor, content, style, options, **ones)(picture(16, 20, seed=3))
    assert ours.terms == plain.terms
    assert torch.equal(ours.gradient, plain.gradient)


@pytest.mark.parametrize("octaves", [1, 2])
@pytest.mark.parametrize("normalization", ["relative", "classic"])
def test_the_gradient_is_right_where_some_is_hidden(
    normalization: str, octaves: int, extractor: Extractor, picture: Picture
) -> None:
    size = (octaves * COARSEST_SIDE, octaves * COARSEST_SIDE + 5)
    options = spec(normalization=normalization, octaves=octaves)
    alphas = {"content_alpha": half_hidden(*size), "style_alpha": half_hidden(*size).flip(-1)}
    evaluate = style_transfer_objective(extractor, picture(*size, seed=1), picture(*size, seed=2), options, **alphas)
    assert torch.autograd.gradcheck(as_function(evaluate), picture(*size, seed=3).requires_grad_(), fast_mode=True)


def test_a_cut_out_object_has_no_error_against_itself(extractor: Extractor, picture: Picture) -> None:
    image, alpha = picture(32, 32, seed=1), half_hidden(32, 32)
    evaluate = style_transfer_objective(extractor, image, image, spec(), content_alpha=alpha, style_alpha=alpha)
    terms = evaluate(image).terms
    assert all(share == 0 for name, share in terms.items() if name != "smoothness")
    assert any(share > 0 for share in evaluate(picture(32, 32, seed=2)).terms.values())


def test_pixels_that_only_hidden_positions_see_are_moved_by_smoothness_alone(
    extractor: Extractor, picture: Picture
) -> None:
    alpha = torch.zeros(1, 1, 16, 160, dtype=torch.float64)
    alpha[..., 144:] = 1
    options = spec(content_layers="relu1_1", style_layers="relu1_1,relu2_1", tv_weight=0)
    pair = picture(16, 160, seed=1), picture(16, 160, seed=2)
    evaluate = style_transfer_objective(extractor, *pair, options, content_alpha=alpha)
    gradient = evaluate(picture(16, 160, seed=3)).gradient
    assert gradient[..., :130].abs().max() == 0
    assert gradient[..., 144:].abs().max() > 0


def test_what_is_hidden_in_the_style_is_no_part_of_it(extractor: Extractor, picture: Picture) -> None:
    """Beyond what layers see across the edge, two paintings that agree where they are visible are the same style."""
    alpha = torch.zeros(1, 1, 32, 96, dtype=torch.float64)
    alpha[..., 64:] = 1
    one, other = picture(32, 96, seed=2), picture(32, 96, seed=4)
    other[..., 48:] = one[..., 48:]
    options = spec(style_layers="relu1_1,relu2_1")
    terms = [
        style_transfer_objective(extractor, picture(32, 32, seed=1), style, options, style_alpha=alpha)(
            picture(32, 32, seed=3)
        ).terms
        for style in (one, other)
    ]
    assert terms[0] == terms[1]


def test_a_layer_that_sees_nothing_of_the_object_is_left_out(extractor: Extractor, picture: Picture) -> None:
    alpha = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    alpha[..., 19, 19] = 1  # beyond the last whole position of relu3_1
    evaluate = style_transfer_objective(
        extractor, picture(20, 20, seed=1), picture(20, 20, seed=2), spec(), content_alpha=alpha
    )
    evaluation = evaluate(picture(20, 20, seed=3))
    assert set(evaluation.terms) == {"style relu1_1", "style relu2_1", "style relu3_1", "smoothness"}
    assert bool(evaluation.gradient.isfinite().all())


def neural_style_pt(look: Look, content: Tensor, style: Tensor, image: Tensor) -> dict[str, float]:
    """The default losses of neural-style-pt, written down from its source."""
    mse = nn.MSELoss()

    def gram(features: Tensor) -> Tensor:
        _, channels, height, width = features.shape
        flat = features.view(channels, height * width)
        return torch.mm(flat, flat.t()) / features.numel()

    with torch.no_grad():
        seen, wanted, painted = look(image), look(content), look(style)
    losses = {"content relu4_2": float(mse(seen["relu4_2"], wanted["relu4_2"])) * 5e0}
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        losses[f"style {layer}"] = float(mse(gram(seen[layer]), gram(painted[layer]))) * 1e2
    pixels = image * 255
    across = (pixels[..., 1:] - pixels[..., :-1]).abs().sum()
    down = (pixels[..., 1:, :] - pixels[..., :-1, :]).abs().sum()
    losses["smoothness"] = float(across + down) * 1e-3
    return losses


def assert_agreement(extractor: Extractor, look: Look, content: Tensor, style: Tensor, image: Tensor) -> None:
    evaluation = style_transfer_objective(extractor, content, style, resolve_spec("classic"))(image)
    expected = neural_style_pt(look, content, style, image)
    assert evaluation.terms == pytest.approx(expected, rel=1e-4)
    assert float(evaluation.loss) == pytest.approx(sum(expected.values()), rel=1e-4)


def classic_extractor(network: Network, weights: Weights, dtype: torch.dtype) -> Extractor:
    options = resolve_spec("classic")
    return Extractor(network, weights, dtype=dtype, padding=options.padding, pooling=options.pooling)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classic_agrees_with_neural_style_pt(
    dtype: torch.dtype, tiny: Network, tiny_weights: Weights, plain_stack: Callable[..., Look], picture: Picture
) -> None:
    images = [picture(*size, seed=seed).to(dtype) for seed, size in enumerate([(40, 52), (48, 32), (40, 52)])]
    assert_agreement(
        classic_extractor(tiny, tiny_weights, dtype), plain_stack(tiny, tiny_weights, dtype=dtype), *images
    )


@pytest.mark.weights
def test_classic_agrees_with_neural_style_pt_on_the_trained_network(
    vgg19: Weights, plain_stack: Callable[..., Look], picture: Picture
) -> None:
    images = [picture(*size, seed=seed).float() for seed, size in enumerate([(64, 80), (80, 64), (64, 80)])]
    extractor = classic_extractor(VGG19, vgg19, torch.float32)
    assert_agreement(extractor, plain_stack(VGG19, vgg19, dtype=torch.float32), *images)


def linear(slope: Tensor) -> Evaluate:
    return lambda pixels: Evaluation((slope * pixels).sum(), slope.expand_as(pixels))


def test_inside_the_range_bounding_changes_nothing(objective: Objective, picture: Picture) -> None:
    plain, ours = objective(picture(16, 20, seed=3)), bounded(objective)(picture(16, 20, seed=3))
    assert torch.equal(plain.gradient, ours.gradient)
    assert torch.equal(plain.loss, ours.loss)
    assert plain.terms == ours.terms


@pytest.mark.parametrize(
    ("value", "slope", "expected"),
    [
        (1.2, -1.0, 0.0),  # too bright, and descent would go brighter
        (1.2, 1.0, 1.0),  # descent leads back
        (-0.2, 1.0, 0.0),
        (-0.2, -1.0, -1.0),
        (1.0, -1.0, -1.0),  # the ends belong to the range
        (0.0, 1.0, 1.0),
    ],
)
def test_out_of_range_the_gradient_only_pulls_back(value: float, slope: float, expected: float) -> None:
    evaluation = bounded(linear(torch.tensor(slope)))(torch.full((1, 3, 2, 2), value))
    assert torch.equal(evaluation.gradient, torch.full((1, 3, 2, 2), expected))


def test_out_of_range_the_loss_is_that_of_the_picture_as_it_is_saved(objective: Objective, picture: Picture) -> None:
    wide = 3 * picture(16, 20, seed=3) - 1
    evaluation = bounded(objective)(wide)
    saved = objective(wide.clamp(0, 1))
    assert torch.equal(evaluation.loss, saved.loss)
    assert evaluation.terms == saved.terms


@pytest.fixture
def student_weights(tiny: Network) -> tuple[Network, Weights]:
    """A narrow network that was taught by a wider one, and random numbers for it."""
    network = replace(tiny, name="student", source="", blocks=((3, 3), (5, 5), (6,) * 4, (6,) * 4, (6,)), teacher=tiny)
    generator = torch.Generator().manual_seed(5)
    weights = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) * 0.3
        for name, shape in network.tensor_shapes.items()
    }
    return network, weights


@pytest.fixture
def student(student_weights: tuple[Network, Weights]) -> Extractor:
    return Extractor(*student_weights, dtype=torch.float64)


@pytest.mark.parametrize("normalization", ["relative", "classic"])
def test_a_student_is_judged_by_what_its_maps_say_that_the_teacher_sees(
    normalization: str,
    student: Extractor,
    student_weights: tuple[Network, Weights],
    tiny: Network,
    picture: Picture,
) -> None:
    """The three-line reference: map the features, and take the losses of the mapped ones."""
    photo, painting, pixels = picture(16, 20, seed=1), picture(24, 18, seed=2), picture(16, 20, seed=3)
    options = spec(normalization=normalization, tv_weight=0)

    def guess(image: Tensor) -> dict[str, Tensor]:
        seen = student(image, (*options.content_layers, *options.style_layers))
        maps = {layer: student_weights[1][f"{layer}.map"] for layer in seen}
        return {
            layer: torch.einsum("oc,bchw->bohw", maps[layer][:, :-1], features) + maps[layer][:, -1].view(1, -1, 1, 1)
            for layer, features in seen.items()
        }

    expected = 0.0
    wanted, given, here = guess(photo), guess(painting), guess(pixels)
    for layer in options.content_layers:
        error = (here[layer] - wanted[layer]).square()
        scale = wanted[layer].square().sum() if normalization == "relative" else float(error.numel())
        expected += float(options.content_weight * error.sum() / scale)
    for layer in options.style_layers:
        target, gram = moments(given[layer]).gram, moments(here[layer]).gram
        share = len(options.style_layers) if normalization == "relative" else 1
        scale = target.square().sum() if normalization == "relative" else float(tiny.channels(layer)) ** 4
        expected += float(options.style_weight * (gram - target).square().sum() / scale / share)
    evaluation = style_transfer_objective(student, photo, painting, options)(pixels)
    assert float(evaluation.loss) == pytest.approx(expected, rel=1e-6)


def test_a_student_shares_out_the_weights_by_what_it_sees(
    student_weights: tuple[Network, Weights], picture: Picture
) -> None:
    network, weights = student_weights
    network = replace(network, trust={"relu5_1": 0.25}, guard=("relu3_1", 0.2), balance=1.25)
    options = spec(content_layers="relu4_2", style_layers="relu1_1,relu5_1", content_weight=3.0, style_weight=2.0)

    def terms(normalization: str) -> dict[str, float]:
        extractor = Extractor(network, weights, dtype=torch.float64)
        asked = options.model_copy(update={"normalization": normalization})
        objective = style_transfer_objective(extractor, picture(16, 20, seed=1), picture(24, 18, seed=2), asked)
        return {term.name: term.weight for term in objective.octaves[0].terms if term.name != "smoothness"}

    expected = {"content relu4_2": 1.92, "content relu3_1": 0.48, "style relu1_1": 2.0, "style relu5_1": 0.5}
    assert terms("relative") == pytest.approx(expected)
    assert set(terms("classic")) == {"content relu4_2", "style relu1_1", "style relu5_1"}
    assert terms("classic")["style relu5_1"] == terms("classic")["style relu1_1"] == 2.0
    assert terms("classic")["content relu4_2"] == 3.0
    style = {"style relu1_1": 1.6, "style relu5_1": 0.4}
    options = options.model_copy(update={"content_layers": {"relu3_1": 1.0}})  # which needs no guard, and no balance
    assert terms("relative") == pytest.approx({"content relu3_1": 3.0} | style)
    options = options.model_copy(update={"content_layers": {"relu4_2": 1.0}, "content_weight": 0.0})
    assert terms("relative") == pytest.approx(style)


def test_the_gradient_through_a_students_maps_is_right(student: Extractor, picture: Picture) -> None:
    evaluate = style_transfer_objective(student, picture(16, 20, seed=1), picture(24, 18, seed=2), spec())
    start = picture(16, 20, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(as_function(evaluate), start, fast_mode=True)


@pytest.mark.parametrize("normalization", ["relative", "classic"])
def test_what_nobody_sees_counts_for_nothing_with_a_student(
    normalization: str, student: Extractor, picture: Picture
) -> None:
    """A photo whose lower half is transparent is judged by its upper half, whatever lies below."""
    alpha = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    alpha[:, :, 16:] = 0
    pixels, photo = picture(32, 32, seed=3), picture(32, 32, seed=1)
    other = photo.clone()
    other[:, :, 28:] = 0.5  # beyond what the layers of the visible half see
    options = spec(normalization=normalization, tv_weight=0, content_layers="relu1_1", style_layers="relu1_1,relu1_2")
    losses = [
        style_transfer_objective(student, content, picture(24, 18, seed=2), options, content_alpha=alpha)(pixels).loss
        for content in (photo, other)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    whole = style_transfer_objective(student, photo, picture(24, 18, seed=2), options)(pixels).loss
    assert abs(float(whole) - float(losses[0])) > 1e-6
