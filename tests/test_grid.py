from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.grid import Tiling, exact_halo, whole
from impasto.networks import VGG19, Network

LAYERS = ("relu1_1", "relu4_2", "relu5_1")

sides = st.integers(16, 400)


@pytest.mark.parametrize(("layer", "pixels"), [("relu1_1", 1), ("relu4_1", 30), ("relu4_2", 38), ("relu5_1", 70)])
def test_the_radius_is_that_of_vgg19(layer: str, pixels: int) -> None:
    assert VGG19.radius(layer) == exact_halo(VGG19, ["relu1_1", layer]) == pixels


@given(height=sides, width=sides, side=st.integers(16, 200))
@pytest.mark.parametrize("stride", [1, 2, 8, 16])
def test_the_cores_cover_each_position_once(height: int, width: int, side: int, stride: int) -> None:
    tiles = Tiling(side, halo=16).tiles((height, width), VGG19, LAYERS)
    count = torch.zeros(1, 1, height // stride, width // stride)
    for tile in tiles:
        tile.part(count, stride).add_(1)
    assert bool((count == 1).all())


@given(height=sides, width=sides, side=st.integers(16, 200))
def test_the_core_of_a_padded_tile_is_that_part_of_the_picture(height: int, width: int, side: int) -> None:
    picture = torch.arange(height * width).view(1, 1, height, width)
    for tile in Tiling(side).tiles((height, width), VGG19, LAYERS):
        padded = tile.padded(picture)
        assert padded.shape[-2:] == tile.padded_size
        assert torch.equal(tile.core(padded, 1), tile.part(picture, 1))
        assert tile.core(padded, 1).shape[-2:] == tile.size
        for start in (tile.rows.first, tile.columns.first, tile.rows.start, tile.columns.start):
            assert start % 16 == 0


@given(height=sides, width=sides, side=st.integers(16, 200))
def test_no_padded_tile_is_larger_than_was_asked_for(height: int, width: int, side: int) -> None:
    limit = -(-side // 16) * 16 + 15 + 2 * 80
    sizes = [tile.padded_size for tile in Tiling(side).tiles((height, width), VGG19, LAYERS)]
    largest = max(rows * columns for rows, columns in sizes)
    assert largest <= limit**2
    assert Tiling(side).largest((height, width), VGG19, LAYERS) == largest


def test_a_picture_that_fits_is_one_tile() -> None:
    assert Tiling(256).tiles((256 + 160, 256 + 160), VGG19, LAYERS) == whole((416, 416))
    assert whole((3, 4))[0].is_whole
    assert len(Tiling(256).tiles((256 + 161, 256 + 160), VGG19, LAYERS)) == 4


def test_without_layers_only_the_next_pixels_are_seen(tiny: Network) -> None:
    tiles = Tiling(10).tiles((20, 20), tiny, ())
    assert [tile.padded_size for tile in tiles] == [(11, 11)] * 4


@given(height=st.integers(350, 800), width=st.integers(350, 800), side=st.integers(16, 64))
def test_wider_tiles_hold_the_narrower_ones(height: int, width: int, side: int) -> None:
    tiling, picture = Tiling(side, unit=32, apart=True), torch.arange(height * width).view(1, 1, height, width)
    tiles = tiling.tiles((height, width), VGG19, LAYERS)
    by = tiling.widening(VGG19, LAYERS)
    assert by == 80
    wider = [tile.widened(by) for tile in tiles]
    for tile, wide in zip(tiles, wider, strict=True):
        own = tile.part(picture, 1)
        assert torch.equal(tile.core_of_padded(wide.padded(picture), wide), own)
        for stride in (1, 4, 16):
            positions = picture[..., ::stride, ::stride][..., : height // stride, : width // stride]
            assert torch.equal(
                tile.core_of_core(wide.part(positions, stride), wide, stride), tile.part(positions, stride)
            )
        assert (tile.rows.start % 32, tile.columns.start % 32) == (0, 0)
    areas = [[rows * columns for rows, columns in (each.padded_size for each in some)] for some in (tiles, wider)]
    assert len(tiles) > 1 or height * width <= (side + 320) ** 2
    assert tiling.largest((height, width), VGG19, LAYERS) == max(areas[1])
    expected = (sum(areas[0]) if len(tiles) > 1 else 0, sum(areas[1]))
    assert tiling.seen((height, width), VGG19, LAYERS) == expected
