import importlib.util
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

SCRIPT = Path(__file__).parents[2] / "examples" / "style_transfer_in_one_file.py"
DEPTHS = (2, 2, 4, 4, 4)
NARROW = (4, 4, 8, 8, 8)


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load()


def write_keras_file(
    path: Path, widths: tuple[int, ...] = NARROW, kernels: dict[str, np.ndarray] | None = None
) -> Path:
    """Write a VGG-19 of these widths in Keras' layout: seeded He-initialized kernels, biases 0, 1, 2, ..."""
    random, channels = np.random.default_rng(0), 3
    with h5py.File(path, "w") as file:
        for block, (depth, width) in enumerate(zip(DEPTHS, widths, strict=True), start=1):
            for i in range(1, depth + 1):
                name = f"block{block}_conv{i}"
                kernel = random.normal(0, (2 / (9 * channels)) ** 0.5, (3, 3, channels, width))
                kernel = (kernels or {}).get(name, kernel)
                group = file.create_group(name)
                # Stored so that alphabetical order is not the order of `weight_names`.
                group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_A_1:0".encode()]
                group[f"{name}_A_1:0"] = np.arange(width, dtype=np.float32)
                group[f"{name}_W_1:0"] = kernel.astype(np.float32)
                channels = width
    return path


def write_picture(path: Path, width: int, height: int, seed: int) -> Path:
    """Write a smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return (
        write_picture(tmp_path / "photo.png", 96, 64, seed=1),
        write_picture(tmp_path / "painting.png", 60, 80, seed=2),
        write_keras_file(tmp_path / "vgg19.h5"),
    )


def test_main_writes_a_picture_of_the_size_asked_for(
    files: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "styled.png"
    script.main([*map(str, files), "-o", str(output), "--size", "48", "--iterations", "11"])
    with Image.open(output) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 32))
        assert np.asarray(image).std() > 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split() for line in printed] == [["evaluation", "0"], ["evaluation", "10"]]


def test_twenty_iterations_lower_the_loss(files: tuple[Path, Path, Path]) -> None:
    photo, painting = (script.read_pixels(path, 48) for path in files[:2])
    network = script.read_network(files[2])
    content, grams = script.targets(photo, painting, network)
    before = script.total_loss(photo, content, grams, network)
    after = script.total_loss(script.stylize(photo, painting, network, 20), content, grams, network)
    assert after < 0.1 * before


def test_gram_is_an_einsum_over_positions() -> None:
    layer = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("bihw,bjhw->ij", layer, layer) / (3 * 4 * 5)
    torch.testing.assert_close(script.gram(layer), expected)


def test_gram_of_a_tiled_picture_is_that_of_one_tile() -> None:
    layer = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(script.gram(layer.repeat(1, 1, 2, 3)), script.gram(layer))


def test_kernels_keep_their_orientation_and_biases_their_channel(tmp_path: Path) -> None:
    # Row 0, column 2 of the kernel: each position sees the one above it and to its right.
    kernel = np.zeros((3, 3, 3, 4))
    kernel[0, 2, 1, 3] = 7
    network = script.read_network(write_keras_file(tmp_path / "vgg19.h5", kernels={"block1_conv1": kernel}))
    impulse = torch.zeros(1, 3, 16, 16)
    impulse[0, 1, 5, 5] = 1
    seen = script.features(impulse, network)["relu1_1"]
    expected = torch.arange(4.0).view(1, 4, 1, 1).repeat(1, 1, 16, 16)
    expected[0, 3, 6, 4] += 7
    assert torch.equal(seen, expected)


def test_each_block_halves_the_picture_and_has_the_channels_of_the_file(tmp_path: Path) -> None:
    network = script.read_network(write_keras_file(tmp_path / "vgg19.h5", widths=(2, 3, 4, 5, 6)))
    seen = script.features(torch.zeros(1, 3, 48, 32), network)
    shapes = {name: tuple(seen[name].shape[1:]) for name in script.STYLE_LAYERS}
    assert shapes == {
        "relu1_1": (2, 48, 32),
        "relu2_1": (3, 24, 16),
        "relu3_1": (4, 12, 8),
        "relu4_1": (5, 6, 4),
        "relu5_1": (6, 3, 2),
    }
    assert seen[script.CONTENT_LAYER].shape[1:] == (5, 6, 4)


def test_content_loss_is_a_mean_square() -> None:
    assert script.content_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0])) == 4.5


def test_style_loss_adds_up_the_layers() -> None:
    layer = torch.ones(1, 1, 2, 2)
    grams = {"relu1_1": torch.tensor([[3.0]]), "relu2_1": torch.tensor([[4.0]])}
    assert script.style_loss({"relu1_1": layer, "relu2_1": layer}, grams) == 2**2 + 3**2


def test_total_variation_of_a_step_is_its_length_times_its_height() -> None:
    pixels = torch.zeros(1, 3, 6, 8)
    pixels[..., 5:] = 10
    assert script.total_variation(pixels) == 3 * 6 * 10
    assert script.total_variation(pixels.mT) == 3 * 6 * 10


def test_pixels_are_blue_green_red_minus_the_means(tmp_path: Path) -> None:
    path = tmp_path / "color.png"
    Image.new("RGB", (16, 16), (10, 20, 30)).save(path)
    pixels: Tensor = script.read_pixels(path, 16)
    expected = torch.tensor([30 - 103.939, 20 - 116.779, 10 - 123.68])
    torch.testing.assert_close(pixels[0, :, 8, 8], expected)


def test_a_written_picture_reads_back_the_same(tmp_path: Path) -> None:
    pixels = script.read_pixels(write_picture(tmp_path / "a.png", 40, 30, seed=3), 40)
    script.write_pixels(pixels, tmp_path / "b.png")
    assert torch.equal(script.read_pixels(tmp_path / "b.png", 40), pixels)


def test_values_out_of_range_are_cut_off(tmp_path: Path) -> None:
    pixels = torch.tensor([-40.0, 127.6, 300.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16) - script.MEANS
    script.write_pixels(pixels, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.getpixel((0, 0)) == (255, 128, 0)


def test_a_photo_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (48, 32))
    image.paste((255, 255, 255), (0, 0, 48, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored top is the right side
    image.save(tmp_path / "photo.png", exif=exif)
    pixels = script.read_pixels(tmp_path / "photo.png", 48)
    assert pixels.shape == (1, 3, 48, 32)
    assert pixels[0, 0, :, -1].min() > pixels[0, 0, :, 0].max()


def test_a_thin_picture_is_widened_to_what_the_deepest_layer_needs(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "thin.png", 200, 10, seed=4)
    assert script.read_pixels(path, 64).shape == (1, 3, 16, 64)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_file_is_named(files: tuple[Path, Path, Path], missing: int) -> None:
    files[missing].unlink()
    with pytest.raises(SystemExit, match=f"There is no file .*{files[missing].name}"):
        script.main([*map(str, files)])


def test_a_file_of_another_kind_is_refused(files: tuple[Path, Path, Path]) -> None:
    photo, _, weights = map(str, files)
    with h5py.File(files[2], "a") as file:
        del file["block3_conv2"]
    for arguments in ([photo, photo, weights], [photo, photo, photo], [photo, weights, weights]):
        with pytest.raises(SystemExit, match="could not be read"):
            script.main(arguments)


def test_an_output_that_cannot_be_written_is_refused_before_painting(files: tuple[Path, Path, Path]) -> None:
    for output in ("styled.jpg", "no_such_folder/styled.png"):
        with pytest.raises(SystemExit, match=output):
            script.main([*map(str, files), "-o", output])
