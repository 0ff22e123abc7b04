from __future__ import annotations

from pathlib import Path

import pytest

from impasto.errors import OptionError, OutputError
from impasto.image.formats import EXTENSIONS, FORMATS, Format, check_sides, format_of, named_format


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.pngg", ".png", "a.png.bak", "folder.png/a", "a."])
def test_an_extension_that_cannot_be_written_is_refused_with_those_that_can(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Use one of \.png, \.jpg, \.jpeg, .*, or give --format\.$"):
        format_of(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "nearest"), [("a.jpge", "jpe?g"), ("a.pngg", "png"), ("a.wepb", "webp"), ("a.tifff", "tiff")]
)
def test_the_nearest_extension_is_proposed(name: str, nearest: str) -> None:
    with pytest.raises(OutputError, match=rf"Did you mean '\.{nearest}'\?"):
        format_of(Path(name))


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF"])
def test_heic_is_said_to_be_read_alone(name: str) -> None:
    with pytest.raises(OutputError, match="HEIC can be read, but not written"):
        format_of(Path(name))


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("name", ["a{}", "a.b.c{}", "a b{}", "Ä{}", "..{}"])
def test_the_format_is_that_of_the_last_extension_in_any_case(extension: str, name: str) -> None:
    for written in (extension, extension.upper()):
        assert format_of(Path(name.format(written))) == FORMATS[EXTENSIONS[extension]]


@pytest.mark.parametrize("name", [*FORMATS, "jpg", "tif", "JPG", "Png"])
def test_a_format_is_named_by_itself_or_by_its_extension(name: str) -> None:
    wanted = {"jpg": "jpeg", "tif": "tiff"}.get(name.lower(), name.lower())
    assert named_format(name).key == wanted


@pytest.mark.parametrize(("name", "hint"), [("ngp", " Did you mean 'png'?"), ("", ""), ("heic", ""), (".png", "")])
def test_another_name_is_refused_with_the_choices(name: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        named_format(name)
    assert str(caught.value).startswith(f"--format is '{name}'.{hint}")
    assert str(caught.value).endswith("Choose from png, jpeg, webp, avif, tiff, gif.")


@pytest.mark.parametrize("format", [format for format in FORMATS.values() if format.longest_side < 2**31 - 1])
def test_the_longest_side_is_that_of_the_format(format: Format) -> None:
    check_sides(format, (16, format.longest_side))
    for size in ((16, format.longest_side + 1), (format.longest_side + 1, 16)):
        with pytest.raises(OutputError, match=rf"{size[1]} x {size[0]}: use PNG or TIFF, or a smaller --size"):
            check_sides(format, size)
