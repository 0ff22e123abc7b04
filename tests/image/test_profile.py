from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from impasto.image.profile import from_srgb, is_srgb, restorable, srgb_profile, to_srgb, transform_16_bits
from impasto.image.vips import has_pyvips

from .sources import (
    ADOBE,
    ADOBE_GAMMA,
    P3,
    SRGB,
    colors,
    encode_srgb,
    from_primaries,
    grain,
    gray_profile,
    matrix_profile,
    to_primaries,
)

WIDE = {"P3": (P3, None), "Adobe RGB": (ADOBE, ADOBE_GAMMA)}
DAMAGED = [b"", b"x", bytes(1000), matrix_profile(P3)[:150], b"RGB " * 100, matrix_profile(P3) + bytes(8_000_000)]

needs_vips = pytest.mark.skipif(not has_pyvips(), reason="the extra 'large' is not installed")


@pytest.mark.parametrize("name", WIDE)
def test_8_bits_of_any_color_become_srgb_by_the_formulas(name: str) -> None:
    """Also those outside of sRGB, which become the nearest inside."""
    converted = to_srgb(Image.fromarray(grain(64, 64)), matrix_profile(*WIDE[name]))
    assert converted is not None
    assert np.abs(np.asarray(converted) - 255 * from_primaries(grain(64, 64) / 255, *WIDE[name])).max() < 1


@pytest.mark.parametrize("name", WIDE)
def test_8_bits_of_srgb_become_another_profile_by_the_formulas(name: str) -> None:
    converted = np.asarray(from_srgb(Image.fromarray(grain(64, 64)), matrix_profile(*WIDE[name])))
    assert np.abs(converted - 255 * to_primaries(grain(64, 64) / 255, *WIDE[name])).max() < 1.5


@needs_vips
@pytest.mark.parametrize("name", WIDE)
def test_16_bits_of_any_color_are_off_by_a_fraction_of_what_8_bits_are(name: str) -> None:
    values = grain(64, 64, kind=np.uint16)
    converted = transform_16_bits(values, matrix_profile(*WIDE[name]), srgb_profile())
    assert converted is not None
    off = np.abs(converted - 65535 * from_primaries(values / 65535, *WIDE[name]))
    assert off.mean() < 0.06 * 257
    assert off.max() < 1.5 * 257


@needs_vips
@pytest.mark.parametrize("name", WIDE)
def test_16_bits_come_back_from_srgb(name: str) -> None:
    wide = matrix_profile(*WIDE[name])
    values = (65535 * to_primaries(colors() / 255, *WIDE[name])).round().astype(np.uint16)
    there = transform_16_bits(values, wide, srgb_profile())
    assert there is not None
    again = transform_16_bits(there, srgb_profile(), wide)
    assert again is not None
    assert np.abs(again.astype(int) - values).max() < 0.5 * 257


def test_gray_becomes_rgb() -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    converted = to_srgb(Image.fromarray(values), gray_profile(1.8))
    assert converted is not None
    expected = 255 * encode_srgb((values / 255) ** 1.8)
    assert np.abs(np.asarray(converted) - expected[..., None]).max() < 2


@needs_vips
def test_gray_of_16_bits_becomes_rgb() -> None:
    values = np.arange(1000, 65536, 255, dtype=np.uint16)[None, :, None]
    converted = transform_16_bits(values, gray_profile(1.8), srgb_profile())
    assert converted is not None
    assert converted.shape == (1, values.size, 3)
    assert np.abs(converted - 65535 * encode_srgb((values / 65535) ** 1.8)).max() < 2 * 257


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("profile", DAMAGED, ids=lambda data: f"{len(data)} bytes")
def test_a_damaged_profile_fits_nothing(profile: bytes, mode: str) -> None:
    assert to_srgb(Image.new(mode, (2, 2)), profile) is None
    assert not restorable(profile)
    assert not is_srgb(profile)
    assert from_srgb(Image.fromarray(colors()), profile).tobytes() == colors().tobytes()


@needs_vips
@pytest.mark.parametrize("profile", [*DAMAGED, gray_profile(2)], ids=lambda data: f"{len(data)} bytes")
def test_a_damaged_profile_fits_no_16_bits_either(profile: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert transform_16_bits(grain(kind=np.uint16), profile, srgb_profile()) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("mode", "profile"), [("RGB", gray_profile(2)), ("CMYK", matrix_profile(P3)), ("CMYK", gray_profile(2))]
)
def test_a_profile_of_another_color_space_does_not_fit(mode: str, profile: bytes) -> None:
    assert to_srgb(Image.new(mode, (2, 2)), profile) is None


def test_srgb_is_known_by_what_it_says_and_not_by_its_name() -> None:
    assert is_srgb(srgb_profile())
    assert is_srgb(matrix_profile(SRGB, name="Something else"))
    assert not is_srgb(matrix_profile(SRGB, 1.0, name="sRGB linear"))
    assert not is_srgb(matrix_profile(SRGB, 2.2, name="sRGB, nearly"))
    assert not is_srgb(matrix_profile(P3, name="sRGB"))
    assert not is_srgb(gray_profile(2.2))


@needs_vips
def test_srgb_of_another_maker_is_known() -> None:
    import pyvips

    image = pyvips.Image.new_from_array(colors())
    made = {name: image.icc_transform(name, input_profile="srgb").get("icc-profile-data") for name in ("srgb", "p3")}
    assert is_srgb(bytes(made["srgb"]))
    assert not is_srgb(bytes(made["p3"]))


def test_only_a_profile_of_rgb_can_be_restored() -> None:
    assert restorable(srgb_profile())
    assert restorable(matrix_profile(ADOBE, ADOBE_GAMMA))
    assert not restorable(gray_profile(2.2))
    for space in ("LAB", "XYZ"):
        assert not restorable(ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes())


def test_what_is_srgb_already_is_not_touched() -> None:
    image = Image.fromarray(grain())
    for profile in (srgb_profile(), matrix_profile(SRGB)):
        converted = to_srgb(image, profile)
        assert converted is not None
        assert converted.tobytes() == from_srgb(image, profile).tobytes() == image.tobytes()


def test_the_profile_of_srgb_is_the_same_each_time() -> None:
    fresh = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    fresh[24:36] = bytes(12)  # the date
    assert srgb_profile() == bytes(fresh)


@needs_vips
def test_converting_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    transform_16_bits(grain(kind=np.uint16), matrix_profile(P3), srgb_profile())
    transform_16_bits(grain(kind=np.uint16), matrix_profile(P3), b"damaged")
    assert list(tmp_path.iterdir()) == []


def test_a_color_space_whose_name_is_damaged_fits_nothing() -> None:
    data = bytearray(srgb_profile())
    data[16:20] = b"RG\xb6 "
    assert to_srgb(Image.new("RGB", (2, 2)), bytes(data)) is None
    assert not restorable(bytes(data))
