from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import InputError, OptionError
from impasto.pyramid import MARGIN, coarse_network, plan_pyramid
from impasto.spec import MIN_SIDE, StyleSpec, doublings
from impasto.validation import build

sides = st.integers(MIN_SIDE, 6000)
sizes = st.tuples(sides, sides)
styles = st.tuples(st.integers(1, 6000), st.integers(1, 6000))
specs = st.builds(
    lambda iterations, factors, scale: StyleSpec(
        num_iterations=iterations, coarse_iterations=tuple(factors), style_scale=scale
    ),
    st.integers(1, 500),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 4.0]), max_size=6),
    st.floats(0.1, 3),
)


@given(sizes, styles, specs)
def test_a_plan_goes_from_coarse_to_the_full_size(
    size: tuple[int, int], style: tuple[int, int], spec: StyleSpec
) -> None:
    try:
        levels = plan_pyramid(size, style, spec)
    except InputError:
        long_side = max(size) * spec.style_scale
        assert long_side * min(style) / max(style) < MIN_SIDE
        return
    assert levels[-1].size == size
    share = spec.final_iterations if len(levels) > 1 and levels[-2].size == size else 1.0
    assert levels[-1].iterations == max(1, round(share * spec.num_iterations))
    assert len(levels) <= 2 + len(spec.coarse_iterations) + doublings(size)
    assert len({level.size for level in levels}) >= len(levels) - 1
    for coarse, fine in itertools.pairwise(levels):
        assert coarse.pixels < fine.pixels or (
            coarse.size == fine.size and (coarse.network, fine.network) == ("compact", "vgg19")
        )
    for level in levels:
        assert level.iterations >= 1
        assert min(level.size) >= MIN_SIDE
        assert min(level.style_size) >= MIN_SIDE


@given(sizes, styles, specs)
def test_every_level_keeps_the_proportions_and_the_scale_of_the_painting(
    size: tuple[int, int], style: tuple[int, int], spec: StyleSpec
) -> None:
    try:
        levels = plan_pyramid(size, style, spec)
    except InputError:
        return
    for level in levels:
        factor = max(level.size) / max(size)
        assert level.size == pytest.approx((size[0] * factor, size[1] * factor), abs=1)
        assert max(level.style_size) == pytest.approx(max(level.size) * spec.style_scale, abs=0.5 + 1e-6)
        reduction = max(level.style_size) / max(style)
        assert level.style_size == pytest.approx((style[0] * reduction, style[1] * reduction), abs=1)


