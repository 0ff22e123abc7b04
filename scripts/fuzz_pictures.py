"""Damage real pictures in the ways that files get damaged, and see that each is read, or refused with a sentence.

python scripts/fuzz_pictures.py [FOLDER] [--count 2000] [--seed 0] [--jobs 1] [--only NUMBER]

The pictures of FOLDER, or those of the demo, are saved in every format that can be read. Copies are cut short, flipped
bit by bit, given the header of another format, parts too few or too many, and absurd lengths. Each goes through what
a run does with an input, in a process apart, within 5 s and 1 GB, and must leave no file. What is neither read nor
refused by an ImpastoError is a failure: it is printed, the file is kept in fuzz_failures, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import re
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

import impasto
from impasto.errors import ImpastoError
from impasto.image.deep import encode_deep, has_pyvips
from impasto.image.formats import FORMATS
from impasto.image.metadata import Metadata, save_arguments
from impasto.image.profile import srgb_profile

SECONDS = 5.0
BYTES = 1_000_000_000

LARGEST_ENCODED = 300_000
"""Pixels; what is small is written again as well. Above, the time would go into the compression of AVIF."""

EXTREMES = (0, 1, 2, 255, 4_000, 9_000, 13_000, 16_383, 32_767, 65_535, 2**31 - 1, 2**31, 2**32 - 1)

FAILURES = Path("fuzz_failures")

Save = Callable[[Image.Image], bytes]
Mutate = Callable[[bytearray, random.Random], None]


@dataclass(frozen=True)
class Seed:
    """A picture in order, and its sides in pixels, which mutations look for."""

    name: str
    data: bytes
    sides: tuple[int, ...]


@dataclass
class Tally:
    """What came of the mutants, and the most that one of them took, in seconds and bytes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.outcomes + other.outcomes, max(self.seconds, other.seconds), max(self.bytes, other.bytes))


