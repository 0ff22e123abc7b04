from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.errors import ImpastoError, InputError, MissingWeightsError, OptionError
from impasto.image.formats import FORMATS
from impasto.image.picture import Picture
from impasto.image.read import read_image
from impasto.image.resize import grown, resize
from impasto.image.write import encode, to_pil, write_picture
from impasto.networks import Network
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.result import Result
from impasto.solvers import LBFGS
from impasto.spec import MIN_SIDE, RunOptions, StyleSpec
from impasto.stylize import iterate, stylize

Weights = dict[str, Tensor]
Draw = Callable[..., Tensor]
QUICK = {"size": 48, "num_iterations": 4, "coarse_iterations": (1.0,), "precision": "fp32", "device": "cpu"}

pytestmark = pytest.mark.usefixtures("installed")


def paint(content: Any, style: Any, **options: Any) -> Result:
    return stylize(content, style, **{**QUICK, **options})


def loss_before(content: Tensor, style: Tensor, **options: Any) -> float:
    """The loss of the starting picture at the full size."""
    return paint(content, style, **{**options, "num_iterations": 1, "coarse_iterations": ()}).loss


def global_settings() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "threads between operations": torch.get_num_interop_threads(),
        "type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "matmul precision": torch.get_float32_matmul_precision(),
        "denormals": float(torch.tensor(1e-40) + 0),
        "seed of torch": tuple(torch.get_rng_state().tolist()),
        "seed of numpy": str(np.random.get_state()),
        "seed of python": random.getstate(),
        "errors of numpy": np.geterr(),
    }


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_result_has_the_size_asked_for_and_a_lower_loss(photo: Tensor, painting: Tensor) -> None:
    result = paint(photo, painting, num_iterations=20)
    assert result.tensor.shape == (1, 3, 36, 48)
    assert (result.tensor.dtype, result.tensor.device.type) == (torch.float32, "cpu")
    assert bool(((result.tensor >= 0) & (result.tensor <= 1)).all())
    assert result.loss < 0.7 * loss_before(photo, painting)
    assert result.loss == min(entry["loss"] for entry in result.history if entry["size"] == (48, 36))


def test_the_picture_is_one_that_was_seen(photo: Tensor, painting: Tensor) -> None:
    steps = list(iterate(photo, painting, **QUICK))
    best = min((step for step in steps if step.size == (36, 48)), key=lambda step: step.loss)
    assert torch.equal(paint(photo, painting).tensor, best.image)


def test_all_forms_of_the_pictures_give_the_same_bytes(photo: Tensor, painting: Tensor, tmp_path: Path) -> None:
    images = []
    for name, tensor in (("photo", photo), ("painting", painting)):
        write_picture(Picture(tensor), tmp_path / f"{name}.png")
        images.append(read_image(tmp_path / f"{name}.png"))
    paths = [tmp_path / "photo.png", tmp_path / "painting.png"]
    forms: dict[str, list[Any]] = {
        "tensors": images,
        "texts": [str(path) for path in paths],
        "paths": list(paths),
        "bytes": [path.read_bytes() for path in paths],
        "pil": [to_pil(image) for image in images],
        "arrays": [np.asarray(to_pil(image)) for image in images],
        "floats": [image[0].permute(1, 2, 0).numpy() for image in images],
    }
    expected = encode(Picture(paint(*forms.pop("tensors")).tensor), FORMATS["png"])
    for form, pictures in forms.items():
        assert encode(Picture(paint(*pictures).tensor), FORMATS["png"]) == expected, form


def test_the_pictures_given_are_left_as_they_are(photo: Tensor, painting: Tensor) -> None:
    before = photo.clone(), painting.clone()
    paint(photo, painting)
    assert torch.equal(photo, before[0])
    assert torch.equal(painting, before[1])


def test_at_strength_0_the_photo_comes_back_byte_for_byte(photo: Tensor, painting: Tensor) -> None:
    result = paint(photo, painting, size="original", strength=0, init="noise")
    assert encode(Picture(result.tensor), FORMATS["png"]) == encode(Picture(photo), FORMATS["png"])


