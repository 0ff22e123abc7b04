from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from impasto.errors import InputError, MissingExtraError
from impasto.image.files import BOMB_PIXELS, MAX_PIXELS, Origin, decoding, name_of, opened, origin_of, picture_size
from impasto.image.paths import check_path, expanded
from impasto.image.read import read_picture

from .sources import encoded, grain, png, png_chunk, png_of_zeros, tiff

ADDRESSES = [
    *("http://example.org/photo.jpg", "https://example.org/a.png?b=c", "HTTPS://EXAMPLE.ORG", "file:///home/a.jpg"),
    *("s3://bucket/photo.jpg", "ftp://example.org/a.tif", "git+ssh://host/x", "data:image/png;base64," + "A" * 100_000),
]


@pytest.mark.parametrize("text", ADDRESSES, ids=lambda text: text[:20])
def test_an_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"' is an address on the network, .* give a path\.$") as caught:
        expanded(text)
    assert text[:70] in str(caught.value)
    assert len(str(caught.value)) < 300


PATHS = [
    *(r"C:\photos\photo.jpg", "C:/photos/photo.jpg", "c:photo.jpg", r"\\server\share\photo.jpg", "//server/photo.jpg"),
    *("photo.jpg", "./http:/photo.jpg", "/tmp/https://x", "a:b.png", "data:x.png", "photo http://x.jpg", "photo~.jpg"),
]


@pytest.mark.parametrize("text", PATHS)
def test_what_is_a_path_on_any_system_is_no_address(text: str) -> None:
    assert expanded(text) == Path(text)


def test_the_tilde_is_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/photo.jpg") == tmp_path / "photo.jpg"
    with pytest.raises(InputError, match=r"'~nobody-at-all/photo\.jpg' names a home folder that is not there"):
        expanded("~nobody-at-all/photo.jpg")


def test_a_tilde_may_also_begin_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~backup.jpg").touch()
    assert expanded("~backup.jpg") == Path("~backup.jpg")


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "portrait.png").touch()
    with pytest.raises(InputError, match=r"no file '.*portrai\.png'.* Did you mean 'portrait\.png'\?$"):
        check_path(tmp_path / "portrai.png")


def test_a_missing_file_in_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"no file '.*portrai\.png'\. Check the path\.$"):
        check_path(tmp_path / "portrai.png")


def test_what_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="may not be read: ask for permission"):
        check_path(tmp_path / "a.png")


def test_a_file_is_described_by_its_name_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "grün.jpg").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert origin_of(tmp_path / "grün.jpg") == Origin("grün.jpg", 3, digest)
    assert origin_of(b"abc") == Origin("-", 3, digest)
    assert (name_of(tmp_path), name_of(b"abc")) == (f"'{tmp_path}'", "the picture that was given")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_name_that_is_no_unicode_can_be_written_down(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"abc")
    assert origin_of(path).name == "caf\ufffd.jpg"