def make_seeds(folder: Path) -> list[Seed]:
    """The pictures of ``folder`` as they are, and small ones in every format and mode; the same ones each time."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not files:
        raise SystemExit(f"There are no pictures in '{folder}'.")
    seeds = [Seed(path.name, path.read_bytes(), Image.open(path).size) for path in files]
    for number, (name, save) in enumerate({**pillow_ways(), **deep_ways(), **optional_ways()}.items()):
        small = Image.open(files[number % len(files)]).convert("RGB")
        small.thumbnail([(64, 64), (160, 160), (256, 256)][number % 3])
        seeds.append(Seed(name, save(small), small.size))
    return seeds


def pillow_ways() -> dict[str, Save]:
    """The ways of saving that Pillow knows."""
    rich: dict[str, Any] = {"icc_profile": wide_profile(), "exif": exif(), "xmp": XMP}
    frames = {"save_all": True, "frames": 3}
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP, zip=True)
    texts.add_text("Title", "A picture", zip=True)
    described = save_arguments("PNG", Metadata(), '{"impasto": "0.1.0"}')
    ways = {
        "jpeg": saved("JPEG", quality=80),
        "jpeg rich": saved("JPEG", **rich, comment="noon", restart_marker_rows=1),
        "jpeg progressive": saved("JPEG", progressive=True, optimize=True, subsampling=0),
        "jpeg cmyk": saved("JPEG", "CMYK"),
        "jpeg gray": saved("JPEG", "L", exif=exif()),
        "mpo": saved("MPO", **frames, exif=exif()),
        "png rich": saved("PNG", icc_profile=wide_profile(), exif=exif(), pnginfo=texts),
        "png with settings": saved("PNG", **described),
        "apng": saved("PNG", "RGBA", **frames),
        "webp rich": saved("WEBP", **rich),
        "webp lossless": saved("WEBP", "RGBA", lossless=True),
        "webp animated": saved("WEBP", "RGBA", **frames, **rich),
        "avif rich": saved("AVIF", **rich, speed=8),
        "avif alpha": saved("AVIF", "RGBA", speed=8),
        "avif animated": saved("AVIF", **frames, speed=8),
        "gif": saved("GIF", "P"),
        "gif alpha": saved("GIF", "RGBA", comment="noon"),
        "gif animated": saved("GIF", "RGBA", **frames, disposal=2),
        "tiff rich": saved("TIFF", icc_profile=wide_profile(), tiffinfo={700: XMP, 274: 6}),
        "tiff pages": saved("TIFF", **frames),
        "tiff cmyk": saved("TIFF", "CMYK", icc_profile=srgb_profile()),
    }
    ways |= {f"png {mode}": saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    ways |= {f"png {mode} one hidden": saved("PNG", mode, transparency=hidden) for mode, hidden in ONE_HIDDEN.items()}
    ways |= {f"tiff {mode}": saved("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGBA", "LAB", "I;16", "F")}
    ways |= {
        f"tiff {compression}": saved("TIFF", mode, compression=compression)
        for compression, mode in {"tiff_lzw": "RGB", "tiff_adobe_deflate": "RGBA", "jpeg": "RGB", "packbits": "L"}.items()
    }
    return {**ways, "tiff group4": saved("TIFF", "1", compression="group4")}


ONE_HIDDEN = {"P": 3, "L": 90, "RGB": (90, 90, 90)}

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="a camera"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


def deep_ways() -> dict[str, Save]:
    """16 bits a channel, as impasto writes them."""
    return {
        f"{format} 16 bits{' alpha' if alpha else ''}": deep(format.upper(), alpha=alpha)
        for format in ("png", "tiff")
        for alpha in (False, True)
    }


def optional_ways() -> dict[str, Save]:
    """What the optional libraries write, where they are installed."""
    ways: dict[str, Save] = {}
    if has_pyvips():
        ways["png interlaced"] = vips(".png", interlace=True)
        ways["tiff tiled"] = vips(".tif", tile=True, pyramid=True, compression="deflate", predictor="horizontal")
        ways["tiff big"] = vips(".tif", bigtiff=True)
    try:
        import pillow_heif
    except ImportError:
        return ways
    pillow_heif.register_heif_opener()
    return ways | {"heic": saved("HEIF", exif=exif()), "heic alpha": saved("HEIF", "RGBA", icc_profile=wide_profile())}


def saved(format: str, mode: str = "RGB", *, frames: int = 1, **options: Any) -> Save:
    """A function that saves a picture in this way; as an animation, the picture moves to the left."""

    def save(image: Image.Image) -> bytes:
        image = in_mode(image, mode)
        if frames > 1:
            options["append_images"] = [image.transform(image.size, 0, (1, 0, 9 * i, 0, 1, 0)) for i in range(1, frames)]
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return save


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture in ``mode``; with alpha, its left third is hidden and the next one half so."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "LAB":
        return Image.merge("LAB", image.split())
    image = image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(hidden(image.size))
    return image


def hidden(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.array([[0, 128, 255]], dtype=np.uint8)).resize(size, Image.Resampling.NEAREST)


def deep(format: str, *, alpha: bool) -> Save:
    def save(image: Image.Image) -> bytes:
        def widened(values: Image.Image) -> np.ndarray:
            return np.asarray(values).astype(np.uint16) * 257

        metadata, transparency = Metadata(exif(), XMP), widened(hidden(image.size)) if alpha else None
        profile = wide_profile()
        return encode_deep(widened(image), transparency, format, profile=profile, metadata=metadata, settings=None)

    return save


def vips(suffix: str, **options: Any) -> Save:
    def save(image: Image.Image) -> bytes:
        import pyvips

        return bytes(pyvips.Image.new_from_array(np.asarray(image)).write_to_buffer(suffix, **options))

    return save


def exif() -> bytes:
    """A block with a thumbnail's directory left out, but a pointer in it; the picture lies on its side."""
    block = Image.Exif()
    block[0x010F], block[0x0112] = "Kamera AG", 6
    block.get_ifd(0x8769).update({0x829A: TiffImagePlugin.IFDRational(1, 125), 0x9003: "2021:05:04 03:02:01"})
    return block.tobytes()


def wide_profile() -> bytes:
    """The profile of sRGB with the primaries of Display P3."""
    profile = bytearray(srgb_profile())
    primaries = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2919, 0.6922, 0.0419), b"bXYZ": (0.1572, 0.0666, 0.7841)}
    for tag, values in primaries.items():
        offset = struct.unpack_from(">I", profile, profile.index(tag) + 4)[0]
        struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in values))
    return bytes(profile)


def mutant(seeds: list[Seed], seed: int, number: int) -> tuple[str, bytes]:
    """The mutant of that number: what was done to what, and its bytes."""
    dice = random.Random(f"{seed} {number}")
    source, other = dice.choice(seeds), dice.choice(seeds)
    data = bytearray(source.data)
    ways: list[Mutate] = [cut, flip, flip_in_header, overwrite, remove, repeat, set_number, insert]
    ways += [lambda data, dice: swap_header(data, dice, other.data), lambda data, dice: set_side(data, dice, source.sides)]
    names = [way.__name__ for way in ways[:-2]] + [f"header of {other.name}", "set_side"]
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        which = dice.randrange(len(ways))
        if data:
            ways[which](data, dice)
        done.append(names[which])
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


def flip_in_header(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 2, 5))):
        data[dice.randrange(min(len(data), 600))] = dice.randrange(256)


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