def test_at_strength_0_and_another_size_the_resized_photo_comes_back(photo: Tensor, painting: Tensor) -> None:
    result = paint(photo, painting, size=32, strength=0)
    assert torch.equal(result.tensor, resize(photo, (24, 32)))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_where_there_is_nothing_to_gain_the_picture_stays(optimizer: str, photo: Tensor, painting: Tensor) -> None:
    options = {**QUICK, "style_weight": 0, "tv_weight": 0, "coarse_iterations": (), "optimizer": optimizer}
    assert all(torch.equal(step.pixels, photo) for step in iterate(photo, painting, **options))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_every_start_and_every_optimizer_lowers_the_loss(
    init: str, optimizer: str, photo: Tensor, painting: Tensor
) -> None:
    options = {"init": init, "optimizer": optimizer}
    assert paint(photo, painting, num_iterations=15, **options).loss < loss_before(photo, painting, **options)


def test_the_first_step_shows_the_start(photo: Tensor, painting: Tensor, picture: Draw) -> None:
    def first(init: str, **options: Any) -> Tensor:
        one_size = {**QUICK, "coarse_iterations": (), **options}
        return next(iterate(photo, painting, init=init, **one_size)).image

    assert torch.equal(first("content"), photo)
    assert first("style").shape == photo.shape
    assert not torch.equal(first("style"), photo)
    noise = first("noise")
    assert torch.equal(noise, first("noise"))
    assert not torch.equal(noise, first("noise", seed=1))


def test_the_start_may_be_a_file_of_another_size(
    photo: Tensor, painting: Tensor, picture: Draw, tmp_path: Path
) -> None:
    write_picture(Picture(picture(72, 96, seed=5).float()), tmp_path / "start.png")
    options = {**QUICK, "coarse_iterations": (), "init": str(tmp_path / "start.png")}
    step = next(iterate(photo, painting, **options))
    torch.testing.assert_close(step.image, resize(read_image(tmp_path / "start.png"), (36, 48)))


def test_a_start_that_is_missing_is_refused(photo: Tensor, painting: Tensor) -> None:
    with pytest.raises(InputError, match=r"no file 'nowhere\.png'"):
        paint(photo, painting, init="nowhere.png")


def test_each_size_starts_from_the_best_of_the_one_before_with_details(photo: Tensor, painting: Tensor) -> None:
    photo = resize(photo, (96, 128))
    steps = list(iterate(photo, painting, **{**QUICK, "size": 128}))
    sizes = list(dict.fromkeys(step.size for step in steps))
    assert len(sizes) > 1
    best = min((step for step in steps if step.size == sizes[0]), key=lambda step: step.loss)
    start = next(step for step in steps if step.size == sizes[1])
    assert torch.equal(start.pixels, grown(best.image, photo))


@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_the_same_seed_gives_the_same_bytes(precision: str, init: str, photo: Tensor, painting: Tensor) -> None:
    options = {"precision": precision, "init": init, "seed": 7, "threads": 1}
    first, second = paint(photo, painting, **options), paint(photo, painting, **options)
    assert encode(Picture(first.tensor), FORMATS["png"]) == encode(Picture(second.tensor), FORMATS["png"])
    assert first.history == second.history


def test_the_result_does_not_depend_on_the_state_of_random_numbers(photo: Tensor, painting: Tensor) -> None:
    first = paint(photo, painting, init="noise")
    torch.manual_seed(1234)
    np.random.seed(1234)
    assert torch.equal(paint(photo, painting, init="noise").tensor, first.tensor)


@pytest.mark.parametrize("init", ["content", "noise"])
def test_settings_and_seeds_are_left_as_found_after_and_between_steps(
    init: str, photo: Tensor, painting: Tensor, two_threads: None
) -> None:
    before = global_settings()
    for _ in iterate(photo, painting, **QUICK, threads=1, init=init):
        assert global_settings() == before
    assert global_settings() == before


def test_settings_are_left_as_found_when_the_run_fails_or_is_abandoned(
    photo: Tensor, painting: Tensor, install: Callable[[Weights], Path], tiny_weights: Weights, two_threads: None
) -> None:
    before = global_settings()
    steps = iterate(photo, painting, **QUICK, threads=1)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert global_settings() == before
    install({name: tensor * float("nan") for name, tensor in tiny_weights.items()})
    with pytest.raises(ImpastoError):
        paint(photo, painting, threads=1)
    assert global_settings() == before