@given(sizes, styles, specs)
def test_all_but_the_last_level_have_a_margin_that_can_be_mirrored(
    size: tuple[int, int], style: tuple[int, int], spec: StyleSpec
) -> None:
    try:
        *coarse, finest = plan_pyramid(size, style, spec)
    except InputError:
        return
    assert finest.canvas == finest.size
    for level in coarse:
        assert level.margin == min(MARGIN, min(level.size) // 2)
        assert level.canvas == (level.size[0] + 2 * level.margin, level.size[1] + 2 * level.margin)


def test_each_level_halves_the_one_above_and_takes_its_multiple_of_evaluations() -> None:
    spec = build(StyleSpec, {"num_iterations": 10, "coarse_iterations": (2.0, 3.5), "coarse_network": "none"})
    levels = plan_pyramid((340, 512), (600, 400), spec)
    assert [(level.size, level.iterations) for level in levels] == [
        ((85, 128), 35),
        ((170, 256), 20),
        ((340, 512), 10),
    ]


@pytest.mark.parametrize(("side", "levels"), [(300, 3), (512, 4), (700, 4), (1024, 5), (4096, 7)])
def test_however_large_the_result_it_begins_as_small(side: int, levels: int) -> None:
    planned = plan_pyramid((side, side), (512, 512), StyleSpec(coarse_network="none"))
    assert len(planned) == levels
    assert planned[0].size[0] < 90


def test_the_last_factor_goes_on() -> None:
    spec = build(StyleSpec, {"num_iterations": 10, "coarse_iterations": (2.0, 3.0), "coarse_network": "none"})
    levels = plan_pyramid((2048, 2048), (512, 512), spec)
    assert [level.iterations for level in levels] == [30, 30, 30, 20, 10]
    without = build(StyleSpec, {"coarse_iterations": (0.0,), "coarse_network": "none"})
    assert len(plan_pyramid((2048, 2048), (512, 512), without)) == 1


def test_a_level_without_evaluations_is_left_out_and_the_coarser_ones_stay() -> None:
    spec = build(StyleSpec, {"num_iterations": 10, "coarse_iterations": (0, 3), "early_iterations": 0})
    assert [level.size for level in plan_pyramid((512, 512), (512, 512), spec)] == [(128, 128), (512, 512)]


def test_no_coarse_iterations_are_one_size() -> None:
    spec = build(StyleSpec, {"coarse_iterations": (), "coarse_network": "none"})
    assert [level.size for level in plan_pyramid((512, 512), (512, 512), spec)] == [(512, 512)]


def test_the_smallest_picture_has_one_size() -> None:
    assert len(plan_pyramid((MIN_SIDE, MIN_SIDE), (100, 100), StyleSpec(coarse_network="none"))) == 1


def test_the_student_prepares_what_its_teacher_finishes() -> None:
    spec = build(
        StyleSpec, {"num_iterations": 10, "coarse_iterations": (2.0,), "early_iterations": 1.5, "final_iterations": 0.5}
    )
    levels = plan_pyramid((512, 512), (512, 512), spec.model_copy(update={"network": "vgg19"}))
    assert [(level.size[0], level.iterations, level.network) for level in levels] == [
        (256, 20, "compact"),
        (512, 15, "compact"),
        (512, 5, "vgg19"),
    ]
    small = plan_pyramid((512, 512), (512, 512), spec.model_copy(update={"coarse_iterations": (2.0, 3.0, 4.0)}))
    assert [(level.size[0], level.iterations, level.network) for level in small] == [
        (64, 20, "vgg19"),
        (128, 15, "vgg19"),
        (256, 20, "compact"),
        (512, 15, "compact"),
        (512, 5, "vgg19"),
    ]
    late = plan_pyramid((512, 512), (512, 512), spec.model_copy(update={"early_iterations": 0.0}))
    assert [(level.iterations, level.network) for level in late] == [(20, "compact"), (10, "vgg19")]
    short = build(StyleSpec, {"num_iterations": 1, "coarse_iterations": ()})
    assert [level.iterations for level in plan_pyramid((64, 64), (64, 64), short)] == [1, 1]


@pytest.mark.parametrize(
    ("own", "asked", "guide"),
    [
        ("auto", "auto", "compact"),
        ("vgg19", "auto", "compact"),
        ("vgg19", "none", ""),
        ("vgg19", "vgg19", ""),
        ("compact", "auto", ""),
        ("compact", "vgg19", "vgg19"),
        ("vgg19-torchvision", "auto", ""),
        ("vgg19-torchvision", "compact", "compact"),
    ],
)
def test_the_coarse_network_is_the_student_unless_another_is_asked_for(own: str, asked: str, guide: str) -> None:
    assert coarse_network(build(StyleSpec, {"network": own, "coarse_network": asked})) == guide


def test_the_photo_itself_needs_one_level() -> None:
    spec = build(StyleSpec, {"strength": 0.0})
    assert [(level.iterations, level.network) for level in plan_pyramid((512, 512), (512, 512), spec)] == [(1, "vgg19")]


@pytest.mark.parametrize("style", [(1, 4000), (4000, 1), (10, 1000)])
def test_a_painting_that_is_too_narrow_is_refused_with_its_size_and_the_remedy(style: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"painting .*\d+ x \d+ pixels.*{MIN_SIDE} at least.*--style-scale"):
        plan_pyramid((512, 512), style, StyleSpec())


@pytest.mark.parametrize(
    "options",
    [{"early_iterations": 2.0}, {"coarse_iterations": (2.0,)}, {"coarse_network": "none", "coarse_iterations": (2,)}],
)
def test_more_evaluations_than_a_record_can_hold_are_refused(options: dict[str, object]) -> None:
    spec = build(StyleSpec, {"num_iterations": 600_000, "coarse_iterations": (), **options})
    with pytest.raises(OptionError, match=r"1,200,000 evaluations at one size .* 1,000,000"):
        plan_pyramid((512, 512), (512, 512), spec)
