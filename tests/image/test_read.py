from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import InputError
from impasto.image.read import MAX_PIXELS, read_image

Array = np.ndarray


def colors(height: int = 5, width: int = 7) -> Array:
    """Random H x W x 3 bytes: no symmetry in it."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def as_bytes(tensor: Tensor) -> Array:
    return tensor[0].permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sources(array: Array, folder: Path) -> dict[str, Any]:
    """The same picture in every form that can be read."""
    image = Image.fromarray(array)
    path = folder / "picture.png"
    image.save(path)
    floats = array.astype(np.float32) / 255
    tensor = torch.from_numpy(floats).permute(2, 0, 1)
    return {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "pil": image,
        "uint8": array,
        "float32": floats,
        "float64": array / 255,
        "tensor": tensor,
        "batch": tensor[None],
    }


@pytest.mark.parametrize("form", ["path", "text", "bytes", "pil", "uint8", "float32", "float64", "tensor", "batch"])
def test_all_forms_of_a_picture_give_the_same_tensor(form: str, tmp_path: Path) -> None:
    array = colors()
    pixels = read_image(sources(array, tmp_path)[form])
    assert pixels.shape == (1, 3, 5, 7)
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels, torch.from_numpy(array.transpose(2, 0, 1) / 255)[None].float())


@pytest.mark.parametrize("form", ["uint8", "float32", "tensor", "batch"])
def test_the_tensor_shares_no_memory_with_its_source(form: str, tmp_path: Path) -> None:
    source = sources(colors(), tmp_path)[form]
    before = source.copy() if isinstance(source, np.ndarray) else source.clone()
    read_image(source).fill_(0.123)
    assert bool((source == before).all())


def test_a_tensor_with_a_gradient_is_read_without_it() -> None:
    assert not read_image(torch.rand(3, 4, 5, requires_grad=True)).requires_grad


@pytest.mark.parametrize("view", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[1::2, ::3]])
def test_views_of_arrays_are_read(view: Callable[[Array], Array]) -> None:
    array = view(colors(9, 9))
    assert np.array_equal(as_bytes(read_image(array)), array)


UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: np.rot90(stored, 2),
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["bytes", "pil"])
def test_a_turned_photo_is_set_upright(orientation: int, form: str) -> None:
    stored = colors()
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(stored), exif=exif)
    source = data if form == "bytes" else Image.open(io.BytesIO(data))
    assert np.array_equal(as_bytes(read_image(source)), UPRIGHT[orientation](stored))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_jpeg_is_set_upright(orientation: int) -> None:
    stored = np.repeat(np.repeat(colors(2, 3), 16, axis=0), 16, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(stored), "JPEG", exif=exif, quality=100, subsampling=0)
    upright = UPRIGHT[orientation](stored).astype(int)
    assert np.abs(as_bytes(read_image(data)) - upright).max() < 16


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read_image(encoded(Image.fromarray(colors()), exif=exif)).shape == (1, 3, 5, 7)


def test_gray_becomes_three_equal_channels() -> None:
    pixels = read_image(encoded(Image.fromarray(colors()[..., 0])))
    assert pixels.shape == (1, 3, 5, 7)
    assert torch.equal(pixels[:, 0], pixels[:, 2])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_every_mode_of_pillow_is_read(mode: str) -> None:
    assert read_image(Image.new(mode, (7, 5))).shape == (1, 3, 5, 7)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pillow_keeps_the_range_when_it_widens_gray(mode: str) -> None:
    gray = Image.new("L", (7, 5), 200)
    torch.testing.assert_close(read_image(gray.convert(mode)), read_image(gray), atol=1e-3, rtol=0)


def test_sixteen_bit_gray_goes_from_black_to_white() -> None:
    values = np.array([[0, 65535, 32768, 257]], dtype=np.uint16)
    pixels = read_image(encoded(Image.fromarray(values)))
    expected = torch.tensor([0, 1, 32768 / 65535, 257 / 65535])
    torch.testing.assert_close(pixels[0, 1, 0], expected)


def test_white_shows_where_nothing_is_visible() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    assert as_bytes(read_image(encoded(image))).tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_half_transparent_black_is_gray() -> None:
    pixels = read_image(Image.new("LA", (1, 1), (0, 51)))
    torch.testing.assert_close(pixels.flatten(), torch.full((3,), 0.8))


def test_a_transparent_palette_color_is_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert as_bytes(read_image(encoded(image, transparency=0))).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_one_pixel_is_a_picture() -> None:
    assert read_image(encoded(Image.new("RGB", (1, 1), "red"))).flatten().tolist() == [1, 0, 0]


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "portrait.png")
    with pytest.raises(InputError, match=r"no file '.*portrai\.png'.* Did you mean 'portrait\.png'\?$"):
        read_image(tmp_path / "portrai.png")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*a folder '.*nowhere'"):
        read_image(tmp_path / "nowhere" / "photo.png")


@pytest.mark.parametrize("name", ["x" * 5000, "photo\0.png"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        read_image(name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)


def test_a_device_is_refused() -> None:
    with pytest.raises(InputError, match="not a regular file"):
        read_image("/dev/null")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"'.*empty\.png' is empty"):
        read_image(tmp_path / "empty.png")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"<html><body>404</body></html>"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="the given bytes"):
        read_image(data)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(format: str) -> None:
    with pytest.raises(InputError, match="is not a JPEG or PNG picture"):
        read_image(encoded(Image.new("RGB", (4, 4)), format))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_file_cut_short_anywhere_is_refused(format: str) -> None:
    data = encoded(Image.fromarray(colors(24, 24)), format)
    last = len(data) - 24  # without checksums and the mark of the end it is still whole
    for length in range(0, last, 7):
        with pytest.raises(InputError):
            read_image(data[:length])


def test_bytes_changed_anywhere_are_refused_or_read_but_never_crash() -> None:
    data = encoded(Image.fromarray(colors(24, 24)))
    for position in range(8, len(data), 11):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        try:
            pixels = read_image(bytes(changed))
        except InputError:
            continue
        assert bool(((pixels >= 0) & (pixels <= 1)).all())


def test_a_picture_that_is_too_large_is_refused_from_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(InputError, match=r"pixels.*reduce it first"):
        read_image(png_header(side, side))


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_picture_below_the_limit_is_not_called_too_large(share: float) -> None:
    side = int((share * MAX_PIXELS) ** 0.5)
    with pytest.raises(InputError, match="is damaged"):  # there are no pixels behind this header
        read_image(png_header(side, side))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 4)),
        np.zeros((4, 4, 1)),
        np.zeros(4),
        np.zeros((0, 4, 3)),
        np.zeros((3, 0)),
        np.zeros((1, 4, 4, 3)),
        np.zeros((4, 4, 3), dtype=np.int64),
        np.zeros((4, 4, 3), dtype=np.uint16),
        np.zeros((4, 4, 3), dtype=bool),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(array: Array) -> None:
    with pytest.raises(InputError, match="as an array"):
        read_image(array)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(4, 4),
        torch.zeros(1, 4, 4),
        torch.zeros(2, 3, 4, 4),
        torch.zeros(3, 0, 4),
        torch.zeros(3, 4, 4).int(),
    ],
)
def test_a_tensor_of_another_shape_or_type_is_refused(tensor: Tensor) -> None:
    with pytest.raises(InputError, match="as a tensor"):
        read_image(tensor)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 1.01, 255.0])
@pytest.mark.parametrize("form", ["tensor", "array"])
def test_values_out_of_range_are_refused(value: float, form: str) -> None:
    tensor = torch.full((3, 4, 4), 0.5)
    tensor[1, 2, 3] = value
    with pytest.raises(InputError, match=r"lie in \[0, 1\]"):
        read_image(tensor if form == "tensor" else tensor.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("source", [None, 5, ["photo.jpg"], bytearray(b"x")])
def test_what_cannot_hold_a_picture_is_refused_by_type(source: Any) -> None:
    with pytest.raises(InputError, match=type(source).__name__):
        read_image(source)
