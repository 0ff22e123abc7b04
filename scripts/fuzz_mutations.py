"""The ways in which ``fuzz_pictures`` damages a file; the same seed and number always mean the same damage."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable
from functools import partial

from fuzz_seeds import Seed

EXTREMES = (0, 1, 2, 255, 4_000, 9_000, 13_000, 16_383, 32_767, 65_535, 2**31 - 1, 2**31, 2**32 - 1)

Mutate = Callable[[bytearray, random.Random], None]


def mutant(seeds: list[Seed], seed: int, number: int) -> tuple[str, bytes]:
    """The mutant of that number: what was done to what, and its bytes."""
    dice = random.Random(f"{seed} {number}")
    source, other = dice.choice(seeds), dice.choice(seeds)
    data = bytearray(source.data)
    ways: dict[str, Mutate] = {
        way.__name__: way for way in (cut, flip, set_byte, overwrite, remove, insert, repeat, set_number)
    }
    ways["set_side"] = partial(set_side, sides=source.sides)
    ways[f"header of {other.name}"] = partial(swap_header, other=other.data)
    done = dice.choices(list(ways), k=dice.choice((1, 1, 1, 2, 3)))
    for name in done:
        if data:
            ways[name](data, dice)
    # Without right checksums, a PNG is refused before what was changed is looked at.
    if source.name.startswith(("png", "apng")) and dice.random() < 0.7:
        mend_checksums(data)
    return f"{source.name}: {', '.join(done)}", bytes(data)


def somewhere(data: bytearray, dice: random.Random) -> int:
    """A place, half of the time near the start, where headers are."""
    return dice.randrange(min(len(data), 600) if dice.random() < 0.5 else len(data))


def cut(data: bytearray, dice: random.Random) -> None:
    del data[somewhere(data, dice) :]


def flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 3, 10, 100))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def set_byte(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 2, 5))):
        data[somewhere(data, dice)] = dice.randrange(256)


def overwrite(data: bytearray, dice: random.Random) -> None:
    place, length = somewhere(data, dice), dice.choice((4, 64, 1000, len(data) // 4))
    block = dice.choice((bytes(length), b"\xff" * length, dice.randbytes(length)))
    data[place : place + length] = block[: len(data) - place]


def remove(data: bytearray, dice: random.Random) -> None:
    place = somewhere(data, dice)
    del data[place : place + dice.choice((1, 2, 16, 500))]


def insert(data: bytearray, dice: random.Random) -> None:
    data[(place := somewhere(data, dice)) : place] = dice.randbytes(dice.choice((1, 2, 16, 500)))


def repeat(data: bytearray, dice: random.Random) -> None:
    place = somewhere(data, dice)
    data[place:place] = data[place : place + dice.choice((8, 100, 2000))] * dice.choice((1, 2, 30))


def set_number(data: bytearray, dice: random.Random) -> None:
    """Write an extreme number where a length, an offset or a count may be."""
    layout = dice.choice((">H", "<H", ">I", "<I"))
    place = min(somewhere(data, dice) // 2 * 2, max(0, len(data) - 4))
    number = dice.choice(EXTREMES) % 256 ** struct.calcsize(layout)
    data[place : place + 4] = struct.pack(layout, number) + data[place + struct.calcsize(layout) : place + 4]


def set_side(data: bytearray, dice: random.Random, sides: tuple[int, ...]) -> None:
    """Claim another width or height, or both: wherever the number stands in the first kilobytes."""
    for side in dice.choice((sides, sides[:1], sides[1:])):
        value = dice.choice(EXTREMES)
        layout = dice.choice((">H", "<H", ">I", "<I"))
        number = struct.pack(layout, value % 256 ** struct.calcsize(layout))
        for found in list(re.finditer(re.escape(struct.pack(layout, side)), bytes(data[:4000])))[: dice.choice((1, 9))]:
            data[found.start() : found.end()] = number


def swap_header(data: bytearray, dice: random.Random, other: bytes) -> None:
    length = dice.choice((4, 12, 64, 500))
    data[:length] = other[:length]


def mend_checksums(data: bytearray) -> None:
    """Write the right checksum behind each chunk of a PNG."""
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + struct.unpack_from(">I", data, place)[0]
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