@pytest.mark.parametrize("limit", [99, 100])
def test_the_limit_on_pixels_is_exact_and_says_what_to_do(limit: int) -> None:
    data = png(grain(10, 10))
    if limit == 100:
        assert picture_size(data, max_pixels=limit) == (10, 10)
        return
    with pytest.raises(InputError, match=r"has 10 x 10 pixels, more than the 99 allowed: .* raise --max-pixels\.$"):
        picture_size(data, max_pixels=limit)
    with pytest.raises(InputError, match="more than the 99 allowed"):
        read_picture(data, max_pixels=limit)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats of the pictures whose pixels were decoded."""
    formats: list[str] = []
    load = ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> object:
        formats.append(str(self.format))
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    return formats


def with_header(data: bytes, width: int, height: int) -> bytes:
    """A PNG that claims other sides, with the right checksum."""
    return data[:8] + png_chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]


BOMBS = {
    "above the limit": lambda: png_of_zeros(30_000, 30_000, color=0),
    "below the limit": lambda: png_of_zeros(10_000, 10_000),
    "header alone": lambda: with_header(png(grain(1, 1)), 12_000, 12_000),
    "GIF": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2\4\1\0;",
    "TIFF": lambda: tiff(grain(1, 1)).replace(b"\0\1\4\0\1\0\0\0\1\0\0\0", b"\0\1\4\0\1\0\0\0\xff\xff\xff\x7f"),
    "JPEG": lambda: encoded(Image.new("RGB", (8, 8)), "JPEG").replace(b"\x08\0\x08\0\x08\x03", b"\x08\xf0\0\xf0\0\x03"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_memory_is_spent(name: str, decoded: list[str]) -> None:
    data = BOMBS[name]()
    assert len(data) < 1_000_000
    tracemalloc.start()
    for read in (picture_size, read_picture):
        with pytest.raises(InputError, match=r"(more than the 178,000,000 allowed|which is a way to fill the memory)"):
            read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded == []
    assert peak < 4e6


def test_a_large_picture_with_something_on_it_is_no_bomb() -> None:
    side = int(BOMB_PIXELS**0.5) + 1
    whole = with_header(png_of_zeros(1, 1), side, side)
    with pytest.raises(InputError, match="fill the memory"):
        picture_size(whole)
    assert picture_size(whole + bytes(200_000)) == (side, side)


def test_a_scan_of_one_bit_may_be_large_and_short() -> None:
    """A page of A4 at 600 dots an inch has 35 million pixels, in some 60 kB."""
    page = Image.new("1", (4960, 7016), 1)
    for line in range(100, 7000, 90):
        page.paste(0, (400, line, 4500, line + 3))
    assert picture_size(encoded(page, "TIFF", compression="group4") + bytes(30_000)) == (7016, 4960)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF", "JPEG"])
def test_the_limit_of_pillow_does_not_count_and_is_as_it_was(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    data = encoded(Image.fromarray(grain(10, 10)[..., 0]), format)
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda number: read_picture(data).size, range(20)))
    assert sizes == [(10, 10)] * 20
    with pytest.raises(InputError):
        read_picture(data[:20])
    assert Image.MAX_IMAGE_PIXELS == 40


def test_the_size_comes_from_the_header(decoded: list[str]) -> None:
    for format in ("JPEG", "GIF", "WEBP", "TIFF"):
        assert picture_size(encoded(Image.new("RGB", (9, 7)), format)) == (7, 9)
    assert decoded == []


def test_a_mislabeled_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(png(grain(10, 12)))
    assert picture_size(tmp_path / "photo.jpg") == (10, 12)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc"])
def test_heic_without_its_extra_names_the_command(
    brand: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(40))
    with pytest.raises(MissingExtraError, match=r"photo\.heic' is HEIC, .*\n    pip install 'impasto\[heic\]'$"):
        picture_size(tmp_path / "photo.heic")


def test_avif_takes_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = bytearray(encoded(Image.new("RGB", (9, 7)), "AVIF"))
    assert picture_size(bytes(data)) == (7, 9)
    data[8:12] = b"mif1"  # as some programs write it; "avif" is among the compatible ones
    assert picture_size(bytes(data)) == (7, 9)


def test_the_decoders_words_fit_into_a_sentence() -> None:
    with (
        pytest.raises(
            InputError, match=r"^'a\.png' is damaged \(it broke (x )+x*\): copy or download it again\.$"
        ) as caught,
        decoding("'a.png'"),
    ):
        raise ValueError("it\n broke " + "x " * 1000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "'a.png' does not fit into memory: reduce it first."),
        (KeyError(), "'a.png' is damaged (KeyError): copy or download it again."),
        (InputError("as it is"), "as it is"),
        (RecursionError("too deep."), "'a.png' is damaged (too deep): copy or download it again."),
    ],
)
def test_whatever_a_decoder_raises_becomes_a_sentence(error: Exception, message: str) -> None:
    with pytest.raises(InputError) as caught, decoding("'a.png'"):
        raise error
    assert str(caught.value) == message


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt), decoding("'a.png'"):
        raise KeyboardInterrupt


def test_an_opened_file_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(grain()))
    with opened(tmp_path / "a.png") as image:
        file = image.fp
    assert file is not None
    assert file.closed
    with pytest.raises(InputError), opened(tmp_path / "a.png", max_pixels=1):
        pass


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = (16, 24) if orientation < 5 else (24, 16)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        data = encoded(Image.fromarray(grain()), format, exif=exif)
        assert picture_size(data) == expected
        assert read_picture(data).size == expected


def test_heic_that_announces_another_size_is_refused() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(grain(64, 64))).save(buffer)
    place = buffer.getvalue().index(b"ispe") + 8
    data = buffer.getvalue()[:place] + (4000).to_bytes(4, "big") + buffer.getvalue()[place + 4 :]
    with pytest.raises(InputError, match="is damaged"):
        read_picture(data)


def test_the_limit_leaves_room_for_the_largest_cameras() -> None:
    assert 151_000_000 < MAX_PIXELS < 200_000_000
