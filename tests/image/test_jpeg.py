from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from impasto.errors import InputError
from impasto.image import jpeg
from impasto.image.files import picture_size
from impasto.image.jpeg import MAX_SCANS, has_too_many_scans
from impasto.image.read import read_picture

from .sources import encoded, grain

SCAN, END = b"\xff\xda", b"\xff\xd9"


def progressive(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is there again and again, until there are ``scans``."""
    data: bytes = encoded(Image.fromarray(np.zeros((side, side, 3), np.uint8)), "JPEG", progressive=True)
    last = data[data.rindex(SCAN) : -2]
    return data[:-2] + last * (scans - data.count(SCAN)) + END


def test_as_many_scans_as_are_allowed_are_read_and_one_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(progressive(MAX_SCANS))
    assert read_picture(tmp_path / "a.jpg").size == picture_size(progressive(MAX_SCANS)) == (64, 64)
    (tmp_path / "b.jpg").write_bytes(progressive(MAX_SCANS + 1))
    for source in (progressive(MAX_SCANS + 1), tmp_path / "b.jpg"):
        for ask in (picture_size, read_picture):
            with pytest.raises(InputError, match=r"is a JPEG of more than 100 scans, .* save it as PNG first\.$"):
                ask(source)


def test_thousands_of_scans_of_a_large_picture_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("pixels were decoded"))
    with pytest.raises(InputError, match="scans"):
        read_picture(progressive(5000, side=1024))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_scans_are_counted_whatever_lies_on_the_border_of_two_blocks(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "BLOCK_BYTES", size)
    start, scan = (
        b"\xff\xd8\xff\xe1\x00\x09Exif..." + b"\xff\xdb\x00\x03\x00",
        SCAN + b"\x00\x04ab\x00\xff\x00c\xff\xd3",
    )
    assert not has_too_many_scans(io.BytesIO(start + scan * MAX_SCANS + END))
    assert has_too_many_scans(io.BytesIO(start + scan * (MAX_SCANS + 1) + END))
    assert has_too_many_scans(io.BytesIO(start + (b"\xff" * 5 + scan) * (MAX_SCANS + 1) + END))


def test_what_only_looks_like_a_scan_is_none() -> None:
    """In a segment, as the numbers of a profile may, and behind the picture, as the film of a phone does."""
    plain = encoded(Image.fromarray(grain()), "JPEG", comment=SCAN * 300)
    assert read_picture(plain + SCAN * 300).size == (16, 24)


@pytest.mark.parametrize("subsampling", [0, 2])
def test_scans_without_progression_count_as_well(subsampling: int) -> None:
    data = encoded(Image.fromarray(grain()), "JPEG", subsampling=subsampling)
    assert picture_size(data) == (16, 24)
    with pytest.raises(InputError, match="scans"):
        picture_size(data[:-2] + data[data.rindex(SCAN) : -2] * MAX_SCANS + END)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", SCAN, SCAN + b"\x00", SCAN * 99, b"\xff" * 100, SCAN + b"\xff\xff" + b"x"]
)
def test_a_file_that_ends_anywhere_ends_the_count(data: bytes) -> None:
    assert not has_too_many_scans(io.BytesIO(data))


def test_a_long_run_of_the_byte_that_begins_a_marker_ends() -> None:
    # Looked at anew from each byte of the run, it would take hours.
    assert not has_too_many_scans(io.BytesIO(b"\xff\xd8" + b"\xff" * 1_000_000 + b"\x00" * 10))