def test_the_threads_asked_for_are_those_that_compute(
    photo: Tensor, painting: Tensor, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = set()
    convolve = torch.nn.functional.conv2d

    def watched(*arguments: Any, **options: Any) -> Tensor:
        used.add(torch.get_num_threads())
        return convolve(*arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    paint(photo, painting, threads=1)
    assert used == {1}


def test_settings_of_the_caller_do_not_change_the_result(photo: Tensor, painting: Tensor) -> None:
    expected = paint(photo, painting, init="noise").tensor
    with torch.no_grad():
        assert torch.equal(paint(photo, painting, init="noise").tensor, expected)
    torch.set_default_dtype(torch.float64)
    try:
        result = paint(photo, painting, init="noise").tensor
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def test_two_runs_in_turns_do_not_disturb_each_other(photo: Tensor, painting: Tensor) -> None:
    runs = [{"init": "noise", "seed": 1}, {"init": "noise", "seed": 2, "optimizer": "adam"}]
    alone = [[step.pixels for step in iterate(photo, painting, **QUICK, **run)] for run in runs]
    in_turns = zip(*(iterate(photo, painting, **QUICK, **run) for run in runs), strict=True)
    for index, steps in enumerate(in_turns):
        assert all(torch.equal(step.pixels, path[index]) for step, path in zip(steps, alone, strict=True))


def test_runs_in_several_threads_do_not_disturb_each_other(photo: Tensor, painting: Tensor) -> None:
    pairs = [(photo, painting), (painting, photo), (photo, photo.flip(-1)), (painting, painting.flip(-2))]
    options = {"num_iterations": 8, "threads": 1}
    alone = [paint(*pair, **options).tensor for pair in pairs]
    before = global_settings()
    with ThreadPoolExecutor(len(pairs)) as pool:
        together = list(pool.map(lambda pair: paint(*pair, **options).tensor, pairs))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert global_settings() == before


sides = st.integers(1, 48) | st.integers(1, 1200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_pictures_of_any_size_are_painted_or_refused_with_what_is_needed(
    picture: Draw, photo_size: tuple[int, int], painting_size: tuple[int, int]
) -> None:
    photo, painting = picture(*photo_size, seed=1).float(), picture(*painting_size, seed=2).float()
    ratios = [max(size) / min(size) for size in (photo_size, painting_size)]
    if round(40 / max(ratios)) < MIN_SIDE:
        with pytest.raises((OptionError, InputError), match=rf"\d+ x \d+ pixels.*{MIN_SIDE}"):
            paint(photo, painting, size=40, num_iterations=1)
    else:
        result = paint(photo, painting, size=40, num_iterations=1)
        assert max(result.tensor.shape[-2:]) == 40
        assert bool(torch.isfinite(result.tensor).all())


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (16, 2000), (2000, 16)])
def test_photos_below_the_minimum_are_refused_in_plain_words(
    size: tuple[int, int], painting: Tensor, picture: Draw
) -> None:
    asked = "original" if max(size) < 100 else 512
    with pytest.raises(OptionError, match=rf"{size[1]} x {size[0]} pixels .*at least.*--size"):
        paint(picture(*size).float(), painting, size=asked)


def test_the_smallest_picture_is_painted(picture: Draw) -> None:
    result = paint(picture(MIN_SIDE, MIN_SIDE).float(), picture(1, 1, seed=2).float(), size=MIN_SIDE)
    assert result.tensor.shape == (1, 3, MIN_SIDE, MIN_SIDE)


def test_one_pixel_becomes_a_flat_picture_that_can_be_painted(painting: Tensor) -> None:
    assert paint(torch.full((1, 3, 1, 1), 0.5), painting, size=32).tensor.shape == (1, 3, 32, 32)


@pytest.mark.parametrize("flat", [0.0, 0.5, 1.0])
def test_flat_pictures_give_finite_ones(flat: float, painting: Tensor) -> None:
    even = torch.full((1, 3, 32, 32), flat)
    for pair in ((even, painting), (painting, even), (even, even)):
        result = paint(*pair, size=32)
        assert bool(torch.isfinite(result.tensor).all())


def test_width_and_height_crop_the_photo_to_fill(photo: Tensor, painting: Tensor) -> None:
    result = paint(photo, painting, size="32x32", strength=0)
    assert torch.equal(result.tensor, resize(photo[..., 6:42], (32, 32)))


@pytest.mark.parametrize("options", [{}, {"num_iterations": 1, "coarse_iterations": ()}])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_weights_of_nan_are_an_error_and_never_a_picture(
    optimizer: str,
    options: dict[str, Any],
    install: Callable[[Weights], Path],
    tiny_weights: Weights,
    photo: Tensor,
    painting: Tensor,
) -> None:
    spoiled = {name: tensor.clone() for name, tensor in tiny_weights.items()}
    spoiled["conv3_1.weight"][0, 0, 0, 0] = float("nan")
    install(spoiled)
    with pytest.raises(ImpastoError, match="finite"):
        paint(photo, painting, optimizer=optimizer, **options)


def test_missing_weights_are_reported_before_anything_is_computed(
    installed: Network, photo: Tensor, painting: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingWeightsError, match="impasto weights import"):
        iterate(photo, painting, **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strenght": 1}, "Did you mean 'strength'"),
        ({"strength": 2}, "--strength is '2'"),
        ({"preset": "fien"}, "Did you mean 'fine'"),
        ({"network": "vgg91"}, "Did you mean 'vgg19'"),
        ({"content_layers": "relu9_9"}, "no layer 'relu9_9'"),
        ({"style_layers": "relu4_22"}, "Did you mean 'relu4_2'"),
        ({"device": "gpu"}, "--device is 'gpu'"),
        ({"threads": 0}, "--threads is '0'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_computed(
    options: dict[str, Any], message: str, photo: Tensor, painting: Tensor
) -> None:
    with pytest.raises(OptionError, match=message):
        iterate(photo, painting, **{**QUICK, **options})


def test_a_missing_picture_is_refused_by_name(painting: Tensor) -> None:
    with pytest.raises(InputError, match=r"no file 'photo\.jpg'"):
        paint("photo.jpg", painting)


def test_options_lie_over_the_preset(photo: Tensor, painting: Tensor) -> None:
    spec = paint(photo, painting, preset="classic", num_iterations=2).spec
    assert (spec.normalization, spec.num_iterations) == ("classic", 2)


def test_the_network_that_was_found_is_recorded(photo: Tensor, painting: Tensor) -> None:
    assert paint(photo, painting).spec.network == "tiny"


@pytest.mark.parametrize("preset", ["draft", "standard", "fine", "classic"])
def test_every_preset_lowers_the_loss(preset: str, photo: Tensor, painting: Tensor) -> None:
    result = paint(photo, painting, preset=preset, num_iterations=12, network="tiny")
    assert result.loss < loss_before(photo, painting, preset=preset, network="tiny")


def test_preparing_checks_without_computing(photo: Tensor, painting: Tensor) -> None:
    transfer = prepare(photo, painting, StyleSpec(size="48"), RunOptions(device="cpu"))
    assert transfer.size == (36, 48)
    assert transfer.levels[-1].iterations == transfer.spec.num_iterations


def test_strength_0_is_the_photo_whatever_the_weights(installed: Network, photo: Tensor, painting: Tensor) -> None:
    options = {"size": 48, "content_weight": 0, "tv_weight": 0, "init": "noise"}
    assert torch.equal(stylize(photo, painting, strength=0, **options).tensor, photo)


def test_classic_is_computed_in_float32(installed: Network, photo: Tensor, painting: Tensor) -> None:
    machine = prepare(photo, painting, resolve_spec("classic", {"size": 48}), RunOptions(device="cpu")).machine
    assert machine.precision == "fp32"


def test_the_solver_as_well_keeps_to_the_threads(
    installed: Network, photo: Tensor, painting: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    step = LBFGS.step
    monkeypatch.setattr(LBFGS, "step", lambda *words: (seen.append(torch.get_num_threads()), step(*words))[1])
    before = torch.get_num_threads()
    stylize(photo, painting, size=48, num_iterations=5, threads=before + 1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_who_names_no_network_is_told_if_it_is_not_the_usual_one(
    photo: Tensor, painting: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    paint(photo, painting, network="tiny")
    assert not caplog.messages
    paint(photo, painting)
    assert caplog.messages == ["Using tiny; 'impasto weights get vgg19' gets vgg19, the usual network."]