def visit(path: Path, format: str) -> None:
    """Do with a file what a run does with an input: ask for its size, read it, look for settings; write it again."""
    from impasto.image.files import picture_size
    from impasto.image.read import read_picture
    from impasto.image.write import encode
    from impasto.record import read_record

    size = picture_size(path)
    try:
        read_record(path)
    except ImpastoError as error:
        check_message(error, path)
    picture = read_picture(path)
    check(picture.size == size, f"announced {size}, but has {picture.size}")
    check(bool(((picture.pixels >= 0) & (picture.pixels <= 1)).all()), "has values out of range")
    if size[0] * size[1] <= LARGEST_ENCODED:
        again = read_picture(encode(picture, FORMATS[format]))
        check(again.size == size, f"of {size} became {again.size} as {format}")


def check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"The picture {what}.")


def check_message(error: ImpastoError, path: Path) -> None:
    text = str(error)
    check(path.name in text and "\n" not in text and text.isprintable() and len(text) < 600, f"was refused by {text!r}")


def work(pipe: Connection, folder: Path) -> None:
    """Visit the files that come through ``pipe``, and answer with the outcome, seconds, and bytes above the start."""
    import torch

    os.chdir(folder)
    tempfile.tempdir = str(folder)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    Image.new("RGB", (8, 8)).save("first.png")
    visit(Path("first.png"), "avif")
    Path("first.png").unlink()
    before = most_bytes()
    pipe.send("ready")
    while True:
        path, format = pipe.recv()
        began = time.perf_counter()
        outcome = outcome_of(path, format)
        left = sorted(name for name in os.listdir(folder) if name != path.name)
        outcome = f"left {left} behind" if left else outcome
        pipe.send((outcome, time.perf_counter() - began, most_bytes() - before))


def outcome_of(path: Path, format: str) -> str:
    """"read", "refused", or what went wrong."""
    try:
        visit(path, format)
    except ImpastoError as error:
        try:
            check_message(error, path)
        except AssertionError as wrong:
            return str(wrong)
        return "refused"
    except BaseException:
        return traceback.format_exc()
    return "read"


def most_bytes() -> int:
    """The most memory that this process has had."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Worker:
    """A process that visits files; started again after it crashed, hung or took too much memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: Any = None

    def visit(self, data: bytes, format: str) -> tuple[str, float, int]:
        if self.process is None:
            self.start()
        path = self.folder / "mutant"
        path.write_bytes(data)
        self.pipe.send((path, format))
        try:
            if not self.pipe.poll(SECONDS):
                return self.end(f"took more than {SECONDS:g} s"), SECONDS, 0
            outcome, seconds, memory = self.pipe.recv()
        except EOFError:
            return self.end("crashed"), 0.0, 0
        if memory > BYTES:
            outcome = self.end(f"took {memory / 1e6:,.0f} MB")
        return outcome, seconds, memory

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def end(self, why: str) -> str:
        self.process.kill()
        self.process.join()
        code, self.process = self.process.exitcode, None
        for path in self.folder.iterdir():
            path.unlink()
        return f"{why} (exit code {code})" if why == "crashed" else why


def run_share(seeds: list[Seed], seed: int, numbers: range) -> Tally:
    """Visit the mutants of these numbers, one after the other."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder).resolve())
        for number in numbers:
            name, data = mutant(seeds, seed, number)
            outcome, seconds, memory = worker.visit(data, list(FORMATS)[number % len(FORMATS)])
            tally += Tally(Counter([outcome if outcome in ("read", "refused") else "failed"]), seconds, memory)
            if outcome not in ("read", "refused"):
                tell(number, seed, name, data, outcome)
        if worker.process is not None:
            worker.end("")
    return tally


def tell(number: int, seed: int, name: str, data: bytes, outcome: str) -> None:
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{seed}-{number}"
    path.write_bytes(data)
    print(f"--seed {seed} --only {number} ({name}), kept as {path}:\n    {outcome.strip()}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    demo = Path(impasto.__file__).parent / "demo"
    parser.add_argument("folder", type=Path, nargs="?", default=demo, help="of pictures (default: the demo's)")
    parser.add_argument("--count", type=int, default=2000, help="how many mutants (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides all mutants (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--only", type=int, help="visit the mutant of this number alone")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    seeds, began = make_seeds(options.folder), time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        shares = [pool.submit(run_share, seeds, options.seed, numbers[job :: options.jobs]) for job in range(options.jobs)]
        tally = sum((share.result() for share in shares), Tally())
    return report(tally, len(seeds), time.monotonic() - began)


def report(tally: Tally, seeds: int, seconds: float) -> int:
    read, refused, failed = (tally.outcomes[name] for name in ("read", "refused", "failed"))
    print(f"{read} of the mutants of {seeds} files were read and {refused} refused, in {seconds:.0f} s;")
    print(f"the slowest took {tally.seconds:.1f} s, and the largest {tally.bytes / 1e6:.0f} MB.")
    print(f"{read + refused} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
